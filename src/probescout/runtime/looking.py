"""Looking into the model of a campaign."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from probescout.core.errors import NotFound, Reason, Unavailable, WrongState
from probescout.core.suggestions import Suggestion
from probescout.runtime.choosing import plan_request
from probescout.runtime.works import CampaignWorks


class Looking(CampaignWorks):
    """Maps, explanations and single suggestions."""

    async def maps(self) -> Mapping[str, Any]:
        """Return the model's maps: {"maps": {name: (y, x) or (candidate,) float32}, "weights", "is_cold"}.

        Raises:
            Unavailable: WORKER_UNAVAILABLE while there is no model; try again.
        """
        return await self._look("maps", **plan_request(self.state, 1, ""))

    async def explain(self, candidate: int) -> Mapping[str, Any]:
        """Return what the model thinks of one candidate, and why.

        Raises:
            Unavailable: As `maps`.
        """
        reply = await self._look("explain", candidate=candidate)
        told: Mapping[str, Any] = reply["explain"]
        return told

    async def _look(self, op: str, **payload: Any) -> Mapping[str, Any]:
        if self.state.frame is None:
            raise WrongState(Reason.NO_FRAME, f"campaign '{self.state.id}' has no frame yet; call AddFrame first")
        if not self.modeller.is_ready:
            await asyncio.wait([self.modeller.wake()], timeout=self._settings.hang_s)
        if self._settings.is_fit_awaited:
            await self.modeller.fitted()
        reply = self.modeller.ask(op, **payload)
        done, _ = await asyncio.wait([reply], timeout=self._settings.hang_s)
        if not done:
            raise Unavailable(Reason.WORKER_UNAVAILABLE, f"the model did not answer within {self._settings.hang_s:g} s")
        return reply.result()

    def find_suggestion(self, name: str) -> Suggestion:
        """Return a suggestion by id.

        Raises:
            NotFound: SUGGESTION_NOT_FOUND.
        """
        found = self.state.suggestions.get(name)
        if found is None:
            raise NotFound(
                Reason.SUGGESTION_NOT_FOUND,
                f"campaign '{self.state.id}' has no suggestion '{name}'",
                field="suggestion",
            )
        return found
