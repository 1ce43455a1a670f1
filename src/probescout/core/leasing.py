"""Who may get which point: stop reports, the guard that runs last, and the points that need no model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, NotFound, Reason, WrongState
from probescout.core.geometry import Position, distance
from probescout.core.regions import allowed, is_allowed
from probescout.core.specs import CampaignSpec, Limits, SeedKind
from probescout.core.standing import TOLERANCE, Standing, has_dose_left
from probescout.core.state import Campaign, Status
from probescout.core.suggestions import Suggestion, SuggestionState

BoolArray = NDArray[np.bool_]


class StopCause(StrEnum):
    """Why no more suggestions came."""

    BUDGET_PROBES = "budget_probes"
    BUDGET_SECONDS = "budget_seconds"
    BUDGET_DOSE = "budget_dose"
    NO_CANDIDATES = "no_candidates"
    PAUSED = "paused"
    STOPPED = "stopped"
    ABORTED = "aborted"
    RATE = "rate"
    MAX_STEP = "max_step"


@dataclass(frozen=True)
class StopReport:
    """Why fewer suggestions came than were asked for; not an error."""

    cause: StopCause
    message: str
    is_final: bool
    retry_after_s: float = 0.0


def status_stop(state: Campaign) -> StopReport | None:
    """Return why a campaign hands out nothing in its present status; None while it runs."""
    why = f": {state.status_reason}" if state.status_reason else ""
    if state.status is Status.PAUSED:
        return StopReport(StopCause.PAUSED, f"paused{why}; waits for RESUME", False, 1.0)
    if state.status is Status.STOPPED:
        return StopReport(StopCause.STOPPED, f"stopped{why}", True)
    if state.status is Status.ABORTED:
        return StopReport(StopCause.ABORTED, f"aborted{why}", True)
    return None


def budget_stop(state: Campaign) -> tuple[int | None, StopReport | None]:
    """Return how many leases the budgets still allow (None: any) and the report when that is none."""
    room, name = state.use.room(state.spec.budget)
    if room is None or room > 0:
        return room, None
    cap = getattr(state.spec.budget, name)
    unit = {"probes": "probes", "seconds": "s", "dose": state.spec.dose_unit}[name]
    if state.pending:
        return 0, StopReport(
            StopCause(f"budget_{name}"),
            f"the budget of {cap:g} {unit} is spent or reserved by {len(state.pending)} open leases; "
            "tell or release them, or ask again when they have ended",
            False,
            1.0,
        )
    return 0, StopReport(
        StopCause(f"budget_{name}"),
        f"the budget of {cap:g} {unit} has no room for another probe; raise spec.budget.{name} with UpdateCampaign "
        "to go on",
        True,
    )


def budget_shortage(state: Campaign, wanted: int, given: int) -> StopReport:
    """Return the report for fewer suggestions than wanted because the budget holds no more."""
    _, name = state.use.room(state.spec.budget)
    return StopReport(
        StopCause(f"budget_{name}"),
        f"{given} of {wanted} suggestions: the budget of {name} has room for no more; measure these first",
        False,
        1.0,
    )


def shortage(state: Campaign, mask: BoolArray | None, client_id: str, chosen: Sequence[int] = ()) -> StopReport:
    """Return why no candidate is left for a client, from what really blocks; final when waiting does not help.

    Args:
        state: The campaign.
        mask: (y, x) where probing is allowed; None: everywhere.
        client_id: Who asks.
        chosen: Candidates that are leased in the same call.
    """
    limits, at = state.spec.limits, Standing.of(state, mask, client_id)
    rest = at.may_be_probed
    if not rest.any():
        return StopReport(StopCause.NO_CANDIDATES, _why_nothing_is_left(at, limits, state.use.dose_per_probe), True)
    if not (rest & at.is_near).any():
        return StopReport(
            StopCause.MAX_STEP,
            f"no free candidate lies within max_step {limits.max_step:g} of the last point; raise it with "
            "UpdateCampaign",
            True,
        )
    is_leased = at.is_leased.copy()
    is_leased[list(chosen)] = True
    if (rest & ~at.is_near & ~is_leased).any():
        return StopReport(
            StopCause.MAX_STEP,
            f"every free candidate within max_step {limits.max_step:g} of the last point is leased; tell or release "
            "them, or raise it with UpdateCampaign",
            False,
            1.0,
        )
    return StopReport(StopCause.NO_CANDIDATES, "every free candidate is leased; tell or release them", False, 1.0)


def _why_nothing_is_left(at: Standing, limits: Limits, expected: float) -> str:
    if not at.is_allowed.any():
        return "the limits and the mask leave no candidate; widen spec.limits with UpdateCampaign"
    left = at.is_allowed & ~at.is_done
    if not left.any():
        return "every allowed candidate is measured"
    if not (left & at.is_inside).any():
        return f"every candidate that is left ({left.sum()}) has drifted out of the frame; bring the sample back"
    return (
        f"dose_per_area {limits.dose_per_area:g} forbids a further probe of up to {expected:g} on every candidate that "
        f"is left ({(left & at.is_inside).sum()}); raise spec.limits.dose_per_area with UpdateCampaign"
    )


def violation(state: Campaign, mask: BoolArray | None, candidate: int, client_id: str) -> str:
    """Return which hard limit a candidate would break; empty when it breaks none.

    The guard: it runs after every planner, on plain numbers, and nothing overrides it.
    """
    if state.candidates is None or state.frame is None:
        return "the campaign has no frame"
    if not 0 <= candidate < state.candidates.n:
        return f"candidate {candidate} does not exist; there are {state.candidates.n}"
    refusal = standing_violation(state, mask, candidate)
    if refusal:
        return refusal
    limits = state.spec.limits
    if limits.max_step and client_id in state.last_at:
        step = distance(Position(*state.last_at[client_id]), Position(*state.candidates.position(candidate)))
        if step > limits.max_step * TOLERANCE:
            return f"a move of {step:.4g} of the frame diagonal is longer than max_step {limits.max_step:g}"
    return ""


def standing_violation(state: Campaign, mask: BoolArray | None, candidate: int) -> str:
    """Return which limit a candidate would break whoever measures it; empty when it breaks none."""
    assert state.candidates is not None
    if candidate in state.blocked:
        return f"candidate {candidate} is measured, pending or infeasible"
    refusal = place_violation(state, mask, candidate)
    if refusal:
        return refusal
    limits = state.spec.limits
    dose, expected = state.doses.get(candidate, 0.0), state.use.dose_per_probe
    if not has_dose_left(limits, dose, expected):
        return (
            f"the pixel has had a dose of {dose:g} and a probe costs up to {expected:g}; dose_per_area allows "
            f"{limits.dose_per_area:g}"
        )
    return ""


def place_violation(state: Campaign, mask: BoolArray | None, candidate: int) -> str:
    """Return why the place of a candidate may not be probed by anybody; empty when it may."""
    assert state.candidates is not None and state.frame is not None
    y, x = state.candidates.position(candidate)
    if not is_allowed(state.spec.limits, mask, y, x):
        return f"position ({y:.6g}, {x:.6g}) is outside the allowed region"
    if not Position(*state.frame.to_instrument(y, x)).is_inside:
        return f"position ({y:.6g}, {x:.6g}) has drifted out of the frame"
    return ""


def space_filling(state: Campaign, mask: BoolArray | None, client_id: str) -> Iterator[int]:
    """Yield candidates that fill the frame evenly, for when no model answers; the guard must still look at each.

    First a Halton sequence (Halton 1960, bases 2 and 3) shifted by the campaign's seed and continued where the
    campaign stands, then every open candidate in turn, so that one is found whenever there is one.
    """
    assert state.candidates is not None
    n = state.candidates.n
    rng = np.random.default_rng([state.spec.seed, 1])
    dy, dx = rng.random(2)
    start = state.n_suggested + 1
    for i in range(start, start + 256):
        yield state.candidates.nearest((_radical_inverse(i, 2) + dy) % 1.0, (_radical_inverse(i, 3) + dx) % 1.0)
    free = np.flatnonzero(Standing.of(state, mask, client_id).is_open)
    yield from (int(c) for c in np.roll(free, -int(np.searchsorted(free, rng.integers(n)))))


def _radical_inverse(i: int, base: int) -> float:
    result, scale = 0.0, 1.0
    while i:
        scale /= base
        result += scale * (i % base)
        i //= base
    return result


def seed_candidates(spec: CampaignSpec, positions: NDArray[np.float64], mask: BoolArray | None) -> tuple[int, ...]:
    """Return the candidates of the seed design, in order, all allowed and different.

    Args:
        spec: The campaign's spec.
        positions: (candidate, 2) fractional (y, x).
        mask: (y, x) where probing is allowed; None: everywhere.

    Raises:
        InvalidInput: FIELD_INVALID when a given seed is not allowed, or no candidate is.
    """
    ok = allowed(spec.limits, mask, positions)
    if not ok.any():
        raise InvalidInput(
            Reason.FIELD_INVALID,
            "the limits and the mask leave no candidate; widen the allowed region",
            field="spec.limits",
        )
    design = spec.seed_design
    free = np.flatnonzero(ok)
    if design.kind is SeedKind.GIVEN:
        return _given(spec, positions, ok)
    count = min(design.count, free.size)
    if design.kind is SeedKind.RANDOM:
        rng = np.random.default_rng([spec.seed, 0])
        return tuple(int(c) for c in rng.choice(free, size=count, replace=False))
    side = max(1, int(np.ceil(np.sqrt(count))))
    ticks = (np.arange(side) + 0.5) / side
    chosen: list[int] = []
    for y in ticks:
        for x in ticks:
            gaps = np.sum((positions[free] - [y, x]) ** 2, axis=1)
            gaps[np.isin(free, chosen)] = np.inf
            if len(chosen) < count:
                chosen.append(int(free[np.argmin(gaps)]))
    return tuple(chosen)


def _given(spec: CampaignSpec, positions: NDArray[np.float64], ok: BoolArray) -> tuple[int, ...]:
    chosen: dict[int, None] = {}
    for i, p in enumerate(spec.seed_design.positions):
        index = int(np.argmin(np.sum((positions - [p.y, p.x]) ** 2, axis=1)))
        if not ok[index]:
            raise InvalidInput(
                Reason.FIELD_INVALID,
                f"seed position ({p.y:g}, {p.x:g}) is not in the allowed region",
                field=f"spec.seed_design.positions[{i}]",
            )
        chosen[index] = None
    return tuple(chosen)


def held_leases(state: Campaign, names: tuple[str, ...], tokens: tuple[str, ...]) -> tuple[Suggestion, ...]:
    """Return the open leases of these names, proven by their tokens.

    Raises:
        InvalidInput: FIELD_INVALID when there are not as many tokens as names.
        NotFound: SUGGESTION_NOT_FOUND.
        WrongState: LEASE_STALE when a lease has ended or the token is another's.
    """
    if len(names) != len(tokens) or not names:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"{len(names)} names and {len(tokens)} lease tokens; give one token a name, at least one",
            field="lease_tokens",
        )
    held = []
    for i, (name, token) in enumerate(zip(names, tokens, strict=True)):
        s = state.suggestions.get(name)
        if s is None:
            raise NotFound(
                Reason.SUGGESTION_NOT_FOUND, f"campaign '{state.id}' has no suggestion '{name}'", field=f"names[{i}]"
            )
        if s.state is not SuggestionState.PENDING or token != s.token:
            what = "was given to another client" if s.state is SuggestionState.PENDING else f"is {s.state}"
            raise WrongState(
                Reason.LEASE_STALE,
                f"the lease of '{name}' {what}; data measured there are still welcome with Tell, then ask for a new "
                "suggestion",
                field=f"lease_tokens[{i}]",
            )
        held.append(s)
    return tuple(held)
