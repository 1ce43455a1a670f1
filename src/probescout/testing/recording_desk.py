"""A desk in memory that is strict, keeps time, and records all that executors do at it."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from probescout.core.errors import InvalidInput, NotFound, Reason, Unavailable, WrongState
from probescout.core.jsonable import to_json
from probescout.core.theory import Failure, JobOrder, JobResult, JobState, Standing, TheoryPatch
from probescout.runtime.theory_results import judged


@dataclass(frozen=True)
class Entry:
    """One line of the record."""

    kind: str
    """submitted, leased, renewed, expired, requeued, cancelled, repeated, refused or ended."""
    name: str
    token: str = ""
    result: JobResult | None = None


@dataclass
class _Job:
    order: JobOrder
    max_attempts: int
    state: JobState = JobState.QUEUED
    result: JobResult | None = None
    finished: dict[str, JobResult] = field(default_factory=dict)
    timer: asyncio.TimerHandle | None = None


class RecordingDesk:
    """Leases jobs by the clock of the event loop, requeues what expires, and refuses what is late, stale or wrong.

    Example:
        >>> async def work():
        ...     desk = RecordingDesk()
        ...     name = desk.submit("xtb", structure={})
        ...     [order] = await desk.acquire("me", ["xtb"], 1, 30.0)
        ...     failure = JobResult(JobState.FAILED, failure=Failure.REFUSED, message="no atoms")
        ...     await desk.finish(name, order.token, failure)
        ...     return [entry.kind for entry in desk.record]
        >>> asyncio.run(work())
        ['submitted', 'leased', 'ended']
    """

    def __init__(self) -> None:
        """Start empty."""
        self.record: list[Entry] = []
        self.offences: list[str] = []
        """What no executor may do, whatever happens to it."""
        self.most_leased = 0
        self._jobs: dict[str, _Job] = {}
        self._ids = itertools.count(1)
        self._changed = asyncio.Event()
        self._told_off: set[str] = set()
        self._is_closed = False

    # ------------------------------------------------------------ for tests

    def submit(
        self,
        engine: str,
        settings: Mapping[str, Any] | None = None,
        *,
        structure: Mapping[str, Any] | None = None,
        patch: TheoryPatch | None = None,
        deadline_s: float = 60.0,
        max_attempts: int = 3,
    ) -> str:
        """Queue a job and return its name; without a patch and a structure it gets an empty structure."""
        name = f"campaigns/c/theoryJobs/j{next(self._ids)}"
        if patch is None and structure is None:
            structure = {}
        order = JobOrder(name, engine, dict(settings or {}), "", 0, deadline_s, 0.0, patch, structure)
        self._jobs[name] = _Job(order, max_attempts)
        self._note("submitted", name)
        return name

    def cancel(self, name: str) -> None:
        """Let nobody wait for a job any more; its worker learns it when it reports."""
        job = self._jobs[name]
        if not job.state.is_final:
            job.state = JobState.CANCELLED
            _stop(job)
            self._note("cancelled", name)

    def state(self, name: str) -> JobState:
        """Return how far a job is."""
        return self._jobs[name].state

    def token(self, name: str) -> str:
        """Return the token of the latest lease of a job."""
        return self._jobs[name].order.token

    def of(self, name: str) -> list[str]:
        """Return what was recorded of a job, without the renewals."""
        return [e.kind for e in self.record if e.name == name and e.kind != "renewed"]

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so."""
        while not is_so():
            self._changed.clear()
            await self._changed.wait()

    async def end_of(self, name: str) -> JobResult:
        """Return the result of a job when it has one."""
        await self.until(lambda: self._jobs[name].result is not None)
        result = self._jobs[name].result
        assert result is not None
        return result

    def restarted(self, *, is_forgetful: bool) -> RecordingDesk:
        """Return the desk that a restart makes of the record; this one is gone.

        Args:
            is_forgetful: Whether leases are forgotten, and their jobs queued again, or get one full lease of grace.
        """
        new = RecordingDesk()
        new.record, new.offences, new._jobs, new._ids = self.record, self.offences, self._jobs, self._ids
        new._told_off = self._told_off
        self._jobs, self._is_closed = {}, True
        self._changed.set()
        for name, job in new._jobs.items():
            _stop(job)
            if job.state is JobState.RUNNING and is_forgetful:
                job.state, job.order = JobState.QUEUED, replace(job.order, token="")
                new._note("requeued", name)
            elif job.state is JobState.RUNNING:
                new._start_lease(job)
        return new

    # ------------------------------------------------------------ the port

    async def acquire(
        self, worker_id: str, engines: Sequence[str], count: int, lease_s: float, *, wait_s: float = 0.0
    ) -> tuple[JobOrder, ...]:
        """Return up to `count` jobs, leased; wait up to `wait_s` for the first one."""
        if not worker_id or not engines or count < 1 or not 0.0 < lease_s < math.inf:
            self.offences.append(f"acquire({worker_id!r}, {engines!r}, {count}, {lease_s})")
        end = asyncio.get_running_loop().time() + wait_s
        while True:
            self._check_open()
            queued = [j for j in self._jobs.values() if j.state is JobState.QUEUED and j.order.engine in engines]
            if queued:
                return tuple(self._lease(job, lease_s) for job in queued[: max(count, 0)])
            left = end - asyncio.get_running_loop().time()
            if left <= 0.0:
                return ()
            self._changed.clear()
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                continue  # looks a last time

    async def progress(self, name: str, token: str, share: float, message: str) -> Standing:
        """Renew the lease.

        Raises:
            WrongState: LEASE_STALE.
            NotFound: JOB_NOT_FOUND.
        """
        self._check_open()
        if not 0.0 <= share <= 1.0 or not isinstance(message, str):
            self.offences.append(f"progress of {share!r}, {message!r}")
        job = self._job(name)
        if token in self._told_off:
            self.offences.append(f"progress on {name} after it was told that its lease is over")
        if job.state is JobState.CANCELLED and job.order.token == token:
            self._told_off.add(token)
            return Standing(True, 0.0)
        self._check_lease(job, token)
        self._start_lease(job)
        self._note("renewed", name, token)
        return Standing(False, job.order.lease_s)

    async def finish(self, name: str, token: str, result: JobResult) -> None:
        """Take a result once.

        Raises:
            WrongState: LEASE_STALE.
            NotFound: JOB_NOT_FOUND.
            InvalidInput: FIELD_INVALID.
        """
        self._check_open()
        job = self._job(name)
        if token in job.finished:
            if to_json(job.finished[token]) != to_json(result):
                self.offences.append(f"another result of {name} with the same token")
            self._note("repeated", name, token)
            return
        self._check_lease(job, token, result)
        _stop(job)
        job.finished[token] = result
        wrong = judged(result)
        if wrong.failure is not result.failure:
            self.offences.append(f"a result of {name} that is none: {wrong.message}")
            self._end(job, wrong)
            raise InvalidInput(Reason.FIELD_INVALID, wrong.message, field="result")
        is_tried_again = result.failure is not None and result.failure.is_worth_another_try
        if is_tried_again and job.order.attempt < job.max_attempts:
            job.state = JobState.QUEUED
            self._note("requeued", name, token, result)
        else:
            self._end(job, result)

    # ------------------------------------------------------------ parts

    def _note(self, kind: str, name: str, token: str = "", result: JobResult | None = None) -> None:
        self.record.append(Entry(kind, name, token, result))
        self._changed.set()

    def _end(self, job: _Job, result: JobResult) -> None:
        assert not job.state.is_final, "the desk itself lets a job end twice"
        job.state, job.result = result.state, result
        self._note("ended", job.order.name, job.order.token, result)

    def _lease(self, job: _Job, lease_s: float) -> JobOrder:
        name, attempt = job.order.name, job.order.attempt + 1
        job.state = JobState.RUNNING
        job.order = replace(job.order, token=f"token-{next(self._ids)}", attempt=attempt, lease_s=lease_s)
        self._start_lease(job)
        self.most_leased = max(self.most_leased, sum(j.state is JobState.RUNNING for j in self._jobs.values()))
        self._note("leased", name, job.order.token)
        return job.order

    def _start_lease(self, job: _Job) -> None:
        _stop(job)
        job.timer = asyncio.get_running_loop().call_later(job.order.lease_s, self._expire, job)

    def _expire(self, job: _Job) -> None:
        self._note("expired", job.order.name, job.order.token)
        if job.order.attempt < job.max_attempts:
            job.state = JobState.QUEUED
            self._note("requeued", job.order.name, job.order.token)
        else:
            self._end(job, JobResult(JobState.FAILED, failure=Failure.LOST, message="its lease ran out"))

    def _check_open(self) -> None:
        if self._is_closed:
            raise Unavailable(Reason.SERVER_DRAINING, "this desk is gone; try again")

    def _job(self, name: str) -> _Job:
        if name not in self._jobs:
            self.offences.append(f"a call for {name}, which does not exist")
            raise NotFound(Reason.JOB_NOT_FOUND, f"no job '{name}'")
        return self._jobs[name]

    def _check_lease(self, job: _Job, token: str, result: JobResult | None = None) -> None:
        if job.state is JobState.RUNNING and job.order.token == token:
            return
        if token not in job.finished:
            self._told_off.add(token)
            self._note("refused", job.order.name, token, result)
        raise WrongState(Reason.LEASE_STALE, f"the lease of '{job.order.name}' has ended; the job is {job.state}")


def _stop(job: _Job) -> None:
    if job.timer is not None:
        job.timer.cancel()
        job.timer = None
