"""Between campaigns and executors: jobs are journalled, leased, watched and ended here, each exactly once.

A lease is in the journal before its order is handed out, and a result before its executor is told that it was taken:
whoever dies in between finds, when it comes back, either what it knew or a lease that runs out.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from probescout.core import jobs
from probescout.core.clock import Clock
from probescout.core.errors import InvalidInput, NotFound, Reason, Unavailable
from probescout.core.theory import JobOrder, JobResult, JobState, Standing
from probescout.core.theory_events import Job, TheoryQueued
from probescout.runtime.ledger import Ledger
from probescout.runtime.minding import SYSTEM
from probescout.runtime.theory_orders import Ask, Orders
from probescout.runtime.theory_results import canonical, judged
from probescout.runtime.theory_watch import Heard, JobWatch
from probescout.store.blob_names import blob_name

T = TypeVar("T")


class TheoryBroker:
    """The desk of this process: implements `core.theory.Desk` over the journals of its campaigns."""

    def __init__(self, clock: Clock, *, new_token: Callable[[], str] = secrets.token_hex) -> None:
        """Start without campaigns.

        Args:
            clock: Its monotonic time decides when leases run out.
            new_token: Makes the token of every lease, each another.
        """
        self._clock = clock
        self._campaigns: dict[str, JobWatch] = {}
        self._orders = Orders(self._campaigns, clock, new_token)
        self._changed = asyncio.Event()
        """Set at a change, and then replaced: nobody who waits can miss one that another has seen."""
        self._is_closed = False

    # ------------------------------------------------------------ campaigns

    def add(self, ledger: Ledger) -> None:
        """Look after the jobs of a campaign, those that were at work before a restart too."""
        self._campaigns[ledger.state.id] = JobWatch(ledger, self._clock, self._wake)
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

    def _campaign(self, name: str) -> JobWatch:
        if self._is_closed:
            # Not "there is no such job": a worker would drop its result, whose lease outlives the restart.
            raise Unavailable(Reason.SERVER_DRAINING, "the service is shutting down; call again when it is back")
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
        ask = Ask(worker_id, tuple(engines), count, lease_s, campaign)
        return await self.first(lambda: self._orders.lease(ask), wait_s)

    async def first(self, take: Callable[[], Awaitable[tuple[T, ...]]], wait_s: float) -> tuple[T, ...]:
        """Return what `take` gives, asked now and whenever there may be a job; nothing once `wait_s` have passed.

        Whoever is cancelled while waiting has asked for nothing.
        """
        until = self._clock.monotonic() + wait_s
        while True:
            changed = self._changed
            found = await take()
            left = until - self._clock.monotonic()
            if found or left <= 0.0 or self._is_closed:
                return found
            try:
                await asyncio.wait_for(changed.wait(), left)
            except TimeoutError:
                return ()

    async def progress(self, name: str, token: str, share: float, message: str) -> Standing:
        """Renew a lease; see `core.theory.Desk`."""
        mine, job = self._find(name)
        held = jobs.holder(mine.state, job, token)
        if held.state is JobState.CANCELLED:
            return Standing(True, 0.0)
        if not 0.0 <= share <= 1.0:
            raise InvalidInput(Reason.FIELD_INVALID, f"progress of {share}; give 0 to 1", field="progress")
        if not mine.left(held):
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
        # Nothing is written for one whose result is not awaited.
        is_awaited = jobs.awaited(mine.state, job, token) is not None
        if is_awaited and sound.structure and sound.state is JobState.SUCCEEDED:
            put, found = mine.ledger.blobs.put, sound.structure
            info = await asyncio.get_running_loop().run_in_executor(None, lambda: put(canonical(found).encode()))
            structure = blob_name(info.digest)
        await mine.commit(lambda state: jobs.finish(state, job, token, sound, self._clock.now(), structure), SYSTEM)
        mine.tidy()
        if sound.failure is not result.failure:
            raise InvalidInput(Reason.FIELD_INVALID, sound.message, field="result")

    def heard(self, campaign: str, job: str) -> Heard:
        """Return what is known of a job at work that is not journalled; neutral for every other."""
        mine = self._campaigns.get(campaign)
        if mine is None or not mine.state.open_jobs.get(job):
            return Heard()
        return mine.heard(mine.state.jobs[job])

    def _find(self, name: str) -> tuple[JobWatch, str]:
        parts = name.split("/")
        if len(parts) != 4 or (parts[0], parts[2]) != ("campaigns", "theoryJobs"):
            raise InvalidInput(
                Reason.ID_INVALID, f"{name[:100]!r} is no job; give campaigns/ID/theoryJobs/ID", field="name"
            )
        return self._campaign(parts[1]), parts[3]
