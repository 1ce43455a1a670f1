"""Makes a changed copy of a frozen dataclass, quickly: folding a long journal does little else."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


def revised(instance: T, **changes: Any) -> T:
    """Return a copy of a dataclass with some fields changed, as `dataclasses.replace` does and several times as fast.

    The fields are copied as they are instead of being passed through `__init__`, so that this is for dataclasses with
    neither `__post_init__` nor slots. What a `cached_property` has kept is left behind.

    Args:
        instance: Of such a dataclass; it stays as it is.
        **changes: New values by field.

    Raises:
        TypeError: A change names no field.
    """
    kind: Any = type(instance)
    names = _names(kind)
    old = instance.__dict__
    values = {name: old[name] for name in names}
    values.update(changes)
    if len(values) != len(names):
        raise TypeError(f"{kind.__name__} has no field {', '.join(sorted(set(changes) - set(names)))}")
    new: T = object.__new__(kind)
    # A frozen instance refuses to be assigned to, its dictionary too.
    object.__setattr__(new, "__dict__", values)
    return new


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind))
