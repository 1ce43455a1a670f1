"""The campaign as a pure machine: (state, event) -> (state, instructions).

No I/O, no clock, no randomness. Live operation, crash recovery and replay all pass through `apply`, so that they
cannot differ. What may be asked of a campaign is decided in `admission`, `leasing` and `changes`; what must then be
carried out is in the instructions, which `probescout.runtime` obeys.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from probescout.core import observing, proposals, simulating
from probescout.core.candidates import CandidateSet
from probescout.core.events import (
    Amended,
    Control,
    Controlled,
    Created,
    Event,
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
)
from probescout.core.growing import GrowingMap, put
from probescout.core.instructions import EvidenceChanged, LoadFrame, Outcome, Reconfigure, Rescore
from probescout.core.revising import revised
from probescout.core.specs import CandidateKind
from probescout.core.state import Campaign, Frame, Status
from probescout.core.suggestions import PointLine, SuggestionState


def create(event: Created) -> Campaign:
    """Return the state after the first event."""
    return Campaign(event.campaign_id, event.spec, event.time)


def apply(state: Campaign, event: Event) -> Outcome:
    """Return the state after an event and what must now be carried out."""
    return _HANDLERS[type(event)](state, event)


_FITTED_FOR = {"scalarizer", "is_minimizing", "is_deep_member_disabled", "members"}
"""Fields of the spec that hyperparameters depend on."""
_FURTHER_FITTED_FOR = {"is_deep_member_disabled", "members"}
"""Those that the models of further objectives depend on."""


def _updated(state: Campaign, event: Updated) -> Outcome:
    new = revised(state, spec=event.spec)
    if _FITTED_FOR & set(event.changed):
        # What was fitted to the targets of before would mislead a model that is loaded from the journal.
        new = revised(new, hyperparameters={})
    if _FURTHER_FITTED_FOR & set(event.changed):
        new = revised(new, further_hyperparameters={})
    if "stop_rules" in event.changed:
        new = revised(new, advice=())
    informed = (EvidenceChanged(),) if "theory" in event.changed else ()
    if "scalarizer" in event.changed:
        switched = {i: observing.switched(o, event.spec.scalarizer.name) for i, o in state.observations.items()}
        new = revised(new, observations=GrowingMap(switched), data_version=state.data_version + 1)
        return new, (Rescore(), *informed)
    return new, (Reconfigure(), *informed)


_NEXT = {
    Control.PAUSE: Status.PAUSED,
    Control.PAUSE_IMMEDIATE: Status.PAUSED,
    Control.RESUME: Status.RUNNING,
    Control.STOP: Status.STOPPED,
    Control.ABORT: Status.ABORTED,
}


def _controlled(state: Campaign, event: Controlled) -> Outcome:
    return revised(state, status=_NEXT[event.action], status_reason=event.reason), ()


def _frame_added(state: Campaign, event: FrameAdded) -> Outcome:
    if state.spec.candidates.kind is CandidateKind.PIXELS:
        candidates = CandidateSet.pixels(event.height, event.width, state.spec.candidates.stride)
    else:
        # The positions lie in a blob; the runtime puts them in place when it loads the frame.
        candidates = CandidateSet(event.n_candidates)
    return revised(state, frame=Frame(event), candidates=candidates, seeds=event.seeds), (LoadFrame(),)


def _frame_revised(state: Campaign, event: FrameRevised) -> Outcome:
    assert state.frame is not None
    total = event.affine.after(state.frame.maps[-1])
    frame = revised(
        state.frame,
        revision=event.revision,
        maps=(*state.frame.maps, total),
        position_std=math.hypot(state.frame.position_std, event.position_std),
    )
    moved = {}
    for name in state.pending:
        s = state.suggestions[name]
        at = event.affine
        moved[name] = revised(s, y=at.yy * s.y + at.yx * s.x + at.y0, x=at.xy * s.y + at.xx * s.x + at.x0)
    return revised(state, frame=frame, suggestions=put(state.suggestions, moved)), ()


def _leased(state: Campaign, event: Leased) -> Outcome:
    assert state.frame is not None
    pending, last_at = dict(state.pending), dict(state.last_at)
    for s in event.suggestions:
        pending[s.id] = s.candidate
        last_at[s.client_id] = state.frame.to_image(s.y, s.x, 0)
    handed = {s.candidate: s.id for s in event.suggestions}
    points = state.points
    if not points.candidates.isdisjoint(handed):
        points = PointLine(revised(p, suggestion=handed[p.candidate]) if p.candidate in handed else p for p in points)
    return (
        revised(
            state,
            suggestions=put(state.suggestions, {s.id: s for s in event.suggestions}),
            pending=pending,
            last_at=last_at,
            seeds=tuple(c for c in state.seeds if c not in handed),
            points=points,
            use=state.use.reserve(len(event.suggestions)),
            calibration=event.calibration or state.calibration,
            advice=event.advice or state.advice,
        ),
        (),
    )


def _renewed(state: Campaign, event: Renewed) -> Outcome:
    return state, ()


def _returned(state: Campaign, event: Returned) -> Outcome:
    pending, ended = dict(state.pending), {}
    outcome = SuggestionState.EXPIRED if event.is_expired else SuggestionState.RELEASED
    seeds = list(state.seeds)
    n = 0
    for name in event.suggestions:
        if name not in pending:
            continue
        n += 1
        candidate = pending.pop(name)
        if candidate not in state.taken and candidate in (state.frame.added.seeds if state.frame else ()):
            seeds.append(candidate)
        ended[name] = revised(state.suggestions[name], state=outcome)
    order = {c: i for i, c in enumerate(state.frame.added.seeds if state.frame else ())}
    seeds.sort(key=order.__getitem__)
    back = {name for name in event.suggestions if name not in pending}
    points = state.points
    if any(state.suggestions[name].candidate in points.candidates for name in back if name in state.suggestions):
        points = PointLine(revised(p, suggestion="") if p.suggestion in back else p for p in points)
    return (
        revised(
            state,
            suggestions=put(state.suggestions, ended),
            pending=pending,
            seeds=tuple(seeds),
            points=points,
            use=state.use.free(n),
        ),
        (),
    )


def _swapped(state: Campaign, event: ModelSwapped) -> Outcome:
    new = revised(state, model_version=state.model_version + 1, calibration=event.calibration or state.calibration)
    if event.objective:
        further = {**state.further_hyperparameters, event.objective: event.hyperparameters}
        return revised(new, further_hyperparameters=further), ()
    return revised(new, hyperparameters=event.hyperparameters), ()


_HANDLERS: dict[type[Any], Callable[[Campaign, Any], Outcome]] = {
    Updated: _updated,
    Controlled: _controlled,
    FrameAdded: _frame_added,
    FrameRevised: _frame_revised,
    Leased: _leased,
    Renewed: _renewed,
    Returned: _returned,
    Observed: observing.observed,
    Scored: observing.scored,
    Amended: observing.amended,
    Retracted: observing.retracted,
    PointsProposed: proposals.proposed,
    PointsWithdrawn: proposals.withdrawn,
    ModelSwapped: _swapped,
    **simulating.HANDLERS,
}
