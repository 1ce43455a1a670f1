"""Leases run out by a clock that is turned by hand."""

from __future__ import annotations

import asyncio
from typing import Any

from probescout.core.suggestions import Source, Suggestion
from probescout.runtime.leases import Leases


def lease(name: str, seconds: float) -> Suggestion:
    return Suggestion(name, "f1", 0.5, 0.5, 0, "t", seconds, Source.PLANNER)


async def settle(leases: Leases) -> None:
    """Let the watch look at the clock again."""
    leases.grant([])
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_lease_runs_out_once_and_not_before(lab: Any) -> None:
    async def work() -> None:
        clock, ended = lab.FakeClock(), []

        async def expire(names: tuple[str, ...]) -> None:
            ended.extend(names)

        leases = Leases(clock, expire)
        leases.grant([lease("s1", 10.0), lease("s2", 20.0), lease("s3", 10.0)])
        assert (leases.left("s1"), leases.left("s9")) == (10.0, 0.0)
        clock.seconds += 9.9
        await settle(leases)
        assert not ended
        leases.grant([lease("s3", 10.0)])
        clock.seconds += 0.2
        await settle(leases)
        assert ended == ["s1"]
        leases.drop(["s2"])
        clock.seconds += 100.0
        await settle(leases)
        assert ended == ["s1", "s3"] and leases.left("s2") == 0.0
        leases.close()

    asyncio.run(work())


def test_a_store_that_refuses_does_not_end_the_watch(lab: Any) -> None:
    async def work() -> None:
        clock, calls = lab.FakeClock(), []

        async def expire(names: tuple[str, ...]) -> None:
            calls.append(names)
            if len(calls) == 1:
                leases.grant([lease("s2", 50.0)])
                raise OSError("disk full")

        leases = Leases(clock, expire)
        leases.grant([lease("s1", 1.0), lease("s2", 1.0)])
        clock.seconds += 2.0
        await settle(leases)
        assert calls == [("s1", "s2")]
        assert leases.left("s2") == 50.0, "it was renewed while the store refused"
        clock.seconds += 1.5
        await settle(leases)
        assert calls == [("s1", "s2"), ("s1",)]
        leases.close()

    asyncio.run(work())
