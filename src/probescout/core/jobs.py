"""Simulations of a campaign: what may be done with a job, and the events that it takes; every job ends exactly once."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection

from probescout.core.errors import AlreadyExists, InvalidInput, NotFound, Overloaded, Reason, WrongState
from probescout.core.revising import revised
from probescout.core.state import Campaign, Status
from probescout.core.theory import LARGEST, Failure, JobResult, JobState
from probescout.core.theory_events import (
    Evidence,
    EvidenceSet,
    Job,
    TheoryEnded,
    TheoryLeased,
    TheoryQueued,
    TheoryRequeued,
)
from probescout.core.theory_spec import TheorySpec

MAX_WAITING = 256
"""Most jobs of a campaign that wait at once."""
SECONDS_AN_HOUR = 3600.0


def digest_of(token: str) -> str:
    """Return what the journal holds of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def submit(state: Campaign, asked: TheoryQueued) -> list[TheoryQueued | TheoryEnded]:
    """Return the events of a new job; none when the very same was asked for already.

    A job whose numbers are known ends at once with them, and costs nothing.

    Args:
        state: The campaign.
        asked: The job.

    Raises:
        WrongState: CAMPAIGN_ENDED, or BUDGET_SPENT when no core-hours are left.
        InvalidInput: FIELD_MISSING when the campaign declares no theory.
        AlreadyExists: JOB_EXISTS when the id belongs to another job.
        Overloaded: QUEUE_FULL.
    """
    known = state.jobs.get(asked.job)
    if known is not None:
        if known.queued.digest == asked.digest and known.queued.candidate == asked.candidate:
            return []
        raise AlreadyExists(
            Reason.JOB_EXISTS,
            f"job '{asked.job}' of campaign '{state.id}' is another simulation; choose another id",
            field="job_id",
        )
    declared(state)
    if state.status in (Status.STOPPED, Status.ABORTED):
        raise WrongState(
            Reason.CAMPAIGN_ENDED, f"campaign '{state.id}' is {state.status}; it takes no more jobs: start another"
        )
    known = _known(state, asked)
    if known is not None:
        return [asked, _copied(known, asked)]
    n_waiting = sum(not at_work for at_work in state.open_jobs.values())
    if n_waiting >= MAX_WAITING:
        raise Overloaded(
            Reason.QUEUE_FULL,
            f"{n_waiting} jobs of campaign '{state.id}' wait; cancel some, or wait until some have ended",
        )
    if not state.use.can_afford_job(state.spec.budget):
        raise WrongState(Reason.BUDGET_SPENT, _spent(state))
    return [asked]


def declared(state: Campaign) -> TheorySpec:
    """Return what a campaign declares about simulations.

    Raises:
        InvalidInput: FIELD_MISSING when it declares nothing.
    """
    if state.spec.theory is None:
        raise InvalidInput(
            Reason.FIELD_MISSING,
            f"campaign '{state.id}' declares no theory; set spec.theory with UpdateCampaign first",
            field="campaign",
        )
    return state.spec.theory


def free_id(state: Campaign) -> str:
    """Return an id that no job of the campaign has."""
    n = len(state.jobs) + 1
    while f"j{n}" in state.jobs:
        n += 1
    return f"j{n}"


def _known(state: Campaign, asked: TheoryQueued) -> Job | None:
    """Return the job of the same engine that has the numbers already, unless they were taken back."""
    for name in (state.computed.get(asked.digest), state.computed.get(asked.key)):
        if name is not None and state.applied[name] and state.jobs[name].queued.engine == asked.engine:
            return state.jobs[name]
    return None


def _source(state: Campaign, job: Job) -> str:
    """Return the id of the job that computed the numbers of one that has ended."""
    while job.ended is not None and job.ended.cached_from:
        job = state.jobs[job.ended.cached_from]
    return job.id


def _copied(source: Job, asked: TheoryQueued) -> TheoryEnded:
    assert source.ended is not None
    return revised(
        source.ended, job=asked.job, attempt=0, time=asked.time, core_hours=0.0, wall_s=0.0, cached_from=source.id
    )


def _spent(state: Campaign) -> str:
    use, budget = state.use, state.spec.budget
    return (
        f"{use.core_hours_spent:.3g} of {budget.core_hours:.3g} core-hours of campaign '{state.id}' are spent and "
        f"{use.core_hours_reserved:.3g} reserved, and the dearest job took {use.core_hours_per_job:.3g}; raise "
        "budget.core_hours with UpdateCampaign"
    )


def lease(
    state: Campaign, engines: Collection[str], worker: str, token: str, lease_s: float, time: float
) -> TheoryLeased | TheoryEnded | None:
    """Return the event that hands the next waiting job to a worker; one that can no longer be paid for ends instead.

    Args:
        state: The campaign.
        engines: Names of those that the worker has.
        worker: Its id.
        token: Of the new lease, never used before.
        lease_s: How long the worker may keep silent.
        time: Seconds since 1970 UTC.
    """
    theory = state.spec.theory
    if theory is None or state.status is not Status.RUNNING:
        return None
    if sum(state.open_jobs.values()) >= theory.max_running:
        return None
    for name, at_work in state.open_jobs.items():
        job = state.jobs[name]
        if at_work or job.queued.engine.name not in engines:
            continue
        if not state.use.can_afford_job(state.spec.budget):
            if sum(state.open_jobs.values()):
                # What is at work may settle for less than it reserved.
                return None
            return TheoryEnded(name, JobState.FAILED, 0, time, failure=Failure.OVER_BUDGET, message=_spent(state))
        hours = min(job.queued.deadline_s / SECONDS_AN_HOUR, state.use.core_hours_left(state.spec.budget))
        return TheoryLeased(name, worker, job.attempt + 1, digest_of(token), lease_s, time, hours)
    return None


def holder(state: Campaign, name: str, token: str) -> Job:
    """Return the job that a token belongs to, at work or cancelled meanwhile.

    Raises:
        NotFound: JOB_NOT_FOUND.
        WrongState: LEASE_STALE when the token is of no lease, or of one that has ended.
    """
    job = find(state, name)
    if job.lease is not None and hmac.compare_digest(job.lease.token_digest, digest_of(token)):
        if job.state in (JobState.RUNNING, JobState.CANCELLED):
            return job
    raise WrongState(
        Reason.LEASE_STALE,
        f"the lease of job '{name}' (attempt {job.attempt}, now {job.state}) is not this one any more; stop working on "
        "it: nothing was taken",
        field="lease_token",
    )


def awaited(state: Campaign, name: str, token: str) -> Job | None:
    """Return the job whose result is awaited under a token; None when it was taken already.

    Raises:
        NotFound: JOB_NOT_FOUND.
        WrongState: LEASE_STALE when the lease has ended; no result is taken.
    """
    job = find(state, name)
    if job.settled and hmac.compare_digest(job.settled, digest_of(token)):
        return None
    job = holder(state, name, token)
    if job.state is JobState.CANCELLED:
        raise WrongState(
            Reason.LEASE_STALE, f"job '{name}' was cancelled; its result is not taken", field="lease_token"
        )
    return job


def finish(
    state: Campaign, name: str, token: str, result: JobResult, time: float, structure: str = ""
) -> list[TheoryEnded | TheoryRequeued]:
    """Return the events of a result; none when it was taken already.

    Args:
        state: The campaign.
        name: Id of the job.
        token: Of the lease under which it was computed.
        result: What the worker hands in.
        time: Seconds since 1970 UTC.
        structure: Name of the blob with what was simulated.

    Raises:
        NotFound: JOB_NOT_FOUND.
        WrongState: LEASE_STALE when the lease has ended; the result is not taken.
        InvalidInput: FIELD_INVALID for a result without a final state.
    """
    job = awaited(state, name, token)
    if job is None:
        return []
    if result.state not in (JobState.SUCCEEDED, JobState.FAILED) or (result.state is JobState.FAILED) != (
        result.failure is not None
    ):
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"a result is 'succeeded', or 'failed' with a reason; this one is '{result.state}' with {result.failure}",
            field="state",
        )
    # A worker that says nothing of its cost has had a core for as long as it had the lease.
    hours = result.core_hours or _taken(job, time)
    if result.failure is not None and result.failure.is_worth_another_try and job.attempt < job.queued.max_attempts:
        return [TheoryRequeued(name, job.attempt, result.failure, result.message, hours)]
    return [
        TheoryEnded(
            name,
            result.state,
            job.attempt,
            time,
            result.quantities,
            result.failure,
            result.message + (f"; {_time_advice(job)}" if result.failure is Failure.TIMED_OUT else ""),
            hours,
            result.wall_s,
            result.key,
            structure,
        )
    ]


def lost(
    state: Campaign, name: str, attempt: int, time: float, *, is_overdue: bool = False, why: str = ""
) -> list[TheoryEnded | TheoryRequeued]:
    """Return the events of a lease that ran out; none when the attempt has ended meanwhile.

    Args:
        state: The campaign.
        name: Id of the job.
        attempt: Whose lease it was.
        time: Seconds since 1970 UTC.
        is_overdue: It ran out because the deadline of the job has passed, however well its worker reports.
        why: It was lost for another reason than silence.
    """
    job = state.jobs[name]
    if job.state is not JobState.RUNNING or job.attempt != attempt or job.lease is None:
        return []
    hours = _taken(job, time)
    if is_overdue:
        why = f"not done within {allowed_s(job):g} s; {_time_advice(job)}"
        return [TheoryEnded(name, JobState.FAILED, attempt, time, (), Failure.TIMED_OUT, why, hours)]
    why = why or f"worker '{job.lease.worker}' has not reported for {job.lease.lease_s:g} s"
    if attempt < job.queued.max_attempts:
        return [TheoryRequeued(name, attempt, Failure.LOST, why, hours)]
    return [TheoryEnded(name, JobState.FAILED, attempt, time, (), Failure.LOST, why, hours)]


def allowed_s(job: Job) -> float:
    """Return the seconds that an attempt at work may take: to the deadline, or until what it reserved is spent."""
    assert job.lease is not None
    return min(job.queued.deadline_s, job.lease.core_hours * SECONDS_AN_HOUR)


def _time_advice(job: Job) -> str:
    """Return what gives a job more time: the shorter of deadline and budget."""
    time_s = allowed_s(job)
    if time_s < job.queued.deadline_s:
        return (
            f"the core-hours that were left ended it before its deadline of {job.queued.deadline_s:g} s: raise "
            "budget.core_hours with UpdateCampaign, or make the structure smaller"
        )
    return "raise the deadline, or make the structure smaller"


def _taken(job: Job, time: float) -> float:
    """Return the core-hours of an attempt that nobody reported: the time that it had, at most what it had reserved."""
    if job.state is not JobState.RUNNING or job.lease is None:
        return 0.0
    return min(job.lease.core_hours, max(0.0, time - job.lease.time) / SECONDS_AN_HOUR)


def cancel(state: Campaign, name: str, reason: str, time: float) -> list[TheoryEnded]:
    """Return the event that ends a job unfinished; none when it was cancelled before.

    Raises:
        NotFound: JOB_NOT_FOUND.
        WrongState: JOB_STATE_MISMATCH when it has ended otherwise.
    """
    job = find(state, name)
    if job.state is JobState.CANCELLED:
        return []
    if job.state.is_final:
        raise WrongState(
            Reason.JOB_STATE_MISMATCH,
            f"job '{name}' has {job.state} already; its numbers are taken back with SetEvidenceState",
            field="name",
        )
    hours = _taken(job, time)
    return [TheoryEnded(name, JobState.CANCELLED, job.attempt, time, message=reason, core_hours=hours)]


def cancel_all(state: Campaign, reason: str, time: float) -> list[TheoryEnded]:
    """Return the events that end every job that has not ended."""
    return [event for name in state.open_jobs for event in cancel(state, name, reason, time)]


def set_evidence(state: Campaign, name: str, is_applied: bool, reason: str) -> list[EvidenceSet]:
    """Return the event that applies the numbers of a job or takes them back; none when that is so already.

    Raises:
        NotFound: JOB_NOT_FOUND.
        WrongState: JOB_STATE_MISMATCH for a job that gave no numbers.
    """
    job = find(state, name)
    if job.state is not JobState.SUCCEEDED:
        raise WrongState(
            Reason.JOB_STATE_MISMATCH,
            f"job '{name}' is {job.state} and has no numbers to apply or take back",
            field="name",
        )
    return [] if state.applied[name] == is_applied else [EvidenceSet(name, is_applied, reason)]


def find(state: Campaign, name: str) -> Job:
    """Return a job.

    Raises:
        NotFound: JOB_NOT_FOUND.
    """
    if name not in state.jobs:
        raise NotFound(
            Reason.JOB_NOT_FOUND,
            f"campaign '{state.id}' has no job '{name[:80]}'; ListTheoryJobs lists them",
            field="name",
        )
    return state.jobs[name]


def evidence_unit(state: Campaign) -> str:
    """Return the unit of the first engine's numbers; empty without any."""
    return next((one.unit for one in evidence(state)), "")


def evidence(state: Campaign) -> tuple[Evidence, ...]:
    """Return the numbers that inform the model, in the order in which their jobs ended.

    What was computed once counts once for a candidate, however often it was asked for, and not at all once the job that
    computed it is taken back.
    """
    theory = state.spec.theory
    if theory is None:
        return ()
    found: dict[tuple[str, int], Evidence] = {}
    for name, is_applied in state.applied.items():
        job = state.jobs[name]
        source = _source(state, job)
        place = source, job.queued.candidate
        if not (is_applied and state.applied[source]) or job.queued.candidate < 0 or place in found:
            continue
        for q in job.ended.quantities if job.ended is not None else ():
            if q.name == theory.quantity and q.is_converged and abs(q.value) <= LARGEST:
                engine = job.queued.engine.name
                found[place] = Evidence(job.queued.candidate, engine, q.value, q.std, name, q.name, q.unit)
    return tuple(found.values())
