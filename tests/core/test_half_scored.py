"""A measurement whose first target a person gave while it was being scored keeps what its signal says otherwise."""

from __future__ import annotations

from dataclasses import replace

from probescout.core.campaign import apply, create
from probescout.core.events import Amended, Created, FrameAdded, Observed, Retracted, Scored
from probescout.core.instructions import Relearn
from probescout.core.observations import FurtherScore, Observation, ScoreState, SignalRecord
from probescout.core.specs import CampaignSpec, Objective, PluginSpec
from probescout.core.spectra import ValueKind
from probescout.core.state import Campaign

SPEC = CampaignSpec(PluginSpec("band_sum"), objectives=(Objective(PluginSpec("edge")),))
SIGNAL = SignalRecord("uint16", (10,), ("channel",), "counts", ValueKind.COUNTS)
LATE = Scored("o1", 3.0, 0.1, "counts", "band_sum", "", (FurtherScore(7.0, 0.2, "eV", "edge"),))


def amended() -> Campaign:
    state = apply(create(Created("c", SPEC, 0.0)), FrameAdded("f1", 0.0, height=4, width=4))[0]
    state = apply(state, Observed(Observation("o1", "f1", 0.5, 0.5, candidate=5, signal=SIGNAL)))[0]
    return apply(state, Amended("o1", "recalibrated", value=5.0, variance=1.0))[0]


def test_the_given_target_stands_and_the_others_are_learnt() -> None:
    before = amended()
    assert before.observations["o1"].is_half_scored
    state, then = apply(before, LATE)
    o = state.observations["o1"]
    assert (o.target, o.target_variance, o.score_state) == (5.0, 1.0, ScoreState.SCORED)
    assert o.further == LATE.further and o.is_taught_further(0) and not o.is_half_scored
    assert then == (Relearn(),) and state.data_version == before.data_version + 1
    again = replace(LATE, further=(FurtherScore(9.0, 0.2),))
    assert apply(state, again) == (state, ()), "the first score counts"


def test_a_retracted_one_stays_unlearnt() -> None:
    state = apply(apply(amended(), Retracted("o1", "dirt"))[0], LATE)[0]
    o = state.observations["o1"]
    assert o.score_state is ScoreState.RETRACTED and not o.is_taught_further(0) and not o.is_half_scored
