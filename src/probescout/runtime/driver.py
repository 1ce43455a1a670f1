"""One campaign at work: calls in, events committed, points and data out."""

from __future__ import annotations

from probescout.core.events import Renewed, Returned
from probescout.core.leasing import held_leases
from probescout.core.state import Campaign
from probescout.core.suggestions import Suggestion
from probescout.runtime.asking import Ask, Handed
from probescout.runtime.changing import Changing
from probescout.runtime.ledger import Change
from probescout.runtime.looking import Looking
from probescout.runtime.telling import Telling, Told
from probescout.runtime.theorizing import Theorizing
from probescout.runtime.works import Caller

__all__ = ["Ask", "CampaignDriver", "Handed", "Told"]


class CampaignDriver(Telling, Changing, Looking, Theorizing):
    """Carries out what may be asked of one campaign."""

    async def renew(self, names: tuple[str, ...], tokens: tuple[str, ...], caller: Caller) -> tuple[Suggestion, ...]:
        """Give leases another full period.

        Raises:
            InvalidInput: See `core.leasing.held_leases`.
            NotFound: Likewise.
            WrongState: LEASE_STALE.
        """

        def decide(state: Campaign) -> list[Change]:
            held_leases(state, names, tokens)
            return [Change(Renewed(names))]

        await self._commit(decide, caller)
        return tuple(self.state.suggestions[name] for name in names)

    async def release(self, names: tuple[str, ...], tokens: tuple[str, ...], reason: str, caller: Caller) -> None:
        """Take leases back; their points return.

        Raises:
            As `renew`.
        """

        def decide(state: Campaign) -> list[Change]:
            held_leases(state, names, tokens)
            return [Change(Returned(names, reason=reason))]

        await self._commit(decide, caller)
