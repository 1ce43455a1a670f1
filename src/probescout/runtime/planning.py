"""Chooses the next points of a campaign, and degrades rather than be late.

The ladder: seed design, exact posterior of the present model, positions that the model kept ready, space-filling rule.
Every rung passes the same guard, and every answer below the second says why in `degraded`.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import ProbescoutError
from probescout.core.leasing import (
    StopCause,
    StopReport,
    budget_shortage,
    budget_stop,
    shortage,
    space_filling,
    status_stop,
    violation,
)
from probescout.core.state import Campaign
from probescout.core.suggestions import Source, Suggestion
from probescout.runtime.child import Reply
from probescout.runtime.modeller import Modeller


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


def plan_request(state: Campaign, count: int, client_id: str, chosen: Sequence[int] = ()) -> dict[str, Any]:
    """Return the payload that asks the model for `count` points, beside those `chosen` in the same call."""
    reach = state.spec.limits.max_step
    near = None
    if reach and client_id in state.last_at:
        y, x = state.last_at[client_id]
        near = [y, x, reach]
    return {
        "count": count,
        "pending": [*state.pending.values(), *chosen],
        "blocked": np.fromiter((*state.blocked, *chosen), dtype=np.int64, count=len(state.blocked) + len(chosen)),
        "ordinal": state.n_suggested + len(chosen),
        "near": near,
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

    @property
    def missing(self) -> int:
        """How many points are still wanted."""
        return self._wish.count - len(self._chosen)

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
            model_version=state.model_version,
            data_version=state.data_version,
            ordinal=ordinal,
        )
        self._choose(suggestion)
        return ""

    def _choose(self, suggestion: Suggestion) -> None:
        self._chosen.append(suggestion)
        state = self._state
        if state.spec.limits.max_step:
            # The next one moves from here, and one client's steps are chained.
            assert state.candidates is not None
            at = state.candidates.position(suggestion.candidate)
            self._state = replace(state, last_at={**state.last_at, self._wish.client_id: at})

    def take_again(self, suggestions: Iterable[Suggestion]) -> None:
        """Choose those of an earlier choice that the guard still allows, numbered and placed as the state now is."""
        state = self._state
        assert state.candidates is not None and state.frame is not None
        for s in suggestions:
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
        chosen = tuple(
            s if s.source in (Source.PLANNER, Source.SEED_DESIGN) else replace(s, degraded=s.degraded or reasons)
            for s in self._chosen
        )
        return Picks(chosen, reasons, self._shortage(), compute_s)

    def _shortage(self) -> StopReport | None:
        if self.missing == 0:
            return None
        return shortage(self._state, self._mask, self._wish.client_id, [s.candidate for s in self._chosen])


async def choose(
    state: Campaign, mask: NDArray[np.bool_] | None, wish: Wish, modeller: Modeller, asked: Reply | None
) -> Picks:
    """Return points for a wish, by the deadline.

    Args:
        state: The campaign.
        mask: (y, x) where probing is allowed; None: everywhere.
        wish: What is wanted.
        modeller: The campaign's model.
        asked: A request for the points that is under way already; None: ask here.
    """
    started = time.perf_counter()
    chooser = Chooser(state, mask, wish)
    chooser.take_seeds()
    if chooser.missing:
        await _from_model(chooser, wish, modeller, asked)
    if chooser.missing:
        chooser.fill_space()
    return chooser.finish(time.perf_counter() - started)


async def _from_model(chooser: Chooser, wish: Wish, modeller: Modeller, asked: Reply | None) -> None:
    try:
        if modeller.is_rescoring:
            # What was asked of the model before was answered for the old targets.
            asked = None
            assert modeller.rescoring is not None
            await asyncio.wait([modeller.rescoring], timeout=max(0.0, wish.deadline - time.monotonic()))
        if modeller.is_rescoring:
            chooser.degraded += modeller.problems
            return
        if not modeller.is_ready:
            loading = modeller.wake()
            await asyncio.wait([loading], timeout=max(0.0, wish.deadline - time.monotonic()))
            if asked is not None and asked.done() and asked.exception() is not None:
                asked = None
        if asked is None and time.monotonic() >= wish.deadline:
            chooser.degraded.append("the model was busy for as long as the compute budget allows")
        else:
            asked = asked or modeller.ask("suggest", **chooser.plan_request())
            await _take_answer(chooser, wish, asked)
    except ProbescoutError as error:
        chooser.degraded.append(f"{error.reason}: {error.message}")
    if modeller.fit_problem:
        chooser.degraded.append(modeller.fit_problem)
    chooser.take_rows(modeller.spares, Source.PREFETCH)


async def _take_answer(chooser: Chooser, wish: Wish, asked: Reply) -> None:
    done, _ = await asyncio.wait([asked], timeout=max(0.0, wish.deadline - time.monotonic()))
    if not done:
        chooser.degraded.append("the model did not answer within the compute budget")
        return
    reply = asked.result()
    if reply["refusal"]:
        chooser.degraded.append(reply["refusal"])
    elif reply["is_cold"]:
        chooser.degraded.append("the model has not seen two different values yet")
    chooser.take_rows(reply["picks"], Source.PLANNER)


def confirmed(
    state: Campaign,
    mask: NDArray[np.bool_] | None,
    picks: Picks,
    wish: Wish,
    n_asked: int,
    spares: Sequence[Mapping[str, Any]],
) -> tuple[Picks, StopReport | None]:
    """Return what may still be leased, just before it is: the guard's last look.

    While the model was thinking the operator may have paused, tightened the limits or moved the frame, and others may
    have measured; what they took is made up for without the model.

    Args:
        state: The campaign that the lease will meet.
        mask: (y, x) where probing is allowed; None: everywhere.
        picks: Chosen for an earlier state.
        wish: That they were chosen for.
        n_asked: How many points the client asked for; the wish may be smaller.
        spares: Rows of points that the model keeps ready.
    """
    stop = status_stop(state)
    if stop is not None:
        return replace(picks, suggestions=()), stop
    room, spent = budget_stop(state)
    wanted = len(picks.suggestions) if picks.stop is not None else wish.count
    now = Chooser(state, mask, replace(wish, count=wanted if room is None else min(wanted, room)))
    now.degraded = list(picks.degraded)
    now.take_again(picks.suggestions)
    if now.missing and picks.stop is None:
        now.degraded.append("chosen points were taken or forbidden meanwhile")
        now.take_rows(spares, Source.PREFETCH)
        now.fill_space()
    kept = now.finish(picks.compute_s)
    n = len(kept.suggestions)
    if n == n_asked:
        return kept, None
    if picks.stop is not None:
        return kept, picks.stop
    if room is not None and room <= n:
        return kept, spent or budget_shortage(state, n_asked, n)
    if n == wish.count and state.spec.limits.max_rate_hz:
        return kept, too_fast(state.spec.limits.max_rate_hz, 1.0 / state.spec.limits.max_rate_hz)
    return kept, kept.stop


def too_fast(rate_hz: float, wait_s: float) -> StopReport:
    """Return the report of a rate limit."""
    return StopReport(
        StopCause.RATE, f"at most {rate_hz:g} suggestions a second; ask again in {wait_s:.3f} s", False, wait_s
    )
