"""One model as one file: a `.npz` without pickle, whose array `header` holds JSON as bytes.

The same content gives the same bytes, so that the SHA-256 of the file names the model.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, Reason

FORMAT = 1
MAX_BYTES = 64 << 20
"""Largest file, and largest content of one: a model of thousands of measurements takes less than one MiB."""


def pack(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the file of a model.

    Args:
        header: JSON values; "format" is added.
        arrays: Of numbers, by name; any shape and unit.

    Raises:
        InvalidInput: BLOB_TOO_LARGE.
    """
    text = json.dumps({**header, "format": FORMAT}, sort_keys=True, separators=(",", ":"), allow_nan=False)
    buffer = io.BytesIO()
    ordered = {name: arrays[name] for name in sorted(arrays)}
    np.savez(buffer, allow_pickle=False, header=np.frombuffer(text.encode(), np.uint8), **ordered)
    data = buffer.getvalue()
    _refuse_large(len(data))
    return data


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return header and arrays of a file, which a stranger may have made.

    Raises:
        InvalidInput: MODEL_INCOMPATIBLE when it is no model, or of another format; BLOB_TOO_LARGE.
    """
    _refuse_large(len(data))
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _refuse_large(sum(entry.file_size for entry in archive.infolist()))
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
        header = json.loads(arrays.pop("header").tobytes())
        written = header["format"]
    # Strangers make such files: besides the expected, damaged or encrypted members raise these.
    except (
        *(OSError, ValueError, KeyError, TypeError, EOFError, AttributeError, RuntimeError, MemoryError),
        *(zipfile.BadZipFile, zlib.error),
    ) as error:
        raise InvalidInput(
            Reason.MODEL_INCOMPATIBLE,
            f"this is no model file ({error!r}); give one that `probescout model export` wrote",
            field="model",
        ) from error
    if written != FORMAT:
        raise InvalidInput(
            Reason.MODEL_INCOMPATIBLE,
            f"the model file has format {written!r}, this program reads {FORMAT}; register the campaign again with "
            "this program",
            field="model",
        )
    return header, arrays


def _refuse_large(n_bytes: int) -> None:
    if n_bytes > MAX_BYTES:
        raise InvalidInput(
            Reason.BLOB_TOO_LARGE,
            f"the model takes {n_bytes} bytes; at most {MAX_BYTES} are taken",
            field="model",
        )
