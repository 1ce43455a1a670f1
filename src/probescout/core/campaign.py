"""The campaign as a pure machine: (state, event) -> (state, instructions).

No I/O, no clock, no randomness. Live operation, crash recovery and replay all pass through `apply`, so that they
cannot differ. What may be asked of a campaign is decided in `admission`, `leasing` and `changes`; what must then be
carried out is in the instructions, which `probescout.runtime` obeys.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

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
    Renewed,
    Retracted,
    Returned,
    Scored,
    Updated,
)
from probescout.core.observations import Observation, ObservationStatus, ScoreState
from probescout.core.specs import GIVEN, CandidateKind
from probescout.core.state import Campaign, Frame, Signature, Status
from probescout.core.suggestions import SuggestionState


@dataclass(frozen=True)
class LoadFrame:
    """Give the image to the model."""


@dataclass(frozen=True)
class Score:
    """Scalarize an observation, teach the model, and report with a Scored event."""

    observation: str


@dataclass(frozen=True)
class Rescore:
    """Scalarize all stored signals anew."""


@dataclass(frozen=True)
class Relearn:
    """Rebuild the model from the stored targets."""


@dataclass(frozen=True)
class Reconfigure:
    """The policy or another part of the spec changed."""


Instruction = LoadFrame | Score | Rescore | Relearn | Reconfigure
Outcome = tuple[Campaign, tuple[Instruction, ...]]


def create(event: Created) -> Campaign:
    """Return the state after the first event."""
    return Campaign(event.campaign_id, event.spec, event.time)


def apply(state: Campaign, event: Event) -> Outcome:
    """Return the state after an event and what must now be carried out."""
    return _HANDLERS[type(event)](state, event)


_FITTED_FOR = {"scalarizer", "is_minimizing", "is_deep_member_disabled"}
"""Fields of the spec that hyperparameters depend on."""


def _updated(state: Campaign, event: Updated) -> Outcome:
    new = replace(state, spec=event.spec)
    if _FITTED_FOR & set(event.changed):
        # What was fitted to the targets of before would mislead a model that is loaded from the journal.
        new = replace(new, hyperparameters={})
    if "scalarizer" in event.changed:
        switched = {i: _switched(o, event.spec.scalarizer.name) for i, o in state.observations.items()}
        return replace(new, observations=switched, data_version=state.data_version + 1), (Rescore(),)
    return new, (Reconfigure(),)


def _switched(o: Observation, scalarizer: str) -> Observation:
    """Return an observation as it stands when the campaign's scalarizer changes, before anything is scored anew."""
    if o.is_amended or o.score_state not in (ScoreState.SCORED, ScoreState.FAILED, ScoreState.PENDING):
        return o
    if o.signal is not None:
        return replace(o, score_state=ScoreState.PENDING)
    maker = o.value_scalarizer or GIVEN
    if maker != scalarizer:
        why = f"the value was made by '{maker}', the scalarizer is now '{scalarizer}', and no raw signal came with it"
        return replace(o, score_state=ScoreState.FAILED, score_message=why)
    # It failed while another scalarizer was in use; now its value is one of the target again.
    return replace(o, score_state=ScoreState.PENDING) if o.score_state is ScoreState.FAILED else o


_NEXT = {
    Control.PAUSE: Status.PAUSED,
    Control.PAUSE_IMMEDIATE: Status.PAUSED,
    Control.RESUME: Status.RUNNING,
    Control.STOP: Status.STOPPED,
    Control.ABORT: Status.ABORTED,
}


def _controlled(state: Campaign, event: Controlled) -> Outcome:
    return replace(state, status=_NEXT[event.action], status_reason=event.reason), ()


def _frame_added(state: Campaign, event: FrameAdded) -> Outcome:
    if state.spec.candidates.kind is CandidateKind.PIXELS:
        candidates = CandidateSet.pixels(event.height, event.width, state.spec.candidates.stride)
    else:
        # The positions lie in a blob; the runtime puts them in place when it loads the frame.
        candidates = CandidateSet(event.n_candidates)
    return replace(state, frame=Frame(event), candidates=candidates, seeds=event.seeds), (LoadFrame(),)


def _frame_revised(state: Campaign, event: FrameRevised) -> Outcome:
    assert state.frame is not None
    total = event.affine.after(state.frame.maps[-1])
    frame = replace(
        state.frame,
        revision=event.revision,
        maps=(*state.frame.maps, total),
        position_std=math.hypot(state.frame.position_std, event.position_std),
    )
    suggestions = dict(state.suggestions)
    for name in state.pending:
        s = suggestions[name]
        at = event.affine
        suggestions[name] = replace(s, y=at.yy * s.y + at.yx * s.x + at.y0, x=at.xy * s.y + at.xx * s.x + at.x0)
    return replace(state, frame=frame, suggestions=suggestions), ()


def _leased(state: Campaign, event: Leased) -> Outcome:
    assert state.frame is not None
    suggestions, pending, last_at = dict(state.suggestions), dict(state.pending), dict(state.last_at)
    for s in event.suggestions:
        suggestions[s.id] = s
        pending[s.id] = s.candidate
        last_at[s.client_id] = state.frame.to_image(s.y, s.x, 0)
    handed = {s.candidate for s in event.suggestions}
    return (
        replace(
            state,
            suggestions=suggestions,
            pending=pending,
            last_at=last_at,
            seeds=tuple(c for c in state.seeds if c not in handed),
            use=state.use.reserve(len(event.suggestions)),
        ),
        (),
    )


def _renewed(state: Campaign, event: Renewed) -> Outcome:
    return state, ()


def _returned(state: Campaign, event: Returned) -> Outcome:
    suggestions, pending = dict(state.suggestions), dict(state.pending)
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
        suggestions[name] = replace(suggestions[name], state=outcome)
    order = {c: i for i, c in enumerate(state.frame.added.seeds if state.frame else ())}
    seeds.sort(key=order.__getitem__)
    return (
        replace(state, suggestions=suggestions, pending=pending, seeds=tuple(seeds), use=state.use.free(n)),
        (),
    )


def _observed(state: Campaign, event: Observed) -> Outcome:
    o = event.observation
    suggestions, pending, use = dict(state.suggestions), dict(state.pending), state.use
    if o.suggestion in pending and not o.is_foreign:
        del pending[o.suggestion]
        use = use.free(1)
    if o.suggestion in suggestions and not o.is_foreign:
        suggestions[o.suggestion] = replace(suggestions[o.suggestion], state=SuggestionState.MEASURED)
    tries, taken = dict(state.tries), state.taken
    cells = {o.candidate} - {-1}
    if o.suggestion in suggestions:
        # The stage may have missed; the candidate that was asked for is answered all the same.
        cells.add(suggestions[o.suggestion].candidate)
    if o.status is ObservationStatus.FAILED:
        for cell in cells:
            tries[cell] = tries.get(cell, 0) + 1
    else:
        taken = taken | cells
    signature = state.signature
    if signature is None and o.signal is not None and o.status is ObservationStatus.COMPLETE:
        signature = Signature(o.signal.dims, o.signal.shape, o.signal.axes)
    new = replace(
        state,
        suggestions=suggestions,
        pending=pending,
        use=use.spend(o.cost_s or o.dwell_s, o.dose),
        observations={**state.observations, o.id: o},
        tries=tries,
        taken=taken,
        doses=_dosed(state.doses, o.candidate, o.dose),
        seeds=tuple(c for c in state.seeds if c not in taken),
        signature=signature,
    )
    return new, (Score(o.id),) if o.score_state is ScoreState.PENDING else ()


def _dosed(doses: Mapping[int, float], candidate: int, dose: float) -> Mapping[int, float]:
    if candidate < 0 or dose == 0:
        return doses
    # What is taken back after an amended position may leave a rounding error below zero.
    return {**doses, candidate: max(0.0, doses.get(candidate, 0.0) + dose)}


def _scored(state: Campaign, event: Scored) -> Outcome:
    o = state.observations[event.observation]
    if o.score_state is not ScoreState.PENDING:
        # Somebody amended or retracted it while it was being scored: what a person says stands.
        return state, ()
    if event.error:
        o = replace(o, score_state=ScoreState.FAILED, score_message=event.error)
    else:
        o = replace(
            o,
            score_state=ScoreState.SCORED,
            target=event.value,
            target_variance=event.variance,
            target_unit=event.unit,
            score_message="",
        )
    return (
        replace(
            state,
            observations={**state.observations, o.id: o},
            data_version=state.data_version + 1,
            target_unit=event.unit or state.target_unit,
        ),
        (),
    )


def _amended(state: Campaign, event: Amended) -> Outcome:
    before = o = state.observations[event.observation]
    taken, doses = state.taken, state.doses
    if event.y is not None and event.x is not None:
        assert state.frame is not None and state.candidates is not None
        y, x = state.frame.to_image(event.y, event.x, o.frame_revision)
        outside = not (0.0 <= y <= 1.0 and 0.0 <= x <= 1.0)
        o = replace(
            o,
            y=event.y,
            x=event.x,
            is_outside=outside,
            candidate=-1 if outside else state.candidates.nearest(y, x),
        )
        doses = _dosed(_dosed(doses, before.candidate, -o.dose), o.candidate, o.dose)
        if o.status is not ObservationStatus.FAILED:
            others = {**state.observations, o.id: o}
            left = {before.candidate} - _answered(state, others.values())
            taken = (taken - left) | ({o.candidate} - {-1})
    if event.value is not None:
        variance = math.nan if event.variance is None else event.variance
        was_retracted = o.score_state is ScoreState.RETRACTED
        o = replace(
            o,
            target=event.value,
            target_variance=variance,
            score_state=o.score_state if was_retracted else ScoreState.SCORED,
            score_message="",
            is_amended=True,
        )
    new = replace(
        state,
        observations={**state.observations, o.id: o},
        taken=taken,
        doses=doses,
        seeds=tuple(c for c in state.seeds if c not in taken),
        data_version=state.data_version + 1,
    )
    return new, (Relearn(),)


def _answered(state: Campaign, observations: Iterable[Observation]) -> set[int]:
    """Return the candidates that observations answer: where they lie, and those that were asked for."""
    usable = [o for o in observations if o.status is not ObservationStatus.FAILED]
    asked = {state.suggestions[o.suggestion].candidate for o in usable if o.suggestion in state.suggestions}
    return asked | {o.candidate for o in usable}


def _retracted(state: Campaign, event: Retracted) -> Outcome:
    o = replace(state.observations[event.observation], score_state=ScoreState.RETRACTED)
    return (
        replace(
            state,
            observations={**state.observations, o.id: o},
            data_version=state.data_version + 1,
        ),
        (Relearn(),),
    )


def _swapped(state: Campaign, event: ModelSwapped) -> Outcome:
    return (
        replace(state, model_version=state.model_version + 1, hyperparameters=event.hyperparameters),
        (),
    )


_HANDLERS: dict[type[Any], Callable[[Campaign, Any], Outcome]] = {
    Updated: _updated,
    Controlled: _controlled,
    FrameAdded: _frame_added,
    FrameRevised: _frame_revised,
    Leased: _leased,
    Renewed: _renewed,
    Returned: _returned,
    Observed: _observed,
    Scored: _scored,
    Amended: _amended,
    Retracted: _retracted,
    ModelSwapped: _swapped,
}
