"""The planner's own simulations: how many it may ask for by itself, and which."""

from __future__ import annotations

import statistics
from typing import Any

from probescout.core import jobs
from probescout.core.errors import AlreadyExists, Overloaded, Reason
from probescout.core.state import Campaign, Status
from probescout.core.theory import JobState
from probescout.core.theory_events import TheoryEnded, TheoryQueued

N_TYPICAL = 16
"""Latest jobs and observations that tell how long the next will take."""


def submit(state: Campaign, asked: TheoryQueued) -> list[TheoryQueued | TheoryEnded]:
    """Return the events of a new job of the planner's own; one that is no longer wanted is refused.

    Raises:
        Overloaded: QUEUE_FULL when there is no room for it any more.
        AlreadyExists: JOB_EXISTS when somebody has asked for the same patch.
        ProbescoutError: As `core.jobs.submit`.
    """
    if not room(state):
        raise Overloaded(Reason.QUEUE_FULL, f"campaign '{state.id}' has no room for a job of the planner's own")
    same = next((name for name, job in state.jobs.items() if job.queued.candidate == asked.candidate), None)
    if same is not None:
        raise AlreadyExists(
            Reason.JOB_EXISTS, f"job '{same}' of campaign '{state.id}' simulates that patch already", field="job_id"
        )
    return jobs.submit(state, asked)


def room(state: Campaign) -> int:
    """Return how many jobs the planner may add by itself now."""
    theory = state.spec.theory
    if theory is None or not theory.is_automatic or state.status is not Status.RUNNING or state.frame is None:
        return 0
    if not state.use.can_afford_job(state.spec.budget) or _is_too_late(state):
        return 0
    return max(0, theory.max_running - len(state.open_jobs))


def _is_too_late(state: Campaign) -> bool:
    """Return whether the probes of the campaign are likely spent before a job begun now ends."""
    if not state.spec.budget.probes:
        return False
    ended = [job.ended for job in _latest(state.jobs) if job.ended is not None]
    job_s = [e.wall_s for e in ended if e.state is JobState.SUCCEEDED and e.wall_s > 0.0]
    received = [o.received_time for o in _latest(state.observations)]
    if not job_s or len(received) < 2:
        return False
    pace_s = (max(received) - min(received)) / (len(received) - 1)
    n_left = state.spec.budget.probes - state.use.probes_spent
    return bool(n_left * pace_s < statistics.median(job_s))


def _latest(named: Any) -> list[Any]:
    names = list(named)[-N_TYPICAL:]
    return [named[name] for name in names]
