"""Workers that wait for theory jobs: bounded, in nobody's way, sent home at the end, forgotten when they go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import grpc
import pytest
from probescout_client.wire.v1 import probescout_pb2 as pb
from probescout_client.wire.v1 import probescout_pb2_grpc as rpc

from probescout.runtime.settings import Settings
from probescout.service import guard
from probescout.service.server import Listen, Server

Calls = Callable[[str, Any], Awaitable[Any]]


def serve(folder: Path, work: Callable[[Server, Calls], Coroutine[Any, Any, None]], **settings: Any) -> None:
    """Run a test's coroutine against a server in this process."""

    async def main() -> None:
        server = Server(Listen("127.0.0.1:0", folder / "data", settings=Settings(is_inline=True, **settings)))
        await server.start()
        token = server.token_file.read_text(encoding="utf-8").strip()
        async with grpc.aio.insecure_channel(server.address) as channel:
            stubs = [rpc.PlannerServiceStub(channel), rpc.TheoryServiceStub(channel)]

            def call(method: str, request: Any) -> Awaitable[Any]:
                stub = next(stub for stub in stubs if hasattr(stub, method))
                return getattr(stub, method)(request, metadata=(("authorization", f"Bearer {token}"),), timeout=60)

            try:
                await work(server, call)
            finally:
                await server.stop()

    asyncio.run(main())


def waiting(wire: Any) -> pb.AcquireTheoryJobsRequest:
    return pb.AcquireTheoryJobsRequest(request_id=wire.new_id(), worker_id="w", engines=["xtb"], wait_s=50.0)


def test_they_are_bounded_and_take_nobodys_slot(
    tmp_path: Path, wire: Any, kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "MAX_WAITING", 3)

    async def work(server: Server, call: Calls) -> None:
        # Four calls may arrive in any order: whichever comes last is refused.
        workers = {asyncio.ensure_future(call("AcquireTheoryJobs", waiting(wire))) for _ in range(4)}
        [refused], workers = await asyncio.wait(workers, return_when=asyncio.FIRST_COMPLETED)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await refused
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "3 workers wait" in caught.value.details() and "try again in" in caught.value.details()
        # One call at once is allowed, and three workers wait.
        assert (await call("ListCampaigns", pb.ListCampaignsRequest())).next_page_token == ""
        await server.planner.end_theory()
        assert [list((await worker).jobs) for worker in workers] == [[], [], []]

    serve(tmp_path, work, max_inflight=1)


def test_a_worker_that_went_away_while_it_waited_takes_nothing(theory: Any, kit: Any) -> None:
    name = kit.campaign(theory, "left")
    asked = pb.AcquireTheoryJobsRequest(worker_id="gone", engines=["springs"], campaign=name, wait_s=50.0)
    asked.request_id = theory.wire.new_id()
    call = theory.stub.AcquireTheoryJobs.future(asked, metadata=theory.server.metadata)
    assert theory.jobs(name) == [], "answered after the call above has come"
    call.cancel()
    theory.submit(name, "j1", structure_json='{"mean": 1}')
    [order] = theory.acquire(campaign=name, worker_id="here", wait_s=10.0)
    assert order.attempt == 1 and theory.jobs(name)[0].worker_id == "here"
