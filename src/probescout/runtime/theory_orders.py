"""Hands out jobs: leased in the journal first, then as orders."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from probescout.core import jobs
from probescout.core.clock import Clock
from probescout.core.errors import HistoryMismatch, NotFound, ProbescoutError
from probescout.core.state import Campaign
from probescout.core.theory import Failure, JobOrder, TheoryPatch
from probescout.core.theory_events import TheoryLeased, TheoryQueued
from probescout.runtime.ledger import load_array
from probescout.runtime.minding import SYSTEM
from probescout.runtime.theory_results import failed
from probescout.runtime.theory_watch import JobWatch
from probescout.store.blob_names import digest_of

T = TypeVar("T")
MOST_BYTES = 3 << 20
"""Of the orders that are handed out at once, unless it is one alone; grpc clients refuse more than 4 MiB by default."""
REST_BYTES = 128 << 10
"""Of an order beside its patch: settings and structure of at most 64 KiB each."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ask:
    """What a worker asks for."""

    worker: str
    engines: tuple[str, ...]
    """Names of those that it has."""
    count: int
    """Most jobs."""
    lease_s: float
    """How long it may keep silent; 0: as each campaign declares."""
    campaign: str
    """Only jobs of this one; empty: of any."""


class Orders:
    """The jobs of all campaigns that wait, one of each in turn."""

    def __init__(self, campaigns: dict[str, JobWatch], clock: Clock, new_token: Callable[[], str]) -> None:
        """Hand out the jobs of these campaigns, as they come and go; those served are moved to the end.

        Args:
            campaigns: By id.
            clock: Stamps the leases.
            new_token: Makes the token of every lease, each another.
        """
        self._campaigns = campaigns
        self._clock = clock
        self._new_token = new_token
        self._leasing: set[asyncio.Task[Any]] = set()

    async def lease(self, ask: Ask) -> tuple[JobOrder, ...]:
        """Lease up to `ask.count` jobs, in turn from every campaign that has some, and return their orders.

        Raises:
            ProbescoutError: No campaign could lease any, and this one failed.
        """
        orders: list[JobOrder] = []
        trouble: ProbescoutError | None = None
        waiting = [n for n, campaign in self._campaigns.items() if campaign.has_waiting and ask.campaign in ("", n)]
        while waiting and len(orders) < ask.count:
            name = waiting.pop(0)
            if name not in self._campaigns:
                continue
            room = MOST_BYTES - sum(map(_n_bytes, orders)) if orders else math.inf
            try:
                order, is_more = await self._kept(self._lease_one(name, ask, room))
            except ProbescoutError as error:
                # What ails one campaign must not keep the jobs of the others, nor lose those leased already.
                _log.warning("campaign %s: no job can be leased: %s", name, error)
                trouble = error
                continue
            orders += [order] if order is not None else []
            if is_more:
                # Its next job comes after one of every other campaign.
                waiting.append(name)
        if trouble is not None and not orders:
            raise trouble
        for order in orders:
            # The campaign that was served last comes last the next time.
            served = order.name.split("/")[1]
            if served in self._campaigns:
                self._campaigns[served] = self._campaigns.pop(served)
        return tuple(orders)

    async def _kept(self, work: Coroutine[Any, Any, T]) -> T:
        """Carry work out to its end, even when whoever waits for it goes: what is leased must be watched."""
        task = asyncio.create_task(work)
        self._leasing.add(task)
        task.add_done_callback(self._leasing.discard)
        return await asyncio.shield(task)

    async def _lease_one(self, name: str, ask: Ask, room: float) -> tuple[JobOrder | None, bool]:
        """Lease one job of a campaign that fits into `room` bytes; return its order, and whether there may be more."""
        mine, token = self._campaigns[name], self._new_token()
        drawn: list[Any] = []

        def decide(state: Campaign) -> list[Any]:
            lease_s = ask.lease_s or (state.spec.theory.lease_s if state.spec.theory is not None else 0.0)
            event = jobs.lease(state, ask.engines, ask.worker, token, lease_s, self._clock.now())
            fits = not isinstance(event, TheoryLeased) or _most_bytes(state.jobs[event.job].queued) <= room
            drawn[:] = [event] if event is not None and fits else []
            return drawn

        await mine.commit(decide, SYSTEM)
        if not drawn:
            return None, False
        [event] = drawn
        if not isinstance(event, TheoryLeased):
            return None, True
        mine.begin(mine.state.jobs[event.job], event.lease_s)
        try:
            return await self._order(mine, event, token), True
        except (NotFound, HistoryMismatch) as error:
            # Its patch or structure is lost or damaged: it is not handed out, and names what is wrong.
            unreadable = failed(Failure.BAD_INPUT, f"what was to be simulated cannot be read: {error.message}")
            now = self._clock.now()
            await mine.commit(lambda state: jobs.finish(state, event.job, token, unreadable, now), SYSTEM)
            return None, True
        except (ProbescoutError, OSError) as error:
            why = f"what was to be simulated cannot be read now: {error}"
            now = self._clock.now()
            await mine.commit(lambda state: jobs.lost(state, event.job, event.attempt, now, why=why), SYSTEM)
            raise

    async def _order(self, mine: JobWatch, lease: TheoryLeased, token: str) -> JobOrder:
        asked = mine.state.jobs[lease.job].queued
        order = JobOrder(
            name=f"campaigns/{mine.state.id}/theoryJobs/{lease.job}",
            engine=asked.engine.name,
            settings=asked.engine.params,
            token=token,
            attempt=lease.attempt,
            # Where the budget ends before the deadline, so does the job.
            deadline_s=jobs.allowed_s(mine.state.jobs[lease.job]),
            lease_s=lease.lease_s,
        )
        loop, blobs = asyncio.get_running_loop(), mine.ledger.blobs
        if asked.structure:
            text = await loop.run_in_executor(None, blobs.get, digest_of(asked.structure))
            return replace(order, structure=json.loads(text))
        assert asked.patch is not None
        image = await loop.run_in_executor(None, load_array, blobs, asked.patch)
        return replace(order, patch=TheoryPatch(image, asked.pixel_size_m, asked.place))


def _most_bytes(asked: TheoryQueued) -> int:
    """Return what an order takes at most."""
    patch = asked.patch
    return REST_BYTES + (0 if patch is None else math.prod(patch.shape) * np.dtype(patch.dtype).itemsize)


def _n_bytes(order: JobOrder) -> int:
    return REST_BYTES + (0 if order.patch is None else order.patch.image.nbytes)
