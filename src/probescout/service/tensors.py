"""Arrays on the wire to NumPy and back; sizes are checked before anything is allocated."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from probescout_client.wire.v1 import probescout_pb2 as pb

from probescout.core.errors import InvalidInput, Reason
from probescout.core.observations import INLINE_LIMIT
from probescout.core.spectra import ValueKind
from probescout.store.blob_names import digest_of

DTYPES: dict[int, np.dtype[Any]] = {
    pb.D_TYPE_UINT8: np.dtype("u1"),
    pb.D_TYPE_UINT16: np.dtype("<u2"),
    pb.D_TYPE_UINT32: np.dtype("<u4"),
    pb.D_TYPE_INT16: np.dtype("<i2"),
    pb.D_TYPE_INT32: np.dtype("<i4"),
    pb.D_TYPE_INT64: np.dtype("<i8"),
    pb.D_TYPE_FLOAT32: np.dtype("<f4"),
    pb.D_TYPE_FLOAT64: np.dtype("<f8"),
    pb.D_TYPE_BOOL: np.dtype("bool"),
}
KINDS = {
    pb.VALUE_KIND_UNSPECIFIED: ValueKind.UNKNOWN,
    pb.VALUE_KIND_COUNTS: ValueKind.COUNTS,
    pb.VALUE_KIND_CONTINUOUS: ValueKind.CONTINUOUS,
}
MAX_DIMS = 8
ReadBlob = Callable[[str], bytes]


def read_tensor(
    tensor: pb.Tensor, read_blob: ReadBlob, *, field: str, max_bytes: int, inline_limit: int = INLINE_LIMIT
) -> NDArray[Any]:
    """Return the array of a tensor.

    Raises:
        InvalidInput: DTYPE_MISMATCH, SHAPE_MISMATCH, BLOB_TOO_LARGE or ID_INVALID with the field.
        NotFound: BLOB_NOT_FOUND.
    """
    dtype = DTYPES.get(tensor.dtype)
    if dtype is None:
        raise InvalidInput(
            Reason.DTYPE_MISMATCH, f"dtype {tensor.dtype} is not one of DType in the contract", field=f"{field}.dtype"
        )
    shape = tuple(tensor.shape)
    if not 1 <= len(shape) <= MAX_DIMS or len(tensor.dims) != len(shape) or len(set(tensor.dims)) != len(shape):
        raise InvalidInput(
            Reason.SHAPE_MISMATCH,
            f"shape {shape} needs one name an axis in dims, all different, 1 to {MAX_DIMS}; got {list(tensor.dims)}",
            field=f"{field}.dims",
        )
    size = math.prod(shape) * dtype.itemsize
    if size > max_bytes:
        raise InvalidInput(
            Reason.BLOB_TOO_LARGE,
            f"shape {shape} of {dtype} is {size} bytes; at most {max_bytes} are taken",
            field=f"{field}.shape",
        )
    data = _bytes(tensor, read_blob, size, field, inline_limit)
    if len(data) != size:
        raise InvalidInput(
            Reason.SHAPE_MISMATCH,
            f"shape {shape} of {dtype} is {size} bytes; {len(data)} came",
            field=f"{field}.shape",
        )
    if dtype.kind == "b":
        return np.asarray(np.frombuffer(data, np.uint8).reshape(shape) != 0)
    return np.frombuffer(data, dtype).reshape(shape)


def _bytes(tensor: pb.Tensor, read_blob: ReadBlob, size: int, field: str, inline_limit: int) -> bytes:
    if tensor.blob and tensor.data:
        raise InvalidInput(Reason.FIELD_INVALID, "give data or blob, not both", field=f"{field}.blob")
    if tensor.blob:
        return read_blob(digest_of(tensor.blob, field=f"{field}.blob"))
    if len(tensor.data) > inline_limit:
        raise InvalidInput(
            Reason.BLOB_TOO_LARGE,
            f"{len(tensor.data)} bytes inline; more than {inline_limit} go through BlobService",
            field=f"{field}.data",
        )
    if size and not tensor.data:
        raise InvalidInput(Reason.FIELD_MISSING, f"{size} bytes are declared and none came", field=f"{field}.data")
    return tensor.data


def write_tensor(values: NDArray[Any], dims: tuple[str, ...], unit: str = "") -> pb.Tensor:
    """Return the inline tensor of an array, whatever its size (a reply is bounded by the message limit)."""
    code = next(k for k, v in DTYPES.items() if v == values.dtype.newbyteorder("<"))
    data = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    return pb.Tensor(dtype=code, shape=values.shape, dims=dims, unit=unit, data=data)  # type: ignore[arg-type]
