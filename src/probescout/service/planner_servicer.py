"""PlannerService: convert, call, convert back."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import grpc
from probescout_client.wire.v1 import probescout_pb2 as pb
from probescout_client.wire.v1 import probescout_pb2_grpc as rpc

from probescout.core.errors import HistoryMismatch, Reason
from probescout.core.events import Amended
from probescout.core.observations import Observation
from probescout.core.spectra import Spectrum
from probescout.runtime.driver import Ask, Told
from probescout.runtime.once import Request
from probescout.runtime.planner import Desk
from probescout.runtime.works import Caller
from probescout.service.campaign_codec import write_status, write_version
from probescout.service.campaign_servicer import request_of
from probescout.service.data_codec import read_names, read_observation, write_observation
from probescout.service.listing import Listing
from probescout.service.names import member_ids
from probescout.service.point_servicer import PointCalls
from probescout.service.replies import Replies
from probescout.service.watch_servicer import Watching


class PlannerServicer(PointCalls, Listing, Watching, rpc.PlannerServiceServicer):
    """The calls that an instrument, a scheduler or a person makes."""

    def _check_seen(self, desk: Desk, seen: pb.StateVersion) -> None:
        if seen.event_seq and desk.driver.ledger.hash_at(seen.event_seq) != seen.event_hash:
            raise HistoryMismatch(
                Reason.HISTORY_MISMATCH,
                f"you saw event {seen.event_seq} with hash {seen.event_hash[:12]}; this server's history, which ends "
                f"at {desk.driver.ledger.head.seq}, does not contain it. Data may be lost: stop and call a person",
                field="last_seen",
            )

    async def Suggest(self, request: pb.SuggestRequest, context: grpc.aio.ServicerContext) -> pb.SuggestReply:
        started = time.perf_counter()
        desk, identity = self._desk(request.campaign), request_of("Suggest", request)
        self._check_seen(desk, request.last_seen)
        replies = Replies(desk)

        async def work() -> pb.SuggestReply:
            done = desk.once.find(identity)
            if done is not None:
                return replies.suggested_again(done)
            handed = await desk.driver.suggest(_ask(request), Caller(identity.principal, identity.receipt))
            return replies.suggested(handed, started)

        return await desk.once.run(identity, work)

    async def Tell(self, request: pb.TellRequest, context: grpc.aio.ServicerContext) -> pb.TellReply:
        started = time.perf_counter()
        desk, identity = self._desk(request.campaign), request_of("Tell", request)
        self._check_seen(desk, request.last_seen)
        replies = Replies(desk)

        async def work() -> pb.TellReply:
            done = desk.once.find(identity)
            if done is not None:
                return replies.told_again(done)
            told = await self._tell(desk, request.observation, identity)
            return replies.told(told, started)

        return await desk.once.run(identity, work)

    async def _tell(self, desk: Desk, message: pb.Observation, identity: Request) -> Told:
        draft, spectrum = await self._read(desk, message)
        return await desk.driver.tell(
            draft, spectrum, message.lease_token, Caller(identity.principal, identity.receipt)
        )

    async def _read(self, desk: Desk, message: pb.Observation) -> tuple[Observation, Spectrum | None]:
        driver = desk.driver

        def read() -> tuple[Observation, Spectrum | None]:
            return read_observation(
                message,
                driver.state.id,
                self._planner.clock.now(),
                driver.ledger.blobs.get,
                self._planner.settings.max_blob_bytes,
            )

        if message.spectrum.blob or message.mask.blob:
            # A blob is read and hashed from disk, which must not hold up the other calls.
            return await asyncio.get_running_loop().run_in_executor(None, read)
        return read()

    async def Step(self, request: pb.StepRequest, context: grpc.aio.ServicerContext) -> pb.StepReply:
        started = time.perf_counter()
        desk, identity = self._desk(request.campaign), request_of("Step", request)
        self._check_seen(desk, request.last_seen)
        replies = Replies(desk)
        tell = identity.part("tell")

        async def work() -> pb.StepReply:
            first, second = desk.once.find(tell), desk.once.find(identity)
            if first is not None and second is not None:
                return replies.stepped_again(first, second)
            lease = Caller(identity.principal, identity.receipt)
            if first is not None:
                handed = await desk.driver.suggest(_ask(request), lease)
                return replies.stepped(replies.told_before(first), handed, started)
            draft, spectrum = await self._read(desk, request.observation)
            told, handed = await desk.driver.step(
                draft,
                spectrum,
                request.observation.lease_token,
                _ask(request),
                Caller(tell.principal, tell.receipt),
                lease,
            )
            return replies.stepped(told, handed, started)

        return await desk.once.run(identity, work)

    async def RenewLeases(
        self, request: pb.RenewLeasesRequest, context: grpc.aio.ServicerContext
    ) -> pb.RenewLeasesReply:
        desk = self._desk(request.campaign)
        names = read_names("suggestion", list(request.names), desk.driver.state, field="names")
        tokens = tuple(request.lease_tokens)

        async def work(caller: Caller) -> None:
            await desk.driver.renew(names, tokens, caller)

        await self._change(desk, request_of("RenewLeases", request), work)
        state = desk.driver.state
        return pb.RenewLeasesReply(
            suggestions=[Replies(desk).suggestion(n) for n in names],
            status=write_status(state),
            version=write_version(desk.driver.ledger.head, state),
        )

    async def ReleaseSuggestions(
        self, request: pb.ReleaseSuggestionsRequest, context: grpc.aio.ServicerContext
    ) -> pb.ReleaseSuggestionsReply:
        desk = self._desk(request.campaign)
        names = read_names("suggestion", list(request.names), desk.driver.state, field="names")
        tokens = tuple(request.lease_tokens)
        await self._change(
            desk,
            request_of("ReleaseSuggestions", request),
            lambda caller: desk.driver.release(names, tokens, request.reason, caller),
        )
        return pb.ReleaseSuggestionsReply(version=write_version(desk.driver.ledger.head, desk.driver.state))

    # ------------------------------------------------------------ corrections

    async def AmendObservation(
        self, request: pb.AmendObservationRequest, context: grpc.aio.ServicerContext
    ) -> pb.ObservationReply:
        campaign, own = member_ids("observation", request.name)
        desk = self._planner.desk(campaign, field="name")
        at = request.measured_at if request.HasField("measured_at") else None
        change = Amended(
            own,
            request.reason,
            at.y if at is not None else None,
            at.x if at is not None else None,
            request.value if request.has_value else None,
            request.value_variance if request.has_value else None,
        )
        await self._change(
            desk, request_of("AmendObservation", request), lambda caller: desk.driver.amend(change, caller)
        )
        return self._observation_reply(desk, own)

    async def RetractObservation(
        self, request: pb.RetractObservationRequest, context: grpc.aio.ServicerContext
    ) -> pb.ObservationReply:
        campaign, own = member_ids("observation", request.name)
        desk = self._planner.desk(campaign, field="name")
        await self._change(
            desk,
            request_of("RetractObservation", request),
            lambda caller: desk.driver.retract(own, request.reason, caller),
        )
        return self._observation_reply(desk, own)

    def _observation_reply(self, desk: Desk, own: str) -> pb.ObservationReply:
        state = desk.driver.state
        return pb.ObservationReply(
            observation=write_observation(state.observations[own], state.id),
            version=write_version(desk.driver.ledger.head, state),
        )


def _ask(request: Any) -> Ask:
    return Ask(request.count or 1, request.client_id, request.compute_budget_s)
