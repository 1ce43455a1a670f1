"""Taking in measurements: kept first, then scored."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from probescout.core.admission import Expectation, admit
from probescout.core.campaign import apply
from probescout.core.errors import Overloaded, ProbescoutError
from probescout.core.events import Observed
from probescout.core.observations import INLINE_LIMIT, Observation, ScoreState, SignalRecord
from probescout.core.spectra import Spectrum
from probescout.core.state import Campaign
from probescout.runtime.asking import Ask, Asking, Handed
from probescout.runtime.child import Reply, WorkerFault
from probescout.runtime.choosing import plan_request
from probescout.runtime.ledger import Change, Decide
from probescout.runtime.works import Caller, expectation

T = TypeVar("T")
LARGE = 1 << 20
"""Bytes above which a signal is looked at beside the event loop."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Told:
    """What came of telling."""

    observation: Observation
    commit_s: float


@dataclass(frozen=True)
class Admitted:
    """A measurement that may be kept."""

    observation: Observation
    """As it stands if nothing else is committed before it."""
    data: bytes | None
    """Of its signal."""
    decide: Decide
    """Draws up its event, once nothing else can come between."""


class Telling(Asking):
    """Measurements, alone or together with the question for the next point."""

    async def tell(self, draft: Observation, spectrum: Spectrum | None, token: str, caller: Caller) -> Told:
        """Keep a measurement, and score it within the compute budget if the model is there.

        Raises:
            InvalidInput: See `core.admission.admit`.
            AlreadyExists: Likewise.
            NotFound: Likewise.
            WrongState: Likewise.
            Unavailable: The store refused; nothing was kept.
        """
        async with self._exclusively(draft.id):
            admitted = await self._admit(draft, spectrum, token)
            return await self._tell(admitted, time.monotonic() + self._settings.compute_budget_s, caller)

    async def _tell(self, admitted: Admitted, deadline: float, caller: Caller) -> Told:
        name, is_pending = admitted.observation.id, admitted.observation.score_state is ScoreState.PENDING
        reply = self._start_scoring(admitted) if is_pending else None
        commit_s = await self._keep(admitted, caller, reply)
        if reply is not None:
            commit_s += await self._await_score(name, reply, deadline)
        elif is_pending:
            self.modeller.catch_up()
        return Told(self.state.observations[name], commit_s)

    async def _await_score(self, name: str, reply: Reply, deadline: float) -> float:
        """Journal a score if it comes in time, and later otherwise; return the seconds that the disk took."""
        try:
            await asyncio.wait([reply], timeout=max(0.0, deadline - time.monotonic()))
        except asyncio.CancelledError:
            self.modeller.score_later(name, reply)
            raise
        if not reply.done() or reply.exception() is not None:
            self.modeller.score_later(name, reply)
            return 0.0
        try:
            return await self.modeller.journal_score(name, reply.result())
        except ProbescoutError as error:
            # The data are safe, which is what was asked for; the score comes when the store takes it.
            _log.warning("campaign %s: the score of '%s' is not kept yet: %s", self.state.id, name, error)
            return 0.0

    async def step(
        self, draft: Observation, spectrum: Spectrum | None, token: str, ask: Ask, tell: Caller, lease: Caller
    ) -> tuple[Told, Handed]:
        """Tell, then suggest. The data are committed first; score and lease follow in a second commit.

        Raises:
            As `tell` and `suggest`.
        """
        self._check_ask(ask)
        async with self._exclusively(draft.id):
            return await self._tell_and_ask(draft, spectrum, token, ask, tell, lease)

    async def _tell_and_ask(
        self, draft: Observation, spectrum: Spectrum | None, token: str, ask: Ask, tell: Caller, lease: Caller
    ) -> tuple[Told, Handed]:
        deadline = self._deadline(ask)
        admitted = await self._admit(draft, spectrum, token)
        if not self._plan_lock.locked() and admitted.observation.score_state is ScoreState.PENDING:
            async with self._plan_lock:
                planning = plan_request(self._foresee(admitted), ask.count, ask.client_id)
                # The model works while the data are synced to disk.
                reply = self._start_scoring(admitted, "step", **planning)
                if reply is not None:
                    return await self._step(admitted, reply, ask, deadline, tell, lease)
        told = await self._tell(admitted, deadline, tell)
        async with self._turn(deadline):
            return told, await self._hand_out(ask, deadline, lease)

    @asynccontextmanager
    async def _exclusively(self, name: str) -> AsyncIterator[None]:
        """Let one call at a time tell of an observation: the model must not learn what the journal then refuses.

        Those that come meanwhile wait: only when the first is through is it known whether the id is taken.
        """
        while name in self._under_way:
            await self._under_way[name].wait()
        ended = self._under_way[name] = asyncio.Event()
        try:
            yield
        finally:
            del self._under_way[name]
            ended.set()

    async def _step(
        self, admitted: Admitted, reply: Reply, ask: Ask, deadline: float, tell: Caller, lease: Caller
    ) -> tuple[Told, Handed]:
        name, started = admitted.observation.id, time.perf_counter()
        commit_s = await self._keep(admitted, tell, reply)
        first = None
        try:
            await asyncio.wait([reply], timeout=max(0.0, deadline - time.monotonic()))
            waited = time.perf_counter() - started - commit_s
            if reply.done() and reply.exception() is None:
                first = (name, reply.result())
            handed = await self._hand_out(ask, deadline, lease, reply, first)
        except asyncio.CancelledError:
            self.modeller.score_later(name, reply)
            raise
        if first is None:
            self.modeller.score_later(name, reply)
        else:
            self.modeller.ensure_scored(name)
        handed = replace(handed, compute_s=handed.compute_s + max(0.0, waited))
        return Told(self.state.observations[name], commit_s), handed

    def _foresee(self, admitted: Admitted) -> Campaign:
        return apply(self.state, Observed(admitted.observation))[0]

    async def _admit(self, draft: Observation, spectrum: Spectrum | None, token: str) -> Admitted:
        expect = await self._expectation()
        seen, loop = self.state, asyncio.get_running_loop()
        is_large = spectrum is not None and spectrum.values.nbytes > LARGE
        # Looking at every element of a large signal must not hold up the other calls.
        place = loop.run_in_executor if is_large else _here
        observation = await place(None, admit, seen, draft, spectrum, expect, token)
        data = None
        if spectrum is not None:
            signal, data = await place(None, SignalRecord.of, spectrum)
            if len(data) > INLINE_LIMIT:
                info = await loop.run_in_executor(None, self.ledger.blobs.put, data)
                signal = replace(signal, blob=info.digest)
            observation = replace(observation, signal=signal)
        kept = None if observation.signal is not None and observation.signal.blob else data

        def decide(state: Campaign) -> list[Change]:
            if state is seen:
                return [Change(Observed(observation), kept)]
            # Others told meanwhile: its number, its lease and whether its id is free must be looked at again.
            again = admit(state, replace(draft, frame_revision=observation.frame_revision), spectrum, expect, token)
            return [Change(Observed(replace(again, signal=observation.signal)), kept)]

        return Admitted(observation, data, decide)

    async def _expectation(self) -> Expectation:
        if self._expect is None:
            spec = self.state.spec
            try:
                expect = await expectation(self._seats, spec)
            except ProbescoutError as error:
                # Data are precious: without a scalarizer to ask they are kept, and scored or refused by it later.
                _log.warning("campaign %s: data are taken unchecked: %s", self.state.id, error)
                return Expectation()
            if self.state.spec is not spec:
                return await self._expectation()
            self._expect = expect
        return self._expect

    def _start_scoring(self, admitted: Admitted, op: str = "score", **more: Any) -> Reply | None:
        try:
            return self.modeller.score(admitted.observation, admitted.data, op, **more)
        except (WorkerFault, Overloaded) as error:
            # No reason to refuse data: they are scored when the model is there.
            _log.debug("campaign %s: '%s' is scored later: %s", self.state.id, admitted.observation.id, error)
            return None

    async def _keep(self, admitted: Admitted, caller: Caller, reply: Reply | None) -> float:
        try:
            commit = await self._commit(admitted.decide, caller, lambda: {"observation": admitted.observation.id})
        except BaseException:
            if reply is not None:
                # The model has learnt what the journal does not hold.
                await self.modeller.poison()
            raise
        return commit.seconds


async def _here(executor: None, work: Callable[..., T], *args: Any) -> T:
    """Do at once what `run_in_executor` would do elsewhere."""
    return work(*args)
