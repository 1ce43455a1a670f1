"""What workers have taken, kept for their retries: it holds tokens, which no disk may."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from probescout_client.wire.v1 import probescout_pb2 as pb

from probescout.runtime.once import Request

MOST_KEPT = 256
MOST_BYTES = 64 << 20
Jobs: TypeAlias = tuple[pb.TheoryJob, ...]


class TakenJobs:
    """Makes a retry of AcquireTheoryJobs give the jobs that the first try took."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._kept: OrderedDict[str, tuple[str, Jobs]] = OrderedDict()
        self._n_bytes = 0
        self._running: dict[str, tuple[str, asyncio.Task[Jobs]]] = {}

    async def once(self, request: Request, lease: Callable[[], Awaitable[Jobs]]) -> Jobs:
        """Return what a request took earlier, or what `lease` gives; that goes on when the caller goes away.

        Nothing is kept of a lease that gave nothing. The oldest are forgotten when there are too many, and their jobs
        return with their leases.

        Raises:
            InvalidInput: REQUEST_ID_REUSED when the id came with another body.
        """
        if request.id in self._kept:
            digest, jobs = self._kept[request.id]
            request.must_be(digest)
            return jobs
        if request.id not in self._running:
            task = asyncio.create_task(self._lease(request, lease))
            self._running[request.id] = (request.digest, task)
            task.add_done_callback(lambda _: self._running.pop(request.id))
        digest, task = self._running[request.id]
        request.must_be(digest)
        return await asyncio.shield(task)

    async def _lease(self, request: Request, lease: Callable[[], Awaitable[Jobs]]) -> Jobs:
        jobs = await lease()
        if jobs:
            self._kept[request.id] = (request.digest, jobs)
            self._n_bytes += _n_bytes(jobs)
        while len(self._kept) > MOST_KEPT or self._n_bytes > MOST_BYTES:
            _, (_, forgotten) = self._kept.popitem(last=False)
            self._n_bytes -= _n_bytes(forgotten)
        return jobs


def _n_bytes(jobs: Jobs) -> int:
    return sum(job.ByteSize() for job in jobs)
