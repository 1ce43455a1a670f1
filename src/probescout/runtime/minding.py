"""The life of one campaign's model: loads it, asks it, refits it, replaces it when it dies."""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from probescout.core.calibration import Calibration
from probescout.core.errors import ProbescoutError
from probescout.core.events import ModelSwapped
from probescout.core.influence import Influence
from probescout.core.jsonable import from_json
from probescout.runtime import memory
from probescout.runtime.child import Reply, WorkerFault
from probescout.runtime.ledger import Change, Ledger
from probescout.runtime.seats import FitPool, Mind, Seats
from probescout.runtime.settings import Settings
from probescout.runtime.teaching import frame_arrays, load_request

NEWS = ("needs_fit", "n_observed", "is_building", "is_outdated", "calibration", "theory")
"""What a mind tells of itself with its answers."""
SYSTEM = "system"
"""Principal of what the service does by itself."""
SNAPSHOT_S = 5.0
"""Longest wait for a model's state when it goes to sleep; the state is a convenience."""
_log = logging.getLogger(__name__)


class Minder(ABC):
    """Takes, loads, asks and gives back the mind of one campaign."""

    def __init__(self, ledger: Ledger, seats: Seats, pool: FitPool, settings: Settings) -> None:
        """Start without a mind; it is taken when first needed."""
        self._ledger = ledger
        self._seats = seats
        self._pool = pool
        self._settings = settings
        self._mind: Mind | None = None
        self._loading: asyncio.Task[None] | None = None
        self._fitting: asyncio.Task[None] | None = None
        self._advancing: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._asked: set[str] = set()
        """Observations whose score the present mind was asked for; none is taught twice."""
        self._answered = asyncio.Event()
        """Set at every answer of the mind."""
        self.news: dict[str, Any] = {}
        """Newest calibration and counts that the model reported."""
        self.spares: list[dict[str, Any]] = []
        """Positions that it would propose next, kept for when it is late."""
        self.fit_problem = ""
        """Why the last fit failed; empty when it did not."""
        self.rescoring: asyncio.Task[None] | None = None
        """Recomputes all targets after a change of scalarizer; until it ends the model knows old ones."""
        self.last_asked = time.monotonic()

    @property
    def calibration(self) -> Calibration | None:
        """What the model last said of its own honesty; None before it was asked."""
        told = self.news.get("calibration")
        return from_json(Calibration, told) if told else None

    @property
    def influence(self) -> Influence | None:
        """What simulations do to the model, as it last said; None without any."""
        told = self.news.get("theory")
        return Influence.of(told) if told else None

    @property
    def is_rescoring(self) -> bool:
        """Whether the model still knows targets of an earlier scalarizer."""
        return self.rescoring is not None and not self.rescoring.done()

    @property
    def problems(self) -> list[str]:
        """What is wrong with the model that is in use; empty when nothing is."""
        stale = "the targets are being recomputed after a change of the scalarizer"
        old = "the model is being rebuilt: it still knows measurements that were corrected"
        holds = ((self.fit_problem, True), (stale, self.is_rescoring), (old, self.news.get("is_outdated", False)))
        return [problem for problem, is_so in holds if problem and is_so]

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way that a nap would interrupt."""
        return not self._tasks and (self._mind is None or self._mind.n_waiting == 0)

    @property
    def is_ready(self) -> bool:
        """Whether a living, loaded model can be asked now."""
        loading = self._loading
        is_loaded = loading is not None and loading.done() and not loading.cancelled() and loading.exception() is None
        return is_loaded and self._mind is not None and self._mind.is_alive

    async def loaded(self) -> None:
        """Wait for the loading that is under way, if any."""
        if self._loading is not None and not self._loading.done():
            await asyncio.wait([self._loading])

    @property
    def load_problem(self) -> str:
        """Why the last loading failed; empty when it did not."""
        loading = self._loading
        if loading is None or not loading.done() or loading.cancelled() or loading.exception() is None:
            return ""
        return f"the model cannot be loaded: {loading.exception()}"

    def wake(self) -> asyncio.Task[None]:
        """Load the model in the background unless it is loaded or loading; return the task."""
        if self._loading is not None and (not self._loading.done() or self.is_ready):
            return self._loading
        self._loading = self._spawn(self._load())
        return self._loading

    def _spawn(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self._seats.nudge()
        if task is self._fitting and not task.cancelled() and self.is_ready and not self.fit_problem:
            # The model of another objective may wait for its turn, and nobody may ask for a long time.
            if self.news.get("needs_fit"):
                self.start_fit()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("campaign %s: %s", self._ledger.state.id, error)

    async def _load(self) -> None:
        self._mind = None
        await self._seats.give_back(self)
        mind = await self._seats.take(self)
        loop = asyncio.get_running_loop()
        ledger = self._ledger
        arrays = await loop.run_in_executor(None, frame_arrays, ledger.state, ledger.blobs)
        snapshot = await loop.run_in_executor(None, memory.load, ledger.directory, ledger.state, ledger.hash_at)
        # From here to the request there is no await: what is taught below is exactly what the journal holds,
        # and everything scored later is sent after it.
        self._mind = mind
        self._asked = set()
        reply = self._send("load", **load_request(ledger.state, arrays, snapshot))
        await reply
        await self.score_pending()

    @abstractmethod
    async def score_pending(self) -> None:
        """Score every stored observation that has no score yet, in order."""

    async def sleep(self) -> None:
        """Give the mind back; the journal holds everything that it knows."""
        if self.is_ready and self._mind is not None and self._mind.n_waiting == 0:
            try:
                await asyncio.wait_for(self.save_snapshot(), SNAPSHOT_S)
            except (ProbescoutError, TimeoutError) as error:
                # A mind that hangs or died must not keep the others from ending in order.
                _log.info("campaign %s: no snapshot: %r", self._ledger.state.id, error)
        self._mind = None
        for task in list(self._tasks):
            task.cancel()
        await self._seats.give_back(self)

    async def poison(self) -> None:
        """Kill a mind that may know what the journal does not, or that hangs; the next use loads a fresh one."""
        if self._mind is not None:
            await self._mind.kill()

    def ask(self, op: str, **payload: Any) -> Reply:
        """Send a request to the loaded model.

        Raises:
            WorkerFault: It is not loaded; `wake` loads it.
            Overloaded: QUEUE_FULL.
        """
        if not self.is_ready:
            raise WorkerFault(self.load_problem or "the campaign's model is being loaded")
        return self._send(op, **payload)

    def _send(self, op: str, **payload: Any) -> Reply:
        if self._mind is None or not self._mind.is_alive:
            raise WorkerFault("the campaign's model is being replaced")
        self.last_asked = time.monotonic()
        reply = self._mind.ask(op, **payload)
        reply.add_done_callback(self._heard)
        if not self._settings.is_inline:
            loop = asyncio.get_running_loop()
            alarm = loop.call_later(self._settings.hang_s, self._check_hang, reply, self._mind)
            reply.add_done_callback(lambda _: alarm.cancel())
        return reply

    def _check_hang(self, reply: Reply, mind: Mind) -> None:
        if not reply.done() and mind is self._mind:
            _log.warning("campaign %s: the model has hung for %g s", self._ledger.state.id, self._settings.hang_s)
            self._spawn(self.poison())

    def _heard(self, reply: Reply) -> None:
        self._seats.nudge()
        self._answered.set()
        if not reply.cancelled() and reply.exception() is None:
            self._take_news(reply.result())

    def _take_news(self, reply: Mapping[str, Any]) -> None:
        if "calibration" in reply:
            self.news = {k: reply[k] for k in NEWS}
        if reply.get("spares"):
            self.spares = reply["spares"]
        if reply.get("is_building"):
            self.start_advancing()
        if reply.get("needs_fit"):
            self.start_fit()

    # ------------------------------------------------------------ fits and versions

    def start_advancing(self) -> asyncio.Task[None]:
        """Bring on the version of the model that is being built, unless that is being done; return the task."""
        if self._advancing is None or self._advancing.done():
            self._advancing = self._spawn(self._advance())
        return self._advancing

    async def _advance(self) -> None:
        """Ask for one bite after the other; what is asked meanwhile is answered between two of them."""
        try:
            while not (await self.ask("advance"))["is_done"]:
                pass
        except ProbescoutError:
            if self.news.get("is_outdated"):
                # What answers now knows measurements that the journal has taken back.
                await self.poison()
            raise

    def start_fit(self) -> None:
        """Fit in the background unless a fit is running."""
        if self._fitting is None or self._fitting.done():
            self._fitting = self._spawn(self._fit())

    async def advanced(self) -> None:
        """Wait for the version, or the evidence, that is being worked out between the answers, if any."""
        if self._advancing is not None and not self._advancing.done():
            await asyncio.wait([self._advancing])

    async def fitted(self) -> None:
        """Wait for fits and for the version of the model that is being built, if any: one may follow the other."""
        while under_way := [t for t in (self._fitting, self._advancing) if t is not None and not t.done()]:
            await asyncio.wait(under_way)

    async def _fit(self) -> None:
        if not self.is_ready:
            return
        try:
            mind = self._mind
            request = await self.ask("fit_request")
            result = await self._pool.fit(request)
            if mind is not self._mind or not self.is_ready:
                return
            await self.ask("swap", result=result, objective=request["objective"])
            await self.start_advancing()
            reply = await self.ask("fitted", objective=request["objective"])
        except Exception as error:
            # The campaign goes on with the last good model and says so in every reply until a fit succeeds.
            self.fit_problem = f"the last fit failed: {error}"
            _log.warning("campaign %s: %s", self._ledger.state.id, self.fit_problem)
            return
        self.fit_problem = ""
        told = from_json(Calibration, reply["calibration"])
        event = ModelSwapped(int(reply["n_observed"]), reply["hyperparameters"], told, int(request["objective"]))
        try:
            await self._ledger.commit([Change(event)], principal=SYSTEM)
        except ProbescoutError:
            # The model uses what the journal does not hold.
            await self.poison()
            raise
        await self.save_snapshot()

    async def save_snapshot(self) -> None:
        """Keep a disposable copy of the model on disk, so that a restart continues where this one stands."""
        if self._ledger.directory is None or not self.is_ready:
            return
        told = await self.ask("state")
        await asyncio.get_running_loop().run_in_executor(None, memory.save, self._ledger, told)
