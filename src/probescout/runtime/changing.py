"""Changes that people, schedulers and clients make to a campaign."""

from __future__ import annotations

from probescout.core.changes import amend, control, retract, revise_frame, update
from probescout.core.errors import Reason, WrongState
from probescout.core.events import Amended, Control, FrameAdded
from probescout.core.geometry import Affine
from probescout.core.specs import CampaignSpec
from probescout.runtime.ledger import Change
from probescout.runtime.works import Caller, CampaignWorks, expectation


class Changing(CampaignWorks):
    """Frames, controls, updates and corrections."""

    async def add_frame(self, frame: FrameAdded, caller: Caller) -> None:
        """Take the overview image, whose arrays are blobs already.

        Raises:
            WrongState: FRAME_EXISTS.
        """
        if self.state.frame is not None:
            raise WrongState(
                Reason.FRAME_EXISTS,
                f"campaign '{self.state.id}' has its frame '{self.state.frame.added.frame}' already; use UpdateFrame "
                "for drift, or start another campaign for another region",
                field="frame_id",
            )
        await self._commit([Change(frame)], caller)

    async def update_frame(
        self, frame: str, affine: Affine, covariance: tuple[float, ...], reason: str, caller: Caller
    ) -> None:
        """Take a drift correction.

        Raises:
            As `core.changes.revise_frame`.
        """
        await self._commit([Change(revise_frame(self.state, frame, affine, covariance, reason))], caller)

    async def control(self, action: Control, reason: str, caller: Caller) -> None:
        """Pause, resume, stop or abort.

        Raises:
            WrongState: CAMPAIGN_ENDED.
        """
        pending = tuple(self.state.pending)
        changes = [Change(e) for e in control(self.state, action, reason)]
        if changes:
            await self._commit(changes, caller)
        self.leases.drop([n for n in pending if n not in self.state.pending])

    async def update(self, new: CampaignSpec, mask: tuple[str, ...], etag: str, reason: str, caller: Caller) -> None:
        """Take changed fields of the spec.

        Raises:
            As `core.changes.update`; plug-ins that cannot be built are refused too.
        """
        event = update(self.state, new, mask, etag, reason)
        if {"scalarizer", "policy"} & set(event.changed):
            expect = await expectation(self._seats, event.spec)
            await self._commit([Change(event)], caller)
            self._expect = expect
        else:
            await self._commit([Change(event)], caller)

    async def amend(self, change: Amended, caller: Caller) -> None:
        """Correct an observation.

        Raises:
            As `core.changes.amend`.
        """
        await self._commit([Change(amend(self.state, change))], caller)

    async def retract(self, name: str, reason: str, caller: Caller) -> None:
        """Withdraw an observation from the model.

        Raises:
            As `core.changes.retract`.
        """
        await self._commit([Change(retract(self.state, name, reason))], caller)
