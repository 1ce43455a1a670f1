"""Seeds, space filling, stop reports and the guard."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probescout.core.campaign import apply, create
from probescout.core.errors import InvalidInput, NotFound, ProbescoutError, Reason, WrongState
from probescout.core.events import Control, Controlled, Created, FrameAdded, FrameRevised, Leased, Observed, Returned
from probescout.core.geometry import Affine, Position, distance, pixel_centers
from probescout.core.leasing import (
    StopCause,
    budget_shortage,
    budget_stop,
    held_leases,
    seed_candidates,
    shortage,
    space_filling,
    status_stop,
    violation,
)
from probescout.core.observations import Observation, ObservationStatus
from probescout.core.regions import allowed
from probescout.core.specs import Budget, CampaignSpec, Limits, PluginSpec, Polygon, SeedDesign, SeedKind
from probescout.core.state import Campaign
from probescout.core.suggestions import Source, Suggestion

SPEC = CampaignSpec(PluginSpec("band_sum"))
LEFT = Polygon((0.0, 0.0, 1.0, 1.0), (0.0, 0.5, 0.5, 0.0))


def started(height: int = 10, width: int = 10, **spec: Any) -> Campaign:
    state = create(Created("c", replace(SPEC, **spec), 0.0))
    return apply(state, FrameAdded("f1", 0.0, height=height, width=width))[0]


def leased(state: Campaign, candidate: int, client: str = "") -> Campaign:
    assert state.candidates is not None and state.frame is not None
    y, x = state.frame.to_instrument(*state.candidates.position(candidate))
    name = f"s{state.n_suggested + 1}"
    s = Suggestion(name, "f1", y, x, candidate, f"token {name}", 60.0, Source.PLANNER, client)
    return apply(state, Leased((s,)))[0]


def measured(state: Campaign, candidate: int, name: str = "", **more: Any) -> Campaign:
    o = Observation(f"o{len(state.observations)}", "f1", 0.0, 0.0, suggestion=name, candidate=candidate, **more)
    return apply(state, Observed(o))[0]


# ------------------------------------------------------------ the guard


def test_the_guard_refuses_every_violation() -> None:
    mask = np.ones((10, 10), dtype=bool)
    mask[3, 4] = False
    state = started(limits=Limits((LEFT,), (Polygon((0, 0, 0.2, 0.2), (0, 0.2, 0.2, 0)),), border=0.05))
    assert violation(state, mask, 52, "me") == ""
    assert "does not exist" in violation(state, mask, -1, "me")
    assert "does not exist" in violation(state, mask, 100, "me")
    assert "outside the allowed region" in violation(state, mask, 57, "me")
    assert "outside the allowed region" in violation(state, mask, 0, "me")
    assert "outside the allowed region" in violation(state, mask, 34, "me")
    assert violation(state, None, 34, "me") == ""
    assert "pending" in violation(leased(state, 52), mask, 52, "me")
    assert "measured" in violation(measured(state, 52), mask, 52, "me")
    assert "no frame" in violation(create(Created("c", SPEC, 0.0)), None, 0, "me")


def test_the_border_is_kept() -> None:
    state = started(limits=Limits(border=0.1))
    assert [c for c in range(100) if not violation(state, None, c, "")] == [
        10 * y + x for y in range(1, 9) for x in range(1, 9)
    ]


def test_steps_are_measured_on_the_sample_for_each_client() -> None:
    state = leased(started(limits=Limits(max_step=0.1 * 2 / np.sqrt(2) + 1e-12)), 55, "me")
    reach = {c for c in range(100) if not violation(state, None, c, "me")}
    assert reach == {35, 44, 45, 46, 53, 54, 56, 57, 64, 65, 66, 75}
    assert not violation(state, None, 0, "another")
    # The sample has drifted under the probe; what is near on it stays near.
    moved = apply(state, FrameRevised("f1", 2, Affine(y0=0.1)))[0]
    assert {c for c in range(100) if not violation(moved, None, c, "me")} == reach


def test_what_drifted_out_of_the_frame_cannot_be_reached() -> None:
    state = apply(started(), FrameRevised("f1", 2, Affine(y0=0.25)))[0]
    assert "drifted out" in violation(state, None, 85, "")
    assert violation(state, None, 65, "") == ""


def test_a_candidate_is_tried_twice() -> None:
    state = started()
    for _ in range(2):
        assert violation(state, None, 7, "") == ""
        state = measured(state, 7, status=ObservationStatus.FAILED)
    assert violation(state, None, 7, "") != ""


def test_an_infeasible_point_is_left_alone() -> None:
    assert "infeasible" in violation(measured(started(), 7, status=ObservationStatus.INFEASIBLE), None, 7, "")


def test_the_dose_of_a_pixel_is_capped() -> None:
    state = measured(started(limits=Limits(dose_per_area=3.0)), 7, status=ObservationStatus.FAILED, dose=2.0)
    # A second shot is expected to cost what the first did: 4 in all.
    assert "dose" in violation(state, None, 7, "")
    assert violation(state, None, 8, "") == ""


def test_a_dose_that_just_fits_is_allowed() -> None:
    state = started(limits=Limits(dose_per_area=0.3))
    for _ in range(2):
        state = measured(replace(state, tries={}), 7, status=ObservationStatus.FAILED, dose=0.1)
    # 0.1 + 0.1 + 0.1 is a little more than 0.3 in binary numbers.
    assert violation(replace(state, tries={}), None, 7, "") == ""


# ------------------------------------------------------------ space filling


@given(st.integers(0, 2**32), st.integers(2, 12), st.integers(2, 12))
def test_space_filling_finds_every_open_candidate(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    state = started(height, width, seed=seed, limits=Limits((LEFT,), border=0.02))
    mask = rng.random((height, width)) < 0.6
    free = np.flatnonzero(allowed(state.spec.limits, mask, pixel_centers(height, width)))
    for candidate in rng.permutation(free)[: free.size // 3]:
        state = measured(state, int(candidate))
    yielded = set(space_filling(state, mask, "me"))
    assert yielded >= {c for c in range(height * width) if not violation(state, mask, c, "me")}
    assert yielded <= set(range(height * width))


def test_space_filling_knows_the_dose() -> None:
    state = started(limits=Limits(dose_per_area=3.0))
    for c in range(0, 100, 2):
        state = measured(state, c, status=ObservationStatus.FAILED, dose=2.0)
    # After the 256 points of the Halton sequence come the open ones, each of which the guard lets through.
    rest = list(space_filling(state, None, ""))[256:]
    assert sorted(rest) == list(range(1, 100, 2)) and not any(violation(state, None, c, "") for c in rest)
    dear = measured(state, 1, status=ObservationStatus.FAILED, dose=3.1)
    assert not list(space_filling(dear, None, ""))[256:] and violation(dear, None, 3, "")


def test_space_filling_respects_reach_and_drift() -> None:
    state = leased(started(40, 40, limits=Limits(max_step=0.02)), 800, "me")
    state = apply(state, FrameRevised("f1", 2, Affine(y0=0.3)))[0]
    good = [c for c in space_filling(state, None, "me") if not violation(state, None, c, "me")]
    assert good and set(good) == {c for c in range(1600) if not violation(state, None, c, "me")}


def test_space_filling_is_even_and_repeatable() -> None:
    state = started(32, 32, seed=5)
    first = list(islice(space_filling(state, None, ""), 64))
    assert first == list(islice(space_filling(state, None, ""), 64))
    assert first != list(islice(space_filling(started(32, 32, seed=6), None, ""), 64))
    cells = {(c // 32 // 8, c % 32 // 8) for c in first}
    assert len(cells) == 16, "64 points of a Halton sequence touch all cells of a 4 x 4 grid"
    gaps = [distance(Position(a // 32 / 32, a % 32 / 32), Position(b // 32 / 32, b % 32 / 32))
            for i, a in enumerate(first[:16]) for b in first[:i]]  # fmt: skip
    assert min(gaps) > 0.05


def test_space_filling_goes_on_where_the_campaign_stands() -> None:
    state = started(32, 32)
    [first, second, *_] = islice(space_filling(state, None, ""), 2)
    assert next(space_filling(leased(state, first), None, "")) == second


# ------------------------------------------------------------ seeds


@given(st.sampled_from([SeedKind.RANDOM, SeedKind.GRID]), st.integers(0, 60), st.integers(0, 2**32))
def test_seeds_are_allowed_different_and_repeatable(kind: SeedKind, count: int, seed: int) -> None:
    at = pixel_centers(9, 8)
    mask = np.random.default_rng(seed).random((9, 8)) < 0.7
    spec = replace(SPEC, seed=seed, seed_design=SeedDesign(kind, count), limits=Limits((LEFT,)))
    seeds = seed_candidates(spec, at, mask)
    ok = allowed(spec.limits, mask, at)
    assert len(seeds) == len(set(seeds)) == min(count, ok.sum())
    assert ok[list(seeds)].all()
    assert seeds == seed_candidates(spec, at, mask)


def test_random_seeds_differ_with_the_seed() -> None:
    at = pixel_centers(30, 30)
    drawn = {seed_candidates(replace(SPEC, seed=s), at, None) for s in range(5)}
    assert len(drawn) == 5


def test_a_grid_of_four_takes_the_quarters() -> None:
    spec = replace(SPEC, seed_design=SeedDesign(SeedKind.GRID, 4))
    at = pixel_centers(10, 10)
    np.testing.assert_allclose(at[list(seed_candidates(spec, at, None))], [
        [0.25, 0.25], [0.25, 0.75], [0.75, 0.25], [0.75, 0.75]], atol=1e-12)  # fmt: skip


def test_given_seeds_keep_their_order_and_must_be_allowed() -> None:
    at = pixel_centers(10, 10)
    points = (Position(0.95, 0.05), Position(0.05, 0.05), Position(0.95, 0.06))
    spec = replace(SPEC, seed_design=SeedDesign(SeedKind.GIVEN, 0, points))
    assert seed_candidates(spec, at, None) == (90, 0)
    with pytest.raises(InvalidInput) as caught:
        seed_candidates(
            replace(spec, limits=Limits(forbidden=(Polygon((0, 0, 0.2, 0.2), (0, 0.2, 0.2, 0)),))), at, None
        )
    assert caught.value.field == "spec.seed_design.positions[1]"


def test_no_candidate_at_all_is_an_error() -> None:
    for at, mask in ((pixel_centers(4, 4), np.zeros((4, 4), dtype=bool)), (np.zeros((0, 2)), None)):
        with pytest.raises(InvalidInput) as caught:
            seed_candidates(SPEC, at, mask)
        assert caught.value.field == "spec.limits"


# ------------------------------------------------------------ stop reports


@pytest.mark.parametrize(
    ("action", "cause", "is_final"),
    [
        (Control.PAUSE, StopCause.PAUSED, False),
        (Control.PAUSE_IMMEDIATE, StopCause.PAUSED, False),
        (Control.STOP, StopCause.STOPPED, True),
        (Control.ABORT, StopCause.ABORTED, True),
    ],
)
def test_the_status_stops(action: Control, cause: StopCause, is_final: bool) -> None:
    report = status_stop(apply(started(), Controlled(action, "coffee"))[0])
    assert report is not None and (report.cause, report.is_final) == (cause, is_final) and "coffee" in report.message


def test_a_running_campaign_is_not_stopped() -> None:
    assert status_stop(started()) is None
    assert status_stop(apply(apply(started(), Controlled(Control.PAUSE))[0], Controlled(Control.RESUME))[0]) is None


def test_a_budget_that_open_leases_hold_is_not_final() -> None:
    state = leased(started(budget=Budget(probes=1)), 5)
    room, report = budget_stop(state)
    assert room == 0 and report is not None and (report.cause, report.is_final) == (StopCause.BUDGET_PROBES, False)
    room, report = budget_stop(measured(state, 5, "s1"))
    assert room == 0 and report is not None and report.is_final and "spec.budget.probes" in report.message
    assert budget_stop(apply(state, Returned(("s1",)))[0]) == (1, None)


@pytest.mark.parametrize(
    ("budget", "cause"),
    [(Budget(seconds=2.0), StopCause.BUDGET_SECONDS), (Budget(dose=3.0), StopCause.BUDGET_DOSE)],
)
def test_budgets_of_time_and_dose_stop(budget: Budget, cause: StopCause) -> None:
    state = measured(started(budget=budget), 5, cost_s=2.0, dose=3.0)
    room, report = budget_stop(state)
    assert room == 0 and report is not None and (report.cause, report.is_final) == (cause, True)


def test_a_shortage_names_its_budget() -> None:
    report = budget_shortage(started(budget=Budget(probes=2)), 5, 2)
    assert (report.cause, report.is_final) == (StopCause.BUDGET_PROBES, False) and "2 of 5" in report.message


def told_why(state: Campaign, mask: Any = None, client: str = "", chosen: tuple[int, ...] = ()) -> tuple:
    report = shortage(state, mask, client, chosen)
    assert (report.retry_after_s > 0) != report.is_final
    return report.cause, report.is_final, report.message


def test_a_shortage_of_candidates_names_what_blocks() -> None:
    full = started(1, 2)
    full = measured(measured(full, 0), 1)
    assert told_why(full) == (StopCause.NO_CANDIDATES, True, "every allowed candidate is measured")
    cause, is_final, message = told_why(measured(leased(started(1, 2), 0), 1))
    assert (cause, is_final) == (StopCause.NO_CANDIDATES, False) and "leased" in message
    cause, is_final, message = told_why(measured(started(1, 2), 1), chosen=(0,))
    assert (cause, is_final) == (StopCause.NO_CANDIDATES, False) and "leased" in message
    cause, is_final, message = told_why(measured(started(1, 2, limits=Limits(dose_per_area=3.0)), 1, dose=4.0))
    assert (cause, is_final) == (StopCause.NO_CANDIDATES, True)
    assert "dose_per_area 3" in message and "is left (1)" in message
    cause, is_final, message = told_why(started(1, 2), np.zeros((1, 2), dtype=bool))
    assert is_final and "the mask leave no candidate" in message


def test_candidates_that_drifted_away_or_are_forbidden_are_not_called_leased() -> None:
    away = apply(leased(started(2, 2), 0), FrameRevised("f1", 2, Affine(y0=2.0)))[0]
    cause, is_final, message = told_why(away)
    assert (cause, is_final) == (StopCause.NO_CANDIDATES, True) and "drifted" in message
    state = leased(started(2, 2), 0)
    state = replace(state, spec=replace(state.spec, limits=Limits((Polygon((2, 3, 2), (2, 2, 3)),))))
    assert "widen spec.limits" in told_why(state)[2]


def test_reach_is_final_only_when_nobody_holds_what_is_near() -> None:
    limits = Limits(max_step=0.1 / np.sqrt(2) + 1e-9)
    state = leased(started(limits=limits), 0, "me")
    state = leased(leased(state, 1, "she"), 10, "she")
    state = measured(state, 0, "s1")
    cause, is_final, message = told_why(state, client="me")
    assert (cause, is_final) == (StopCause.MAX_STEP, False) and "leased" in message
    state = measured(measured(state, 1, "s2"), 10, "s3")
    cause, is_final, message = told_why(state, client="me")
    assert (cause, is_final) == (StopCause.MAX_STEP, True) and "raise it" in message


# ------------------------------------------------------------ holding leases


@pytest.mark.parametrize(
    ("names", "tokens", "family", "reason", "field"),
    [
        ((), (), InvalidInput, Reason.FIELD_INVALID, "lease_tokens"),
        (("s1",), (), InvalidInput, Reason.FIELD_INVALID, "lease_tokens"),
        (("s1", "s9"), ("token s1", "x"), NotFound, Reason.SUGGESTION_NOT_FOUND, "names[1]"),
        (("s1",), ("token s2",), WrongState, Reason.LEASE_STALE, "lease_tokens[0]"),
        (("s1", "s3"), ("token s1", "token s3"), WrongState, Reason.LEASE_STALE, "lease_tokens[1]"),
    ],
)
def test_a_lease_must_be_proven(
    names: tuple[str, ...], tokens: tuple[str, ...], family: type[ProbescoutError], reason: Reason, field: str
) -> None:
    state = leased(leased(leased(started(), 1), 2), 3)
    state = apply(state, Returned(("s3",)))[0]
    with pytest.raises(ProbescoutError) as caught:
        held_leases(state, names, tokens)
    assert (type(caught.value), caught.value.reason, caught.value.field) == (family, reason, field)
    held = held_leases(state, ("s2", "s1"), ("token s2", "token s1"))
    assert [s.candidate for s in held] == [2, 1]
