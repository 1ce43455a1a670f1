"""The theory jobs of one campaign: which leases run out when, and what follows."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from probescout.core import jobs
from probescout.core.clock import Clock
from probescout.core.state import Campaign, Status
from probescout.core.theory_events import Job
from probescout.runtime.leases import Leases
from probescout.runtime.ledger import Change, Ledger
from probescout.runtime.minding import SYSTEM

OWN_WORKER = "service"
"""Id of the executor in the process of the service: what it ran has died with it."""
_log = logging.getLogger(__name__)
RETRY_S = 1.0
"""After which a store that refused is asked again."""


def _key(job: Job) -> str:
    """Return the name of the newest lease of a job; it names the attempt, or the end of one would end the next."""
    return f"{job.id}/{job.attempt}"


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


@dataclass
class _AtWork:
    """A job under a lease."""

    job: Job
    """As it was when it was taken."""
    since: float
    """Monotonic time at which the attempt began, or at which this process learnt of it."""
    share: float = 0.0
    message: str = ""


class JobWatch:
    """The jobs of one campaign: its journal, and the leases that run out."""

    def __init__(self, ledger: Ledger, clock: Clock, moved: Callable[[], None]) -> None:
        """Watch from now on.

        Args:
            ledger: Of the campaign.
            clock: Its monotonic time decides when leases run out.
            moved: Called when there may be a job to take.
        """
        self.ledger = ledger
        self._clock = clock
        self._moved = moved
        self.leases = Leases(clock, self._expire)
        self._at_work: dict[str, _AtWork] = {}
        """By lease."""
        self._orphans: set[str] = set()
        # After a restart nobody knows how long workers have waited: every lease gets one full period of grace.
        for name, at_work in ledger.state.open_jobs.items():
            job = ledger.state.jobs[name]
            if at_work and job.lease is not None and job.lease.worker == OWN_WORKER:
                self._orphans.add(_key(job))
                self.begin(job, 0.0)
            elif at_work and job.lease is not None:
                self.begin(job, job.lease.lease_s)
        self._watch = asyncio.create_task(self._follow())

    @property
    def state(self) -> Campaign:
        """The campaign as committed."""
        return self.ledger.state

    def begin(self, job: Job, lease_s: float) -> None:
        """Watch the newest lease of a job from now on."""
        self._at_work[_key(job)] = _AtWork(job, self._clock.monotonic())
        self.leases.grant([_Lease(_key(job), lease_s)])

    def renew(self, job: Job, share: float, message: str) -> float:
        """Give a lease another period, and return it: 0 once the job's time is over, and a period more."""
        assert job.lease is not None
        left = self.overtime(job)
        if left <= 0.0:
            return 0.0
        held = self._at_work[_key(job)]
        held.share, held.message = share, message
        self.leases.grant([_Lease(_key(job), min(left, job.lease.lease_s))])
        return self.left(job)

    def left(self, job: Job) -> float:
        """Return the seconds that the newest lease of a job has left; 0 when it has ended."""
        return self.leases.left(_key(job))

    def heard(self, job: Job) -> Heard:
        """Return what the worker of a job at work said last; neutral for every other."""
        held = self._at_work.get(_key(job))
        return Heard() if held is None else Heard(self.left(job), held.share, held.message)

    def overtime(self, job: Job) -> float:
        """Return the seconds that a job at work may still go on: its executor has a lease more to end it itself."""
        assert job.lease is not None
        until = self._at_work[_key(job)].since + jobs.allowed_s(job) + job.lease.lease_s
        return until - self._clock.monotonic()

    def tidy(self) -> None:
        """Forget the leases that have ended."""
        for key in [key for key, held in self._at_work.items() if not self._is_at_work(self.state, held.job)]:
            self.leases.drop([key])
            del self._at_work[key]

    @staticmethod
    def _is_at_work(state: Campaign, job: Job) -> bool:
        return bool(state.open_jobs.get(job.id)) and state.jobs[job.id].attempt == job.attempt

    async def commit(self, decide: Callable[[Campaign], Sequence[Any]], principal: str) -> None:
        """Commit what is decided on the newest state."""
        await self.ledger.commit(lambda state: [Change(event) for event in decide(state)], principal=principal)

    async def _follow(self) -> None:
        """Look at every change of the campaign: new jobs are offered, those of an ended campaign are cancelled."""
        offered: object = None
        while True:
            moved = self.ledger.moved
            self.tidy()
            if self.state.open_jobs and self.state.status in (Status.STOPPED, Status.ABORTED):
                try:
                    await self.commit(self._cancelled, SYSTEM)
                except Exception:
                    # A store that refuses for now must not end the watch, and nothing else may ever move here.
                    _log.exception("campaign %s: jobs are not cancelled yet; trying again", self.state.id)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(moved.wait(), RETRY_S)
                    continue
            # Most commits are of probes, and must not wake every worker that waits.
            state = self.state
            last, offered = offered, (state.open_jobs, state.status, state.spec, state.use.core_hours_spent)
            if self.has_waiting and offered != last:
                self._moved()
            await moved.wait()

    @property
    def has_waiting(self) -> bool:
        """Whether a job waits to be taken."""
        return not all(self.state.open_jobs.values())

    def _cancelled(self, state: Campaign) -> list[Any]:
        return [*jobs.cancel_all(state, f"the campaign is {state.status}", self._clock.now())]

    async def _expire(self, keys: tuple[str, ...]) -> None:
        def decide(state: Campaign) -> list[Any]:
            # Ended, taken by the next, or renewed while earlier commits were written?
            due = [self._at_work[key].job for key in keys if key in self._at_work and not self.leases.left(key)]
            return [event for job in due if self._is_at_work(state, job) for event in self._lost(state, job)]

        await self.commit(decide, SYSTEM)

    def _lost(self, state: Campaign, job: Job) -> Sequence[Any]:
        why = "the service was started anew while it ran" if _key(job) in self._orphans else ""
        is_overdue = self.overtime(job) <= 0.0
        return jobs.lost(state, job.id, job.attempt, self._clock.now(), is_overdue=is_overdue, why=why)

    async def end_overdue(self, job: Job) -> None:
        """End a job whose worker goes on reporting after its deadline."""

        def decide(state: Campaign) -> list[Any]:
            return [*jobs.lost(state, job.id, job.attempt, self._clock.now(), is_overdue=True)]

        await self.commit(decide, SYSTEM)

    def close(self) -> None:
        """Watch no more."""
        self._watch.cancel()
        self.leases.close()
