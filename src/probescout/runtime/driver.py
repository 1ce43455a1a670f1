"""One campaign at work: calls in, events committed, points and data out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.admission import Expectation, admit
from probescout.core.campaign import (
    Campaign,
    Instruction,
    LoadFrame,
    Reconfigure,
    Relearn,
    Rescore,
    apply,
)
from probescout.core.changes import amend, control, retract, revise_frame, update
from probescout.core.clock import Clock
from probescout.core.errors import InvalidInput, NotFound, Reason, Unavailable, WrongState
from probescout.core.events import Amended, Control, Event, FrameAdded, Leased, Observed, Renewed, Returned
from probescout.core.geometry import Affine
from probescout.core.jsonable import to_json
from probescout.core.leasing import (
    StopCause,
    StopReport,
    budget_stop,
    held_leases,
    status_stop,
)
from probescout.core.observations import INLINE_LIMIT, Observation, ScoreState, SignalRecord
from probescout.core.specs import MAX_COUNT, CampaignSpec
from probescout.core.spectra import Spectrum
from probescout.core.suggestions import Suggestion
from probescout.runtime.child import Reply
from probescout.runtime.leases import Leases
from probescout.runtime.ledger import Change, Commit, Ledger, MakeReceipt, load_array
from probescout.runtime.modeller import SYSTEM, Modeller
from probescout.runtime.planning import Picks, Wish, choose, plan_request
from probescout.runtime.seats import FitPool, Seats
from probescout.runtime.settings import Settings

Facts = Mapping[str, Any]
"""What a call did, as JSON values: enough to give its first reply again."""


@dataclass(frozen=True)
class Caller:
    """Who calls, and how the call is to be remembered."""

    principal: str = "local"
    receipt: Callable[[Facts], MakeReceipt] | None = None
    """Makes the receipt of the call from what it did."""


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


class CampaignDriver:
    """Carries out what may be asked of one campaign."""

    def __init__(
        self, ledger: Ledger, seats: Seats, pool: FitPool, clock: Clock, settings: Settings, expect: Expectation | None
    ) -> None:
        """Wrap a recovered or new campaign."""
        self.ledger = ledger
        self.modeller = Modeller(ledger, seats, pool, settings)
        self.leases = Leases(clock, self._expire)
        self._settings = settings
        self._clock = clock
        self._seats = seats
        self._expect = expect
        self._plan_lock = asyncio.Lock()
        self._last_lease = -float("inf")
        self._mask: NDArray[np.bool_] | None = None
        self._work: set[asyncio.Task[None]] = set()
        self._load_mask()
        # After a restart nobody knows how long clients have waited: every lease gets one full period of grace.
        self.leases.grant(self.state.suggestions[name] for name in self.state.pending)

    @property
    def state(self) -> Campaign:
        """The campaign as committed."""
        return self.ledger.state

    def _load_mask(self) -> None:
        frame = self.state.frame
        if frame is not None and frame.added.mask is not None:
            self._mask = load_array(self.ledger.blobs, frame.added.mask).astype(bool)

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
            # The operator may have paused, or another client told, while the model was thinking.
            stop = status_stop(self.state) or stop or picks.stop
            if status_stop(self.state) is not None:
                picks = replace(picks, suggestions=())
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
                return None, StopReport(
                    StopCause.RATE, f"at most {rate:g} suggestions a second; ask again in {wait:.3f} s", False, wait
                )
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

    async def _expire(self, names: tuple[str, ...]) -> None:
        still = tuple(n for n in names if n in self.state.pending)
        if still:
            await self._commit([Change(Returned(still, is_expired=True, reason="the lease ran out"))], Caller(SYSTEM))

    # ------------------------------------------------------------ changes

    async def add_frame(self, frame: FrameAdded, caller: Caller) -> None:
        """Take the overview image, whose arrays are blobs already.

        Raises:
            WrongState: FRAME_EXISTS.
        """
        if self.state.frame is not None:
            raise WrongState(
                Reason.FRAME_EXISTS,
                f"campaign '{self.state.id}' has its frame '{self.state.frame.added.frame}' already; use UpdateFrame "
                "for drift, or start another campaign for another region",
                field="frame_id",
            )
        await self._commit([Change(frame)], caller)

    async def update_frame(self, affine: Affine, covariance: tuple[float, ...], reason: str, caller: Caller) -> None:
        """Take a drift correction.

        Raises:
            As `core.changes.revise_frame`.
        """
        await self._commit([Change(revise_frame(self.state, affine, covariance, reason))], caller)

    async def control(self, action: Control, reason: str, caller: Caller) -> None:
        """Pause, resume, stop or abort.

        Raises:
            WrongState: CAMPAIGN_ENDED.
        """
        pending = tuple(self.state.pending)
        changes = [Change(e) for e in control(self.state, action, reason)]
        if changes:
            await self._commit(changes, caller)
        self.leases.drop([n for n in pending if n not in self.state.pending])

    async def update(self, new: CampaignSpec, mask: tuple[str, ...], etag: str, reason: str, caller: Caller) -> None:
        """Take changed fields of the spec.

        Raises:
            As `core.changes.update`; plug-ins that cannot be built are refused too.
        """
        event = update(self.state, new, mask, etag, reason)
        if {"scalarizer", "policy"} & set(event.changed):
            expect = await expectation(self._seats, event.spec)
            await self._commit([Change(event)], caller)
            self._expect = expect
        else:
            await self._commit([Change(event)], caller)

    async def amend(self, change: Amended, caller: Caller) -> None:
        """Correct an observation.

        Raises:
            As `core.changes.amend`.
        """
        await self._commit([Change(amend(self.state, change))], caller)

    async def retract(self, name: str, reason: str, caller: Caller) -> None:
        """Withdraw an observation from the model.

        Raises:
            As `core.changes.retract`.
        """
        await self._commit([Change(retract(self.state, name, reason))], caller)

    # ------------------------------------------------------------ looking inside

    async def maps(self) -> Mapping[str, Any]:
        """Return the model's maps: {"maps": {name: (y, x) or (candidate,) float32}, "weights", "is_cold"}.

        Raises:
            Unavailable: WORKER_UNAVAILABLE while there is no model; try again.
        """
        return await self._look("maps", **plan_request(self.state, 1, ""))

    async def explain(self, candidate: int) -> Mapping[str, Any]:
        """Return what the model thinks of one candidate, and why.

        Raises:
            Unavailable: As `maps`.
        """
        reply = await self._look("explain", candidate=candidate)
        told: Mapping[str, Any] = reply["explain"]
        return told

    async def _look(self, op: str, **payload: Any) -> Mapping[str, Any]:
        if self.state.frame is None:
            raise WrongState(Reason.NO_FRAME, f"campaign '{self.state.id}' has no frame yet; call AddFrame first")
        if not self.modeller.is_ready:
            await asyncio.wait([self.modeller.wake()], timeout=self._settings.hang_s)
        if self._settings.is_fit_awaited:
            await self.modeller.fitted()
        reply = self.modeller.ask(op, **payload)
        done, _ = await asyncio.wait([reply], timeout=self._settings.hang_s)
        if not done:
            raise Unavailable(Reason.WORKER_UNAVAILABLE, f"the model did not answer within {self._settings.hang_s:g} s")
        return reply.result()

    def find_suggestion(self, name: str) -> Suggestion:
        """Return a suggestion by id.

        Raises:
            NotFound: SUGGESTION_NOT_FOUND.
        """
        found = self.state.suggestions.get(name)
        if found is None:
            raise NotFound(
                Reason.SUGGESTION_NOT_FOUND,
                f"campaign '{self.state.id}' has no suggestion '{name}'",
                field="suggestion",
            )
        return found

    # ------------------------------------------------------------ machinery

    async def _commit(self, changes: list[Change], caller: Caller, facts: Facts | None = None) -> Commit:
        receipt = caller.receipt(facts or {}) if caller.receipt is not None else None
        commit = await self.ledger.commit(changes, principal=caller.principal, receipt=receipt)
        for instruction in commit.instructions:
            self._obey(instruction)
        return commit

    def _obey(self, instruction: Instruction) -> None:
        if isinstance(instruction, LoadFrame):
            self._load_mask()
            self.modeller.wake()
            return
        deeds = {
            Rescore: self.modeller.rescore,
            Relearn: self.modeller.relearn,
            Reconfigure: self.modeller.reconfigure,
        }
        deed = deeds.get(type(instruction))
        if deed is not None:
            task = asyncio.create_task(deed())
            self._work.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # What failed half-way is done anew from the journal.
            self.modeller.wake()

    async def close(self) -> None:
        """Finish what is under way and release the journal."""
        self.leases.close()
        if self._work:
            await asyncio.wait(self._work, timeout=5.0)
        await self.modeller.sleep()
        self.ledger.close()


async def expectation(seats: Seats, spec: CampaignSpec) -> Expectation:
    """Return what the scalarizer of a spec takes, after building its plug-ins once in a spare worker.

    Raises:
        InvalidInput: A plug-in is unknown or its parameters are wrong.
    """
    reply = await seats.ask(
        "validate",
        scalarizer={"name": spec.scalarizer.name, "params": dict(spec.scalarizer.params)},
        policy={"name": spec.policy.name, "params": dict(spec.policy.params)},
    )
    return Expectation(reply["n_dims"], reply["axis_unit"])
