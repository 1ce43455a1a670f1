"""What workers took is kept for their retries, within bounds, and a lease that is being made outlives its caller."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from probescout_client.wire.v1 import probescout_pb2 as pb

from probescout.core.errors import InvalidInput, Reason, Unavailable
from probescout.runtime.once import Request
from probescout.service import taken_jobs
from probescout.service.taken_jobs import Jobs, TakenJobs


def request(name: str, digest: str = "d") -> Request:
    return Request(name, digest, "me")


def giving(*names: str, size: int = 0) -> Callable[[], Awaitable[Jobs]]:
    async def lease() -> Jobs:
        return tuple(pb.TheoryJob(name=name, structure_json=" " * size) for name in names)

    return lease


async def names(taken: TakenJobs, name: str, lease: Callable[[], Awaitable[Jobs]]) -> list[str]:
    return [job.name for job in await taken.once(request(name), lease)]


def test_a_retry_gets_what_was_taken_and_another_body_nothing() -> None:
    async def work() -> None:
        taken = TakenJobs()
        assert await names(taken, "r", giving("a")) == ["a"]
        assert await names(taken, "r", giving("b")) == ["a"]
        with pytest.raises(InvalidInput) as caught:
            await taken.once(request("r", "another"), giving("b"))
        assert caught.value.reason is Reason.REQUEST_ID_REUSED
        assert await names(taken, "none", giving()) == []
        assert await names(taken, "none", giving("c")) == ["c"], "nothing was taken the first time"

    asyncio.run(work())


def test_a_lease_that_is_being_made_outlives_its_caller() -> None:
    async def work() -> None:
        taken, may_commit, is_leasing, n_leases = TakenJobs(), asyncio.Event(), asyncio.Event(), 0

        async def lease() -> Jobs:
            nonlocal n_leases
            n_leases += 1
            is_leasing.set()
            await may_commit.wait()
            return (pb.TheoryJob(name="a"),)

        first = asyncio.create_task(taken.once(request("r"), lease))
        await is_leasing.wait()
        first.cancel()
        await asyncio.wait([first])
        assert first.cancelled()
        again = asyncio.create_task(taken.once(request("r"), lease))
        may_commit.set()
        assert [job.name for job in await again] == ["a"]
        assert await names(taken, "r", lease) == ["a"] and n_leases == 1

    asyncio.run(work())


def test_a_lease_that_failed_is_tried_again() -> None:
    async def work() -> None:
        async def refused() -> Jobs:
            raise Unavailable(Reason.STORE_UNAVAILABLE, "the disk refuses")

        taken = TakenJobs()
        with pytest.raises(Unavailable):
            await taken.once(request("r"), refused)
        assert await names(taken, "r", giving("a")) == ["a"]

    asyncio.run(work())


def test_what_is_kept_is_bounded_in_number_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taken_jobs, "MOST_KEPT", 3)
    monkeypatch.setattr(taken_jobs, "MOST_BYTES", 1000)

    async def work() -> None:
        taken = TakenJobs()
        for i in range(4):
            await taken.once(request(f"r{i}"), giving("a"))
        assert await names(taken, "r3", giving("b")) == ["a"]
        assert await names(taken, "r0", giving("b")) == ["b"], "the oldest was forgotten"
        await taken.once(request("large"), giving("a", size=900))
        assert await names(taken, "large", giving("b")) == ["a"]
        await taken.once(request("larger"), giving("a", size=950))
        assert await names(taken, "large", giving("c")) == ["c"]

    asyncio.run(work())
