"""Maps and sets that never change and yet grow cheaply: an old one stays as it was when a new one is made of it.

Each is a large part that many versions share and a small part of its own, which is copied when something is added and
merged into a new large part once it is longer than the square root of that: n additions one by one cost about n^1.5
copied entries instead of n^2 / 2. Nothing is ever written to after it is made, so that any thread may read any version.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping, Set, ValuesView
from itertools import chain
from types import MappingProxyType
from typing import Any, TypeVar

K = TypeVar("K")
V = TypeVar("V")

LEAST_MERGED = 64
"""Small parts up to this length are not merged, however small the large part is."""


def put(mapping: Mapping[K, V], changes: Mapping[K, V]) -> Mapping[K, V]:
    """Return a mapping with some entries added or replaced; a replaced one keeps its place."""
    if not changes:
        return mapping
    grown = mapping if isinstance(mapping, GrowingMap) else GrowingMap(mapping)
    return grown.putting(changes)


class GrowingMap(Mapping[K, V]):
    """An immutable mapping in the order of insertion.

    Example:
        >>> one = GrowingMap({"a": 1})
        >>> two = put(one, {"b": 2})
        >>> dict(one), dict(two)
        ({'a': 1}, {'a': 1, 'b': 2})
    """

    __slots__ = ("_large", "_length", "_small")

    def __init__(self, entries: Mapping[K, V] = MappingProxyType({})) -> None:
        """Copy entries."""
        self._large: dict[K, V] = dict(entries)
        self._small: dict[K, V] = {}
        self._length = len(self._large)

    def putting(self, changes: Mapping[K, V]) -> GrowingMap[K, V]:
        """Return a map with some entries added or replaced."""
        # Copying first and then updating is several times as fast as building a new dict of two.
        small = self._small.copy()
        small.update(changes)
        new: GrowingMap[K, V] = GrowingMap.__new__(GrowingMap)
        if len(small) > LEAST_MERGED and len(small) ** 2 > len(self._large):
            new._large, new._small = self._large.copy(), {}
            new._large.update(small)
            new._length = len(new._large)
        else:
            new._large, new._small, new._length = self._large, small, self._length
            for key in changes:
                new._length += key not in self
        return new

    def __getitem__(self, key: K) -> V:
        """Return the value of a key."""
        return self._small[key] if key in self._small else self._large[key]

    def __contains__(self, key: object) -> bool:
        """Return whether there is such a key."""
        return key in self._small or key in self._large

    def __len__(self) -> int:
        """Return the number of entries."""
        return self._length

    def __iter__(self) -> Iterator[K]:
        """Yield the keys in the order in which they were first put."""
        return chain(self._large, (key for key in self._small if key not in self._large))

    def __repr__(self) -> str:
        """Return the entries as text."""
        return f"GrowingMap({dict(self.items())!r})"

    def items(self) -> ItemsView[K, V]:
        """Return a view of (key, value)."""
        return _Items(self)

    def values(self) -> ValuesView[V]:
        """Return a view of the values."""
        return _Values(self)

    def pairs(self) -> Iterator[tuple[K, V]]:
        """Yield (key, value) in order."""
        small, large = self._small, self._large
        if len(small) + len(large) == self._length:
            return chain(large.items(), small.items())
        old = ((key, small[key] if key in small else value) for key, value in large.items())
        return chain(old, ((key, value) for key, value in small.items() if key not in large))


# The views of the standard library look every key up again, which takes several times as long.
class _Items(ItemsView[K, V]):
    _mapping: GrowingMap[K, V]

    def __iter__(self) -> Iterator[tuple[K, V]]:
        return self._mapping.pairs()


class _Values(ValuesView[V]):
    _mapping: GrowingMap[Any, V]

    def __iter__(self) -> Iterator[V]:
        return (value for _, value in self._mapping.pairs())


class GrowingSet(Set[K]):
    """An immutable set."""

    __slots__ = ("_large", "_small")

    def __init__(self, members: Iterable[K] = ()) -> None:
        """Copy members."""
        self._large: frozenset[K] = frozenset(members)
        self._small: frozenset[K] = frozenset()

    def adding(self, members: Iterable[K]) -> GrowingSet[K]:
        """Return a set with more members."""
        small = self._small.union(m for m in members if m not in self._large)
        new: GrowingSet[K] = GrowingSet.__new__(GrowingSet)
        if len(small) > LEAST_MERGED and len(small) ** 2 > len(self._large):
            new._large, new._small = self._large | small, frozenset()
        else:
            new._large, new._small = self._large, small
        return new

    def without(self, members: Set[K]) -> GrowingSet[K]:
        """Return a set with fewer members; it costs as much as the set is large."""
        return GrowingSet(self.frozen() - members) if any(m in self for m in members) else self

    def frozen(self) -> frozenset[K]:
        """Return the members as a set of the standard library."""
        return self._large | self._small

    def __contains__(self, member: object) -> bool:
        """Return whether it is a member."""
        return member in self._large or member in self._small

    def __len__(self) -> int:
        """Return the number of members."""
        return len(self._large) + len(self._small)

    def __iter__(self) -> Iterator[K]:
        """Yield the members in no particular order."""
        return chain(self._large, self._small)

    def __repr__(self) -> str:
        """Return the members as text."""
        return f"GrowingSet({set(self)!r})"
