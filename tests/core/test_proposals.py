"""Points that people ask for: what is taken, in which order they wait, and when they are done."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probescout.core.campaign import apply, create
from probescout.core.errors import InvalidInput, NotFound, ProbescoutError, Reason, WrongState
from probescout.core.events import (
    Control,
    Controlled,
    Created,
    FrameAdded,
    FrameRevised,
    Leased,
    Observed,
    PointsProposed,
    Returned,
)
from probescout.core.geometry import Affine, Position
from probescout.core.observations import Observation, ObservationStatus
from probescout.core.proposals import MAX_WAITING, propose, withdraw
from probescout.core.specs import MAX_COUNT, CampaignSpec, Limits, PluginSpec, Polygon
from probescout.core.state import Campaign
from probescout.core.suggestions import OperatorPoint, Source, Suggestion

SPEC = CampaignSpec(PluginSpec("band_sum"))
LEFT = Polygon((0.0, 0.0, 1.0, 1.0), (0.0, 0.5, 0.5, 0.0))


def started(**spec: Any) -> Campaign:
    return apply(create(Created("c", replace(SPEC, **spec), 0.0)), FrameAdded("f1", 0.0, height=10, width=10))[0]


def at(candidate: int) -> Position:
    return Position((candidate // 10 + 0.5) / 10, (candidate % 10 + 0.5) / 10)


def asked(state: Campaign, *candidates: int, urgent: bool = False, mask: Any = None) -> Campaign:
    return apply(state, propose(state, [at(c) for c in candidates], "look", urgent, 5.0, mask))[0]


def leased(state: Campaign, candidate: int) -> tuple[Campaign, str]:
    s = Suggestion(f"s{state.n_suggested + 1}", "f1", 0.5, 0.5, candidate, "t", 60.0, Source.OPERATOR)
    return apply(state, Leased((s,)))[0], s.id


def told(state: Campaign, candidate: int, suggestion: str = "", **more: Any) -> Campaign:
    o = Observation(f"o{len(state.observations)}", "f1", 0.5, 0.5, suggestion=suggestion, candidate=candidate, **more)
    return apply(state, Observed(o))[0]


def waiting(state: Campaign) -> list[int]:
    return [p.candidate for p in state.points if not p.suggestion]


def refusal(work: Any, *args: Any) -> tuple[type, Reason, str]:
    with pytest.raises(ProbescoutError) as caught:
        work(*args)
    return type(caught.value), caught.value.reason, caught.value.field


def test_points_wait_in_order_and_urgent_ones_come_first() -> None:
    state = asked(asked(asked(started(), 11, 12), 33, 34, urgent=True), 55)
    assert waiting(state) == [33, 34, 11, 12, 55] and state.n_proposed == 5
    assert [p.id for p in state.points] == ["p3", "p4", "p1", "p2", "p5"]
    assert state.points[0] == OperatorPoint("p3", 33, "look", True, 5.0)


def test_a_position_is_that_of_its_pixel_wherever_the_sample_has_drifted() -> None:
    state = apply(started(), FrameRevised("f1", 2, Affine(y0=0.2)))[0]
    # What is now seen at 0.45 lay at 0.25 when the image was taken.
    assert waiting(asked(state, 42)) == [22]


@pytest.mark.parametrize(
    ("candidate", "words"),
    [(7, "allowed region"), (3, "allowed region"), (11, "measured"), (12, "pending"), (13, "asked for already")],
)
def test_what_cannot_be_measured_is_refused_whole_and_named(candidate: int, words: str) -> None:
    mask = np.ones((10, 10), dtype=bool)
    mask[0, 3] = False
    state = asked(told(leased(started(limits=Limits((LEFT,))), 12)[0], 11), 13)
    with pytest.raises(InvalidInput, match=words) as caught:
        propose(state, [at(40), at(candidate)], "", False, 0.0, mask)
    assert (caught.value.reason, caught.value.field) == (Reason.FIELD_INVALID, "positions[1]")


def test_doses_and_drift_count_too() -> None:
    state = told(started(limits=Limits(dose_per_area=3.0)), 11, dose=2.0, status=ObservationStatus.FAILED)
    with pytest.raises(InvalidInput, match="dose"):
        asked(state, 11)
    away = apply(started(), FrameRevised("f1", 2, Affine(y0=-0.5)))[0]
    with pytest.raises(InvalidInput, match="outside the frame"):
        propose(away, [Position(0.9, 0.5)], "", False, 0.0)


def test_the_step_limit_is_left_to_the_client_that_asks() -> None:
    assert waiting(asked(leased(started(limits=Limits(max_step=0.1)), 0)[0], 99)) == [99]


@pytest.mark.parametrize(
    ("positions", "reason", "field"),
    [
        ([], Reason.FIELD_MISSING, "positions"),
        ([at(1)] * (MAX_COUNT + 1), Reason.FIELD_INVALID, "positions"),
        ([at(1), at(1)], Reason.FIELD_INVALID, "positions[1]"),
        ([Position(math.nan, 0.5)], Reason.NON_FINITE, "positions[0]"),
        ([at(1), Position(0.5, 1.01)], Reason.FIELD_INVALID, "positions[1]"),
    ],
)
def test_what_is_no_list_of_positions_is_refused(positions: list[Position], reason: Reason, field: str) -> None:
    assert refusal(propose, started(), positions, "", False, 0.0) == (InvalidInput, reason, field)


def test_the_line_is_bounded() -> None:
    full = replace(started(), points=tuple(OperatorPoint(f"p{i}", -i) for i in range(MAX_WAITING)))
    assert refusal(propose, full, [at(1)], "", False, 0.0) == (InvalidInput, Reason.FIELD_INVALID, "positions")


def test_a_campaign_must_be_able_to_hand_them_out() -> None:
    bare = create(Created("c", SPEC, 0.0))
    assert refusal(propose, bare, [at(1)], "", False, 0.0)[:2] == (WrongState, Reason.NO_FRAME)
    for action in (Control.STOP, Control.ABORT):
        ended = apply(started(), Controlled(action))[0]
        assert refusal(propose, ended, [at(1)], "", False, 0.0)[:2] == (WrongState, Reason.CAMPAIGN_ENDED)
    paused = apply(started(), Controlled(Control.PAUSE))[0]
    assert waiting(asked(paused, 1)) == [1], "it is handed out after RESUME"


def test_a_lease_takes_a_point_out_of_the_line_and_its_end_puts_it_back_in_place() -> None:
    state, name = leased(asked(started(), 1, 2, 3), 2)
    assert waiting(state) == [1, 3] and state.points[1].suggestion == name
    for is_expired in (True, False):
        assert waiting(apply(state, Returned((name,), is_expired))[0]) == [1, 2, 3]


@pytest.mark.parametrize("status", list(ObservationStatus))
def test_a_told_lease_answers_its_point_whatever_came_of_it(status: ObservationStatus) -> None:
    state, name = leased(asked(started(), 1, 2), 1)
    # The stage missed: the measurement lies elsewhere.
    assert waiting(told(state, 50, name, status=status)) == [2]


def test_a_failure_told_by_somebody_else_leaves_the_point_with_its_holder() -> None:
    state, name = leased(asked(started(), 1), 1)
    state = told(state, 1, name, status=ObservationStatus.FAILED, is_foreign=True)
    assert [p.suggestion for p in state.points] == [name]
    assert waiting(apply(state, Returned((name,), True))[0]) == [1]


def test_a_point_that_somebody_measured_unasked_is_done() -> None:
    state = asked(started(), 1, 2)
    assert waiting(told(state, 1)) == [2]
    assert waiting(told(state, 1, status=ObservationStatus.FAILED)) == [1, 2], "a failed attempt is no measurement"


def test_withdrawn_points_do_not_return_with_their_lease() -> None:
    state, name = leased(asked(started(), 1, 2, 3), 1)
    state = apply(state, withdraw(state, ["p1", "p2", "p1"], "changed my mind"))[0]
    assert waiting(state) == [3] and name in state.pending
    assert waiting(apply(state, Returned((name,)))[0]) == [3]
    assert refusal(withdraw, state, ["p3", "p1"], "") == (NotFound, Reason.POINT_NOT_FOUND, "names[1]")
    assert refusal(withdraw, state, [], "") == (InvalidInput, Reason.FIELD_MISSING, "names")
    assert asked(state, 9).points[-1].id == "p4", "the name of a withdrawn point is never given again"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("purltw"), st.integers(0, 19)), max_size=40))
def test_whatever_happens_a_waiting_point_is_open_and_waits_once(deeds: list[tuple[str, int]]) -> None:
    state, names = started(), dict[int, str]()
    for deed, c in deeds:
        open_ = c not in state.blocked and c not in {p.candidate for p in state.points}
        if deed in "pu" and open_:
            state = asked(state, c, urgent=deed == "u")
        elif deed == "l" and c not in state.blocked:
            state, names[c] = leased(state, c)
        elif deed == "r" and names.get(c) in state.pending:
            state = apply(state, Returned((names[c],)))[0]
        elif deed == "t":
            state = told(state, c, names.get(c, "") if names.get(c) in state.pending else "")
        elif deed == "w" and state.points:
            state = apply(state, withdraw(state, [state.points[c % len(state.points)].id], ""))[0]
        line = [p.candidate for p in state.points]
        assert len(line) == len(set(line)) and not set(line) & state.done
        assert all((p.suggestion in state.pending) is bool(p.suggestion) for p in state.points)
        assert not set(waiting(state)) & set(state.pending.values())


def test_what_concerns_no_point_leaves_the_line_as_it_is() -> None:
    state = apply(create(Created("c", SPEC, 0.0)), FrameAdded("f1", 0.0, height=128, width=128))[0]
    line = tuple(OperatorPoint(f"p{i}", 16_383 - i) for i in range(MAX_WAITING))
    state = apply(state, PointsProposed(line))[0]
    points = state.points
    for candidate in range(20):
        state, name = leased(state, candidate)
        if candidate % 3:
            state = told(state, candidate, name)
        else:
            state = apply(state, Returned((name,)))[0]
    assert state.points is points, "copying 1,024 points at every event makes long histories slow to load"
    state, name = leased(state, 16_380)
    assert [p.id for p in state.points if p.suggestion] == ["p3"]
    assert told(state, 5_000, name).points == line[:3] + line[4:]
