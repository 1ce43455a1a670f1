"""Control, updates, drift, amendments and withdrawals: what is refused and what comes of the rest."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from probescout.core.campaign import apply, create
from probescout.core.changes import amend, control, retract, revise_frame, update
from probescout.core.errors import InvalidInput, NotFound, ProbescoutError, Reason, WrongState
from probescout.core.events import (
    Amended,
    Control,
    Controlled,
    Created,
    FrameAdded,
    FrameRevised,
    Leased,
    Observed,
    Retracted,
    Returned,
    Scored,
    Updated,
)
from probescout.core.geometry import Affine
from probescout.core.growing import GrowingMap
from probescout.core.instructions import Reconfigure, Relearn, Rescore
from probescout.core.observations import Observation, ObservationStatus, ScoreState, SignalRecord
from probescout.core.specs import Budget, CampaignSpec, Limits, PluginSpec, SeedDesign
from probescout.core.spectra import ValueKind
from probescout.core.state import Campaign, Status
from probescout.core.suggestions import Source, Suggestion, SuggestionState

SPEC = CampaignSpec(PluginSpec("band_sum"))
SIGNAL = SignalRecord("uint16", (4,), ("channel",), "counts", ValueKind.COUNTS)


def run(*events: Any) -> Campaign:
    state = apply(create(Created("c", SPEC, 0.0)), FrameAdded("f1", 0.0, height=10, width=10))[0]
    for event in events:
        state = apply(state, event)[0]
    return state


def lease(name: str, candidate: int) -> Leased:
    return Leased((Suggestion(name, "f1", 0.55, 0.55, candidate, "t", 60.0, Source.PLANNER),))


def told(name: str, candidate: int, **more: Any) -> Observed:
    y, x = (candidate // 10 + 0.5) / 10, (candidate % 10 + 0.5) / 10
    return Observed(Observation(name, "f1", y, x, candidate=candidate, signal=SIGNAL, **more))


def refused(work: Any, *args: Any) -> tuple[type[ProbescoutError], Reason, str]:
    with pytest.raises(ProbescoutError) as caught:
        work(*args)
    return type(caught.value), caught.value.reason, caught.value.field


# ------------------------------------------------------------ control


def test_abort_and_immediate_pause_take_the_leases_back() -> None:
    state = run(lease("s1", 5), lease("s2", 6))
    for action in (Control.ABORT, Control.PAUSE_IMMEDIATE):
        events = control(state, action, "fire")
        assert events == [Controlled(action, "fire"), Returned(("s1", "s2"), reason="fire")]
    for action in (Control.PAUSE, Control.STOP):
        assert control(state, action, "") == [Controlled(action, "")]


@pytest.mark.parametrize("end", [Control.STOP, Control.ABORT])
def test_an_ended_campaign_stays_ended(end: Control) -> None:
    state = run(Controlled(end))
    for action in (Control.PAUSE, Control.PAUSE_IMMEDIATE, Control.RESUME):
        assert refused(control, state, action, "")[:2] == (WrongState, Reason.CAMPAIGN_ENDED)
    assert control(state, end, "again") == []
    expected = [Controlled(Control.ABORT, "")] if end is Control.STOP else []
    assert control(state, Control.ABORT, "") == expected
    assert control(run(Controlled(Control.ABORT)), Control.STOP, "") == []


# ------------------------------------------------------------ update


def test_an_update_takes_the_named_fields_only() -> None:
    wanted = replace(SPEC, budget=Budget(9), title="new", seed=7)
    events = update(run(), wanted, ("budget",), SPEC.etag, "more beam time")
    assert events == (Updated(replace(SPEC, budget=Budget(9)), ("budget",), "more beam time"),)
    assert update(run(), wanted, ("budget", "lease_s"), SPEC.etag, "")[0].changed == ("budget",)


@pytest.mark.parametrize(
    ("new", "mask", "etag", "family", "reason", "field"),
    [
        (SPEC, ("title",), "stale", WrongState, Reason.ETAG_MISMATCH, "etag"),
        (SPEC, (), SPEC.etag, InvalidInput, Reason.FIELD_MISSING, "update_mask"),
        (SPEC, ("title", "seed"), SPEC.etag, InvalidInput, Reason.FIELD_INVALID, "update_mask[1]"),
        (SPEC, ("polcy",), SPEC.etag, InvalidInput, Reason.FIELD_INVALID, "update_mask[0]"),
        (replace(SPEC, lease_s=0.1), ("lease_s",), SPEC.etag, InvalidInput, Reason.FIELD_INVALID, "spec.lease_s"),
    ],
)
def test_an_update_that_makes_no_sense_is_refused(
    new: CampaignSpec, mask: tuple, etag: str, family: type, reason: Reason, field: str
) -> None:
    assert refused(update, run(), new, mask, etag, "") == (family, reason, field)


def test_a_near_miss_is_suggested() -> None:
    with pytest.raises(InvalidInput, match="did you mean 'policy'"):
        update(run(), SPEC, ("polcy",), SPEC.etag, "")


def test_a_new_scalarizer_scores_everything_anew() -> None:
    state = run(
        told("scored", 1), Scored("scored", 1.0, 0.1), told("failed", 2), Scored("failed", 0, 0, error="no"),
        told("gone", 3), Scored("gone", 1.0, 0.1), Retracted("gone", "dirt"),
        Observed(Observation("ready", "f1", 0.5, 0.5, value=2.0)), Scored("ready", 2.0, 0.1),
    )  # fmt: skip
    new, instructions = apply(state, Updated(replace(SPEC, scalarizer=PluginSpec("edge")), ("scalarizer",)))
    assert instructions == (Rescore(),)
    states = {name: o.score_state for name, o in new.observations.items()}
    assert states == {
        "scored": ScoreState.PENDING, "failed": ScoreState.PENDING, "gone": ScoreState.RETRACTED,
        "ready": ScoreState.FAILED,
    }  # fmt: skip
    assert apply(state, Updated(SPEC, ("policy",)))[1] == (Reconfigure(),)


def switched(state: Campaign, name: str) -> Campaign:
    return apply(state, Updated(replace(state.spec, scalarizer=PluginSpec(name)), ("scalarizer",)))[0]


def ready(name: str, maker: str, **more: Any) -> Observed:
    return Observed(Observation(name, "f1", 0.5, 0.5, value=2.0, value_scalarizer=maker, **more))


def test_ready_values_of_another_target_are_not_learnt_after_a_switch() -> None:
    events = []
    for o in (ready("named", "band_sum"), ready("unnamed", ""), ready("edge", "edge"), ready("new", "band_sum")):
        events += [o, Scored(o.observation.id, 2.0, 0.1)][: 1 if o.observation.id == "new" else 2]
    state = switched(run(*events, ready("raw", "band_sum", signal=SIGNAL)), "edge")
    states = {n: o.score_state for n, o in state.observations.items()}
    assert states == {
        "named": ScoreState.FAILED, "unnamed": ScoreState.FAILED, "edge": ScoreState.SCORED,
        "new": ScoreState.FAILED, "raw": ScoreState.PENDING,
    }  # fmt: skip
    message = state.observations["named"].score_message
    assert "'band_sum'" in message and "'edge'" in message and "no raw signal" in message
    back = switched(state, "band_sum")
    states = {n: o.score_state for n, o in back.observations.items()}
    assert (states["named"], states["edge"]) == (ScoreState.PENDING, ScoreState.FAILED)
    given = switched(back, "given")
    states = {n: o.score_state for n, o in given.observations.items()}
    assert (states["named"], states["unnamed"]) == (ScoreState.FAILED, ScoreState.PENDING)


def test_a_switch_keeps_what_a_person_gave() -> None:
    state = switched(run(told("o1", 1), Scored("o1", 1.0, 0.1), Amended("o1", "recalibrated", value=3.0)), "edge")
    o = state.observations["o1"]
    assert (o.score_state, o.target, o.is_amended) == (ScoreState.SCORED, 3.0, True)
    # Only its place was corrected: what it is worth is still the scalarizer's to say.
    state = switched(run(told("o1", 1), Scored("o1", 1.0, 0.1), Amended("o1", "typo", y=0.5, x=0.5)), "edge")
    o = state.observations["o1"]
    assert (o.score_state, o.is_amended) == (ScoreState.PENDING, False)


# ------------------------------------------------------------ leases that a change forbids


def test_leases_that_new_limits_forbid_end() -> None:
    state = run(lease("s1", 55), lease("s2", 5), lease("s3", 44))
    mask = np.ones((10, 10), dtype=bool)
    mask[4, 4] = False
    new = replace(SPEC, limits=Limits(border=0.1))
    updated, *returned = update(state, new, ("limits",), SPEC.etag, "", mask)
    assert updated.changed == ("limits",)
    assert [e.suggestions for e in returned] == [("s2",), ("s3",)]
    assert all("outside the allowed region" in e.reason for e in returned)
    for event in (updated, *returned):
        state = apply(state, event)[0]
    assert dict(state.pending) == {"s1": 55} and state.use.probes_reserved == 1
    assert update(run(lease("s1", 55)), replace(SPEC, title="t"), ("title",), SPEC.etag, "", mask)[1:] == ()


def test_leases_that_drift_out_of_the_frame_end() -> None:
    state = run(lease("s1", 55), lease("s2", 95), lease("s3", 85))
    revised, *returned = revise_frame(state, "f1", Affine(y0=0.1), (), "")
    assert [e.suggestions for e in returned] == [("s2",)] and "drifted out of the frame" in returned[0].reason
    for event in (revised, *returned):
        state = apply(state, event)[0]
    assert set(state.pending) == {"s1", "s3"} and state.suggestions["s2"].state is SuggestionState.RELEASED


# ------------------------------------------------------------ drift


def test_drift_adds_up_and_uncertainties_in_squares() -> None:
    state = run(FrameRevised("f1", 2, Affine(y0=0.1), 0.03), FrameRevised("f1", 3, Affine(x0=-0.2), 0.04))
    assert state.frame is not None and state.frame.position_std == pytest.approx(0.05)
    assert state.frame.to_instrument(0.5, 0.5) == (pytest.approx(0.6), pytest.approx(0.3))
    assert state.frame.to_image(0.6, 0.5, 2) == (pytest.approx(0.5), pytest.approx(0.5))
    assert state.frame.to_image(0.6, 0.3, 0) == (pytest.approx(0.5), pytest.approx(0.5))


def test_a_covariance_becomes_its_mean_standard_deviation() -> None:
    [event] = revise_frame(run(), "f1", Affine(), (0.04, 0.0, 0.0, 0.02), "")
    assert event.position_std == pytest.approx(math.sqrt(0.03)) and event.revision == 2


TINY = Affine(yy=0.003, xx=0.003)


@pytest.mark.parametrize(
    ("state", "frame", "affine", "covariance", "family", "field"),
    [
        (create(Created("c", SPEC, 0.0)), "f1", Affine(), (), WrongState, ""),
        (run(), "f2", Affine(), (), NotFound, "name"),
        (run(), "f1", Affine(yy=0.0), (), InvalidInput, "affine"),
        (run(), "f1", Affine(y0=math.nan), (), InvalidInput, "affine"),
        (run(FrameRevised("f1", 2, TINY)), "f1", TINY, (), InvalidInput, "affine"),
        (run(), "f1", Affine(), (1.0, 0.0, 1.0), InvalidInput, "covariance"),
        (run(), "f1", Affine(), (1.0, 0.0, 0.0, math.nan), InvalidInput, "covariance"),
        (run(), "f1", Affine(), (-1.0, 0.0, 0.0, 1.0), InvalidInput, "covariance"),
        (run(), "f1", Affine(), (1.0, 0.5, 0.4, 1.0), InvalidInput, "covariance"),
        (run(), "f1", Affine(), (1.0, 2.0, 2.0, 1.0), InvalidInput, "covariance"),
    ],
)
def test_a_revision_that_makes_no_sense_is_refused(
    state: Campaign, frame: str, affine: Affine, covariance: tuple, family: type, field: str
) -> None:
    found = refused(revise_frame, state, frame, affine, covariance, "")
    assert (found[0], found[2]) == (family, field)


# ------------------------------------------------------------ amend and retract


@pytest.mark.parametrize(
    ("change", "family", "field"),
    [
        (Amended("o9", "why", value=1.0), NotFound, "name"),
        (Amended("o1", " ", value=1.0), InvalidInput, "reason"),
        (Amended("o1", "why"), InvalidInput, "measured_at"),
        (Amended("o1", "why", y=0.5), InvalidInput, "measured_at"),
        (Amended("o1", "why", x=0.5, value=1.0), InvalidInput, "measured_at"),
        (Amended("o1", "why", y=math.nan, x=0.5), InvalidInput, "y"),
        (Amended("o1", "why", value=math.inf), InvalidInput, "value"),
        (Amended("o1", "why", value=1e200), InvalidInput, "value"),
        (Amended("o1", "why", value=1.0, variance=-1.0), InvalidInput, "value_variance"),
        (Amended("o1", "why", value=1.0, variance=math.inf), InvalidInput, "value_variance"),
    ],
)
def test_an_amendment_that_makes_no_sense_is_refused(change: Amended, family: type, field: str) -> None:
    found = refused(amend, run(told("o1", 5)), change)
    assert (found[0], found[2]) == (family, field)


@pytest.mark.parametrize("status", [ObservationStatus.FAILED, ObservationStatus.INFEASIBLE])
def test_a_value_cannot_be_given_to_what_was_not_measured(status: ObservationStatus) -> None:
    state = run(told("o1", 5, status=status, score_state=ScoreState.NONE))
    found = refused(amend, state, Amended("o1", "it worked after all", value=1.0))
    assert found == (InvalidInput, Reason.FIELD_INVALID, "value")
    with pytest.raises(InvalidInput, match="tell what was measured as a new observation"):
        amend(state, Amended("o1", "it worked after all", value=1.0))
    moved = Amended("o1", "offset", y=0.5, x=0.5)
    assert amend(state, moved) == moved


def test_the_dose_moves_with_an_amended_position() -> None:
    state = run(told("o1", 5, dose=2.0), told("o2", 5, dose=1.0), Amended("o1", "stage offset", y=0.95, x=0.95))
    assert dict(state.doses) == {5: 1.0, 99: 2.0}


def test_an_amended_value_is_learnt() -> None:
    state, instructions = apply(run(told("o1", 5)), Amended("o1", "recalibrated", value=3.0, variance=math.nan))
    o = state.observations["o1"]
    assert instructions == (Relearn(),) and (o.target, o.score_state) == (3.0, ScoreState.SCORED)
    assert math.isnan(o.target_variance)


def test_what_a_person_says_is_not_overwritten_by_a_late_score() -> None:
    state = run(told("o1", 5), Amended("o1", "recalibrated", value=3.0), Scored("o1", 99.0, 1.0))
    assert state.observations["o1"].target == 3.0
    state = run(told("o1", 5), Retracted("o1", "dirt"), Scored("o1", 99.0, 1.0))
    assert not state.observations["o1"].is_taught


def test_a_withdrawn_observation_stays_withdrawn_when_it_is_amended() -> None:
    state = run(told("o1", 5), Scored("o1", 1.0, 0.1), Retracted("o1", "dirt"), Amended("o1", "typo", value=3.0))
    assert state.observations["o1"].score_state is ScoreState.RETRACTED and state.best() is None


def test_a_moved_observation_frees_the_place_where_it_never_was() -> None:
    state = run(told("o1", 5), Amended("o1", "stage offset", y=0.95, x=0.95))
    assert state.observations["o1"].candidate == 99 and state.taken == {99}
    state = run(told("o1", 5), told("o2", 5), Amended("o1", "stage offset", y=0.95, x=0.95))
    assert state.taken == {5, 99}, "another measurement lies there"
    state = run(lease("s1", 5), told("o1", 5, suggestion="s1"), Amended("o1", "stage offset", y=0.95, x=0.95))
    assert state.taken == {5, 99}, "the point that was asked for is answered"
    state = run(told("o1", 5), Amended("o1", "off the sample", y=1.5, x=0.5))
    assert state.observations["o1"].is_outside and state.taken == frozenset()


def test_a_failed_measurement_that_is_moved_takes_nothing() -> None:
    state = run(told("o1", 5, status=ObservationStatus.FAILED), Amended("o1", "offset", y=0.95, x=0.95))
    assert state.taken == frozenset()


def test_an_amendment_is_read_in_the_revision_of_its_measurement() -> None:
    state = run(told("o1", 5), FrameRevised("f1", 2, Affine(y0=0.4)), Amended("o1", "typo", y=0.15, x=0.15))
    assert state.observations["o1"].candidate == 11


def test_a_withdrawal_needs_a_reason_and_an_observation() -> None:
    state = run(told("o1", 5))
    assert refused(retract, state, "o2", "why") == (NotFound, Reason.OBSERVATION_NOT_FOUND, "name")
    assert refused(retract, state, "o1", "") == (InvalidInput, Reason.FIELD_MISSING, "reason")
    new, instructions = apply(state, retract(state, "o1", "dirt"))
    assert instructions == (Relearn(),) and new.observations["o1"].score_state is ScoreState.RETRACTED


# ------------------------------------------------------------ seeds that come back


def test_a_returned_seed_is_handed_out_again_in_its_place() -> None:
    spec = replace(SPEC, seed_design=SeedDesign(count=3))
    state = create(Created("c", spec, 0.0))
    state = apply(state, FrameAdded("f1", 0.0, height=10, width=10, seeds=(7, 3, 9)))[0]
    for name, c in (("s1", 7), ("s2", 3)):
        state = apply(state, lease(name, c))[0]
    assert state.seeds == (9,)
    state = apply(state, Returned(("s1", "s2"), is_expired=True))[0]
    assert state.seeds == (7, 3, 9)
    # Measured by somebody else while its lease was open: it must not come back.
    state = apply(apply(state, lease("s3", 7))[0], told("o1", 7))[0]
    state = apply(state, Returned(("s3",)))[0]
    assert state.seeds == (3, 9)


def test_best_follows_the_sign() -> None:
    state = run(*(e for i in range(3) for e in (told(f"o{i}", i), Scored(f"o{i}", float((i + 1) % 3), 0.1))))
    best, worst = state.best(), replace(state, spec=replace(SPEC, is_minimizing=True)).best()
    assert best is not None and best.id == "o1" and worst is not None and worst.id == "o2"
    assert run().best() is None and run().status is Status.RUNNING


def test_the_best_is_looked_for_once_until_something_is_scored() -> None:
    class Counted(GrowingMap[str, Observation]):
        n_looks = 0

        def values(self) -> Any:
            Counted.n_looks += 1
            return super().values()

    state = run(told("o0", 0), Scored("o0", 1.0, 0.1), told("o1", 1))
    state = replace(state, observations=Counted(dict(state.observations.items())))
    assert state.best() is state.best() and Counted.n_looks == 1
    after = apply(state, Scored("o1", 2.0, 0.1))[0]
    best = after.best()
    assert best is not None and best.id == "o1"
