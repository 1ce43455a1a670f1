"""Frozen dataclasses to JSON and back, led by their type hints.

Non-finite floats become the strings "NaN", "Infinity" and "-Infinity", so that the text is strict JSON. Unknown keys
are ignored on reading, so that an older program reads what a newer one wrote; missing keys take the field's default.
A field with the metadata SPARSE is left out while it is None, so that what does not use it is written as before.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache, partial
from types import MappingProxyType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
Read = Callable[[Any], Any]
SPARSE: Mapping[str, bool] = MappingProxyType({"is_sparse": True})
"""Metadata of a dataclass field that is not written while it is None."""


def to_json(value: Any) -> Any:
    """Return a value of strict-JSON types for a dataclass, enum, tuple, mapping or plain value."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if is_dataclass(value) and not isinstance(value, type):
        pairs = ((name, is_sparse, getattr(value, name)) for name, is_sparse in _fields(type(value)))
        return {name: to_json(v) for name, is_sparse, v in pairs if not (is_sparse and v is None)}
    if isinstance(value, Mapping):
        return {str(k): to_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(v) for v in value]
    return value


def from_json(kind: type[T], data: Mapping[str, Any]) -> T:
    """Return a dataclass of type `kind` from what `to_json` made of it.

    Raises:
        ValueError: A required key is missing or a value has the wrong type.
    """
    values = {}
    for name, read, is_required in _plan(kind):  # type: ignore[arg-type]
        if name in data:
            values[name] = data[name] if read is None else read(data[name])
        elif is_required:
            raise ValueError(f"{kind.__name__} needs '{name}'")
    return kind(**values)


@cache
def _fields(kind: Any) -> tuple[tuple[str, bool], ...]:
    """Return the name of every field, and whether it is left out while it is None."""
    return tuple((f.name, "is_sparse" in f.metadata) for f in fields(kind))


@cache
def _plan(kind: type) -> tuple[tuple[str, Read | None, bool], ...]:
    """Return name, reader and whether it is required of every field; a journal has one such for a million records."""
    hints = get_type_hints(kind)
    return tuple(
        (f.name, _reader(hints[f.name]), f.default is MISSING and f.default_factory is MISSING) for f in fields(kind)
    )


def _reader(hint: Any) -> Read | None:
    """Return what reads a value of a type; None when JSON has it as it is."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        [inner] = [_reader(a) for a in get_args(hint) if a is not type(None)][:1]
        return None if inner is None else lambda data: None if data is None else inner(data)
    if origin is tuple:
        return _tuple_reader(get_args(hint))
    if hint is float:
        return float
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint
    if isinstance(hint, type) and is_dataclass(hint):
        return partial(from_json, hint)
    return None


def _tuple_reader(args: tuple[Any, ...]) -> Read:
    if len(args) == 2 and args[1] is Ellipsis:
        read = _reader(args[0])
        return tuple if read is None else lambda data: tuple(read(v) for v in data)
    readers = [_reader(a) for a in args]
    return lambda data: tuple(v if read is None else read(v) for read, v in zip(readers, data, strict=True))
