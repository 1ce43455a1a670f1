"""Every kind of event survives encode -> JSON text -> decode, whatever numbers it holds."""

from __future__ import annotations

import json
import math
from dataclasses import fields, is_dataclass
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probescout.core import events
from probescout.core.campaign import _HANDLERS
from probescout.core.errors import HistoryMismatch, Reason
from probescout.core.events import (
    KINDS,
    Controlled,
    Created,
    Event,
    Leased,
    ModelSwapped,
    Observed,
    Scored,
    decode,
    encode,
)
from probescout.core.jsonable import from_json, to_json
from probescout.core.ports import Record
from probescout.core.specs import CampaignSpec, PluginSpec
from probescout.core.suggestions import Source, Suggestion

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
objects = st.dictionaries(st.text(max_size=8), plain, max_size=3)
# Free-form mappings come from JSON, so they hold what JSON holds.
st.register_type_strategy(PluginSpec, st.builds(PluginSpec, st.text(max_size=8), objects))
st.register_type_strategy(
    CampaignSpec,
    st.builds(
        CampaignSpec,
        scalarizer=st.from_type(PluginSpec),
        policy=st.from_type(PluginSpec),
        seed_design=st.from_type(CampaignSpec.__dataclass_fields__["seed_design"].default.__class__),
        budget=st.from_type(CampaignSpec.__dataclass_fields__["budget"].default.__class__),
        limits=st.from_type(CampaignSpec.__dataclass_fields__["limits"].default.__class__),
        metadata=objects,
        is_minimizing=st.booleans(),
    ),
)
st.register_type_strategy(ModelSwapped, st.builds(ModelSwapped, st.integers(0, 9), objects))


def same(a: Any, b: Any) -> bool:
    """Equality in which NaN is itself, and floats and integers are told apart by type."""
    if is_dataclass(a):
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    if isinstance(a, tuple | list):
        return type(a) is type(b) and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(v, b[k]) for k, v in a.items())
    return type(a) is type(b) and a == b


def record(kind: str, payload: dict[str, Any]) -> Record:
    return Record(7, kind, 0.0, "me", payload, None, "")


def through_text(event: Event) -> Event:
    new = encode(event)
    return decode(record(new.kind, json.loads(json.dumps(dict(new.payload), allow_nan=False))))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_kind_round_trips(kind: type[Event]) -> None:
    @settings(max_examples=40, deadline=None)
    @given(st.from_type(kind))
    def check(event: Event) -> None:
        assert same(through_text(event), event)

    check()


def test_kinds_are_complete_and_each_is_applied_by_the_machine() -> None:
    named = set(get_args(events.Event))
    assert set(KINDS.values()) == named
    assert set(_HANDLERS) == named - {Created}


@pytest.mark.parametrize(
    ("number", "text"), [(math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity"), (-0.0, -0.0)]
)
def test_numbers_that_json_lacks_become_words_and_come_back(number: float, text: Any) -> None:
    s = Suggestion("s1", "f1", 0.5, 0.5, 3, "t", 60.0, Source.PLANNER, mean=number)
    assert to_json(s)["mean"] == text
    [back] = through_text(Leased((s,))).suggestions  # type: ignore[union-attr]
    assert same(back, s) and math.copysign(1, back.mean) == math.copysign(1, number)


def test_unknown_keys_are_ignored_and_missing_ones_take_their_default() -> None:
    event = decode(record("Controlled", {"v": 1, "action": "pause", "colour": "blue"}))
    assert event == Controlled(events.Control.PAUSE, "")


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("Exploded", {"v": 1}),
        ("Controlled", {"v": 2, "action": "pause"}),
        ("Controlled", {"action": "pause"}),
        ("Controlled", {"v": "1", "action": "pause"}),
        ("Controlled", {"v": 1}),
        ("Controlled", {"v": 1, "action": "explode"}),
        ("Leased", {"v": 1, "suggestions": None}),
        ("Leased", {"v": 1, "suggestions": [7]}),
        ("Observed", {"v": 1, "observation": {"id": "o", "frame": "f", "y": "north", "x": 0.0}}),
        ("Scored", {"v": 1, "observation": "o", "value": None, "variance": 0.0}),
    ],
)
def test_what_cannot_be_read_names_its_event(kind: str, payload: dict[str, Any]) -> None:
    with pytest.raises(HistoryMismatch) as caught:
        decode(record(kind, payload))
    assert caught.value.reason is Reason.JOURNAL_CORRUPT
    assert "event 7" in caught.value.message and kind in caught.value.message


def test_what_was_written_before_a_field_was_added_is_read() -> None:
    swapped = decode(record("ModelSwapped", {"v": 1, "n_observations": 5, "hyperparameters": {"a": 1}}))
    assert swapped == ModelSwapped(5, {"a": 1}, None)
    s = to_json(Suggestion("s1", "f1", 0.5, 0.5, 3, "t", 60.0, Source.PLANNER))
    before = {k: v for k, v in s.items() if k not in ("exploit", "explore", "novelty", "policy")}
    leased = decode(record("Leased", {"v": 1, "suggestions": [before]}))
    assert same(leased, Leased((Suggestion("s1", "f1", 0.5, 0.5, 3, "t", 60.0, Source.PLANNER),), None))
    scored = decode(record("Scored", {"v": 1, "observation": "o", "value": 1.0, "variance": 0.5}))
    assert scored == Scored("o", 1.0, 0.5, further=())
    spec = {"scalarizer": {"name": "band_sum", "params": {}}}
    created = decode(record("Created", {"v": 1, "campaign_id": "c", "spec": spec, "time": 0.0}))
    assert created == Created("c", CampaignSpec(PluginSpec("band_sum")), 0.0)


def test_a_missing_required_key_is_named() -> None:
    with pytest.raises(ValueError, match="Observed needs 'observation'"):
        from_json(Observed, {})
