"""Handing out the next points of a campaign."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from probescout.core.errors import InvalidInput, ProbescoutError, Reason, WrongState
from probescout.core.events import Leased
from probescout.core.jsonable import to_json
from probescout.core.leasing import StopReport, budget_stop, status_stop
from probescout.core.specs import MAX_COUNT
from probescout.core.state import Campaign
from probescout.core.suggestions import Suggestion
from probescout.runtime.child import Reply
from probescout.runtime.choosing import Picks, Wish
from probescout.runtime.ledger import Change
from probescout.runtime.planning import choose, confirmed, too_fast
from probescout.runtime.works import Caller, CampaignWorks, Facts

Score = tuple[str, Mapping[str, Any]]
"""Id of an observation and the model's reply that scores it."""


@dataclass(frozen=True)
class Ask:
    """A request for suggestions."""

    count: int = 1
    client_id: str = ""
    compute_budget_s: float = 0.0


@dataclass(frozen=True)
class Handed:
    """What came of asking."""

    suggestions: tuple[Suggestion, ...]
    stop: StopReport | None
    degraded: tuple[str, ...]
    commit_s: float
    compute_s: float


class Asking(CampaignWorks):
    """Suggestions, leased or only shown."""

    async def suggest(self, ask: Ask, caller: Caller) -> Handed:
        """Lease the next points.

        Raises:
            WrongState: NO_FRAME.
            InvalidInput: The count is out of range.
            Unavailable: The store refused.
        """
        self._check_ask(ask)
        # The patience begins now: those who wait in line must not add up theirs.
        deadline = self._deadline(ask)
        async with self._turn(deadline):
            return await self._hand_out(ask, deadline, caller)

    @asynccontextmanager
    async def _turn(self, deadline: float) -> AsyncIterator[None]:
        """Wait for one's turn at the model, but no longer than the deadline: then one is answered without it."""
        try:
            await asyncio.wait_for(self._plan_lock.acquire(), max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            yield
            return
        try:
            yield
        finally:
            self._plan_lock.release()

    def _deadline(self, ask: Ask) -> float:
        return time.monotonic() + (ask.compute_budget_s or self._settings.compute_budget_s)

    def _check_ask(self, ask: Ask) -> None:
        if not 1 <= ask.count <= MAX_COUNT:
            raise InvalidInput(Reason.FIELD_INVALID, f"count {ask.count}; ask for 1 to {MAX_COUNT}", field="count")
        if not 0.0 <= ask.compute_budget_s <= 3600.0:
            raise InvalidInput(
                Reason.FIELD_INVALID,
                f"compute budget {ask.compute_budget_s} s; give 0 to 3600",
                field="compute_budget_s",
            )
        if self.state.frame is None:
            raise WrongState(Reason.NO_FRAME, f"campaign '{self.state.id}' has no frame yet; call AddFrame first")

    async def _hand_out(
        self, ask: Ask, deadline: float, caller: Caller, asked: Reply | None = None, first: Score | None = None
    ) -> Handed:
        """Choose and lease; `first` is a score to commit in the same transaction."""
        if self._settings.is_fit_awaited:
            await self.modeller.fitted()
        wish, stop = self._allowance(ask, deadline)
        picks = Picks((), (), None, 0.0)
        if wish is not None:
            picks = await choose(self.state, self._mask, wish, self.modeller, asked)

        def decide(state: Campaign) -> list[Change]:
            nonlocal picks, stop
            if wish is not None:
                picks, stop = confirmed(state, self._mask, picks, wish, ask.count, self.modeller.spares)
            score = self.modeller.scored(state, *first) if first is not None else None
            changes = [Change(score)] if score is not None else []
            leased = Leased(picks.suggestions, self.modeller.calibration, picks.advice, self.modeller.influence)
            return [*changes, Change(leased)] if picks.suggestions else changes

        def facts() -> Facts:
            names = [s.id for s in picks.suggestions]
            return {"suggestions": names, "stop": to_json(stop), "degraded": list(picks.degraded)}

        try:
            commit = await self._commit(decide, caller, facts)
        except ProbescoutError:
            if first is not None:
                # The model has learnt a score that the journal does not hold.
                await self.modeller.poison()
            raise
        return Handed(picks.suggestions, stop, picks.degraded, commit.seconds, picks.compute_s)

    def _allowance(self, ask: Ask, deadline: float) -> tuple[Wish | None, StopReport | None]:
        stop = status_stop(self.state)
        if stop is not None:
            return None, stop
        room, stop = budget_stop(self.state)
        if stop is not None:
            return None, stop
        rate = self.state.spec.limits.max_rate_hz
        count = ask.count if room is None else min(ask.count, room)
        if rate:
            wait = self._last_lease + 1.0 / rate - self._clock.monotonic()
            if wait > 0:
                return None, too_fast(rate, wait)
            count = 1
        return Wish(count, ask.client_id, deadline), None

    async def preview(self, count: int) -> Picks:
        """Return the next points if nothing else happened; nothing is leased.

        Raises:
            WrongState: NO_FRAME.
            InvalidInput: The count is out of range.
        """
        self._check_ask(Ask(count))
        wish = Wish(count, "", time.monotonic() + self._settings.compute_budget_s)
        return await choose(self.state, self._mask, wish, self.modeller, None)
