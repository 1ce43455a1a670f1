"""Which measurements are taken, which are refused, and how those taken are flagged."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from probescout.core.admission import Expectation, admit
from probescout.core.campaign import apply, create
from probescout.core.errors import AlreadyExists, InvalidInput, NotFound, ProbescoutError, Reason, WrongState
from probescout.core.events import (
    Control,
    Controlled,
    Created,
    FrameAdded,
    FrameRevised,
    Leased,
    Observed,
    Returned,
)
from probescout.core.geometry import Affine
from probescout.core.observations import Observation, ObservationStatus, ScoreState, SignalRecord
from probescout.core.specs import CampaignSpec, PluginSpec
from probescout.core.spectra import Axis, Spectrum
from probescout.core.state import Campaign
from probescout.core.suggestions import Source, Suggestion, SuggestionState

ANY = Expectation()
ENERGY = Axis("channel", np.arange(4.0), "energy", "eV")
COUNTS = np.array([1, 2, 3, 4], dtype=np.uint16)
GOOD = Spectrum(COUNTS, ("channel",), (ENERGY,), "counts")
DRAFT = Observation("o1", "", 0.55, 0.45, frame_revision=0)
LEASE = Suggestion("s1", "f1", 0.55, 0.45, 54, "token", 60.0, Source.PLANNER)


def started(scalarizer: str = "band_sum") -> Campaign:
    state = create(Created("c", CampaignSpec(PluginSpec(scalarizer)), 0.0))
    return apply(state, FrameAdded("f1", 0.0, height=10, width=10))[0]


def after(*events: Any) -> Campaign:
    state = started()
    for event in events:
        state = apply(state, event)[0]
    return state


def refusal(state: Campaign, draft: Observation, spectrum: Spectrum | None, expect: Expectation = ANY) -> tuple:
    with pytest.raises(ProbescoutError) as caught:
        admit(state, draft, spectrum, expect, "token")
    return type(caught.value), caught.value.reason, caught.value.field


def test_a_good_measurement_is_placed_and_numbered() -> None:
    o = admit(started(), DRAFT, GOOD, ANY, "")
    assert (o.candidate, o.ordinal, o.frame, o.frame_revision) == (54, 1, "f1", 1)
    assert (o.is_late, o.is_unsolicited, o.is_outside, o.score_state) == (False, True, False, ScoreState.PENDING)


BAD = {
    "id": (replace(DRAFT, id="a/b"), GOOD, InvalidInput, Reason.ID_INVALID, "observation.name"),
    "frame": (
        replace(DRAFT, frame="f2"),
        GOOD,
        NotFound,
        Reason.FRAME_NOT_FOUND,
        "observation.measured_at.frame",
    ),
    "y": (replace(DRAFT, y=math.nan), GOOD, InvalidInput, Reason.NON_FINITE, "observation.measured_at.y"),
    "x": (replace(DRAFT, x=math.inf), GOOD, InvalidInput, Reason.NON_FINITE, "observation.measured_at.x"),
    "dwell": (replace(DRAFT, dwell_s=-1.0), GOOD, InvalidInput, Reason.FIELD_INVALID, "observation.dwell_s"),
    "dose": (replace(DRAFT, dose=math.nan), GOOD, InvalidInput, Reason.FIELD_INVALID, "observation.dose"),
    "cost": (replace(DRAFT, cost_s=math.inf), GOOD, InvalidInput, Reason.FIELD_INVALID, "observation.cost_s"),
    "huge dwell": (replace(DRAFT, dwell_s=1e308), GOOD, InvalidInput, Reason.FIELD_INVALID, "observation.dwell_s"),
    "huge dose": (replace(DRAFT, dose=1.1e12), GOOD, InvalidInput, Reason.FIELD_INVALID, "observation.dose"),
    "huge cost": (replace(DRAFT, cost_s=1e13), GOOD, InvalidInput, Reason.FIELD_INVALID, "observation.cost_s"),
    "revision": (
        replace(DRAFT, frame_revision=2),
        GOOD,
        InvalidInput,
        Reason.FIELD_INVALID,
        "observation.frame_revision",
    ),
    "negative revision": (
        replace(DRAFT, frame_revision=-1),
        GOOD,
        InvalidInput,
        Reason.FIELD_INVALID,
        "observation.frame_revision",
    ),
    "nothing": (DRAFT, None, InvalidInput, Reason.FIELD_MISSING, "observation.spectrum"),
    "infinite value": (
        replace(DRAFT, value=math.inf),
        None,
        InvalidInput,
        Reason.NON_FINITE,
        "observation.value",
    ),
    "variance": (
        replace(DRAFT, value=1.0, value_variance=-1.0),
        None,
        InvalidInput,
        Reason.FIELD_INVALID,
        "observation.value_variance",
    ),
    "empty": (
        DRAFT,
        Spectrum(np.zeros(0), ("channel",)),
        InvalidInput,
        Reason.SHAPE_MISMATCH,
        "observation.spectrum.shape",
    ),
    "NaN": (
        DRAFT,
        Spectrum(np.array([1.0, math.nan]), ("channel",)),
        InvalidInput,
        Reason.NON_FINITE,
        "observation.spectrum.data",
    ),
    "NaN where the mask is true": (
        replace(DRAFT, status=ObservationStatus.PARTIAL),
        Spectrum(np.array([math.inf, math.nan]), ("channel",), mask=np.array([False, True])),
        InvalidInput,
        Reason.NON_FINITE,
        "observation.spectrum.data",
    ),
    "dims": (
        DRAFT,
        Spectrum(COUNTS, ("ky", "kx")),
        InvalidInput,
        Reason.SHAPE_MISMATCH,
        "observation.spectrum.dims",
    ),
    "mask": (
        DRAFT,
        Spectrum(COUNTS, ("channel",), mask=np.ones(3, dtype=bool)),
        InvalidInput,
        Reason.SHAPE_MISMATCH,
        "observation.mask.shape",
    ),
    "axis of nothing": (
        DRAFT,
        Spectrum(COUNTS, ("channel",), (replace(ENERGY, dim="bias"),)),
        InvalidInput,
        Reason.AXIS_MISMATCH,
        "observation.axes[0].dim",
    ),
    "axis size": (
        DRAFT,
        Spectrum(COUNTS, ("channel",), (replace(ENERGY, values=np.arange(3.0)),)),
        InvalidInput,
        Reason.SHAPE_MISMATCH,
        "observation.axes[0].values",
    ),
    "axis values": (
        DRAFT,
        Spectrum(COUNTS, ("channel",), (replace(ENERGY, values=np.array([0, 1, math.nan, 3])),)),
        InvalidInput,
        Reason.NON_FINITE,
        "observation.axes[0].values",
    ),
    "unknown suggestion": (
        replace(DRAFT, suggestion="s9"),
        GOOD,
        NotFound,
        Reason.SUGGESTION_NOT_FOUND,
        "observation.suggestion",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_understood_is_refused(case: str) -> None:
    draft, spectrum, family, reason, field = BAD[case]
    assert refusal(started(), draft, spectrum) == (family, reason, field)


@pytest.mark.parametrize(
    ("expect", "spectrum", "reason", "field"),
    [
        (Expectation(2), GOOD, Reason.SHAPE_MISMATCH, "observation.spectrum.shape"),
        (Expectation(1, "keV"), GOOD, Reason.AXIS_UNIT_MISMATCH, "observation.axes[0].unit"),
        (Expectation(1, "eV"), replace(GOOD, axes=()), Reason.AXIS_MISMATCH, "observation.axes"),
    ],
)
def test_the_scalarizer_decides_on_dimensions_and_units(
    expect: Expectation, spectrum: Spectrum, reason: Reason, field: str
) -> None:
    assert refusal(started(), DRAFT, spectrum, expect) == (InvalidInput, reason, field)
    assert admit(started(), DRAFT, GOOD, Expectation(1, "eV"), "").candidate == 54


def test_later_signals_must_look_like_the_first() -> None:
    signal, _ = SignalRecord.of(GOOD)
    state = after(Observed(replace(admit(started(), DRAFT, GOOD, ANY, ""), signal=signal)))
    second = replace(DRAFT, id="o2")
    longer = Spectrum(np.arange(5.0), ("channel",))
    assert refusal(state, second, longer)[1:] == (Reason.SHAPE_MISMATCH, "observation.spectrum.shape")
    other = Spectrum(COUNTS, ("bias",))
    assert refusal(state, second, other)[1:] == (Reason.SHAPE_MISMATCH, "observation.spectrum.dims")
    in_kev = replace(GOOD, axes=(replace(ENERGY, unit="keV"),))
    assert refusal(state, second, in_kev)[1:] == (Reason.AXIS_UNIT_MISMATCH, "observation.axes[0].unit")
    partial = replace(second, status=ObservationStatus.PARTIAL)
    assert admit(state, partial, longer, ANY, "").ordinal == 2


def test_an_id_is_taken_once() -> None:
    state = after(Observed(admit(started(), DRAFT, GOOD, ANY, "")))
    assert refusal(state, DRAFT, GOOD) == (AlreadyExists, Reason.OBSERVATION_EXISTS, "observation.name")


def test_without_a_frame_nothing_can_be_placed() -> None:
    bare = create(Created("c", CampaignSpec(PluginSpec("band_sum")), 0.0))
    assert refusal(bare, DRAFT, GOOD) == (WrongState, Reason.NO_FRAME, "")


def test_a_campaign_of_ready_values_needs_one() -> None:
    assert refusal(started("given"), DRAFT, GOOD)[1:] == (Reason.FIELD_MISSING, "observation.value")
    ready = replace(DRAFT, value=1.0, value_variance=math.nan)
    assert admit(started("given"), ready, None, ANY, "").score_state is ScoreState.PENDING


@pytest.mark.parametrize("status", [ObservationStatus.FAILED, ObservationStatus.INFEASIBLE])
def test_a_failed_measurement_needs_no_signal(status: ObservationStatus) -> None:
    o = admit(started(), replace(DRAFT, status=status), None, ANY, "")
    assert o.score_state is ScoreState.NONE


def test_masked_elements_may_hold_anything() -> None:
    spectrum = Spectrum(np.array([1.0, math.nan]), ("channel",), mask=np.array([True, False]))
    assert admit(started(), replace(DRAFT, status=ObservationStatus.PARTIAL), spectrum, ANY, "").ordinal == 1


@pytest.mark.parametrize(
    ("events", "token", "is_late"),
    [
        ((), "token", False),
        ((), "another", True),
        ((Returned(("s1",), is_expired=True),), "token", True),
        ((Returned(("s1",)),), "token", True),
        ((Observed(replace(DRAFT, id="o0", suggestion="s1", candidate=54)),), "token", True),
        ((Controlled(Control.PAUSE),), "token", False),
        ((Controlled(Control.STOP),), "token", True),
        ((Controlled(Control.ABORT),), "token", True),
    ],
)
def test_late_data_are_kept_and_flagged(events: tuple, token: str, is_late: bool) -> None:
    state = after(Leased((LEASE,)), *events)
    o = admit(state, replace(DRAFT, suggestion="s1"), GOOD, ANY, token)
    assert (o.is_late, o.is_unsolicited, o.score_state) == (is_late, False, ScoreState.PENDING)


def test_only_its_own_token_ends_a_lease() -> None:
    state = after(Leased((LEASE,)))
    mine = admit(state, replace(DRAFT, suggestion="s1"), GOOD, ANY, "token")
    stranger = admit(state, replace(DRAFT, suggestion="s1"), GOOD, ANY, "guess")
    assert (mine.is_foreign, stranger.is_foreign, stranger.is_late) == (False, True, True)
    kept = apply(state, Observed(stranger))[0]
    assert dict(kept.pending) == {"s1": 54} and kept.use.probes_reserved == 1
    assert kept.suggestions["s1"].state is SuggestionState.PENDING and kept.taken == {54}
    second = admit(kept, replace(DRAFT, id="o2", suggestion="s1"), GOOD, ANY, "token")
    assert not second.is_late
    done = apply(kept, Observed(second))[0]
    assert not done.pending and done.suggestions["s1"].state is SuggestionState.MEASURED
    # Stopped, so that the data are late; but they are the holder's own.
    stopped = apply(state, Controlled(Control.STOP))[0]
    late = admit(stopped, replace(DRAFT, suggestion="s1"), GOOD, ANY, "token")
    assert late.is_late and not apply(stopped, Observed(late))[0].pending


def test_late_data_of_an_expired_lease_answer_it() -> None:
    state = after(Leased((LEASE,)), Returned(("s1",), is_expired=True))
    late = admit(state, replace(DRAFT, suggestion="s1"), GOOD, ANY, "token")
    state = apply(state, Observed(late))[0]
    assert state.suggestions["s1"].state is SuggestionState.MEASURED and state.taken == {54}


@pytest.mark.parametrize(("y", "x"), [(-0.01, 0.5), (0.5, 1.01), (1e308, 0.5), (0.5, -1e308)])
def test_data_from_outside_the_frame_are_kept_and_flagged(y: float, x: float) -> None:
    o = admit(started(), replace(DRAFT, y=y, x=x), GOOD, ANY, "")
    assert (o.is_outside, o.candidate) == (True, -1)


def test_positions_belong_to_their_revision() -> None:
    state = after(FrameRevised("f1", 2, Affine(y0=0.3)))
    old = admit(state, replace(DRAFT, frame_revision=1), GOOD, ANY, "")
    assert (old.candidate, old.frame_revision, old.is_outside) == (54, 1, False)
    # The feature that was at 0.55 is now seen at 0.85.
    new = admit(state, replace(DRAFT, y=0.85), GOOD, ANY, "")
    assert (new.candidate, new.frame_revision) == (54, 2)
    assert admit(state, replace(DRAFT, y=0.25), GOOD, ANY, "").is_outside
