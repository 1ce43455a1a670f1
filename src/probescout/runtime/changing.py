"""Changes that people, schedulers and clients make to a campaign."""

from __future__ import annotations

from collections.abc import Sequence

from probescout.core.changes import amend, control, retract, revise_frame, update
from probescout.core.errors import Reason, WrongState
from probescout.core.events import Amended, Control, FrameAdded
from probescout.core.geometry import Affine, Position
from probescout.core.jsonable import to_json
from probescout.core.proposals import propose, withdraw
from probescout.core.specs import CampaignSpec
from probescout.core.state import Campaign
from probescout.core.suggestions import OperatorPoint
from probescout.core.transfer_spec import check_look
from probescout.runtime.ledger import Change
from probescout.runtime.works import Caller, CampaignWorks, expectation


class Changing(CampaignWorks):
    """Frames, controls, updates and corrections."""

    async def add_frame(self, frame: FrameAdded, caller: Caller) -> None:
        """Take the overview image, whose arrays are blobs already.

        Raises:
            WrongState: FRAME_EXISTS.
            InvalidInput: MODEL_INCOMPATIBLE when the model of an earlier campaign cannot look at it.
        """

        def decide(state: Campaign) -> list[Change]:
            if state.frame is not None:
                raise WrongState(
                    Reason.FRAME_EXISTS,
                    f"campaign '{state.id}' has its frame '{state.frame.added.frame}' already; use UpdateFrame "
                    "for drift, or start another campaign for another region",
                    field="frame_id",
                )
            check_look(state.spec.transfer, frame)
            return [Change(frame)]

        await self._commit(decide, caller)

    async def update_frame(
        self, frame: str, affine: Affine, covariance: tuple[float, ...], reason: str, caller: Caller
    ) -> None:
        """Take a drift correction; leases that drifted out of the frame end.

        Raises:
            As `core.changes.revise_frame`.
        """

        def decide(state: Campaign) -> list[Change]:
            return [Change(e) for e in revise_frame(state, frame, affine, covariance, reason, self._mask)]

        await self._commit(decide, caller)

    async def control(self, action: Control, reason: str, caller: Caller) -> None:
        """Pause, resume, stop or abort.

        Raises:
            WrongState: CAMPAIGN_ENDED.
        """
        await self._commit(lambda state: [Change(e) for e in control(state, action, reason)], caller)

    async def update(self, new: CampaignSpec, mask: tuple[str, ...], etag: str, reason: str, caller: Caller) -> None:
        """Take changed fields of the spec; leases that the new limits forbid end.

        Raises:
            As `core.changes.update`; plug-ins that cannot be built are refused too.
        """
        event, *_ = update(self.state, new, mask, etag, reason)
        expect = self._expect
        if {"scalarizer", "policy", "members", "is_deep_member_disabled", "stop_rules", "theory"} & set(event.changed):
            expect = await expectation(self._seats, event.spec)

        def decide(state: Campaign) -> list[Change]:
            return [Change(e) for e in update(state, new, mask, etag, reason, self._mask)]

        await self._commit(decide, caller)
        self._expect = expect

    async def propose(
        self, positions: Sequence[Position], note: str, is_urgent: bool, caller: Caller
    ) -> tuple[OperatorPoint, ...]:
        """Take points that a person wants measured before the planner's own; return them.

        Raises:
            As `core.proposals.propose`.
        """
        points: tuple[OperatorPoint, ...] = ()

        def decide(state: Campaign) -> list[Change]:
            nonlocal points
            event = propose(state, positions, note, is_urgent, self._clock.now(), self._mask)
            points = event.points
            return [Change(event)]

        await self._commit(decide, caller, lambda: {"points": [to_json(p) for p in points]})
        return points

    async def withdraw(self, names: Sequence[str], reason: str, caller: Caller) -> None:
        """Take such points back.

        Raises:
            As `core.proposals.withdraw`.
        """
        await self._commit(lambda state: [Change(withdraw(state, names, reason))], caller)

    async def amend(self, change: Amended, caller: Caller) -> None:
        """Correct an observation.

        Raises:
            As `core.changes.amend`.
        """
        await self._commit(lambda state: [Change(amend(state, change))], caller)

    async def retract(self, name: str, reason: str, caller: Caller) -> None:
        """Withdraw an observation from the model.

        Raises:
            As `core.changes.retract`.
        """
        await self._commit(lambda state: [Change(retract(state, name, reason))], caller)
