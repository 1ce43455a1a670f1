"""The calls of PlannerService that make and change campaigns and frames."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from probescout_client.wire.v1 import probescout_pb2 as pb

from probescout.core.errors import InvalidInput, Reason
from probescout.core.events import Control
from probescout.core.geometry import Affine
from probescout.runtime.once import Request, checked_request_id
from probescout.runtime.planner import Desk
from probescout.runtime.works import Caller
from probescout.service.campaign_codec import read_frame, write_campaign, write_frame, write_version
from probescout.service.desks import Desks
from probescout.service.guard import PRINCIPAL
from probescout.service.names import member_ids
from probescout.service.spec_codec import read_spec

CONTROLS = {
    pb.CONTROL_ACTION_PAUSE: Control.PAUSE,
    pb.CONTROL_ACTION_PAUSE_IMMEDIATE: Control.PAUSE_IMMEDIATE,
    pb.CONTROL_ACTION_RESUME: Control.RESUME,
    pb.CONTROL_ACTION_STOP: Control.STOP,
    pb.CONTROL_ACTION_ABORT: Control.ABORT,
}


def request_of(method: str, message: Any) -> Request:
    """Return the identity of a mutating call.

    Raises:
        InvalidInput: It has no valid request_id.
    """
    body = method.encode() + b"\0" + message.SerializeToString(deterministic=True)
    return Request(checked_request_id(message.request_id), hashlib.sha256(body).hexdigest(), PRINCIPAL.get().name)


class CampaignCalls(Desks):
    """Create, change, control; frames and drift."""

    async def CreateCampaign(self, request: pb.CreateCampaignRequest, context: grpc.aio.ServicerContext) -> pb.Campaign:
        spec = read_spec(request.spec)
        desk = await asyncio.shield(
            asyncio.ensure_future(
                self._planner.create(request.campaign_id, spec, request_of("CreateCampaign", request))
            )
        )
        return write_campaign(desk.driver.state, desk.driver.ledger.head)

    async def UpdateCampaign(self, request: pb.UpdateCampaignRequest, context: grpc.aio.ServicerContext) -> pb.Campaign:
        desk = self._desk(request.name, field="name")
        spec = read_spec(request.spec)
        mask = tuple(request.update_mask)
        await self._change(
            desk,
            request_of("UpdateCampaign", request),
            lambda caller: desk.driver.update(spec, mask, request.etag, request.reason, caller),
        )
        return write_campaign(desk.driver.state, desk.driver.ledger.head)

    async def ControlCampaign(
        self, request: pb.ControlCampaignRequest, context: grpc.aio.ServicerContext
    ) -> pb.Campaign:
        desk = self._desk(request.name, field="name")
        if request.action not in CONTROLS:
            raise InvalidInput(Reason.FIELD_INVALID, f"{request.action} is no ControlAction", field="action")
        await self._change(
            desk,
            request_of("ControlCampaign", request),
            lambda caller: desk.driver.control(CONTROLS[request.action], request.reason, caller),
        )
        return write_campaign(desk.driver.state, desk.driver.ledger.head)

    async def _change(self, desk: Desk, request: Request, work: Callable[[Caller], Awaitable[None]]) -> None:
        async def act() -> None:
            if desk.once.find(request) is None:
                await work(Caller(request.principal, request.receipt))

        await desk.once.run(request, act)

    async def AddFrame(self, request: pb.AddFrameRequest, context: grpc.aio.ServicerContext) -> pb.FrameReply:
        desk = self._desk(request.campaign)
        driver, identity = desk.driver, request_of("AddFrame", request)

        async def work(caller: Caller) -> None:
            loop = asyncio.get_running_loop()
            event = await loop.run_in_executor(
                None,
                lambda: read_frame(
                    request.frame,
                    request.frame_id or "f1",
                    driver.state.spec,
                    driver.ledger.blobs,
                    self._planner.clock.now(),
                    self._planner.settings.max_blob_bytes,
                ),
            )
            await driver.add_frame(event, caller)

        await self._change(desk, identity, work)
        return self._frame_reply(desk)

    async def UpdateFrame(self, request: pb.UpdateFrameRequest, context: grpc.aio.ServicerContext) -> pb.FrameReply:
        name, frame = member_ids("frame", request.name)
        desk = self._planner.desk(name, field="name")
        if len(request.affine) != 6:
            raise InvalidInput(
                Reason.FIELD_INVALID, f"{len(request.affine)} numbers; give yy yx y0 xy xx x0", field="affine"
            )
        affine, covariance = Affine(*request.affine), tuple(request.covariance)
        await self._change(
            desk,
            request_of("UpdateFrame", request),
            lambda caller: desk.driver.update_frame(frame, affine, covariance, request.reason, caller),
        )
        return self._frame_reply(desk)

    def _frame_reply(self, desk: Desk) -> pb.FrameReply:
        state = desk.driver.state
        assert state.frame is not None and state.candidates is not None
        return pb.FrameReply(
            frame=write_frame(state.frame, state.id, state.candidates.given),
            version=write_version(desk.driver.ledger.head, state),
        )
