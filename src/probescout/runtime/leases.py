"""Lets leases expire by a clock that never goes back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from probescout.core.clock import Clock

_log = logging.getLogger(__name__)


class Held(Protocol):
    """What is leased: a suggestion, or a theory job."""

    @property
    def id(self) -> str:
        """Return its name among the leases."""

    @property
    def lease_s(self) -> float:
        """Return how long its holder may keep silent."""


class Leases:
    """Deadlines of the open leases of one campaign."""

    def __init__(self, clock: Clock, expire: Callable[[tuple[str, ...]], Awaitable[None]]) -> None:
        """Start without a lease.

        Args:
            clock: Its monotonic time decides.
            expire: Called with the names of leases that have run out.
        """
        self._clock = clock
        self._expire = expire
        self._deadlines: dict[str, float] = {}
        self._watch: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    def grant(self, held: Iterable[Held]) -> None:
        """Give each lease its full period from now."""
        now = self._clock.monotonic()
        for one in held:
            self._deadlines[one.id] = now + one.lease_s
        self._changed.set()
        if self._deadlines and self._watch is None:
            self._watch = asyncio.create_task(self._run())

    def drop(self, names: Iterable[str]) -> None:
        """Forget leases that have ended."""
        for name in names:
            self._deadlines.pop(name, None)

    def left(self, name: str) -> float:
        """Return the seconds that a lease has left; 0 when it has ended."""
        deadline = self._deadlines.get(name)
        return 0.0 if deadline is None else max(0.0, deadline - self._clock.monotonic())

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            due = tuple(n for n, d in self._deadlines.items() if d <= self._clock.monotonic())
            if due:
                self.drop(due)
                try:
                    await self._expire(due)
                except Exception:
                    # A store that refuses for now must not end the watch; the leases are tried again below.
                    _log.exception("leases %s could not be ended; trying again in a second", ", ".join(due))
                    again = self._clock.monotonic() + 1.0
                    # Those that were renewed meanwhile keep their new period.
                    self._deadlines = {**dict.fromkeys(due, again), **self._deadlines}
            waiting = min(self._deadlines.values(), default=None)
            timeout = None if waiting is None else max(0.0, waiting - self._clock.monotonic())
            try:
                await asyncio.wait_for(self._changed.wait(), timeout)
            except TimeoutError:
                continue

    def close(self) -> None:
        """Stop watching."""
        if self._watch is not None:
            self._watch.cancel()
