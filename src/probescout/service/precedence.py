"""Who goes first: calls of microscopes before those about simulations, which take seconds to days and can wait.

Both share one event loop and one journal a campaign, whose every commit is synced. Without this, executors that call as
fast as they are answered double the time of a Step.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager

from probescout.core.clock import Clock, SystemClock
from probescout.core.errors import Overloaded, Reason

QUIET_S = 0.05
"""A microscope that was just answered may call again at once: so long nothing else is begun."""
LONGEST_S = 0.1
"""After which the next call about simulations is let through however busy the microscopes are."""
LONGEST_TURN_S = 1.0
"""After which the next is let through though the one before has not ended: it may wait for an engine that hangs."""
MOST_WAITING = 128
"""Half of all calls that may be in progress: the other half is left to microscopes."""
_PLANNER = "/probescout.v1.PlannerService/"
_THEORY = "/probescout.v1.TheoryService/"
_HELD = frozenset(_THEORY + name for name in ("SubmitTheoryJob", "AcquireTheoryJobs", "FinishTheoryJob"))
"""Those that commit and come in floods. Reports of progress keep leases alive, and vetoes are a person's."""
_LONG = frozenset({f"{_THEORY}AcquireTheoryJobs"})
"""They may wait for a minute for a job, and nobody waits for that."""


class Precedence:
    """Lets calls about simulations through one by one, while no microscope is being answered."""

    def __init__(self, clock: Clock | None = None) -> None:
        """Start with nobody calling.

        Args:
            clock: Its monotonic time tells how long microscopes have been quiet; None: that of the computer.
        """
        self._clock = clock or SystemClock()
        self._n_planning = 0
        self._answered_at = float("-inf")
        self._moved = asyncio.Event()
        """Set when a microscope calls or is answered, and then replaced."""
        self._turn = asyncio.Lock()
        self._n_waiting = 0

    @asynccontextmanager
    async def of(self, method: str) -> AsyncIterator[None]:
        """Carry out a call inside; enters when it is its turn.

        Raises:
            Overloaded: QUEUE_FULL when too many calls about simulations wait already.
        """
        if method.startswith(_PLANNER):
            with self._planning():
                yield
        elif method in _HELD:
            await self._wait_for_turn()
            with ExitStack() as turn:
                turn.callback(self._turn.release)
                ends = asyncio.get_running_loop().call_later(0.0 if method in _LONG else LONGEST_TURN_S, turn.close)
                try:
                    yield
                finally:
                    ends.cancel()
        else:
            yield

    @contextmanager
    def _planning(self) -> Iterator[None]:
        self._n_planning += 1
        self._move()
        try:
            yield
        finally:
            self._n_planning -= 1
            self._answered_at = self._clock.monotonic()
            self._move()

    def _move(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def _wait_for_turn(self) -> None:
        if self._n_waiting >= MOST_WAITING:
            raise Overloaded(
                Reason.QUEUE_FULL, f"{self._n_waiting} calls about simulations wait; try again in a moment"
            )
        self._n_waiting += 1
        try:
            await self._turn.acquire()
            try:
                await self._quiet()
            except BaseException:
                self._turn.release()
                raise
        finally:
            self._n_waiting -= 1

    async def _quiet(self) -> None:
        """Wait until no microscope is being answered nor was just now, but not for ever."""
        until = self._clock.monotonic() + LONGEST_S
        while True:
            now = self._clock.monotonic()
            quiet_at = self._answered_at + QUIET_S if not self._n_planning else until
            left = min(quiet_at, until) - now
            if left <= 0.0:
                return
            try:
                await asyncio.wait_for(self._moved.wait(), left)
            except TimeoutError:
                continue
