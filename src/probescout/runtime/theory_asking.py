"""The planner's own simulations: while people probe, it asks for those that would tell it most.

It keeps no more jobs open than the campaign allows, never asks for a patch twice, and never wakes a model that nobody
else needs. What a person vetoes it does not ask for again.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from typing import Any

from probescout.core.errors import InvalidInput, ProbescoutError
from probescout.core.state import Campaign, Status
from probescout.core.theory import JobState
from probescout.runtime.choosing import plan_request
from probescout.runtime.driver import CampaignDriver
from probescout.runtime.minding import SYSTEM
from probescout.runtime.theorizing import Wanted
from probescout.runtime.works import Caller

SHARE = 0.1
"""Of the model's time that asking may take: answers to people must not queue behind it."""
LONGEST_PAUSE_S = 1.0
"""Between two times: one may have waited for others in the model's queue."""
N_TYPICAL = 16
"""Latest jobs and observations that tell how long the next will take."""
_log = logging.getLogger(__name__)
Seen = tuple[int, int, int, int]


class TheoryAsker:
    """Follows one campaign, and submits jobs whenever there is room for one that is worth it."""

    def __init__(self, driver: CampaignDriver) -> None:
        """Begin to follow."""
        self._driver = driver
        self._hopeless: set[int] = set()
        """Candidates whose patch cannot be cut."""
        self._in_vain: Seen | None = None
        """What was known when nothing was worth a job: until more is, nothing is asked."""
        self.is_waiting = False
        """Whether nothing will be asked before the journal moves."""
        self._work = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Ask no more."""
        self._work.cancel()
        await asyncio.wait([self._work])

    async def _follow(self) -> None:
        while True:
            moved = self._driver.ledger.moved
            asking_s = 0.0
            try:
                asking_s = await self._ask()
            except ProbescoutError as error:
                _log.info("campaign %s: no simulation is asked for: %s", self._driver.state.id, error)
                self._in_vain = self._seen()
            except Exception:
                # Whatever ails it, probing goes on, and so do the simulations that people ask for.
                _log.exception("campaign %s: no simulation is asked for", self._driver.state.id)
                self._in_vain = self._seen()
            if asking_s:
                await asyncio.sleep(min(asking_s * (1.0 / SHARE - 1.0), LONGEST_PAUSE_S))
            else:
                self.is_waiting = not moved.is_set()
                await moved.wait()
                self.is_waiting = False

    async def _ask(self) -> float:
        """Submit what is worth it; return the seconds that the model took, 0 when it was not asked."""
        modeller = self._driver.modeller
        if self._driver.state.spec.theory is not None:
            # Scores that are journalled while a model loads move nothing afterwards.
            await modeller.loaded()
        state = self._driver.state
        room = room_for_jobs(state)
        if not room or not modeller.is_ready or self._seen() == self._in_vain:
            return 0.0
        seen, started = self._seen(), time.monotonic()
        reply = await modeller.ask("wish", **self._request(state, room))
        asking_s = time.monotonic() - started
        wishes = reply["wishes"]
        if not wishes:
            self._in_vain = (int(reply["n_observed"]), *seen[1:])
        for wish in wishes:
            now = self._driver.state
            if not room_for_jobs(now) or any(j.queued.candidate == int(wish["candidate"]) for j in now.jobs.values()):
                # Somebody paused the campaign, or asked for the same patch, while the model was thinking.
                continue
            wanted = Wanted(candidate=int(wish["candidate"]), reason=wish["reason"], is_automatic=True)
            try:
                await self._driver.submit_job(wanted, Caller(SYSTEM))
            except InvalidInput as error:
                # Its patch cannot be cut; others may.
                _log.warning("campaign %s: no simulation of candidate %d: %s", state.id, wanted.candidate, error)
                self._hopeless.add(wanted.candidate)
        return asking_s

    def _request(self, state: Campaign, room: int) -> dict[str, Any]:
        tried = [(job.queued.candidate, job.state) for job in state.jobs.values() if job.queued.candidate >= 0]
        return {
            **plan_request(state, room, ""),
            "asked": sorted({c for c, _ in tried} | self._hopeless),
            "failed": sorted({c for c, s in tried if s is JobState.FAILED} | self._hopeless),
        }

    def _seen(self) -> Seen:
        """Return counts of what the model has learnt, of its fits, of jobs, and of those that have ended."""
        state = self._driver.state
        n_learnt = int(self._driver.modeller.news.get("n_observed", 0))
        return n_learnt, state.model_version, len(state.jobs), len(state.jobs) - len(state.open_jobs)


def room_for_jobs(state: Campaign) -> int:
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
