"""TheoryService: jobs for people and planners on one side, for executors on the other."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

import grpc
from probescout_client.wire.v1 import probescout_pb2 as pb
from probescout_client.wire.v1 import probescout_pb2_grpc as rpc

from probescout.core import jobs
from probescout.core.errors import InvalidInput, Reason
from probescout.core.theory_events import Job
from probescout.runtime.once import Request, checked_request_id
from probescout.runtime.planner import Desk, Planner
from probescout.runtime.works import Caller
from probescout.service.campaign_servicer import request_of
from probescout.service.desks import Desks
from probescout.service.listing import page
from probescout.service.names import member_ids
from probescout.service.replies import Replies
from probescout.service.taken_jobs import TakenJobs
from probescout.service.text_limits import cut
from probescout.service.theory_codec import STATES, read_result, read_wanted, write_job, write_order

MOST_AT_ONCE = 16
"""Most jobs of one AcquireTheoryJobs: each may bring a patch of megabytes."""
LONGEST_WAIT_S = 60.0


class TheoryServicer(Desks, rpc.TheoryServiceServicer):
    """The calls about simulations."""

    def __init__(self, planner: Planner) -> None:
        """Serve a started planner."""
        super().__init__(planner)
        self._taken = TakenJobs()

    # ------------------------------------------------------------ for those who ask

    async def SubmitTheoryJob(
        self, request: pb.SubmitTheoryJobRequest, context: grpc.aio.ServicerContext
    ) -> pb.TheoryJobReply:
        desk, identity = self._desk(request.campaign), request_of("SubmitTheoryJob", request)
        driver = desk.driver

        async def work() -> pb.TheoryJobReply:
            done = desk.once.find(identity)
            if done is not None:
                return self._reply(desk, driver.state.jobs[done.facts["job"]], Replies(desk).version_of(done))
            wanted = await asyncio.get_running_loop().run_in_executor(
                None,
                lambda: read_wanted(
                    request.job,
                    request.job_id,
                    driver.state,
                    driver.ledger.blobs.get,
                    self._planner.settings.max_blob_bytes,
                ),
            )
            job = await driver.submit_job(wanted, Caller(identity.principal, identity.receipt))
            return self._reply(desk, job, Replies(desk).version)

        return await desk.once.run(identity, work)

    async def ListTheoryJobs(
        self, request: pb.ListTheoryJobsRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListTheoryJobsReply:
        desk = self._desk(request.campaign)
        state = desk.driver.state
        if request.state and request.state not in STATES.values():
            raise InvalidInput(Reason.FIELD_INVALID, f"{request.state} is no TheoryJobState", field="state")
        rows = [job for job in state.jobs.values() if not request.state or STATES[job.state] == request.state]
        found, token = await page(rows, request.page_size, request.page_token, lambda job: self._job(desk, job))
        return pb.ListTheoryJobsReply(jobs=found, next_page_token=token)

    async def CancelTheoryJob(
        self, request: pb.CancelTheoryJobRequest, context: grpc.aio.ServicerContext
    ) -> pb.TheoryJobReply:
        desk, own = self._named(request.name)
        return await self._changed(
            desk,
            own,
            request_of("CancelTheoryJob", request),
            lambda caller: desk.driver.cancel_job(own, request.reason, caller),
        )

    async def SetEvidenceState(
        self, request: pb.SetEvidenceStateRequest, context: grpc.aio.ServicerContext
    ) -> pb.TheoryJobReply:
        desk, own = self._named(request.name)
        wanted = {pb.EVIDENCE_STATE_APPLIED: True, pb.EVIDENCE_STATE_RETRACTED: False}
        if request.state not in wanted:
            raise InvalidInput(
                Reason.FIELD_INVALID, f"evidence state {request.state}; give APPLIED or RETRACTED", field="state"
            )
        return await self._changed(
            desk,
            own,
            request_of("SetEvidenceState", request),
            lambda caller: desk.driver.set_evidence(own, wanted[request.state], request.reason, caller),
        )

    async def _changed(
        self, desk: Desk, own: str, identity: Request, deed: Callable[[Caller], Awaitable[None]]
    ) -> pb.TheoryJobReply:
        async def work() -> pb.TheoryJobReply:
            done = desk.once.find(identity)
            if done is None:
                await deed(Caller(identity.principal, identity.receipt))
            version = Replies(desk).version if done is None else Replies(desk).version_of(done)
            return self._reply(desk, desk.driver.state.jobs[own], version)

        return await desk.once.run(identity, work)

    def _named(self, name: str) -> tuple[Desk, str]:
        campaign, own = member_ids("theoryJob", name)
        desk = self._planner.desk(campaign, field="name")
        jobs.find(desk.driver.state, own)
        return desk, own

    def _reply(self, desk: Desk, job: Job, version: pb.StateVersion) -> pb.TheoryJobReply:
        return pb.TheoryJobReply(job=self._job(desk, job), version=version)

    def _job(self, desk: Desk, job: Job) -> pb.TheoryJob:
        state, heard = desk.driver.state, self._planner.theory.heard(desk.driver.state.id, job.id)
        message = write_job(job, state, heard.expires_in_s)
        message.progress, message.progress_message = heard.share, heard.message
        return message

    # ------------------------------------------------------------ for executors

    async def AcquireTheoryJobs(
        self, request: pb.AcquireTheoryJobsRequest, context: grpc.aio.ServicerContext
    ) -> pb.AcquireTheoryJobsReply:
        identity = request_of("AcquireTheoryJobs", request)
        campaign = self._desk(request.campaign).driver.state.id if request.campaign else ""
        _check_acquire(request)

        async def lease() -> tuple[pb.TheoryJob, ...]:
            orders = await self._planner.theory.acquire(
                request.worker_id, list(request.engines), request.count or 1, request.lease_s, campaign=campaign
            )
            return tuple(write_order(order) for order in orders)

        # A caller that goes away while it waits has taken nothing; what is being leased is kept for its retry.
        taken = await self._planner.theory.first(lambda: self._taken.once(identity, lease), request.wait_s)
        return pb.AcquireTheoryJobsReply(jobs=taken)

    async def ReportTheoryProgress(
        self, request: pb.ReportTheoryProgressRequest, context: grpc.aio.ServicerContext
    ) -> pb.ReportTheoryProgressReply:
        # It changes nothing that a repeat could change twice, and is not journalled: no receipt is kept.
        checked_request_id(request.request_id)
        self._named(request.name)
        standing = await self._planner.theory.progress(
            request.name, request.lease_token, request.progress, cut(request.message)
        )
        return pb.ReportTheoryProgressReply(is_cancelled=standing.is_cancelled, expires_in_s=standing.expires_in_s)

    async def FinishTheoryJob(
        self, request: pb.FinishTheoryJobRequest, context: grpc.aio.ServicerContext
    ) -> pb.TheoryJobReply:
        # The token of the lease makes a repeat harmless, also after a restart and under another request_id.
        identity = request_of("FinishTheoryJob", request)
        desk, own = self._named(request.name)
        # Of a large structure it takes a while, in which others want an answer.
        result = await asyncio.get_running_loop().run_in_executor(None, read_result, request)

        async def work() -> pb.TheoryJobReply:
            await self._planner.theory.finish(request.name, request.lease_token, result)
            return self._reply(desk, desk.driver.state.jobs[own], Replies(desk).version)

        return await desk.once.run(identity, work)


def _check_acquire(request: pb.AcquireTheoryJobsRequest) -> None:
    if not request.worker_id:
        raise InvalidInput(Reason.FIELD_MISSING, "name the worker; people see it beside its jobs", field="worker_id")
    if not request.engines:
        raise InvalidInput(Reason.FIELD_MISSING, "name the engines that this worker has", field="engines")
    for name, value, most in (
        ("count", float(request.count), float(MOST_AT_ONCE)),
        ("lease_s", request.lease_s, 86400.0),
        ("wait_s", request.wait_s, LONGEST_WAIT_S),
    ):
        if not (math.isfinite(value) and 0.0 <= value <= most):
            raise InvalidInput(Reason.FIELD_INVALID, f"{name} is {value:g}; give 0 to {most:g}", field=name)
    if 0.0 < request.lease_s < 1.0:
        raise InvalidInput(Reason.FIELD_INVALID, f"a lease of {request.lease_s:g} s; give 1 s or more", field="lease_s")
