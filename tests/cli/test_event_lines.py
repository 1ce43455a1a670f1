"""Every kind of event has words for a person, made from what the journal really holds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from probescout.cli.event_lines import event_line
from probescout.core.events import (
    KINDS,
    Amended,
    Control,
    Controlled,
    Created,
    FrameAdded,
    FrameRevised,
    Leased,
    ModelSwapped,
    Observed,
    PointsProposed,
    PointsWithdrawn,
    Renewed,
    Retracted,
    Returned,
    Scored,
    Updated,
    encode,
)
from probescout.core.geometry import Affine
from probescout.core.observations import Observation, ObservationStatus
from probescout.core.specs import Budget, CampaignSpec, PluginSpec
from probescout.core.suggestions import OperatorPoint, Source, Suggestion
from probescout.core.theory import Failure, JobState, Quantity
from probescout.core.theory_events import EvidenceSet, TheoryEnded, TheoryLeased, TheoryQueued, TheoryRequeued

SPEC = CampaignSpec(PluginSpec("band_sum"), budget=Budget(probes=40))
POINT = Suggestion("s-1", "f", 0.25, 0.5, 3, "token", 60.0, Source.SEED_DESIGN)
GUESS = Suggestion(
    "s-2", "f", 0.125, 0.75, 4, "token", 60.0, Source.FALLBACK, "titan", mean=12.5, std=0.75, degraded=("worker died",)
)
LATE = Observation("o-1", "f", 0.25, 0.5, suggestion="s-1", is_late=True)
LOST = Observation("o-2", "f", 1.5, 0.5, status=ObservationStatus.FAILED, is_outside=True, message="beam lost")

QUEUED = TheoryQueued(
    "t1", PluginSpec("xtb"), "", 60.0, 2, 0.0, candidate=7, reason="it is measured", is_automatic=True
)

CASES: list[tuple[Any, str]] = [
    (Created("gold", SPEC, 0.0), "gold: band_sum by expected_improvement, 40 probes"),
    (Created("gold", CampaignSpec(PluginSpec("edge")), 0.0), "gold: edge by expected_improvement, no limit of probes"),
    (Updated(SPEC, ("policy", "budget"), "explore"), "changed policy, budget: explore"),
    (Controlled(Control.PAUSE_IMMEDIATE, "door open"), "pause immediate: door open"),
    (Controlled(Control.RESUME), "resume"),
    (FrameAdded("f", 0.0, height=64, width=48), "f: 64 x 48 pixels"),
    (FrameAdded("f", 0.0, n_candidates=100), "f: 100 patches"),
    (
        FrameRevised("f", 2, Affine(y0=0.01, x0=-0.02), 0.001, "drift"),
        "f revision 2: moved by (y +0.0100, x -0.0200): drift",
    ),
    (Leased((POINT,)), "s-1 (y 0.2500, x 0.5000) from seed design"),
    (
        Leased((POINT, GUESS)),
        "s-1 (y 0.2500, x 0.5000) from seed design; s-2 (y 0.1250, x 0.7500) from fallback to titan, "
        "expected 12.5 ± 0.75, degraded: worker died",
    ),
    (
        PointsProposed((OperatorPoint("p1", 7, "edge", True), OperatorPoint("p2", 9))),
        "p1: candidate 7, urgent (edge); p2: candidate 9",
    ),
    (PointsWithdrawn(("p1", "p2"), "seen"), "p1, p2: seen"),
    (Renewed(("s-1", "s-2")), "s-1, s-2"),
    (Returned(("s-1",), is_expired=True), "s-1 expired"),
    (Returned(("s-1",), reason="the loop was left"), "s-1 released: the loop was left"),
    (Observed(LATE), "o-1 (y 0.2500, x 0.5000) complete, answers s-1, late"),
    (Observed(LOST), "o-2 (y 1.5000, x 0.5000) failed, unsolicited, outside: beam lost"),
    (Scored("o-1", 1234.5, 16.0, "counts"), "o-1 = 1234.5 ± 4 counts"),
    (Scored("o-1", 2.0, float("nan")), "o-1 = 2"),
    (Scored("o-1", float("nan"), float("nan"), error="axis in keV"), "o-1 refused: axis in keV"),
    (Amended("o-1", "stage was off", y=0.2, x=0.3), "o-1: stage was off"),
    (Retracted("o-1", "contaminated"), "o-1: contaminated"),
    (ModelSwapped(42), "fitted to 42 observations"),
    (QUEUED, "t1: xtb of candidate 7, chosen by the planner: it is measured"),
    (TheoryLeased("t1", "w", 2, "", 60.0, 0.0), "t1 to w, attempt 2"),
    (TheoryRequeued("t1", 1, Failure.LOST, "silent"), "t1 waits again, attempt 1 came to nothing (lost): silent"),
    (
        TheoryEnded("t1", JobState.SUCCEEDED, 1, 0.0, (Quantity("energy", -3.25, "eV"),), core_hours=0.5),
        "t1 succeeded: energy -3.25 eV, 0.5 core-hours",
    ),
    (
        TheoryEnded("t1", JobState.FAILED, 1, 0.0, failure=Failure.REFUSED, message="no lattice"),
        "t1 failed (refused), 0 core-hours: no lattice",
    ),
    (EvidenceSet("t1", False, "wrong charge"), "t1 taken back: wrong charge"),
]


@pytest.mark.parametrize(("event", "words"), CASES)
def test_words(event: Any, words: str) -> None:
    new = encode(event)
    payload = json.loads(json.dumps(new.payload, allow_nan=False))
    line = event_line(7, new.kind, 1.7e9, "ada", payload)
    assert line.startswith("     7  2023-11-1") and line.endswith(f" {new.kind:<12} {words}  [ada]")


def test_every_kind_is_covered() -> None:
    assert {type(event).__name__ for event, _ in CASES} == set(KINDS)


def test_a_kind_that_only_newer_servers_know() -> None:
    assert 'Teleported   {"to": "moon"}  [x]' in event_line(1, "Teleported", 0.0, "x", {"to": "moon"})


def test_control_characters_do_not_reach_the_terminal() -> None:
    line = event_line(1, "Controlled", 0.0, "x", {"action": "stop", "reason": "\x1b[2Jbad\nnews\x07"})
    assert line.endswith("stop:  [2Jbad news   [x]") and line.isprintable()
