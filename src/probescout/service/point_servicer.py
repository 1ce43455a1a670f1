"""The calls of PlannerService with which people ask for points."""

from __future__ import annotations

import grpc
from probescout_client.wire.v1 import probescout_pb2 as pb

from probescout.core.geometry import Position
from probescout.core.jsonable import from_json
from probescout.core.suggestions import OperatorPoint
from probescout.runtime.planner import Desk
from probescout.runtime.works import Caller
from probescout.service.campaign_codec import write_point
from probescout.service.campaign_servicer import CampaignCalls, request_of
from probescout.service.data_codec import check_frame, read_names
from probescout.service.replies import Replies


class PointCalls(CampaignCalls):
    """Points that are to be measured before the planner's own."""

    async def ProposePoints(
        self, request: pb.ProposePointsRequest, context: grpc.aio.ServicerContext
    ) -> pb.ProposePointsReply:
        """Put points in line."""
        desk, identity = self._desk(request.campaign), request_of("ProposePoints", request)
        positions = []
        for i, at in enumerate(request.positions):
            check_frame(at, desk.driver.state, field=f"positions[{i}].frame")
            positions.append(Position(at.y, at.x))

        async def work() -> pb.ProposePointsReply:
            done = desk.once.find(identity)
            if done is not None:
                points = [from_json(OperatorPoint, p) for p in done.facts["points"]]
                return self._proposed(desk, points, Replies(desk).version_of(done))
            caller = Caller(identity.principal, identity.receipt)
            points = list(await desk.driver.propose(positions, request.note, request.is_urgent, caller))
            return self._proposed(desk, points, Replies(desk).version)

        return await desk.once.run(identity, work)

    def _proposed(self, desk: Desk, points: list[OperatorPoint], version: pb.StateVersion) -> pb.ProposePointsReply:
        state = desk.driver.state
        return pb.ProposePointsReply(points=[write_point(p, state) for p in points], version=version)

    async def WithdrawPoints(
        self, request: pb.WithdrawPointsRequest, context: grpc.aio.ServicerContext
    ) -> pb.WithdrawPointsReply:
        """Take points back."""
        desk = self._desk(request.campaign)
        names = read_names("point", list(request.names), desk.driver.state, field="names")
        identity = request_of("WithdrawPoints", request)

        async def work() -> pb.WithdrawPointsReply:
            done = desk.once.find(identity)
            if done is not None:
                return pb.WithdrawPointsReply(version=Replies(desk).version_of(done))
            await desk.driver.withdraw(names, request.reason, Caller(identity.principal, identity.receipt))
            return pb.WithdrawPointsReply(version=Replies(desk).version)

        return await desk.once.run(identity, work)
