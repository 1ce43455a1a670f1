"""What a person or client may change in a campaign, and the events that it takes."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from probescout.core.campaign import apply
from probescout.core.errors import InvalidInput, NotFound, Reason, WrongState
from probescout.core.events import Amended, Control, Controlled, Event, FrameRevised, Retracted, Returned, Updated
from probescout.core.geometry import Affine
from probescout.core.leasing import place_violation
from probescout.core.observations import Observation, ObservationStatus
from probescout.core.specs import UPDATABLE, CampaignSpec, check_spec
from probescout.core.spectra import LARGEST_VALUE
from probescout.core.state import Campaign, Status


def control(state: Campaign, action: Control, reason: str) -> list[Event]:
    """Return the events of a pause, resume, stop or abort; none when nothing would change.

    Raises:
        WrongState: CAMPAIGN_ENDED when a stopped or aborted campaign is to be paused or resumed.
    """
    ended = state.status in (Status.STOPPED, Status.ABORTED)
    if ended and action not in (Control.STOP, Control.ABORT):
        raise WrongState(
            Reason.CAMPAIGN_ENDED,
            f"campaign '{state.id}' is {state.status}; it cannot be paused or resumed. Start another campaign to go on",
            field="action",
        )
    if state.status is Status.ABORTED or (state.status is Status.STOPPED and action is Control.STOP):
        return []
    events: list[Event] = [Controlled(action, reason)]
    if action in (Control.PAUSE_IMMEDIATE, Control.ABORT) and state.pending:
        events.append(Returned(tuple(state.pending), reason=reason or str(action)))
    return events


def update(
    state: Campaign,
    new: CampaignSpec,
    mask: Sequence[str],
    etag: str,
    reason: str,
    probing: NDArray[np.bool_] | None = None,
) -> tuple[Updated, *tuple[Returned, ...]]:
    """Return the events that take the masked fields of a new spec, and the leases that it forbids.

    Args:
        state: The campaign.
        new: Holds the new values.
        mask: Names of the fields to take.
        etag: Of the spec that the caller has seen.
        reason: Kept in the journal.
        probing: (y, x) where probing is allowed by the frame's mask; None: everywhere.

    Raises:
        WrongState: ETAG_MISMATCH when somebody else changed the campaign meanwhile.
        InvalidInput: A field is unknown, fixed or invalid.
    """
    if etag != state.spec.etag:
        raise WrongState(
            Reason.ETAG_MISMATCH,
            f"etag '{etag}' is stale; the campaign has '{state.spec.etag}'. Read it with GetCampaign, look at what "
            "changed, and send the update again with the new etag",
            field="etag",
        )
    if not mask:
        raise InvalidInput(Reason.FIELD_MISSING, "name the fields to change, for example 'policy'", field="update_mask")
    for i, name in enumerate(mask):
        if name not in UPDATABLE:
            near = difflib.get_close_matches(name, UPDATABLE, n=1)
            hint = f"did you mean '{near[0]}'? " if near else ""
            raise InvalidInput(
                Reason.FIELD_INVALID,
                f"'{name}' cannot be changed; {hint}these can: {', '.join(sorted(UPDATABLE))}",
                field=f"update_mask[{i}]",
            )
    spec = replace(state.spec, **{name: getattr(new, name) for name in mask})
    check_spec(spec)
    changed = tuple(name for name in mask if getattr(spec, name) != getattr(state.spec, name))
    forbidden = _forbidden_leases(replace(state, spec=spec), probing) if "limits" in changed else ()
    return Updated(spec, changed, reason), *forbidden


def revise_frame(
    state: Campaign,
    frame: str,
    affine: Affine,
    covariance: Sequence[float],
    reason: str,
    probing: NDArray[np.bool_] | None = None,
) -> tuple[FrameRevised, *tuple[Returned, ...]]:
    """Return the event of a new frame revision, and the leases that drifted out of reach with it.

    Args:
        state: The campaign.
        frame: Id of the frame.
        affine: From the previous revision, in fractions.
        covariance: 2 x 2 of the shift (y, x), row by row, fractions squared; empty when unknown.
        reason: Kept in the journal.
        probing: (y, x) where probing is allowed by the frame's mask; None: everywhere.

    Raises:
        WrongState: NO_FRAME.
        NotFound: FRAME_NOT_FOUND.
        InvalidInput: The map cannot be undone, or the covariance is not one.
    """
    if state.frame is None:
        raise WrongState(Reason.NO_FRAME, f"campaign '{state.id}' has no frame yet; call AddFrame first")
    if frame != state.frame.added.frame:
        raise NotFound(
            Reason.FRAME_NOT_FOUND,
            f"campaign '{state.id}' has no frame '{frame}'; its frame is '{state.frame.added.frame}'",
            field="name",
        )
    affine.inverse()
    # Many small shrinkings add up: what they make together must be reversible too, or no later data could be placed.
    affine.after(state.frame.maps[-1]).inverse()
    std = 0.0
    if covariance:
        if len(covariance) != 4 or not all(math.isfinite(c) for c in covariance):
            raise InvalidInput(
                Reason.FIELD_INVALID, "give 4 finite numbers: var y, cov, cov, var x", field="covariance"
            )
        var_y, cov, cov2, var_x = covariance
        if var_y < 0 or var_x < 0 or cov != cov2 or cov * cov > var_y * var_x * (1 + 1e-9):
            raise InvalidInput(Reason.FIELD_INVALID, "the covariance is not symmetric and positive", field="covariance")
        std = math.sqrt((var_y + var_x) / 2)
    revised = FrameRevised(state.frame.added.frame, state.frame.revision + 1, affine, std, reason)
    return revised, *_forbidden_leases(apply(state, revised)[0], probing)


def _forbidden_leases(state: Campaign, probing: NDArray[np.bool_] | None) -> tuple[Returned, ...]:
    """Return the events that end the open leases which no longer may be measured, by why they may not."""
    names: dict[str, list[str]] = {}
    for name, candidate in state.pending.items():
        refusal = place_violation(state, probing, candidate)
        if refusal:
            names.setdefault(refusal, []).append(name)
    return tuple(Returned(tuple(n), reason=refusal) for refusal, n in names.items())


def find_observation(state: Campaign, name: str) -> Observation:
    """Return an observation by id.

    Raises:
        NotFound: OBSERVATION_NOT_FOUND.
    """
    found = state.observations.get(name)
    if found is None:
        raise NotFound(Reason.OBSERVATION_NOT_FOUND, f"campaign '{state.id}' has no observation '{name}'", field="name")
    return found


def amend(state: Campaign, change: Amended) -> Amended:
    """Return the checked event of a correction.

    Raises:
        NotFound: OBSERVATION_NOT_FOUND.
        InvalidInput: Nothing to change, no reason, a number that is not finite, or a value for a measurement that
            there was not.
    """
    o = find_observation(state, change.observation)
    _need_reason(change.reason)
    if (change.y is None) != (change.x is None):
        raise InvalidInput(Reason.FIELD_MISSING, "give both y and x of the corrected position", field="measured_at")
    if change.y is None and change.value is None:
        raise InvalidInput(Reason.FIELD_MISSING, "give measured_at or a value to change", field="measured_at")
    for name in ("y", "x", "value"):
        number = getattr(change, name)
        if number is not None and not math.isfinite(number):
            raise InvalidInput(Reason.NON_FINITE, f"{name} is {number}; give a finite number", field=name)
    if change.value is not None and o.status in (ObservationStatus.FAILED, ObservationStatus.INFEASIBLE):
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"observation '{o.id}' is {o.status}: nothing was measured, so that it has no value to correct; tell what "
            "was measured as a new observation",
            field="value",
        )
    if change.value is not None and abs(change.value) > LARGEST_VALUE:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"value {change.value:g}; give at most {LARGEST_VALUE:g}, or withdraw the observation",
            field="value",
        )
    variance = change.variance
    if variance is not None and not (math.isnan(variance) or 0 <= variance < math.inf):
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"variance is {variance}; give a number >= 0, or NaN when it is unknown",
            field="value_variance",
        )
    return change


def retract(state: Campaign, name: str, reason: str) -> Retracted:
    """Return the checked event of a withdrawal.

    Raises:
        NotFound: OBSERVATION_NOT_FOUND.
        InvalidInput: FIELD_MISSING without a reason.
    """
    find_observation(state, name)
    _need_reason(reason)
    return Retracted(name, reason)


def _need_reason(reason: str) -> None:
    if not reason.strip():
        raise InvalidInput(
            Reason.FIELD_MISSING, "say why: the words are kept in the journal for those who read it", field="reason"
        )
