"""What executors that send jobs elsewhere share: names of attempts, results as text, and ends before the end."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from probescout.core.theory import Failure, JobOrder, JobResult, JobState, Quantity
from probescout.runtime.framing import pack
from probescout.runtime.theory_far import carry_out, read, run_key, write
from probescout.runtime.theory_process import JobProcess, Limits
from probescout.testing.bad_engines import ENERGY, GATED, MISBEHAVING
from probescout.testing.executor import Lookout

ORDER = JobOrder("campaigns/c/theoryJobs/j", "xtb", {}, "secret token", 2, 60.0, 30.0)


def job(engine: str, **settings: Any) -> bytes:
    plain = {"engine": engine, "settings": settings, "allowed": [engine], "cache": "", "structure": {}, "patch": None}
    return pack(plain)


def test_a_key_names_one_lease() -> None:
    key = run_key(ORDER, "w")
    assert key == run_key(replace(ORDER, lease_s=1.0), "w") and key.startswith("campaigns/c/theoryJobs/j/2/")
    assert "secret" not in key
    others = [replace(ORDER, token="other"), replace(ORDER, attempt=3), replace(ORDER, name="campaigns/c/theoryJobs/k")]
    assert len({key, run_key(ORDER, "v"), *(run_key(order, "w") for order in others)}) == 5


def test_results_are_text_on_the_way() -> None:
    result = JobResult(JobState.SUCCEEDED, (Quantity("energy", 1.5, "eV"),), core_hours=0.1, structure={"atoms": 3})
    assert repr(read(write(result))) == repr(result), "the standard deviation is NaN"
    for rubbish in ("", "{", "[]", None, '{"state": "succeeded", "quantities": []}'):
        assert read(rubbish).failure is Failure.GARBAGE


def test_it_tells_progress_and_returns_the_result() -> None:
    told: list[tuple[float, str]] = []

    async def work() -> JobResult | None:
        unwanted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        limits = Limits(1 << 30, 60, 30.0)
        return await carry_out(job(MISBEHAVING, act="behave"), limits, unwanted, lambda *news: told.append(news))

    result = asyncio.run(work())
    assert result is not None and result.quantities == (ENERGY,)
    assert told[0] == (0.0, "")


def test_what_nobody_wants_is_ended() -> None:
    async def work() -> None:
        async with asyncio.timeout(60.0), Lookout() as lookout:
            unwanted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            limits = Limits(1 << 30, 60, 30.0)
            frame = job(GATED, port=lookout.port)
            running = asyncio.create_task(carry_out(frame, limits, unwanted, lambda *news: None))
            guest = await lookout.next()
            unwanted.set_result(None)
            assert await running is None
            await guest.gone()

    asyncio.run(work())


def test_a_computer_without_processes_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def none(frame: bytes, limits: Limits) -> JobProcess:
        raise OSError("Resource temporarily unavailable")

    async def work() -> JobResult | None:
        unwanted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        return await carry_out(b"", Limits(1 << 30, 60), unwanted, lambda *news: None)

    monkeypatch.setattr(JobProcess, "start", none)
    result = asyncio.run(work())
    assert result is not None and result.failure is Failure.CRASHED and "unavailable" in result.message
