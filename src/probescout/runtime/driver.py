"""One campaign at work: calls in, events committed, points and data out."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace

from probescout.core.admission import admit
from probescout.core.campaign import apply
from probescout.core.errors import InvalidInput, Reason, WrongState
from probescout.core.events import Event, Leased, Observed, Renewed, Returned
from probescout.core.jsonable import to_json
from probescout.core.leasing import (
    StopCause,
    StopReport,
    budget_shortage,
    budget_stop,
    held_leases,
    status_stop,
)
from probescout.core.observations import INLINE_LIMIT, Observation, ScoreState, SignalRecord
from probescout.core.specs import MAX_COUNT
from probescout.core.spectra import Spectrum
from probescout.core.state import Campaign
from probescout.core.suggestions import Suggestion
from probescout.runtime.changing import Changing
from probescout.runtime.child import Reply
from probescout.runtime.ledger import Change
from probescout.runtime.looking import Looking
from probescout.runtime.modeller import SYSTEM, Modeller
from probescout.runtime.planning import Picks, Wish, choose, plan_request
from probescout.runtime.works import Caller, expectation


@dataclass(frozen=True)
class Ask:
    """A request for suggestions."""

    count: int = 1
    client_id: str = ""
    compute_budget_s: float = 0.0


@dataclass(frozen=True)
class Told:
    """What came of telling."""

    observation: Observation
    commit_s: float


@dataclass(frozen=True)
class Handed:
    """What came of asking."""

    suggestions: tuple[Suggestion, ...]
    stop: StopReport | None
    degraded: tuple[str, ...]
    commit_s: float
    compute_s: float


class CampaignDriver(Changing, Looking):
    """Carries out what may be asked of one campaign."""

    # ------------------------------------------------------------ asking

    async def suggest(self, ask: Ask, caller: Caller) -> Handed:
        """Lease the next points.

        Raises:
            WrongState: NO_FRAME.
            InvalidInput: The count is out of range.
            Unavailable: The store refused.
        """
        self._check_ask(ask)
        async with self._plan_lock:
            return await self._hand_out(ask, caller, [], None)

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

    async def _hand_out(self, ask: Ask, caller: Caller, first: list[Change], asked: Reply | None) -> Handed:
        """Choose and lease; `first` are events to commit in the same transaction."""
        if self._settings.is_fit_awaited:
            await self.modeller.fitted()
        wish, stop = self._allowance(ask)
        picks = Picks((), (), None, 0.0)
        if wish is not None:
            picks = await choose(self.state, self._mask, wish, self.modeller, asked)
            picks, stop = self._still_allowed(picks, wish, ask)
        changes = list(first)
        if picks.suggestions:
            changes.append(Change(Leased(picks.suggestions)))
        facts = {
            "suggestions": [s.id for s in picks.suggestions],
            "stop": to_json(stop),
            "degraded": list(picks.degraded),
        }
        commit_s = (await self._commit(changes, caller, facts)).seconds if changes else 0.0
        self.leases.grant(picks.suggestions)
        if picks.suggestions:
            self._last_lease = self._clock.monotonic()
        return Handed(picks.suggestions, stop, picks.degraded, commit_s, picks.compute_s)

    def _still_allowed(self, picks: Picks, wish: Wish, ask: Ask) -> tuple[Picks, StopReport | None]:
        """Look again: the operator may have paused, or another client told, while the model was thinking."""
        stop = status_stop(self.state)
        if stop is not None:
            return replace(picks, suggestions=()), stop
        room, _ = budget_stop(self.state)
        free = [s for s in picks.suggestions if s.candidate not in self.state.blocked]
        kept = enumerate(free if room is None else free[:room], self.state.n_suggested + 1)
        # Numbered anew: a gap would give the next suggestion an id that is taken.
        picks = replace(picks, suggestions=tuple(replace(s, id=f"s{n}", ordinal=n) for n, s in kept))
        if len(picks.suggestions) == ask.count:
            return picks, None
        if picks.stop is None and room is not None and room <= len(picks.suggestions):
            return picks, budget_shortage(self.state, ask.count, len(picks.suggestions))
        if picks.stop is None and wish.count < ask.count:
            return picks, _too_fast(self.state.spec.limits.max_rate_hz, 1.0 / self.state.spec.limits.max_rate_hz)
        return picks, picks.stop

    def _allowance(self, ask: Ask) -> tuple[Wish | None, StopReport | None]:
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
                return None, _too_fast(rate, wait)
            count = 1
        patience = ask.compute_budget_s or self._settings.compute_budget_s
        return Wish(count, ask.client_id, time.monotonic() + patience), None

    async def preview(self, count: int) -> Picks:
        """Return the next points if nothing else happened; nothing is leased.

        Raises:
            WrongState: NO_FRAME.
            InvalidInput: The count is out of range.
        """
        self._check_ask(Ask(count))
        wish = Wish(count, "", time.monotonic() + self._settings.compute_budget_s)
        return await choose(self.state, self._mask, wish, self.modeller, None)

    # ------------------------------------------------------------ telling

    async def tell(self, draft: Observation, spectrum: Spectrum | None, token: str, caller: Caller) -> Told:
        """Keep a measurement, and score it within the compute budget if the model is there.

        Raises:
            InvalidInput: See `core.admission.admit`.
            AlreadyExists: Likewise.
            NotFound: Likewise.
            WrongState: Likewise.
            Unavailable: The store refused; nothing was kept.
        """
        observation, change = await self._admit(draft, spectrum, token)
        reply = self._start_scoring(observation, change) if self.modeller.is_ready else None
        told = await self._keep(observation, change, caller, reply)
        if observation.score_state is not ScoreState.PENDING:
            return told
        commit_s = told.commit_s
        if reply is None:
            self.modeller.catch_up()
        else:
            await asyncio.wait([reply], timeout=self._settings.compute_budget_s)
            event = self._score_if_done(observation, reply)
            if event is not None:
                commit_s += (await self._commit([Change(event)], Caller(SYSTEM))).seconds
        return Told(self.state.observations[observation.id], commit_s)

    async def step(
        self, draft: Observation, spectrum: Spectrum | None, token: str, ask: Ask, tell: Caller, lease: Caller
    ) -> tuple[Told, Handed]:
        """Tell, then suggest. The data are committed first; score and lease follow in a second commit.

        Raises:
            As `tell` and `suggest`.
        """
        self._check_ask(ask)
        observation, change = await self._admit(draft, spectrum, token)
        if self._plan_lock.locked() or not self.modeller.is_ready or observation.score_state is not ScoreState.PENDING:
            told = await self.tell(draft, spectrum, token, tell)
            handed = await self.suggest(ask, lease)
            return told, handed
        async with self._plan_lock:
            started = time.perf_counter()
            after = self._foresee(observation)
            planning = plan_request(after, ask.count, ask.client_id)
            # The model works while the data are synced to disk.
            reply = self.modeller.score(observation, change.data, "step", **planning)
            told = await self._keep(observation, change, tell, reply)
            patience = ask.compute_budget_s or self._settings.compute_budget_s
            await asyncio.wait([reply], timeout=max(0.0, patience - (time.perf_counter() - started)))
            waited = time.perf_counter() - started - told.commit_s
            event = self._score_if_done(observation, reply)
            first = [Change(event)] if event is not None else []
            left = replace(ask, compute_budget_s=max(1e-3, patience - (time.perf_counter() - started)))
            handed = await self._hand_out(left, lease, first, reply)
            handed = replace(handed, compute_s=handed.compute_s + max(0.0, waited))
            return Told(self.state.observations[observation.id], told.commit_s), handed

    def _foresee(self, observation: Observation) -> Campaign:
        return apply(self.state, Observed(observation))[0]

    async def _admit(self, draft: Observation, spectrum: Spectrum | None, token: str) -> tuple[Observation, Change]:
        if self._expect is None:
            self._expect = await expectation(self._seats, self.state.spec)
        observation = admit(self.state, draft, spectrum, self._expect, token)
        data = None
        if spectrum is not None:
            signal, data = SignalRecord.of(spectrum)
            if len(data) > INLINE_LIMIT:
                info = await asyncio.get_running_loop().run_in_executor(None, self.ledger.blobs.put, data)
                signal = replace(signal, blob=info.digest)
            observation = replace(observation, signal=signal)
        return observation, Change(Observed(observation), data)

    def _start_scoring(self, observation: Observation, change: Change) -> Reply | None:
        if observation.score_state is not ScoreState.PENDING:
            return None
        return self.modeller.score(observation, change.data)

    async def _keep(self, observation: Observation, change: Change, caller: Caller, reply: Reply | None) -> Told:
        stored = change
        assert isinstance(change.event, Observed)
        if change.event.observation.signal is not None and change.event.observation.signal.blob:
            stored = Change(change.event)
        try:
            commit = await self._commit([stored], caller, {"observation": observation.id})
        except BaseException:
            if reply is not None:
                # The model has learnt what the journal does not hold.
                await self.modeller.poison()
            raise
        self.leases.drop([observation.suggestion])
        return Told(observation, commit.seconds)

    def _score_if_done(self, observation: Observation, reply: Reply) -> Event | None:
        if reply.done() and reply.exception() is None:
            return Modeller.scored(observation.id, reply.result())
        self.modeller.score_later(observation.id, reply)
        return None

    # ------------------------------------------------------------ leases

    async def renew(self, names: tuple[str, ...], tokens: tuple[str, ...], caller: Caller) -> tuple[Suggestion, ...]:
        """Give leases another full period.

        Raises:
            InvalidInput: See `core.leasing.held_leases`.
            NotFound: Likewise.
            WrongState: LEASE_STALE.
        """
        held = held_leases(self.state, names, tokens)
        await self._commit([Change(Renewed(names))], caller)
        self.leases.grant(held)
        return held

    async def release(self, names: tuple[str, ...], tokens: tuple[str, ...], reason: str, caller: Caller) -> None:
        """Take leases back; their points return.

        Raises:
            As `renew`.
        """
        held_leases(self.state, names, tokens)
        await self._commit([Change(Returned(names, reason=reason))], caller)
        self.leases.drop(names)


def _too_fast(rate: float, wait: float) -> StopReport:
    return StopReport(StopCause.RATE, f"at most {rate:g} suggestions a second; ask again in {wait:.3f} s", False, wait)
