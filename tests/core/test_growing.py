"""Maps, sets and copies that never change what they were made of."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probescout.core.growing import LEAST_MERGED, GrowingMap, GrowingSet, put
from probescout.core.observations import Observation
from probescout.core.revising import revised
from probescout.core.specs import CampaignSpec, PluginSpec
from probescout.core.state import Campaign

CHANGES = st.lists(st.dictionaries(st.integers(0, 300), st.integers(), max_size=40), max_size=30)


@settings(max_examples=80, deadline=None)
@given(CHANGES)
def test_every_version_of_a_map_stays_what_a_dict_would_be(changes: list[dict[int, int]]) -> None:
    versions: list[tuple[Any, dict[int, int]]] = [(GrowingMap(), {})]
    for change in changes:
        grown, model = versions[-1]
        versions.append((put(grown, change), {**model, **change}))
    for grown, model in versions:
        assert list(grown.items()) == list(model.items()), "in the order of insertion"
        assert list(grown) == list(model) and list(grown.values()) == list(model.values())
        assert len(grown) == len(model) == len(grown.items()) and grown == model and model == grown
        assert all(grown[k] == v and k in grown for k, v in model.items())
        assert 301 not in grown and grown.get(301) is None
        with pytest.raises(KeyError):
            grown[301]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.sets(st.integers(0, 300), max_size=80)), max_size=20))
def test_every_version_of_a_set_stays_what_a_frozenset_would_be(changes: list[tuple[bool, set[int]]]) -> None:
    versions: list[tuple[Any, frozenset[int]]] = [(GrowingSet(), frozenset())]
    for is_adding, members in changes:
        grown, model = versions[-1]
        versions.append(
            (grown.adding(members), model | members) if is_adding else (grown.without(members), model - members)
        )
    for grown, model in versions:
        assert grown == model and model == grown and grown.frozen() == model
        assert len(grown) == len(model) == len(list(grown)) and all(m in grown for m in model)
        assert 301 not in grown and grown | {301} == model | {301}


def test_a_mapping_of_another_kind_is_taken_as_it_is() -> None:
    plain = {"a": 1}
    grown = put(plain, {"b": 2})
    assert plain == {"a": 1} and dict(grown) == {"a": 1, "b": 2} and put(plain, {}) is plain
    assert repr(grown) == "GrowingMap({'a': 1, 'b': 2})" and repr(GrowingSet([3])) == "GrowingSet({3})"


def test_a_hundred_thousand_additions_take_seconds() -> None:
    """Copying everything each time, as a dict would, moves 5e9 entries: half a minute or more."""
    started, grown, members = time.process_time(), put({}, {}), GrowingSet[int]()
    for i in range(100_000):
        grown, members = put(grown, {i: i}), members.adding((i,))
    assert len(grown) == len(members) == 100_000 > LEAST_MERGED
    assert time.process_time() - started < 8.0


def test_a_revised_copy_is_what_replace_makes() -> None:
    o = Observation("o1", "f1", 0.5, 0.25, dose=1.0)
    assert revised(o, y=0.75, message="moved") == replace(o, y=0.75, message="moved") and o.y == 0.5
    with pytest.raises(TypeError, match="Observation has no field why"):
        revised(o, y=0.1, why="because")
    with pytest.raises(AttributeError):
        revised(o, y=0.1).y = 3.0  # type: ignore[misc]


def test_what_a_state_has_worked_out_is_not_taken_over_by_its_copy() -> None:
    state = Campaign("c", CampaignSpec(PluginSpec("band_sum")), 0.0)
    assert state.blocked == frozenset()
    later = revised(state, pending={"s1": 7})
    assert later.blocked == {7} and state.blocked == frozenset()

    @dataclass(frozen=True)
    class Slow:
        n: int

        @cached_property
        def double(self) -> int:
            return 2 * self.n

    one = Slow(1)
    assert one.double == 2 and revised(one, n=4).double == 8
