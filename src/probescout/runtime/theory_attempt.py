"""One attempt at one job: something that runs, a lease that is kept while it does, and one result handed in."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Protocol

from probescout.core.clock import Clock
from probescout.core.errors import InvalidInput, NotFound, WrongState
from probescout.core.theory import Desk, Failure, JobOrder, JobResult
from probescout.runtime.theory_results import failed

FIRST_RETRY_S = 0.1
_log = logging.getLogger(__name__)


class Run(Protocol):
    """A job that runs: in a process here, or wherever an executor sent it."""

    share: float
    """Of the work that is done, 0 to 1, as last heard."""
    doing: str
    """What is being done, for a person."""

    async def result(self) -> JobResult:
        """Wait for the end and return what became of the job; the deadline ends it too."""

    async def end(self) -> None:
        """End it, if it runs, and wait until nothing of it does; also when the caller is cancelled."""


class Attempt:
    """What an executor does with one order."""

    def __init__(
        self,
        order: JobOrder,
        desk: Desk,
        begin: Callable[[JobOrder], Awaitable[Run]],
        clock: Clock,
        pause: Callable[[float], Awaitable[None]],
    ) -> None:
        """Prepare; `run` does it.

        Args:
            order: The job.
            desk: Where its lease is renewed and its result goes.
            begin: Begins it.
            clock: Its monotonic time decides how long a result is offered.
            pause: Waits for so many seconds.
        """
        self._order = order
        self._desk = desk
        self._begin = begin
        self._clock = clock
        self._pause = pause
        self._running: Run | None = None
        self._renewed = clock.monotonic()

    async def run(self) -> None:
        """Run the job and hand its result in, unless nobody wants it any more; leave nothing running."""
        keeping = asyncio.create_task(self._keep_lease())
        working = asyncio.create_task(self._work())
        try:
            # Whichever ends first: the result is handed in, or the desk says that it is not wanted.
            await asyncio.wait({keeping, working}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            keeping.cancel()
            working.cancel()
            await asyncio.wait({keeping, working})
            if self._running is not None:
                await self._running.end()
        for task in (working, keeping):
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _work(self) -> None:
        await self._hand_in(await self._result())

    async def _result(self) -> JobResult:
        """Return what became of the job."""
        try:
            self._running = await self._begin(self._order)
        except InvalidInput as error:
            return failed(Failure.BAD_INPUT, error.message)
        except OSError as error:
            return failed(Failure.CRASHED, f"the job could not be started: {error}; look at the limits of the system")
        return await self._running.result()

    async def _keep_lease(self) -> None:
        """Renew the lease, with or without progress to report, until the desk says that it is over."""
        left = self._order.lease_s
        while True:
            await self._pause(max(0.0, min(left, self._order.lease_s)) / 3.0)
            share, doing = (self._running.share, self._running.doing) if self._running else (0.0, "")
            asked = self._clock.monotonic()
            try:
                async with asyncio.timeout(self._order.lease_s / 3.0):
                    standing = await self._desk.progress(self._order.name, self._order.token, share, doing)
            except (WrongState, NotFound) as error:
                _log.info("%s is no longer ours: %s", self._order.name, error)
                return
            except Exception as error:
                # Only the desk decides that a lease is over; as long as it cannot be asked the work goes on.
                _log.warning("the lease of %s could not be renewed: %r; trying again", self._order.name, error)
                continue
            if standing.is_cancelled:
                _log.info("%s is cancelled", self._order.name)
                return
            self._renewed = asked
            left = standing.expires_in_s if math.isfinite(standing.expires_in_s) else self._order.lease_s

    async def _hand_in(self, result: JobResult) -> None:
        """Offer the result until it is taken or refused, or a lease has passed in which the desk did not answer."""
        order, wait_s = self._order, FIRST_RETRY_S
        begin = self._clock.monotonic()
        while True:
            try:
                async with asyncio.timeout(order.lease_s):
                    await self._desk.finish(order.name, order.token, result)
                return
            except (WrongState, NotFound, InvalidInput) as error:
                _log.warning("the result of %s was refused: %s", order.name, error)
                return
            except Exception as error:
                left = max(begin, self._renewed) + order.lease_s - self._clock.monotonic()
                _log.warning("the result of %s could not be handed in: %r; %.1f s left", order.name, error, left)
                if left <= 0.0:
                    return
                await self._pause(min(wait_s, left))
                wait_s *= 2.0
