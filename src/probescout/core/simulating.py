"""What follows from the events of a simulation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from probescout.core.budgets import BudgetUse
from probescout.core.growing import put
from probescout.core.instructions import EvidenceChanged, Outcome
from probescout.core.revising import revised
from probescout.core.state import Campaign
from probescout.core.theory import Failure, JobState
from probescout.core.theory_events import EvidenceSet, Job, TheoryEnded, TheoryLeased, TheoryQueued, TheoryRequeued


def _queued(state: Campaign, event: TheoryQueued) -> Outcome:
    jobs = put(state.jobs, {event.job: Job(event)})
    return revised(state, jobs=jobs, open_jobs=_with(state.open_jobs, event.job, False)), ()


def _leased(state: Campaign, event: TheoryLeased) -> Outcome:
    job = revised(state.jobs[event.job], state=JobState.RUNNING, attempt=event.attempt, lease=event)
    return (
        revised(
            state,
            jobs=put(state.jobs, {event.job: job}),
            open_jobs=_with(state.open_jobs, event.job, True),
            use=state.use.reserve_core_hours(event.core_hours),
        ),
        (),
    )


def _requeued(state: Campaign, event: TheoryRequeued) -> Outcome:
    job = state.jobs[event.job]
    again = revised(
        job, state=JobState.QUEUED, core_hours=job.core_hours + event.core_hours, settled=_settled(job, event)
    )
    # Behind those that wait: one that always kills its worker must not keep the others from their turn.
    others = {name: at_work for name, at_work in state.open_jobs.items() if name != event.job}
    return (
        revised(
            state,
            jobs=put(state.jobs, {event.job: again}),
            open_jobs=MappingProxyType({**others, event.job: False}),
            use=_settle(state, job, event.core_hours),
        ),
        (),
    )


def _ended(state: Campaign, event: TheoryEnded) -> Outcome:
    job = state.jobs[event.job]
    done = revised(
        job,
        state=event.state,
        core_hours=job.core_hours + event.core_hours,
        ended=event,
        settled=_settled(job, event),
    )
    new = revised(
        state,
        jobs=put(state.jobs, {event.job: done}),
        open_jobs=MappingProxyType({n: w for n, w in state.open_jobs.items() if n != event.job}),
        use=_settle(state, job, event.core_hours),
    )
    if event.state is not JobState.SUCCEEDED:
        return new, ()
    # What was taken back is computed anew, and then that is known.
    names = {
        name: event.job
        for name in (job.queued.digest, event.key)
        if name and not state.applied.get(state.computed.get(name, ""), False)
    }
    new = revised(new, applied=put(state.applied, {event.job: True}), computed=put(state.computed, names))
    return new, (EvidenceChanged(is_more=True),)


def _settle(state: Campaign, job: Job, spent: float) -> BudgetUse:
    is_at_work = job.state is JobState.RUNNING and job.lease is not None
    reserved = job.lease.core_hours if is_at_work and job.lease is not None else 0.0
    return state.use.settle_core_hours(reserved, spent)


def _settled(job: Job, event: TheoryEnded | TheoryRequeued) -> str:
    """Return the token whose result was taken: a worker may hand it in again; who was lost or cancelled did not."""
    is_handed_in = job.state is JobState.RUNNING and event.failure is not Failure.LOST
    is_cancelled = isinstance(event, TheoryEnded) and event.state is JobState.CANCELLED
    return job.lease.token_digest if job.lease is not None and is_handed_in and not is_cancelled else job.settled


def _evidence_set(state: Campaign, event: EvidenceSet) -> Outcome:
    return revised(state, applied=put(state.applied, {event.job: event.is_applied})), (EvidenceChanged(),)


def _with(open_jobs: Mapping[str, bool], name: str, at_work: bool) -> Mapping[str, bool]:
    return MappingProxyType({**open_jobs, name: at_work})


HANDLERS: dict[type[Any], Callable[[Campaign, Any], Outcome]] = {
    TheoryQueued: _queued,
    TheoryLeased: _leased,
    TheoryRequeued: _requeued,
    TheoryEnded: _ended,
    EvidenceSet: _evidence_set,
}
"""What each event does to a campaign."""
