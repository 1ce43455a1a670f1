"""Where campaigns get the process that holds their model, and the pool that fits hyperparameters."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Protocol

from probescout.core.errors import ProbescoutError, Reason, Unavailable
from probescout.runtime.child import Child, Reply, WorkerFault
from probescout.runtime.settings import Settings

_log = logging.getLogger(__name__)


class Mind(Protocol):
    """Something that answers the messages of `runtime.brain.Brain`."""

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked."""

    @property
    def n_waiting(self) -> int:
        """Number of requests without an answer yet."""

    def ask(self, op: str, **payload: Any) -> Reply:
        """Send a request, in order; return the future of its reply."""

    async def stop(self) -> None:
        """End it in order."""

    async def kill(self) -> None:
        """End it now."""


class Holder(Protocol):
    """A campaign that holds a mind."""

    last_asked: float
    """Monotonic time of its last request, seconds."""

    @property
    def is_idle(self) -> bool:
        """Whether its mind has nothing to do."""

    async def sleep(self) -> None:
        """Give the mind back."""


class InlineMind:
    """A brain in this process, for notebooks and tests."""

    n_waiting = 0

    def __init__(self) -> None:
        """Make a brain of its own."""
        from probescout.runtime.brain import Brain

        self.is_alive = True
        self._brain = Brain()

    def ask(self, op: str, **payload: Any) -> Reply:
        """Answer at once."""
        reply: Reply = asyncio.get_running_loop().create_future()
        try:
            reply.set_result(self._brain.handle({"op": op, **_as_seen_by_a_worker(payload)}))
        except ProbescoutError as error:
            reply.set_exception(error)
        except Exception as error:
            _log.exception("%s failed", op)
            reply.set_exception(WorkerFault(f"the model failed: {error!r}"))
        reply.add_done_callback(lambda f: f.cancelled() or f.exception())
        return reply

    async def stop(self) -> None:
        """Forget it."""
        self.is_alive = False

    async def kill(self) -> None:
        """Forget it, so that the next use makes a fresh one."""
        self.is_alive = False


def _as_seen_by_a_worker(payload: dict[str, Any]) -> dict[str, Any]:
    """Pass a message through the framing, so that both kinds of mind see the very same types."""
    from probescout.runtime.framing import PREFIX, lengths, pack, unpack

    frame = pack(payload)
    n_header, _ = lengths(frame[:PREFIX])
    return unpack(frame[PREFIX : PREFIX + n_header], frame[PREFIX + n_header :])


class Seats:
    """Hands out minds, at most `max_workers` at a time, and keeps a spare one warm."""

    def __init__(self, settings: Settings) -> None:
        """Start without a process."""
        self._settings = settings
        self._spare: asyncio.Task[Mind] | None = None
        self._taken: dict[Holder, Mind] = {}
        self._turn = asyncio.Lock()
        self._nudged = asyncio.Event()

    def nudge(self) -> None:
        """Say that a campaign may have become idle."""
        self._nudged.set()

    def warm(self) -> None:
        """Start the spare process in the background."""
        if self._spare is None:
            self._spare = asyncio.create_task(self._make())

    async def _make(self) -> Mind:
        return InlineMind() if self._settings.is_inline else await Child.start("campaign")

    async def take(self, holder: Holder) -> Mind:
        """Return a mind for a campaign; the campaign that was idle longest gives its own up when all are taken.

        Raises:
            Unavailable: WORKER_UNAVAILABLE when every seat is taken and none becomes idle.
        """
        async with self._turn:
            self._taken = {h: m for h, m in self._taken.items() if m.is_alive}
            if not self._settings.is_inline and len(self._taken) >= self._settings.max_workers:
                await self._make_room()
            mind = await self._ready()
            self._spare = None
            self._taken[holder] = mind
            self.warm()
            return mind

    async def _make_room(self) -> None:
        while not (idle := [h for h in self._taken if h.is_idle]):
            self._nudged.clear()
            try:
                await asyncio.wait_for(self._nudged.wait(), self._settings.hang_s)
            except TimeoutError as error:
                raise Unavailable(
                    Reason.WORKER_UNAVAILABLE,
                    f"all {self._settings.max_workers} campaign workers are busy; stop a campaign or raise "
                    "--max-workers",
                ) from error
        await min(idle, key=lambda h: h.last_asked).sleep()

    async def _ready(self) -> Mind:
        self.warm()
        assert self._spare is not None
        try:
            # Shielded: a campaign that no longer waits must not take the spare one from the others.
            mind = await asyncio.shield(self._spare)
        except OSError as error:
            self._spare = None
            raise Unavailable(
                Reason.WORKER_UNAVAILABLE, f"no worker process could be started: {error}; trying again at the next call"
            ) from error
        if not mind.is_alive:
            self._spare = None
            return await self._ready()
        return mind

    async def ask(self, op: str, **payload: Any) -> dict[str, Any]:
        """Ask the spare mind something that no campaign is needed for.

        Raises:
            ProbescoutError: As the brain says, or WORKER_UNAVAILABLE when it does not answer.
        """
        mind = await self._ready()
        try:
            return await asyncio.wait_for(mind.ask(op, **payload), self._settings.hang_s)
        except WorkerFault:
            if mind.is_alive:
                raise
            # It died while it was spare, which has nothing to do with this request.
            mind = await self._ready()
            return await asyncio.wait_for(mind.ask(op, **payload), self._settings.hang_s)
        except TimeoutError as error:
            await mind.kill()
            raise Unavailable(
                Reason.WORKER_UNAVAILABLE,
                f"no answer to '{op}' within {self._settings.hang_s:g} s; a plug-in may hang when it is imported",
            ) from error

    async def give_back(self, holder: Holder) -> None:
        """End the mind of a campaign that no longer needs it."""
        mind = self._taken.pop(holder, None)
        if mind is not None:
            await mind.stop()

    async def close(self) -> None:
        """End all minds."""
        if self._spare is not None:
            [spare], self._spare = [self._spare], None
            await asyncio.wait([spare])
            if spare.exception() is None:
                await spare.result().stop()
        for holder in list(self._taken):
            await self.give_back(holder)


class FitPool:
    """One process with torch, shared by all campaigns; fits are done one after the other."""

    def __init__(self, settings: Settings) -> None:
        """Start without a process."""
        self._settings = settings
        self._child: Child | None = None
        self._turn = asyncio.Lock()

    async def warm(self) -> None:
        """Start the process, so that its imports are paid before the first fit."""
        if not self._settings.is_inline and (self._child is None or not self._child.is_alive):
            self._child = await Child.start("fit")

    async def fit(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the result of `surrogates.fitting.fit`.

        Raises:
            Unavailable: WORKER_UNAVAILABLE when the fit died, failed or took too long.
        """
        if self._settings.is_inline:
            from probescout.surrogates.fitting import fit

            result: Mapping[str, Any] = fit(request)
            return result
        async with self._turn:
            await self.warm()
            assert self._child is not None
            try:
                reply = await asyncio.wait_for(self._child.ask("fit", request=request), self._settings.fit_timeout_s)
            except TimeoutError as error:
                await self._child.kill()
                raise WorkerFault(
                    f"the fit took longer than {self._settings.fit_timeout_s:g} s and was given up"
                ) from error
            fitted: Mapping[str, Any] = reply["result"]
            return fitted

    @property
    def pid(self) -> int:
        """Process id; 0 while there is none."""
        return self._child.pid if self._child is not None and self._child.is_alive else 0

    async def close(self) -> None:
        """End the process."""
        if self._child is not None:
            await self._child.kill()
