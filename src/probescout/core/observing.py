"""What measurements do to a campaign: the part of the machine in `campaign` that deals with them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from probescout.core.events import Amended, Observed, Retracted, Scored
from probescout.core.growing import put
from probescout.core.instructions import Outcome, Relearn, Score
from probescout.core.observations import Observation, ObservationStatus, ScoreState
from probescout.core.revising import revised
from probescout.core.specs import GIVEN
from probescout.core.state import Campaign, Signature
from probescout.core.suggestions import OperatorPoint, PointLine, SuggestionState


def switched(o: Observation, scalarizer: str) -> Observation:
    """Return an observation as it stands when the campaign's scalarizer changes, before anything is scored anew."""
    if o.is_amended or o.score_state not in (ScoreState.SCORED, ScoreState.FAILED, ScoreState.PENDING):
        return o
    if o.signal is not None:
        return revised(o, score_state=ScoreState.PENDING)
    maker = o.value_scalarizer or GIVEN
    if maker != scalarizer:
        why = f"the value was made by '{maker}', the scalarizer is now '{scalarizer}', and no raw signal came with it"
        return revised(o, score_state=ScoreState.FAILED, score_message=why)
    # It failed while another scalarizer was in use; now its value is one of the target again.
    return revised(o, score_state=ScoreState.PENDING) if o.score_state is ScoreState.FAILED else o


def observed(state: Campaign, event: Observed) -> Outcome:
    """A measurement arrived: keep it, settle its lease and its cost, and have it scored."""
    o = event.observation
    suggestions, pending, use = state.suggestions, dict(state.pending), state.use
    if o.suggestion in pending and not o.is_foreign:
        del pending[o.suggestion]
        use = use.free(1)
    if o.suggestion in suggestions and not o.is_foreign:
        measured = revised(suggestions[o.suggestion], state=SuggestionState.MEASURED)
        suggestions = put(suggestions, {o.suggestion: measured})
    tries, taken = state.tries, state.taken
    cells = {o.candidate} - {-1}
    if o.suggestion in suggestions:
        # The stage may have missed; the candidate that was asked for is answered all the same.
        cells.add(suggestions[o.suggestion].candidate)
    if o.status is ObservationStatus.FAILED:
        tries = put(tries, {cell: tries.get(cell, 0) + 1 for cell in cells})
    else:
        taken = taken.adding(cells)
    points = state.points
    if not points.candidates.isdisjoint(cells):
        # The lease of a point is for its candidate, which is among these.
        points = PointLine(p for p in points if p.candidate not in taken and not _is_answered(p, o))
    signature = state.signature
    if signature is None and o.signal is not None and o.status is ObservationStatus.COMPLETE:
        signature = Signature(o.signal.dims, o.signal.shape, o.signal.axes)
    new = revised(
        state,
        suggestions=suggestions,
        pending=pending,
        use=use.spend(o.cost_s or o.dwell_s, o.dose),
        observations=put(state.observations, {o.id: o}),
        tries=tries,
        taken=taken,
        doses=_dosed(state.doses, o.candidate, o.dose),
        seeds=tuple(c for c in state.seeds if c not in taken),
        points=points,
        signature=signature,
    )
    return new, (Score(o.id),) if o.score_state is ScoreState.PENDING else ()


def _is_answered(point: OperatorPoint, o: Observation) -> bool:
    """Return whether the lease that a point was handed out with has been told, failed or not."""
    return bool(point.suggestion) and point.suggestion == o.suggestion and not o.is_foreign


def _dosed(doses: Mapping[int, float], candidate: int, dose: float) -> Mapping[int, float]:
    if candidate < 0 or dose == 0:
        return doses
    # What is taken back after an amended position may leave a rounding error below zero.
    return put(doses, {candidate: max(0.0, doses.get(candidate, 0.0) + dose)})


def scored(state: Campaign, event: Scored) -> Outcome:
    """A score came: it counts unless a person has spoken meanwhile, of the first target only."""
    o = state.observations[event.observation]
    if o.score_state is not ScoreState.PENDING:
        # Somebody amended or retracted it while it was being scored: what a person says stands.
        if o.further or not event.further:
            return state, ()
        kept = put(state.observations, {o.id: revised(o, further=event.further)})
        return revised(state, observations=kept, data_version=state.data_version + 1), (Relearn(),)
    o = revised(o, further=event.further)
    if event.error:
        o = revised(o, score_state=ScoreState.FAILED, score_message=event.error)
    else:
        o = revised(
            o,
            score_state=ScoreState.SCORED,
            target=event.value,
            target_variance=event.variance,
            target_unit=event.unit,
            score_message="",
        )
    return (
        revised(
            state,
            observations=put(state.observations, {o.id: o}),
            data_version=state.data_version + 1,
            target_unit=event.unit or state.target_unit,
        ),
        (),
    )


def amended(state: Campaign, event: Amended) -> Outcome:
    """A person corrected a measurement: have the model learn anew."""
    before = o = state.observations[event.observation]
    taken, doses = state.taken, state.doses
    if event.y is not None and event.x is not None:
        assert state.frame is not None and state.candidates is not None
        y, x = state.frame.to_image(event.y, event.x, o.frame_revision)
        outside = not (0.0 <= y <= 1.0 and 0.0 <= x <= 1.0)
        o = revised(
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
            taken = taken.without(left).adding({o.candidate} - {-1})
    if event.value is not None:
        variance = math.nan if event.variance is None else event.variance
        was_retracted = o.score_state is ScoreState.RETRACTED
        o = revised(
            o,
            target=event.value,
            target_variance=variance,
            score_state=o.score_state if was_retracted else ScoreState.SCORED,
            score_message="",
            is_amended=True,
        )
    new = revised(
        state,
        observations=put(state.observations, {o.id: o}),
        taken=taken,
        doses=doses,
        seeds=tuple(c for c in state.seeds if c not in taken),
        points=PointLine(p for p in state.points if p.candidate not in taken),
        data_version=state.data_version + 1,
    )
    return new, (Relearn(),)


def _answered(state: Campaign, observations: Iterable[Observation]) -> set[int]:
    """Return the candidates that observations answer: where they lie, and those that were asked for."""
    usable = [o for o in observations if o.status is not ObservationStatus.FAILED]
    asked = {state.suggestions[o.suggestion].candidate for o in usable if o.suggestion in state.suggestions}
    return asked | {o.candidate for o in usable}


def retracted(state: Campaign, event: Retracted) -> Outcome:
    """A measurement was withdrawn: have the model learn anew without it."""
    o = revised(state.observations[event.observation], score_state=ScoreState.RETRACTED)
    return (
        revised(
            state,
            observations=put(state.observations, {o.id: o}),
            data_version=state.data_version + 1,
        ),
        (Relearn(),),
    )
