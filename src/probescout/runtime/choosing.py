"""Draws up suggestions one by one, each past the guard."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.advice import StopAdvice
from probescout.core.leasing import StopReport, shortage, space_filling, violation
from probescout.core.state import Campaign
from probescout.core.suggestions import Source, Suggestion


@dataclass(frozen=True)
class Wish:
    """What a client asks for."""

    count: int
    client_id: str
    deadline: float
    """Monotonic time by which the answer must be there, seconds."""


@dataclass(frozen=True)
class Picks:
    """Chosen points that are not leased yet."""

    suggestions: tuple[Suggestion, ...]
    degraded: tuple[str, ...]
    stop: StopReport | None
    compute_s: float
    advice: tuple[StopAdvice, ...] = ()
    """What the stop rules said, when the model was asked."""


def plan_request(state: Campaign, count: int, client_id: str, chosen: Sequence[int] = ()) -> dict[str, Any]:
    """Return the payload that asks the model for `count` points, beside those `chosen` in the same call."""
    reach = state.spec.limits.max_step
    at = list(state.last_at[client_id]) if client_id in state.last_at else None
    near = [*at, reach] if reach and at is not None else None
    return {
        "count": count,
        "pending": [*state.pending.values(), *chosen],
        "blocked": np.fromiter((*state.blocked, *chosen), dtype=np.int64, count=len(state.blocked) + len(chosen)),
        "ordinal": state.n_suggested + len(chosen),
        "near": near,
        "at": at,
    }


class Chooser:
    """Draws up suggestions for one campaign from the rungs of the ladder."""

    def __init__(self, state: Campaign, mask: NDArray[np.bool_] | None, wish: Wish) -> None:
        """Start with nothing chosen."""
        assert state.candidates is not None and state.frame is not None
        self._state = state
        self._mask = mask
        self._wish = wish
        self._chosen: list[Suggestion] = []
        self.degraded: list[str] = []
        self.advice: tuple[StopAdvice, ...] = ()

    @property
    def missing(self) -> int:
        """How many points are still wanted."""
        return self._wish.count - len(self._chosen)

    @property
    def target_unit(self) -> str:
        """Unit of the target; empty when it has none, or before the first measurement."""
        return self._state.target_unit

    def take(self, candidate: int, source: Source, row: Mapping[str, Any] | None = None) -> str:
        """Choose a candidate unless the guard forbids it; return the guard's words, empty when it is chosen."""
        if any(s.candidate == candidate for s in self._chosen):
            return "it is chosen already"
        refusal = violation(self._state, self._mask, candidate, self._wish.client_id)
        if refusal:
            return refusal
        state, row = self._state, row or {}
        assert state.candidates is not None and state.frame is not None
        y, x = state.frame.to_instrument(*state.candidates.position(candidate))
        ordinal = state.n_suggested + len(self._chosen) + 1
        nan = float("nan")
        suggestion = Suggestion(
            id=f"s{ordinal}",
            frame=state.frame.added.frame,
            y=y,
            x=x,
            candidate=candidate,
            token=secrets.token_hex(8),
            lease_s=state.spec.lease_s,
            source=source,
            client_id=self._wish.client_id,
            mean=row.get("mean", nan),
            std=row.get("std", nan),
            predictive_std=row.get("predictive_std", nan),
            acquisition=row.get("acquisition", nan),
            exploit=row.get("exploit", nan),
            explore=row.get("explore", nan),
            novelty=row.get("novelty", nan),
            policy=row.get("chosen_by", ""),
            model_version=state.model_version,
            data_version=state.data_version,
            ordinal=ordinal,
        )
        self._choose(suggestion)
        return ""

    def _choose(self, suggestion: Suggestion) -> None:
        self._chosen.append(suggestion)
        state = self._state
        if state.spec.limits.max_step or state.spec.motion is not None:
            # The next one moves from here, and one client's steps are chained.
            assert state.candidates is not None
            at = state.candidates.position(suggestion.candidate)
            self._state = replace(state, last_at={**state.last_at, self._wish.client_id: at})

    def take_again(self, suggestions: Iterable[Suggestion]) -> None:
        """Choose those of an earlier choice that the guard still allows, numbered and placed as the state now is."""
        state = self._state
        assert state.candidates is not None and state.frame is not None
        wanted = {p.candidate for p in state.points if not p.suggestion}
        for s in suggestions:
            if s.source is Source.OPERATOR and s.candidate not in wanted:
                # Withdrawn while the others were chosen.
                continue
            if self.missing and not violation(self._state, self._mask, s.candidate, self._wish.client_id):
                y, x = state.frame.to_instrument(*state.candidates.position(s.candidate))
                # A gap in the numbers would give the next suggestion an id that is taken.
                ordinal = state.n_suggested + len(self._chosen) + 1
                self._choose(replace(s, id=f"s{ordinal}", ordinal=ordinal, y=y, x=x))

    @property
    def chosen(self) -> tuple[Suggestion, ...]:
        """What was chosen so far."""
        return tuple(self._chosen)

    def plan_request(self) -> dict[str, Any]:
        """Return the payload that asks the model for what is missing."""
        chosen = [s.candidate for s in self._chosen]
        return plan_request(self._state, self.missing, self._wish.client_id, chosen)

    def take_points(self) -> None:
        """Choose what people asked for, in order; what this client may not reach now waits, and the answer says so."""
        n, first = 0, ""
        for point in self._state.points:
            if self.missing == 0:
                break
            refusal = "" if point.suggestion else self.take(point.candidate, Source.OPERATOR)
            if refusal:
                n, first = n + 1, first or f"point '{point.id}' that was asked for waits: {refusal}"
        if n:
            # One reason for all: it is kept with every lease.
            self.degraded.append(first if n == 1 else f"{n:,} points wait; the first, {first}")

    def take_seeds(self) -> None:
        """Choose what is left of the seed design, in order."""
        for candidate in self._state.seeds:
            if self.missing == 0:
                return
            self.take(candidate, Source.SEED_DESIGN)

    def take_rows(self, rows: Iterable[Mapping[str, Any]], source: Source) -> None:
        """Choose from rows that the model described."""
        for row in rows:
            if self.missing == 0:
                return
            refusal = self.take(int(row["candidate"]), source, row)
            if refusal and source is Source.PLANNER:
                self.degraded.append(f"the guard refused the policy's point: {refusal}")

    def fill_space(self) -> None:
        """Choose evenly spread points without a model."""
        is_found = True
        while self.missing and is_found:
            is_found = False
            for candidate in space_filling(self._state, self._mask, self._wish.client_id):
                is_found |= not self.take(candidate, Source.FALLBACK)
                # With a step limit what may follow depends on where this one is, so that the filling starts anew.
                if not self.missing or (is_found and self._state.spec.limits.max_step):
                    break

    def finish(self, compute_s: float) -> Picks:
        """Return what was chosen, with the reason when it is too little."""
        reasons = tuple(dict.fromkeys(self.degraded))
        best = (Source.OPERATOR, Source.PLANNER, Source.SEED_DESIGN)
        chosen = tuple(s if s.source in best else replace(s, degraded=s.degraded or reasons) for s in self._chosen)
        return Picks(chosen, reasons, self._shortage(), compute_s, self.advice)

    def _shortage(self) -> StopReport | None:
        if self.missing == 0:
            return None
        return shortage(self._state, self._mask, self._wish.client_id, [s.candidate for s in self._chosen])
