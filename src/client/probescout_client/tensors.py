"""Arrays to and from messages without NumPy: buffers, numpy arrays and nested lists go in, memoryviews come out."""

from __future__ import annotations

import array
import operator
import struct
import sys
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

from probescout_client.errors import InvalidInput
from probescout_client.wire.v1 import probescout_pb2 as pb

INLINE_LIMIT = 64 * 1024
"""Most bytes that a message may carry; anything larger travels as a blob."""

_SIGNED, _UNSIGNED, _FLOAT = "bhilqn", "BHILQNc", "efd"
_DTYPES: Dict[Tuple[str, int], pb.DType] = {
    ("b", 1): pb.D_TYPE_BOOL,
    ("u", 1): pb.D_TYPE_UINT8,
    ("u", 2): pb.D_TYPE_UINT16,
    ("u", 4): pb.D_TYPE_UINT32,
    ("i", 2): pb.D_TYPE_INT16,
    ("i", 4): pb.D_TYPE_INT32,
    ("i", 8): pb.D_TYPE_INT64,
    ("f", 4): pb.D_TYPE_FLOAT32,
    ("f", 8): pb.D_TYPE_FLOAT64,
}
_FORMATS: Dict[int, Tuple[str, str]] = {
    int(pb.D_TYPE_BOOL): ("?", "|b1"),
    int(pb.D_TYPE_UINT8): ("B", "|u1"),
    int(pb.D_TYPE_UINT16): ("H", "u2"),
    int(pb.D_TYPE_UINT32): ("I", "u4"),
    int(pb.D_TYPE_INT16): ("h", "i2"),
    int(pb.D_TYPE_INT32): ("i", "i4"),
    int(pb.D_TYPE_INT64): ("q", "i8"),
    int(pb.D_TYPE_FLOAT32): ("f", "f4"),
    int(pb.D_TYPE_FLOAT64): ("d", "f8"),
}
# Types that the contract lacks, with the next wider one that holds all their values.
_WIDER: Dict[Tuple[str, int], Tuple[str, int, str]] = {
    ("i", 1): ("i", 2, "h"),
    ("u", 8): ("i", 8, "q"),
    ("f", 2): ("f", 4, "f"),
}
_SWAP_CODES = {2: "H", 4: "I", 8: "Q"}


@dataclass(frozen=True)
class Array:
    """An array that came from the server; `numpy.asarray(it)` and `memoryview(it.view)` share its memory.

    Example:
        >>> Array(memoryview(b"abcd").cast("B", (2, 2)), ("y", "x"), "counts").tolist()
        [[97, 98], [99, 100]]
    """

    view: memoryview
    """Elements in C order, in native byte order."""
    dims: Tuple[str, ...] = ()
    """One name an axis."""
    unit: str = ""
    """Unit of the elements."""

    @property
    def shape(self) -> Tuple[int, ...]:
        """Length of each axis, in the order of `dims`."""
        return tuple(self.view.shape or ())

    @property
    def format(self) -> str:
        """Element type as a character of the struct module, for example "f"."""
        return self.view.format

    @property
    def __array_interface__(self) -> Dict[str, Any]:
        """Describe the memory to NumPy, so that `numpy.asarray` needs nothing from here."""
        kinds = {text: typestr for text, typestr in _FORMATS.values()}
        typestr = kinds[self.view.format]
        order = "" if typestr[0] == "|" else ("<" if sys.byteorder == "little" else ">")
        return {"version": 3, "shape": self.shape, "typestr": order + typestr, "data": self.view}

    def tolist(self) -> Any:
        """Return the elements as nested lists."""
        return self.view.tolist()


def to_tensor(values: Any, dims: Sequence[str], unit: str = "", counts: Optional[bool] = None) -> pb.Tensor:
    """Pack an array into a message.

    Args:
        values: Anything with the buffer protocol or `__array__` (numpy, array.array, xarray), or nested lists of
            numbers or booleans; one axis per name in `dims`.
        dims: Names of the axes, for example ("y", "x").
        unit: Unit of the elements.
        counts: Whether the elements are detector counts (Poisson); None: unknown.

    Raises:
        InvalidInput: DTYPE_MISMATCH when the elements are not real numbers that the contract knows, SHAPE_MISMATCH when
            the nested lists are ragged or the number of axes is not that of `dims`.
    """
    kind, size, data, shape = _packed(values)
    if len(shape) != len(dims):
        raise InvalidInput(
            "SHAPE_MISMATCH",
            "the array has {} axes {} and {} names {}; name each axis once".format(
                len(shape), tuple(shape), len(dims), tuple(dims)
            ),
            "dims",
        )
    value_kind = pb.VALUE_KIND_UNSPECIFIED
    if counts is not None:
        value_kind = pb.VALUE_KIND_COUNTS if counts else pb.VALUE_KIND_CONTINUOUS
    return pb.Tensor(
        dtype=_DTYPES[(kind, size)], shape=shape, dims=list(dims), unit=unit, data=data, value_kind=value_kind
    )


def to_mask(values: Any, dims: Sequence[str]) -> pb.Tensor:
    """Pack an array of truth values, given as booleans or as any integers (not 0 is true), into a BOOL tensor.

    Raises:
        InvalidInput: As `to_tensor`, and DTYPE_MISMATCH for floating-point elements.
    """
    tensor = to_tensor(values, dims)
    if tensor.dtype in (pb.D_TYPE_FLOAT32, pb.D_TYPE_FLOAT64):
        raise InvalidInput("DTYPE_MISMATCH", "a mask holds booleans, not floating-point numbers; compare first", "mask")
    if tensor.dtype != pb.D_TYPE_BOOL:
        flat = array.array(_FORMATS[tensor.dtype][0])
        flat.frombytes(_native(tensor.data, flat.typecode))
        tensor.data = bytes(1 if value else 0 for value in flat)
        tensor.dtype = pb.D_TYPE_BOOL
    return tensor


def from_tensor(tensor: pb.Tensor) -> Array:
    """Unpack a message whose bytes are inline.

    Raises:
        InvalidInput: SHAPE_MISMATCH when the bytes are not those that shape and dtype declare, DTYPE_MISMATCH for an
            unknown dtype.
    """
    if tensor.dtype not in _FORMATS:
        raise InvalidInput("DTYPE_MISMATCH", "tensor of unknown dtype {}".format(tensor.dtype), "dtype")
    text = _FORMATS[tensor.dtype][0]
    shape = tuple(int(n) for n in tensor.shape)
    n_elements = 1
    for n in shape:
        n_elements *= n
    if n_elements * struct.calcsize("=" + text) != len(tensor.data):
        raise InvalidInput(
            "SHAPE_MISMATCH", "shape {} of '{}' does not fit {} bytes".format(shape, text, len(tensor.data)), "data"
        )
    view: Any = memoryview(_native(tensor.data, text))
    # memoryview.cast takes no shape with a zero in it: an empty array stays flat.
    view = view.cast(text, shape) if n_elements and shape else view.cast(text)
    return Array(view, tuple(tensor.dims), tensor.unit)


def n_axes(values: Any) -> int:
    """Return how many axes an array of any accepted kind has."""
    if isinstance(values, (list, tuple)):
        return 1 + (n_axes(values[0]) if values else 0)
    view = _view(values)
    return view.ndim if view is not None else 0


def _view(values: Any) -> Optional[memoryview]:
    """Return the memory of a buffer, or None for a bare number."""
    if hasattr(values, "__array__") and not hasattr(values, "__array_interface__"):
        values = values.__array__()
    try:
        return memoryview(values)
    except TypeError:
        if hasattr(values, "__array__"):
            return memoryview(values.__array__())
        return None
    except (ValueError, BufferError) as error:
        raise InvalidInput(
            "DTYPE_MISMATCH", "an array of real numbers is needed, this one cannot be read: {}".format(error), "data"
        ) from error


def _packed(values: Any) -> Tuple[str, int, bytes, List[int]]:
    """Return (kind, bytes an element, little-endian C-order bytes, shape)."""
    if isinstance(values, (list, tuple)):
        return _packed_lists(values)
    view = _view(values)
    if view is None:
        raise InvalidInput(
            "DTYPE_MISMATCH",
            "an array or nested lists of numbers are needed, not {}".format(type(values).__name__),
            "data",
        )
    order, code = _split_format(view.format)
    kind = (
        "b" if code == "?" else "i" if code in _SIGNED else "u" if code in _UNSIGNED else "f" if code in _FLOAT else ""
    )
    size = view.itemsize
    raw, shape = view.tobytes(), [int(n) for n in (view.shape or ())]
    if (kind, size) in _WIDER:
        kind, size, raw, order = _widened(kind, size, raw, order)
    if (kind, size) not in _DTYPES:
        raise InvalidInput(
            "DTYPE_MISMATCH",
            "elements of type '{}' are not known; convert to an integer, float32 or float64".format(view.format),
            "data",
        )
    if order == "big" and size > 1:
        raw = _swapped(raw, size)
    return kind, size, raw, shape


def _split_format(text: str) -> Tuple[str, str]:
    """Return (byte order, element character) of a buffer format."""
    if text[:1] in "<>=@!":
        return {"<": "little", ">": "big", "!": "big"}.get(text[0], sys.byteorder), text[1:]
    return sys.byteorder, text


def _widened(kind: str, size: int, raw: bytes, order: str) -> Tuple[str, int, bytes, str]:
    """Convert elements that the contract has no type for to the next wider one."""
    source = {("i", 1): "b", ("u", 8): "Q", ("f", 2): "e"}[(kind, size)]
    numbers = struct.unpack("{}{}{}".format(">" if order == "big" else "<", len(raw) // size, source), raw)
    new_kind, new_size, code = _WIDER[(kind, size)]
    try:
        packed = array.array(code, numbers)
    except OverflowError as error:
        raise InvalidInput(
            "DTYPE_MISMATCH", "unsigned 64-bit values above 2**63 - 1 cannot be sent; convert to float64", "data"
        ) from error
    return new_kind, new_size, packed.tobytes(), sys.byteorder


def _packed_lists(values: Union[List[Any], Tuple[Any, ...]]) -> Tuple[str, int, bytes, List[int]]:
    flat: List[Any] = []
    shape = _flatten(values, flat)
    if flat and all(isinstance(value, bool) for value in flat):
        return "b", 1, bytes(flat), shape
    kind, code = ("i", "q") if flat and all(_is_integer(value) for value in flat) else ("f", "d")
    try:
        packed = array.array(code, flat)
    except (TypeError, OverflowError) as error:
        raise InvalidInput(
            "DTYPE_MISMATCH", "the nested lists must hold real numbers: {}".format(error), "data"
        ) from error
    raw = packed.tobytes()
    return kind, 8, _swapped(raw, 8) if sys.byteorder == "big" else raw, shape


def _flatten(values: Any, flat: List[Any]) -> List[int]:
    """Append the numbers of nested lists to `flat` in C order and return the shape."""
    if hasattr(values, "tolist"):
        values = values.tolist()
    if not isinstance(values, (list, tuple)):
        flat.append(values)
        return []
    shapes = [_flatten(value, flat) for value in values]
    if any(shape != shapes[0] for shape in shapes):
        raise InvalidInput("SHAPE_MISMATCH", "the nested lists are ragged; give rows of one length", "data")
    return [len(values)] + (shapes[0] if shapes else [])


def _is_integer(value: Any) -> bool:
    try:
        operator.index(value)
    except TypeError:
        return False
    return True


def _swapped(raw: bytes, size: int) -> bytes:
    swapped = array.array(_SWAP_CODES[size])
    swapped.frombytes(raw)
    swapped.byteswap()
    return swapped.tobytes()


def _native(raw: bytes, text: str) -> bytes:
    """Return little-endian bytes in the byte order of this machine."""
    size = struct.calcsize("=" + text)
    return _swapped(raw, size) if sys.byteorder == "big" and size > 1 else raw
