"""Disposable copies of model state: quick to load, never needed, ignored when anything differs.

A snapshot is one `.npz` file without pickle, `snapshots/<seq>-<sha256 of the file>.npz`: array `header` holds JSON as
bytes, the others are the arrays of the state.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from probescout.core.errors import InvalidInput, Reason, Unavailable
from probescout.store import durable

FORMAT = 1
KEEP = 2
"""Newest snapshots that are kept."""

_NAME = re.compile(r"(\d{12})-([0-9a-f]{64})\.npz")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Header:
    """What a snapshot says about itself."""

    seq: int
    event_hash: str
    versions: Mapping[str, str]


def save(directory: Path, *, seq: int, event_hash: str, versions: Mapping[str, str], state: Mapping[str, Any]) -> Path:
    """Write the state after event `seq`, and drop all but the newest two; return the file.

    Args:
        directory: Of the campaign.
        seq: Newest event that the state holds.
        event_hash: Its hash.
        versions: Of everything that must be the same for the state to be of use.
        state: Nested mappings and lists of JSON values (NaN allowed) and arrays of any shape and unit; tuples come back
            as lists, NumPy scalars as Python numbers.

    Raises:
        InvalidInput: FIELD_INVALID for a value that is neither, DTYPE_MISMATCH for an array of objects.
        Unavailable: STORE_UNAVAILABLE when the disk refuses.
    """
    arrays: dict[str, Any] = {}
    tree = _pack(state, "state", arrays)
    header = {"format": FORMAT, "seq": seq, "event_hash": event_hash, "versions": dict(versions), "state": tree}
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # arrays of objects were refused, so nothing is pickled
    data = buffer.getvalue()
    folder = directory / "snapshots"
    path = folder / f"{seq:012d}-{hashlib.sha256(data).hexdigest()}.npz"
    try:
        folder.mkdir(exist_ok=True)
        durable.write(path, data, scratch=folder / "saving")
        others = [other for other in newest_first(directory) if other != path]
        for old in others[KEEP - 1 :]:
            old.unlink(missing_ok=True)
    except OSError as error:
        message = f"the disk refuses the snapshot ({error}); the campaign goes on without it"
        raise Unavailable(Reason.STORE_UNAVAILABLE, message) from error
    return path


def load_latest(
    directory: Path, *, seq_hash_of: Callable[[int], str | None], versions: Mapping[str, str]
) -> tuple[int, dict[str, Any]] | None:
    """Return the newest snapshot that is of use, as (seq, state), or None.

    Args:
        directory: Of the campaign.
        seq_hash_of: Returns the hash of an event in the journal, None when there is no such event.
        versions: Must equal those that it was saved with.
    """
    for path in newest_first(directory):
        try:
            header, state = read(path)
        except (OSError, ValueError) as error:
            _log.warning("snapshot %s is ignored: %s", path.name, error)
            continue
        if header.event_hash != seq_hash_of(header.seq):
            _log.warning("snapshot %s is ignored: event %d of the journal differs", path.name, header.seq)
        elif dict(header.versions) != dict(versions):
            was, now = dict(header.versions), dict(versions)
            _log.warning("snapshot %s is ignored: it was made with %s, this is %s", path.name, was, now)
        else:
            return header.seq, state
    return None


def read(path: Path) -> tuple[Header, dict[str, Any]]:
    """Read one snapshot.

    Raises:
        OSError: When it cannot be read.
        ValueError: When it is damaged.
    """
    matched = _NAME.fullmatch(path.name)
    data = path.read_bytes()
    if not matched or hashlib.sha256(data).hexdigest() != matched[2]:
        raise ValueError("its content does not match the SHA-256 in its name")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        found = json.loads(arrays.pop("header").tobytes())
        if found["format"] != FORMAT:
            raise ValueError(f"its format is {found['format']}, this version reads {FORMAT}")
        header = Header(int(found["seq"]), str(found["event_hash"]), dict(found["versions"]))
        return header, _unpack(found["state"], arrays)
    except (EOFError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"it cannot be read ({error!r})") from error


def newest_first(directory: Path) -> list[Path]:
    """Return the snapshot files of a campaign."""
    found = [path for path in (directory / "snapshots").glob("*.npz") if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: (path.name[:12], path.stat().st_mtime_ns), reverse=True)


def _pack(value: Any, path: str, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
    """Return a JSON tree of tagged nodes, so that no key of the state can be mistaken for a mark of ours."""
    if isinstance(value, np.generic) and not value.dtype.hasobject:
        value = value.item()
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            message = f"{path} is an array of Python objects; give numbers, booleans or fixed-width text"
            raise InvalidInput(Reason.DTYPE_MISMATCH, message, field=path)
        name = f"a{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise InvalidInput(Reason.FIELD_INVALID, f"{path} has keys that are not text; use text keys", field=path)
        return {"dict": {key: _pack(child, f"{path}/{key}", arrays) for key, child in value.items()}}
    if isinstance(value, list | tuple):
        return {"list": [_pack(child, f"{path}/{index}", arrays) for index, child in enumerate(value)]}
    if value is None or isinstance(value, str | bool | int | float):
        return {"value": value}
    message = f"{path} is a {type(value).__name__}; a snapshot holds JSON values and arrays"
    raise InvalidInput(Reason.FIELD_INVALID, message, field=path)


def _unpack(node: Any, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Any:
    [(kind, value)] = node.items()
    if kind == "array":
        return arrays[value]
    if kind == "dict":
        return {key: _unpack(child, arrays) for key, child in value.items()}
    if kind == "list":
        return [_unpack(child, arrays) for child in value]
    return value
