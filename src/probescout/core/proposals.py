"""Points that people want measured: what may be asked for, and what becomes of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, NotFound, Reason, WrongState
from probescout.core.events import PointsProposed, PointsWithdrawn
from probescout.core.geometry import Position
from probescout.core.instructions import Outcome
from probescout.core.leasing import standing_violation
from probescout.core.revising import revised
from probescout.core.specs import MAX_COUNT
from probescout.core.state import Campaign, Status
from probescout.core.suggestions import OperatorPoint, PointLine

MAX_WAITING = 1024
"""Most points that wait at once."""


def propose(
    state: Campaign,
    positions: Sequence[Position],
    note: str,
    is_urgent: bool,
    time: float,
    probing: NDArray[np.bool_] | None = None,
) -> PointsProposed:
    """Return the event of points that a person wants measured; all of them, or none.

    The step limit is left for later: it depends on the client that asks, and on where its probe then is.

    Args:
        state: The campaign.
        positions: Fractions, in the newest frame revision.
        note: Kept in the journal.
        is_urgent: Whether they come before the points that wait already.
        time: Seconds since 1970 UTC.
        probing: (y, x) where probing is allowed by the frame's mask; None: everywhere.

    Raises:
        WrongState: NO_FRAME, or CAMPAIGN_ENDED.
        InvalidInput: FIELD_MISSING, NON_FINITE or FIELD_INVALID with the position that cannot be measured.
    """
    if state.frame is None or state.candidates is None:
        raise WrongState(Reason.NO_FRAME, f"campaign '{state.id}' has no frame yet; call AddFrame first")
    if state.status in (Status.STOPPED, Status.ABORTED):
        raise WrongState(
            Reason.CAMPAIGN_ENDED,
            f"campaign '{state.id}' is {state.status}; it takes no more points: start another",
        )
    if not positions:
        raise InvalidInput(Reason.FIELD_MISSING, f"give 1 to {MAX_COUNT} positions", field="positions")
    if len(positions) > MAX_COUNT or len(state.points) + len(positions) > MAX_WAITING:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"{len(positions)} positions beside {len(state.points)} that wait; give at most {MAX_COUNT} at once, and "
            f"at most {MAX_WAITING} may wait: withdraw some with WithdrawPoints",
            field="positions",
        )
    known = {p.candidate: f"asked for already, as point '{p.id}'" for p in state.points}
    points = []
    for i, position in enumerate(positions):
        candidate = _candidate(state, position, f"positions[{i}]")
        refusal = known.get(candidate) or standing_violation(state, probing, candidate)
        if refusal:
            raise InvalidInput(
                Reason.FIELD_INVALID,
                f"({position.y:.6g}, {position.x:.6g}) cannot be proposed: {refusal}",
                field=f"positions[{i}]",
            )
        known[candidate] = f"given twice, first as positions[{i}]"
        points.append(OperatorPoint(f"p{state.n_proposed + i + 1}", candidate, note, is_urgent, time))
    return PointsProposed(tuple(points))


def _candidate(state: Campaign, position: Position, field: str) -> int:
    assert state.frame is not None and state.candidates is not None
    if not (math.isfinite(position.y) and math.isfinite(position.x)):
        raise InvalidInput(
            Reason.NON_FINITE, f"position ({position.y}, {position.x}); give finite fractions", field=field
        )
    y, x = state.frame.to_image(position.y, position.x, 0)
    if not (position.is_inside and Position(y, x).is_inside):
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"({position.y:.6g}, {position.x:.6g}) is outside the frame; give fractions from 0 to 1",
            field=field,
        )
    return state.candidates.nearest(y, x)


def withdraw(state: Campaign, names: Sequence[str], reason: str) -> PointsWithdrawn:
    """Return the event that takes points back.

    Raises:
        InvalidInput: FIELD_MISSING when none is named.
        NotFound: POINT_NOT_FOUND when one is measured, withdrawn or was never asked for.
    """
    if not names:
        raise InvalidInput(Reason.FIELD_MISSING, "name the points to withdraw", field="names")
    known = {p.id for p in state.points}
    for i, name in enumerate(names):
        if name not in known:
            raise NotFound(
                Reason.POINT_NOT_FOUND,
                f"campaign '{state.id}' has no point '{name}' that is still to be measured; GetCampaign lists them",
                field=f"names[{i}]",
            )
    return PointsWithdrawn(tuple(dict.fromkeys(names)), reason)


def proposed(state: Campaign, event: PointsProposed) -> Outcome:
    """Put the points in line: urgent ones before all that wait, others behind."""
    urgent = tuple(p for p in event.points if p.is_urgent)
    others = tuple(p for p in event.points if not p.is_urgent)
    points = PointLine((*urgent, *state.points, *others))
    return revised(state, points=points, n_proposed=state.n_proposed + len(event.points)), ()


def withdrawn(state: Campaign, event: PointsWithdrawn) -> Outcome:
    """Forget the points; a lease that one was handed out with stays with its holder."""
    gone = set(event.points)
    return revised(state, points=PointLine(p for p in state.points if p.id not in gone)), ()
