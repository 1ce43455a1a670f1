"""Between campaigns and executors: jobs are journalled, leased, watched and ended here, each exactly once.

A lease is in the journal before its order is handed out, and a result before its executor is told that it was taken:
whoever dies in between finds, when it comes back, either what it knew or a lease that runs out.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from probescout.core import jobs
from probescout.core.clock import Clock
from probescout.core.errors import InvalidInput, NotFound, ProbescoutError, Reason
from probescout.core.state import Campaign, Status
from probescout.core.theory import JobOrder, JobResult, JobState, Standing, TheoryPatch
from probescout.core.theory_events import Job, TheoryLeased, TheoryQueued
from probescout.runtime.leases import Leases
from probescout.runtime.ledger import Change, Ledger, load_array
from probescout.runtime.minding import SYSTEM
from probescout.runtime.theory_results import canonical, judged
from probescout.store.blob_names import blob_name, digest_of

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Lease:
    id: str
    lease_s: float


@dataclass(frozen=True)
class Heard:
    """What a worker last said of its job, and how long its lease lasts."""

    expires_in_s: float = 0.0
    share: float = 0.0
    message: str = ""


class _Campaign:
    """The jobs of one campaign: its journal, and the leases that run out."""

    def __init__(self, ledger: Ledger, clock: Clock, moved: Callable[[], None]) -> None:
        self.ledger = ledger
        self._clock = clock
        self._moved = moved
        self.leases = Leases(clock, self._expire)
        self.started: dict[str, float] = {}
        """Monotonic time at which each job at work began, or at which this process learnt of it."""
        self.heard: dict[str, tuple[float, str]] = {}
        """What the worker of each said last: share of the work, and words."""
        # After a restart nobody knows how long workers have waited: every lease gets one full period of grace.
        for name, at_work in ledger.state.open_jobs.items():
            lease = ledger.state.jobs[name].lease
            if at_work and lease is not None:
                self.begin(name, lease.lease_s)
        self._watch = asyncio.create_task(self._follow())

    @property
    def state(self) -> Campaign:
        return self.ledger.state

    def begin(self, job: str, lease_s: float) -> None:
        """Watch a lease from now on."""
        self.started[job] = self._clock.monotonic()
        self.leases.grant([_Lease(job, lease_s)])

    def renew(self, job: Job, share: float, message: str) -> float:
        """Give a lease another period, and return it: 0 once the job's deadline has passed, and a period more."""
        assert job.lease is not None
        left = self.overtime(job)
        if left <= 0.0:
            return 0.0
        self.heard[job.id] = (share, message)
        self.leases.grant([_Lease(job.id, min(left, job.lease.lease_s))])
        return self.leases.left(job.id)

    def overtime(self, job: Job) -> float:
        """Return the seconds that a job at work may still go on: its executor has a lease more to end it itself."""
        assert job.lease is not None
        until = self.started.get(job.id, -math.inf) + job.queued.deadline_s + job.lease.lease_s
        return until - self._clock.monotonic()

    def forget(self, job: str) -> None:
        """Watch a lease no more."""
        self.leases.drop([job])
        self.started.pop(job, None)
        self.heard.pop(job, None)

    async def commit(self, decide: Callable[[Campaign], Sequence[Any]], principal: str) -> None:
        await self.ledger.commit(lambda state: [Change(event) for event in decide(state)], principal=principal)

    async def _follow(self) -> None:
        """Look at every change of the campaign: new jobs are offered, those of an ended campaign are cancelled."""
        while True:
            moved = self.ledger.moved
            for name in [n for n in self.started if not self.state.open_jobs.get(n)]:
                self.forget(name)
            if self.state.open_jobs and self.state.status in (Status.STOPPED, Status.ABORTED):
                try:
                    await self.commit(self._cancelled, SYSTEM)
                except ProbescoutError as error:
                    # With the next change of the campaign, or at the next start, they are cancelled after all.
                    _log.warning("campaign %s: jobs are not cancelled yet: %s", self.state.id, error)
            if self.has_waiting:
                self._moved()
            await moved.wait()

    @property
    def has_waiting(self) -> bool:
        """Whether a job waits to be taken."""
        return not all(self.state.open_jobs.values())

    def _cancelled(self, state: Campaign) -> list[Any]:
        return [*jobs.cancel_all(state, f"the campaign is {state.status}", self._clock.now())]

    async def _expire(self, names: tuple[str, ...]) -> None:
        def decide(state: Campaign) -> list[Any]:
            # Finished or renewed while earlier commits were written?
            still = [state.jobs[n] for n in names if not self.leases.left(n) and state.open_jobs.get(n)]
            now = self._clock.now()
            return [e for j in still for e in jobs.lost(state, j.id, j.attempt, now, is_overdue=self.overtime(j) <= 0)]

        await self.commit(decide, SYSTEM)

    async def end_overdue(self, job: Job) -> None:
        """End a job whose worker goes on reporting after its deadline."""

        def decide(state: Campaign) -> list[Any]:
            return [*jobs.lost(state, job.id, job.attempt, self._clock.now(), is_overdue=True)]

        await self.commit(decide, SYSTEM)

    def close(self) -> None:
        self._watch.cancel()
        self.leases.close()


class TheoryBroker:
    """The desk of this process: implements `core.theory.Desk` over the journals of its campaigns."""

    def __init__(self, clock: Clock, *, new_token: Callable[[], str] = secrets.token_hex) -> None:
        """Start without campaigns.

        Args:
            clock: Its monotonic time decides when leases run out.
            new_token: Makes the token of every lease, each another.
        """
        self._clock = clock
        self._new_token = new_token
        self._campaigns: dict[str, _Campaign] = {}
        self._changed = asyncio.Event()
        """Set at a change, and then replaced: nobody who waits can miss one that another has seen."""
        self._is_closed = False

    # ------------------------------------------------------------ campaigns

    def add(self, ledger: Ledger) -> None:
        """Look after the jobs of a campaign, those that were at work before a restart too."""
        self._campaigns[ledger.state.id] = _Campaign(ledger, self._clock, self._wake)
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def wanted(self) -> None:
        """Wait until there is a job to take."""
        while not any(campaign.has_waiting for campaign in self._campaigns.values()):
            await self._changed.wait()

    def remove(self, campaign: str) -> None:
        """Look after a campaign no longer; its jobs stay as the journal has them."""
        self._campaigns.pop(campaign).close()

    def close(self) -> None:
        """Look after nothing any more; those who wait for a job get none."""
        self._is_closed = True
        self._wake()
        for name in list(self._campaigns):
            self.remove(name)

    async def submit(self, campaign: str, asked: TheoryQueued, principal: str) -> Job:
        """Journal a job and return it; the very same job again changes nothing.

        Raises:
            ProbescoutError: As `core.jobs.submit`; NotFound with CAMPAIGN_NOT_FOUND.
        """
        mine = self._campaign(campaign)
        await mine.commit(lambda state: jobs.submit(state, asked), principal)
        return jobs.find(mine.state, asked.job)

    async def cancel(self, campaign: str, job: str, reason: str, principal: str) -> Job:
        """Veto a job, waiting or at work; doing so again changes nothing.

        Raises:
            NotFound: JOB_NOT_FOUND or CAMPAIGN_NOT_FOUND.
            WrongState: JOB_STATE_MISMATCH when it has ended otherwise.
        """
        mine = self._campaign(campaign)
        await mine.commit(lambda state: jobs.cancel(state, job, reason, self._clock.now()), principal)
        return jobs.find(mine.state, job)

    async def set_evidence(self, campaign: str, job: str, is_applied: bool, reason: str, principal: str) -> Job:
        """Apply the numbers of a job, or take them back.

        Raises:
            NotFound: JOB_NOT_FOUND or CAMPAIGN_NOT_FOUND.
            WrongState: JOB_STATE_MISMATCH for a job that gave no numbers.
        """
        mine = self._campaign(campaign)
        await mine.commit(lambda state: jobs.set_evidence(state, job, is_applied, reason), principal)
        return jobs.find(mine.state, job)

    def _campaign(self, name: str) -> _Campaign:
        if name not in self._campaigns:
            raise NotFound(
                Reason.CAMPAIGN_NOT_FOUND, f"no campaign '{name[:80]}' with theory is open here", field="campaign"
            )
        return self._campaigns[name]

    # ------------------------------------------------------------ the desk

    async def acquire(
        self,
        worker_id: str,
        engines: Sequence[str],
        count: int,
        lease_s: float,
        *,
        wait_s: float = 0.0,
        campaign: str = "",
    ) -> tuple[JobOrder, ...]:
        """Return up to `count` jobs for these engines, leased; see `core.theory.Desk`.

        Args:
            worker_id: Who asks.
            engines: Names of those that it has.
            count: Most jobs.
            lease_s: How long it may keep silent; 0: as each campaign declares.
            wait_s: How long to wait for the first job.
            campaign: Only jobs of this one; empty: of any.
        """
        until = self._clock.monotonic() + wait_s
        while True:
            changed = self._changed
            found = await self._lease(worker_id, engines, count, lease_s, campaign)
            left = until - self._clock.monotonic()
            if found or left <= 0.0 or self._is_closed:
                return found
            try:
                await asyncio.wait_for(changed.wait(), left)
            except TimeoutError:
                return ()

    async def _lease(
        self, worker: str, engines: Sequence[str], count: int, lease_s: float, only: str
    ) -> tuple[JobOrder, ...]:
        orders: list[JobOrder] = []
        waiting = [n for n, campaign in self._campaigns.items() if campaign.has_waiting and only in ("", n)]
        while waiting and len(orders) < count:
            name = waiting.pop(0)
            if name not in self._campaigns:
                continue
            order, is_more = await self._lease_one(name, worker, engines, lease_s)
            orders += [order] if order is not None else []
            if is_more:
                # Its next job comes after one of every other campaign.
                waiting.append(name)
        for order in orders:
            # The campaign that was served last comes last the next time.
            served = order.name.split("/")[1]
            if served in self._campaigns:
                self._campaigns[served] = self._campaigns.pop(served)
        return tuple(orders)

    async def _lease_one(
        self, name: str, worker: str, engines: Sequence[str], lease_s: float
    ) -> tuple[JobOrder | None, bool]:
        """Lease one job of a campaign; return its order, and whether there may be more."""
        mine, token = self._campaigns[name], self._new_token()
        drawn: list[Any] = []

        def decide(state: Campaign) -> list[Any]:
            asked_s = lease_s or (state.spec.theory.lease_s if state.spec.theory is not None else 0.0)
            event = jobs.lease(state, engines, worker, token, asked_s, self._clock.now())
            drawn[:] = [event] if event is not None else []
            return drawn

        await mine.commit(decide, SYSTEM)
        if not drawn:
            return None, False
        [event] = drawn
        if not isinstance(event, TheoryLeased):
            return None, True
        mine.begin(event.job, event.lease_s)
        return await self._order(mine, event, token), True

    async def _order(self, mine: _Campaign, lease: TheoryLeased, token: str) -> JobOrder:
        asked = mine.state.jobs[lease.job].queued
        order = JobOrder(
            name=f"campaigns/{mine.state.id}/theoryJobs/{lease.job}",
            engine=asked.engine.name,
            settings=asked.engine.params,
            token=token,
            attempt=lease.attempt,
            deadline_s=asked.deadline_s,
            lease_s=lease.lease_s,
        )
        loop, blobs = asyncio.get_running_loop(), mine.ledger.blobs
        if asked.structure:
            text = await loop.run_in_executor(None, blobs.get, digest_of(asked.structure))
            return replace(order, structure=json.loads(text))
        assert asked.patch is not None
        image = await loop.run_in_executor(None, load_array, blobs, asked.patch)
        return replace(order, patch=TheoryPatch(image, asked.pixel_size_m, asked.place))

    async def progress(self, name: str, token: str, share: float, message: str) -> Standing:
        """Renew a lease; see `core.theory.Desk`."""
        mine, job = self._find(name)
        held = jobs.holder(mine.state, job, token)
        if held.state is JobState.CANCELLED:
            return Standing(True, 0.0)
        if not 0.0 <= share <= 1.0:
            raise InvalidInput(Reason.FIELD_INVALID, f"progress of {share}; give 0 to 1", field="progress")
        if not mine.leases.left(job):
            # It runs out this very moment: what is renewed now would be requeued all the same.
            return Standing(False, 0.0)
        left = mine.renew(held, share, message)
        if not left:
            await mine.end_overdue(held)
        return Standing(not left, left)

    async def finish(self, name: str, token: str, result: JobResult) -> None:
        """Take in a result; see `core.theory.Desk`. One that is none fails the job as GARBAGE."""
        mine, job = self._find(name)
        sound = judged(result)
        structure = ""
        if sound.structure and sound.state is JobState.SUCCEEDED:
            jobs.find(mine.state, job)
            text = canonical(sound.structure).encode()
            info = await asyncio.get_running_loop().run_in_executor(None, mine.ledger.blobs.put, text)
            structure = blob_name(info.digest)
        await mine.commit(lambda state: jobs.finish(state, job, token, sound, self._clock.now(), structure), SYSTEM)
        if not mine.state.open_jobs.get(job):
            mine.forget(job)
        if sound.failure is not result.failure:
            raise InvalidInput(Reason.FIELD_INVALID, sound.message, field="result")

    def heard(self, campaign: str, job: str) -> Heard:
        """Return what is known of a job at work that is not journalled; neutral for every other."""
        mine = self._campaigns.get(campaign)
        if mine is None or not mine.state.open_jobs.get(job):
            return Heard()
        return Heard(mine.leases.left(job), *mine.heard.get(job, (0.0, "")))

    def _find(self, name: str) -> tuple[_Campaign, str]:
        parts = name.split("/")
        if len(parts) != 4 or (parts[0], parts[2]) != ("campaigns", "theoryJobs"):
            raise InvalidInput(
                Reason.ID_INVALID, f"{name[:100]!r} is no job; give campaigns/ID/theoryJobs/ID", field="name"
            )
        return self._campaign(parts[1]), parts[3]
