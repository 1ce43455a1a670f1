"""The planner's own simulations: while people probe, it asks for those that would tell it most.

It keeps no more jobs open than the campaign allows, never asks for a patch twice, and never wakes a model that nobody
else needs. What a person vetoes it does not ask for again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from probescout.core import own_jobs
from probescout.core.errors import AlreadyExists, InvalidInput, Overloaded, ProbescoutError, Reason
from probescout.core.state import Campaign
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
_log = logging.getLogger(__name__)
Seen = tuple[Any, ...]


class TheoryAsker:
    """Follows one campaign, and submits jobs whenever there is room for one that is worth it."""

    def __init__(self, driver: CampaignDriver) -> None:
        """Begin to follow."""
        self._driver = driver
        self._ground: Seen = ()
        """Theory and frame for which `_hopeless` holds."""
        self._hopeless: set[int] = set()
        """Candidates whose patch shows nothing that could be simulated."""
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
        room = own_jobs.room(state)
        if not room or not modeller.is_ready or self._seen() == self._in_vain:
            return 0.0
        seen, started = self._seen(), time.monotonic()
        reply = await modeller.ask("wish", **self._request(state, room))
        asking_s = time.monotonic() - started
        if not reply["wishes"]:
            if not modeller.is_informed:
                # Results that it has not learnt yet may change its mind.
                await modeller.informed()
                return asking_s
            self._in_vain = (int(reply["n_observed"]), *seen[1:])
        for wish in reply["wishes"]:
            try:
                await self._submit(Wanted(candidate=int(wish["candidate"]), reason=wish["reason"], is_automatic=True))
            except (AlreadyExists, Overloaded) as error:
                # While the model was thinking somebody asked for the same patch, took the room, or paused the campaign.
                _log.info("campaign %s: no simulation of candidate %d: %s", state.id, wish["candidate"], error)
        return asking_s

    async def _submit(self, wanted: Wanted) -> None:
        try:
            await self._driver.submit_job(wanted, Caller(SYSTEM))
        except InvalidInput as error:
            if error.reason is not Reason.NON_FINITE:
                # Not the fault of the place: the next would be refused too.
                raise
            _log.warning("campaign %s: %s (candidate %d)", self._driver.state.id, error, wanted.candidate)
            self._hopeless.add(wanted.candidate)

    def _request(self, state: Campaign, room: int) -> dict[str, Any]:
        ground = (state.spec.theory, state.frame)
        if ground != self._ground:
            self._ground, self._hopeless = ground, set()
        tried = [(job.queued.candidate, job.state) for job in state.jobs.values() if job.queued.candidate >= 0]
        return {
            **plan_request(state, room, ""),
            "asked": sorted({c for c, _ in tried} | self._hopeless),
            "failed": sorted({c for c, s in tried if s is JobState.FAILED} | self._hopeless),
        }

    def _seen(self) -> Seen:
        """Return what the model has learnt (a count, first), and all else that decides what is asked for."""
        state = self._driver.state
        n_learnt = int(self._driver.modeller.news.get("n_observed", 0))
        n_ended = len(state.jobs) - len(state.open_jobs)
        spec = state.spec
        return n_learnt, state.model_version, len(state.jobs), n_ended, spec.theory, spec.budget, state.frame
