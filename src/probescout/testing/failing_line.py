"""A line to a desk that fails on command."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from probescout.core.errors import Reason, Unavailable
from probescout.core.theory import Desk, JobOrder, JobResult, Standing


class FailingLine:
    """A desk as seen through a network that fails on command."""

    def __init__(self, desk: Desk) -> None:
        """Lead to a desk."""
        self.desk = desk
        self.is_cut = False
        """Whether no call gets through."""
        self.muted: set[str] = set()
        """Tokens whose progress does not get through."""
        self.n_lost_replies = 0
        """So many results arrive whose sender does not learn it."""
        self.n_refused = 0
        """Calls that failed here."""
        self._refused = asyncio.Condition()

    async def refusals(self, count: int) -> None:
        """Wait until so many more calls have failed here."""
        end = self.n_refused + count
        async with self._refused:
            await self._refused.wait_for(lambda: self.n_refused >= end)

    async def acquire(
        self, worker_id: str, engines: Sequence[str], count: int, lease_s: float, *, wait_s: float = 0.0
    ) -> tuple[JobOrder, ...]:
        """As the desk, or Unavailable."""
        await self._pass(self.is_cut)
        return await self.desk.acquire(worker_id, engines, count, lease_s, wait_s=wait_s)

    async def progress(self, name: str, token: str, share: float, message: str) -> Standing:
        """As the desk, or Unavailable."""
        await self._pass(self.is_cut or token in self.muted)
        return await self.desk.progress(name, token, share, message)

    async def finish(self, name: str, token: str, result: JobResult) -> None:
        """As the desk, or Unavailable, before or after the result got through."""
        await self._pass(self.is_cut)
        await self.desk.finish(name, token, result)
        if self.n_lost_replies > 0:
            self.n_lost_replies -= 1
            await self._pass(True)

    async def _pass(self, is_lost: bool) -> None:
        if is_lost:
            self.n_refused += 1
            async with self._refused:
                self._refused.notify_all()
            raise Unavailable(Reason.WORKER_UNAVAILABLE, "the line to the desk is cut; try again")
