"""Messages between our own processes: a JSON header and raw array bytes, never pickle.

A frame is: 8 bytes length of the header (little-endian), the header, then the bytes of every array in the order in
which the header names them. An array stands in the header as {"$array": [dtype, shape]}, a float that JSON lacks as
{"$float": name}, and a mapping with a key that begins with "$" as {"$items": [[key, value], ...]}.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from probescout.core.jsonable import to_json

_LENGTH = struct.Struct("<QQ")
_PLAIN = frozenset({int, str, bool, type(None)})
MAX_FRAME = 8 << 30
"""Most bytes of one frame; a longer one means that the stream is out of step."""


class ByteSource(Protocol):
    """Anything to read exact numbers of bytes from."""

    def read(self, n: int, /) -> bytes:
        """Return up to n bytes; fewer only at the end."""


def pack(message: Mapping[str, Any]) -> bytes:
    """Return the frame of a message of JSON values, dataclasses and NumPy arrays, nested in dicts and lists."""
    arrays: list[bytes] = []
    header = json.dumps(_strip(message, arrays), allow_nan=False, separators=(",", ":")).encode()
    body = b"".join(arrays)
    return _LENGTH.pack(len(header), len(body)) + header + body


def _strip(value: Any, arrays: list[bytes]) -> Any:
    # Most are lists of plain numbers, as long as the campaign has measurements.
    if type(value) in _PLAIN:
        return value
    if isinstance(value, list | tuple):
        return [v if type(v) in _PLAIN else _strip(v, arrays) for v in value]
    if isinstance(value, np.ndarray):
        arrays.append(value.tobytes())
        return {"$array": [value.dtype.str, list(value.shape)]}
    if isinstance(value, Mapping):
        stripped = {str(k): _strip(v, arrays) for k, v in value.items()}
        # Parameters and metadata come from strangers: their keys must not be taken for our marks.
        return {"$items": list(stripped.items())} if any(k.startswith("$") for k in stripped) else stripped
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(value)}
    return to_json(value)


def unpack(header: bytes, body: bytes) -> dict[str, Any]:
    """Return the message of a frame's two parts; arrays are read-only views of `body`."""
    offset = 0

    def fill(found: dict[str, Any]) -> Any:
        nonlocal offset
        if len(found) != 1:
            # A mark stands alone; where a stranger has one, it is among the items of another.
            return found
        if "$array" in found:
            dtype, shape = np.dtype(found["$array"][0]), tuple(found["$array"][1])
            array = np.frombuffer(body, dtype, math.prod(shape), offset).reshape(shape)
            offset += array.nbytes
            return array
        if "$float" in found:
            return float(found["$float"])
        if "$items" in found:
            return dict(found["$items"])
        return found

    # Called with what is inside before what is around it, and so with the arrays in their order.
    result = json.loads(header, object_hook=fill)
    assert isinstance(result, dict)
    return result


def lengths(prefix: bytes) -> tuple[int, int]:
    """Return the lengths of header and body named by a frame's first PREFIX bytes.

    Raises:
        ValueError: The frame is longer than MAX_FRAME.
    """
    n_header, n_body = _LENGTH.unpack(prefix)
    if n_header + n_body > MAX_FRAME:
        raise ValueError(f"a frame of {n_header + n_body} bytes; the stream is out of step")
    return n_header, n_body


PREFIX = _LENGTH.size


def read_frames(source: ByteSource) -> Iterator[dict[str, Any]]:
    """Yield messages from a blocking stream until it ends."""
    while len(prefix := source.read(PREFIX)) == PREFIX:
        n_header, n_body = lengths(prefix)
        yield unpack(source.read(n_header), source.read(n_body))
