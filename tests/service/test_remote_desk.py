"""The desk over a real socket: the executors' conformance suite, retries, and refusals by their families."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from probescout_client.wire.v1 import probescout_pb2 as pb
from probescout_client.wire.v1 import probescout_pb2_grpc as rpc

from probescout.core.errors import NotFound, ProbescoutError, Reason, Unauthenticated, Unavailable, WrongState
from probescout.core.theory import Desk, Executor, JobOrder, JobResult, JobState, Quantity
from probescout.runtime.theory_local import LocalExecutor
from probescout.service import remote_desk
from probescout.service.remote_desk import Address, RemoteDesk
from probescout.service.status import DETAILS_KEY, code_of, details
from probescout.service.theory_codec import read_result, write_order
from probescout.testing.bad_engines import ENGINES
from probescout.testing.executor import ExecutorConformance
from probescout.testing.recording_desk import RecordingDesk


class Face(rpc.TheoryServiceServicer):
    """Any desk on the network; its threads hand every call to the loop that it was made in."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.requests: list[Any] = []
        self.faults: list[grpc.StatusCode] = []
        self._loop = asyncio.get_running_loop()
        self._server = grpc.server(ThreadPoolExecutor(16))
        rpc.add_TheoryServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    async def close(self) -> None:
        await self._loop.run_in_executor(None, self._server.stop(None).wait)

    def _answer(self, request: Any, context: grpc.ServicerContext, work: Coroutine[Any, Any, Any]) -> Any:
        self.requests.append(request)
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        context.add_callback(future.cancel)
        try:
            answer = future.result()
        except ProbescoutError as error:
            context.set_trailing_metadata(((DETAILS_KEY, details(error)),))
            context.abort(code_of(error), error.message)
        except CancelledError:
            context.abort(grpc.StatusCode.CANCELLED, "the caller has gone")
        if self.faults:
            context.abort(self.faults.pop(0), "by command, when the deed is done")
        return answer

    def AcquireTheoryJobs(self, request: pb.AcquireTheoryJobsRequest, context: Any) -> Any:  # noqa: N802
        async def work() -> pb.AcquireTheoryJobsReply:
            if self.faults:
                return pb.AcquireTheoryJobsReply()
            orders = await self.desk.acquire(
                request.worker_id, list(request.engines), request.count, request.lease_s, wait_s=request.wait_s
            )
            return pb.AcquireTheoryJobsReply(jobs=map(write_order, orders))

        return self._answer(request, context, work())

    def ReportTheoryProgress(self, request: pb.ReportTheoryProgressRequest, context: Any) -> Any:  # noqa: N802
        async def work() -> pb.ReportTheoryProgressReply:
            told = await self.desk.progress(request.name, request.lease_token, request.progress, request.message)
            return pb.ReportTheoryProgressReply(is_cancelled=told.is_cancelled, expires_in_s=told.expires_in_s)

        return self._answer(request, context, work())

    def FinishTheoryJob(self, request: pb.FinishTheoryJobRequest, context: Any) -> Any:  # noqa: N802
        async def work() -> pb.TheoryJobReply:
            await self.desk.finish(request.name, request.lease_token, read_result(request))
            return pb.TheoryJobReply()

        return self._answer(request, context, work())


class Elsewhere:
    """A local executor whose desk is behind a socket."""

    def __init__(self, desk: Desk, **more: Any) -> None:
        self._desk, self._more = desk, more
        self._ends: list[Callable[[], Awaitable[Any]]] = []

    async def start(self) -> None:
        face = Face(self._desk)
        desk = RemoteDesk(Address(f"127.0.0.1:{face.port}"))
        executor = LocalExecutor(desk, engines=[], allowed=ENGINES, **self._more)
        await executor.start()
        self._ends = [executor.stop, desk.close, face.close]

    async def stop(self) -> None:
        ends, self._ends = self._ends, []
        for end in ends:
            await end()


class TestRemoteDesk(ExecutorConformance):
    # What happens within a process is the same behind every desk.
    test_a_crash_is_reported: Any = None
    test_a_hanging_job_is_killed_at_its_deadline: Any = None
    test_children_that_a_job_leaves_behind_are_gone: Any = None
    test_a_memory_hog_is_stopped: Any = None
    test_a_hundred_megabytes_are_no_result: Any = None
    test_what_an_engine_prints_is_no_result: Any = None
    test_a_missing_library_is_named: Any = None

    def make_executor(self, desk: Desk) -> Executor:
        return Elsewhere(desk, n_slots=self.n_slots, memory_bytes=self.memory_bytes, lease_s=self.lease_s)


def run(work: Callable[[RecordingDesk, Face, RemoteDesk], Awaitable[None]]) -> None:
    async def no_pause(seconds: float) -> None:
        pass

    async def main() -> None:
        desk = RecordingDesk()
        face = Face(desk)
        remote = RemoteDesk(Address(f"127.0.0.1:{face.port}"), pause=no_pause)
        try:
            await asyncio.wait_for(work(desk, face, remote), 30)
        finally:
            await remote.close()
            await face.close()

    asyncio.run(main())


GOOD = JobResult(JobState.SUCCEEDED, (Quantity("energy", 1.5, "eV"),), core_hours=0.1, structure={"atoms": 3})


async def taken(desk: RecordingDesk, remote: RemoteDesk) -> JobOrder:
    desk.submit("xtb", structure={"n": 1})
    [order] = await remote.acquire("w", ["xtb"], 40, 30.0, wait_s=500.0)
    return order


def test_a_call_is_sent_again_as_the_same_request() -> None:
    async def work(desk: RecordingDesk, face: Face, remote: RemoteDesk) -> None:
        passing = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED]
        face.faults = list(passing)
        order = await taken(desk, remote)
        assert [r.request_id for r in face.requests] == [face.requests[0].request_id] * 3
        assert (face.requests[0].count, face.requests[0].wait_s) == (16, 60.0), "what the contract allows"
        face.faults = list(passing)
        await remote.finish(order.name, order.token, GOOD)
        assert [r.SerializeToString() for r in face.requests[3:]] == [face.requests[3].SerializeToString()] * 3
        assert desk.of(order.name) == ["submitted", "leased", "ended", "repeated", "repeated"]

    run(work)


def test_refusals_come_as_what_they_are() -> None:
    async def work(desk: RecordingDesk, face: Face, remote: RemoteDesk) -> None:
        order = await taken(desk, remote)
        for name, token, kind, reason in (
            (order.name, "another", WrongState, Reason.LEASE_STALE),
            ("campaigns/c/theoryJobs/none", order.token, NotFound, Reason.JOB_NOT_FOUND),
        ):
            with pytest.raises(kind) as caught:
                await remote.progress(name, token, 0.5, "")
            assert caught.value.reason is reason
            assert len(face.requests) <= 4, "no second try"
        assert not remote.refusal.done()
        face.faults = [grpc.StatusCode.UNAUTHENTICATED]
        with pytest.raises(Unauthenticated):
            await remote.acquire("w", ["xtb"], 1, 30.0)
        assert isinstance(remote.refusal.result(), Unauthenticated)
        face.faults = [grpc.StatusCode.INTERNAL]
        with pytest.raises(Unavailable):
            await remote.finish(order.name, order.token, GOOD)

    run(work)


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_desk, "PATIENCE_S", 0.0)

    async def work(desk: RecordingDesk, face: Face, remote: RemoteDesk) -> None:
        face.faults = [grpc.StatusCode.UNAVAILABLE]
        with pytest.raises(Unavailable):
            await remote.acquire("w", ["xtb"], 1, 30.0)
        assert len(face.requests) == 1

    run(work)


def test_a_cancelled_wait_ends_at_the_server_too() -> None:
    async def work(desk: RecordingDesk, face: Face, remote: RemoteDesk) -> None:
        is_asked, is_ended = asyncio.Event(), asyncio.Event()

        async def acquire(*args: Any, **more: Any) -> Any:
            is_asked.set()
            try:
                await asyncio.Event().wait()
            finally:
                is_ended.set()

        desk.acquire = acquire  # type: ignore[method-assign]
        waiting = asyncio.create_task(remote.acquire("w", ["xtb"], 1, 30.0, wait_s=50.0))
        await is_asked.wait()
        waiting.cancel()
        await is_ended.wait()

    run(work)
