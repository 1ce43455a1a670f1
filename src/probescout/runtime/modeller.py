"""Teaches the model of one campaign: exactly what the journal holds, each observation once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from probescout.core.errors import HistoryMismatch, InvalidInput, NotFound, Overloaded, ProbescoutError
from probescout.core.events import Scored
from probescout.core.jsonable import from_json, to_json
from probescout.core.observations import FurtherScore, Observation, ScoreState
from probescout.core.state import Campaign
from probescout.runtime.child import Reply, WorkerFault
from probescout.runtime.ledger import Change, Ledger
from probescout.runtime.minding import SYSTEM, Minder
from probescout.runtime.seats import FitPool, Mind, Seats
from probescout.runtime.settings import Settings
from probescout.runtime.teaching import evidence, taught, taught_further

LEARNING_SHARE = 0.1
"""Of the model's time that a flood of evidence may take: answers to microscopes must not queue behind it."""
LONGEST_REST_S = 2.0
"""Between two times; one may have waited for answers in the model's queue."""
MAX_FAULTS = 3
"""Workers that may die over one observation, alone, before it is given up."""
_log = logging.getLogger(__name__)


class Modeller(Minder):
    """The model of one campaign, as the driver sees it."""

    def __init__(self, ledger: Ledger, seats: Seats, pool: FitPool, settings: Settings) -> None:
        """Start without a mind; it is taken when first needed."""
        super().__init__(ledger, seats, pool, settings)
        self._era = 0
        """Grows when the scalarizer changes; scores of an earlier one do not count."""
        self._faults: dict[str, int] = {}
        self._informing: asyncio.Task[None] | None = None
        """Has the model learn the newest evidence that was sent, and rests."""
        self._is_more_evidence = False
        """Whether the journal holds results that it lacks."""
        self._minds: WeakKeyDictionary[Reply, Mind | None] = WeakKeyDictionary()
        """Which mind each score was asked of."""

    def score_request(self, o: Observation, data: bytes | None) -> dict[str, Any]:
        """Return the payload that asks for the score of an observation."""
        return {
            "observation": o.id,
            "era": self._era,
            "candidate": o.candidate if not o.is_outside else -1,
            "value": o.value if o.has_value else None,
            "variance": o.value_variance,
            "unit": o.target_unit,
            "value_scalarizer": o.value_scalarizer,
            "signal": to_json(o.signal) if o.signal is not None else None,
            "data": np.frombuffer(data or b"", dtype=np.uint8),
        }

    def score(self, o: Observation, data: bytes | None, op: str = "score", **more: Any) -> Reply:
        """Ask for the score of an observation, once for each mind.

        Raises:
            WorkerFault: No model is loaded; it will score the observation when it is.
            Overloaded: QUEUE_FULL.
        """
        reply = self.ask(op, **more, **self.score_request(o, data))
        self._asked.add(o.id)
        self._minds[reply] = self._mind
        return reply

    def scored(self, state: Campaign, observation: str, reply: Mapping[str, Any]) -> Scored | None:
        """Return the event of a score that the model gave; None when it no longer counts."""
        s, o = reply["score"], state.observations[observation]
        further = tuple(from_json(FurtherScore, one) for one in s["further"])
        if o.score_state is not ScoreState.PENDING:
            # A person gave the first target meanwhile; no era changes the further ones.
            if o.further or not further:
                return None
        elif s["era"] != self._era:
            return None
        return Scored(observation, s["value"], s["variance"], s["unit"], s["scalarizer"], s["error"], further)

    # ------------------------------------------------------------ journalling scores

    def catch_up(self) -> None:
        """Score what is pending as soon as the model is loaded."""

        async def work() -> None:
            await asyncio.wait([self.wake()])
            if self.is_ready:
                await self.score_pending()

        self._spawn(work())

    def score_later(self, observation: str, reply: Reply) -> None:
        """Journal a score when it comes, after the call that asked for it has been answered without it."""

        async def wait() -> None:
            try:
                result = await reply
            except ProbescoutError as error:
                # The observation stays pending and is scored when the model is loaded again.
                _log.info("campaign %s: '%s' is not scored yet: %s", self._ledger.state.id, observation, error)
                await self._renew(self._minds.get(reply))
                return
            await self.journal_score(observation, result)

        self._spawn(wait())

    async def _renew(self, mind: Mind | None) -> None:
        """Replace a mind that failed half-way through a deed, so that it cannot know more or less than it should."""
        if mind is not None and mind is self._mind:
            await self.poison()
        self.catch_up()

    async def journal_score(self, observation: str, reply: Mapping[str, Any]) -> float:
        """Journal a score; return the seconds that the disk took.

        Raises:
            Unavailable: The store refused; the model, which has learnt it, will be loaded anew.
        """

        def decide(state: Campaign) -> list[Change]:
            event = self.scored(state, observation, reply)
            return [Change(event)] if event is not None else []

        try:
            seconds = (await self._ledger.commit(decide, principal=SYSTEM)).seconds
        except ProbescoutError:
            await self.poison()
            raise
        self.ensure_scored(observation)
        return seconds

    def ensure_scored(self, observation: str) -> None:
        """Have an observation scored anew if its score did not count because the scalarizer has changed since."""
        if self._wants_score(observation):
            self.catch_up()

    def _wants_score(self, name: str) -> bool:
        state = self._ledger.state
        o = state.observations[name]
        is_wanting = o.score_state is ScoreState.PENDING or (bool(state.spec.objectives) and o.is_half_scored)
        return is_wanting and name not in self._asked

    async def score_pending(self, *, is_taught: bool = True) -> None:
        """Score every stored observation that has no score yet, in order.

        Args:
            is_taught: False: the model is rebuilt from the journal afterwards.
        """
        for o in list(self._ledger.state.observations.values()):
            if not self._wants_score(o.id):
                continue
            try:
                data = await self._ledger.raw(o)
            except (HistoryMismatch, NotFound) as error:
                # Damaged data are named and stay pending; the model must not stop for them.
                _log.error("campaign %s: the data of '%s' cannot be read: %s", self._ledger.state.id, o.id, error)
                continue
            await self._score_stored(o.id, data, is_taught)

    async def _score_stored(self, name: str, data: bytes | None, is_taught: bool) -> None:
        # It may be amended, or asked for by another call, while its data are read and while the queue is full.
        while self._wants_score(name):
            o = self._ledger.state.observations[name]
            self._answered.clear()
            try:
                # A target that a person gave is taught already.
                learn = is_taught and o.score_state is ScoreState.PENDING
                reply = self._send("score", learn=learn, **self.score_request(o, data))
                break
            except Overloaded:
                await self._answered.wait()
        else:
            return
        self._asked.add(o.id)
        mind = self._mind
        try:
            result = await reply
        except WorkerFault as error:
            is_own_fault = mind is not None and mind.is_alive
            self._faults[o.id] = self._faults.get(o.id, 0) + 1
            if is_own_fault or self._faults[o.id] >= MAX_FAULTS:
                await self._ledger.commit([Change(_given_up(o.id, self._ledger.state, str(error)))], principal=SYSTEM)
            await self.poison()
            raise
        await self.journal_score(o.id, result)

    # ------------------------------------------------------------ unlearning
    # Each request is sent at once, without an await after the commit that calls for it: whatever is scored later
    # comes after it in the model's queue, and whatever was asked before is named in it.

    def rescore(self) -> None:
        """Scalarize all stored signals anew and rebuild the model from the new targets."""
        self._era += 1
        self._asked = set()
        self.spares = []
        if self._mind is None or not self._mind.is_alive:
            self.catch_up()
            return

        async def work(configured: Reply) -> None:
            await configured
            await self.score_pending(is_taught=False)
            await self._relearn()

        self.rescoring = self._do(lambda: work(self._send("configure", spec=to_json(self._ledger.state.spec))))

    def relearn(self) -> None:
        """Rebuild the model from the stored targets and from those that are on their way into the journal."""
        if self._mind is not None and self._mind.is_alive:
            self._do(lambda: _wait(self._relearn()))

    def _relearn(self) -> Reply:
        known = self._ledger.state.observations
        on_their_way = [
            name for name in self._asked if name not in known or known[name].score_state is ScoreState.PENDING
        ]
        state = self._ledger.state
        rows, further = taught(state), taught_further(state)
        return self._send("relearn", taught=rows, further_taught=further, keep=sorted(on_their_way))

    def reconfigure(self) -> None:
        """Tell the model of a changed spec."""
        if self._mind is not None and self._mind.is_alive:
            self._do(lambda: _wait(self._send("configure", spec=to_json(self._ledger.state.spec))))

    def evidence_changed(self, *, is_more: bool = False) -> None:
        """Follow the evidence of the journal: some was applied or taken back.

        Args:
            is_more: Only a result came in. While the model learns those of before, and rests from it, it waits for
                them, together with all that come meanwhile: a flood of results must not keep it from answering.
        """
        if self._mind is None or not self._mind.is_alive:
            return
        if is_more and self._informing is not None and not self._informing.done():
            self._is_more_evidence = True
            return
        self._informing = self._do(lambda: self._informed(self._inform()))

    @property
    def is_informed(self) -> bool:
        """Whether the model has learnt all results of simulations that the journal holds."""
        return self._informing is None or self._informing.done()

    async def informed(self) -> None:
        """Wait until it has."""
        while self._informing is not None and not self._informing.done():
            await asyncio.wait([self._informing])

    def _inform(self) -> Reply:
        self._is_more_evidence = False
        return self._send("inform", evidence=evidence(self._ledger.state))

    async def _informed(self, reply: Reply) -> None:
        me = asyncio.current_task()
        while True:
            started = time.monotonic()
            try:
                await reply
                await self.advanced()
            except InvalidInput as error:
                # The model has taken none of it and answers on; a new one would refuse it too.
                _log.error("campaign %s: the evidence is not taken: %s", self._ledger.state.id, error)
            learning_s = time.monotonic() - started
            await asyncio.sleep(min(learning_s * (1.0 / LEARNING_SHARE - 1.0), LONGEST_REST_S))
            if not self._is_more_evidence or me is not self._informing:
                return
            reply = self._inform()

    def _do(self, start: Any) -> asyncio.Task[None]:
        """Start a deed now; a mind that fails in it is replaced, and does it anew from the journal."""
        mind = self._mind
        try:
            deed = start()
        except ProbescoutError as error:
            _log.warning("campaign %s: %s", self._ledger.state.id, error)
            return self._spawn(self._renew(mind))

        async def work() -> None:
            try:
                await deed
            except ProbescoutError as error:
                _log.warning("campaign %s: %s", self._ledger.state.id, error)
                await self._renew(mind)

        return self._spawn(work())


def _given_up(observation: str, state: Campaign, why: str) -> Scored:
    """Return the event of an observation that no worker survives."""
    further = tuple(FurtherScore(0.0, 0.0, "", o.scalarizer.name, why) for o in state.spec.objectives)
    return Scored(observation, 0.0, 0.0, "", state.spec.scalarizer.name, why, further)


async def _wait(reply: Reply) -> None:
    await reply
