"""Who goes first: microscopes before calls about simulations."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from probescout.core.errors import Overloaded
from probescout.service import precedence
from probescout.service.precedence import Precedence

PLANNER = "/probescout.v1.PlannerService/Step"
THEORY = "/probescout.v1.TheoryService/"
SUBMIT, ACQUIRE = f"{THEORY}SubmitTheoryJob", f"{THEORY}AcquireTheoryJobs"


class Call:
    """A call that lasts until it is told to end."""

    def __init__(self, who: Precedence, method: str) -> None:
        self.began, self.may_end = asyncio.Event(), asyncio.Event()
        self.task = asyncio.create_task(self._work(who, method))

    async def _work(self, who: Precedence, method: str) -> None:
        async with who.of(method):
            self.began.set()
            await self.may_end.wait()

    async def end(self) -> None:
        self.may_end.set()
        await self.task


async def settled() -> None:
    """Let everything happen that needs no time."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run a scene with other times than those of the service."""

    def run(scene: Callable[[Precedence], Coroutine[Any, Any, None]], **times: float) -> None:
        for name, value in {"QUIET_S": 0.0, "LONGEST_S": 3600.0, **times}.items():
            monkeypatch.setattr(precedence, name, value)

        async def main() -> None:
            async with asyncio.timeout(20):
                await scene(Precedence())

        asyncio.run(main())

    return run


def test_a_job_waits_until_every_microscope_is_answered(play: Callable[..., None]) -> None:
    async def scene(who: Precedence) -> None:
        steps = [Call(who, PLANNER) for _ in range(2)]
        await settled()
        job = Call(who, SUBMIT)
        await settled()
        await steps[0].end()
        await settled()
        assert not job.began.is_set()
        another = Call(who, PLANNER)
        await settled()
        assert another.began.is_set(), "microscopes wait for nobody"
        await steps[1].end()
        await another.end()
        await job.began.wait()
        await job.end()

    play(scene)


def test_a_job_waits_for_a_microscope_that_may_call_again_at_once(play: Callable[..., None]) -> None:
    async def scene(who: Precedence) -> None:
        step = Call(who, PLANNER)
        await settled()
        await step.end()
        job = Call(who, SUBMIT)
        await settled()
        assert not job.began.is_set()
        job.task.cancel()
        await asyncio.wait([job.task])

    play(scene, QUIET_S=3600.0)


def test_a_job_does_not_wait_for_ever(play: Callable[..., None]) -> None:
    async def scene(who: Precedence) -> None:
        step, job = Call(who, PLANNER), Call(who, SUBMIT)
        await job.began.wait()
        assert not step.task.done()
        await job.end()
        await step.end()

    play(scene, LONGEST_S=0.05)


def test_jobs_go_one_by_one_and_a_worker_that_waits_keeps_nobody(play: Callable[..., None]) -> None:
    async def scene(who: Precedence) -> None:
        waiting = Call(who, ACQUIRE)
        first, second = Call(who, SUBMIT), Call(who, SUBMIT)
        report = Call(who, f"{THEORY}ReportTheoryProgress")
        await settled()
        assert [c.began.is_set() for c in (waiting, first, second, report)] == [True, True, False, True]
        await first.end()
        await second.began.wait()
        for call in (second, waiting, report):
            await call.end()

    play(scene)


def test_too_many_are_refused_and_one_that_gives_up_leaves_its_place(
    play: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precedence, "MOST_WAITING", 2)

    async def scene(who: Precedence) -> None:
        step = Call(who, PLANNER)
        await settled()
        first, second = Call(who, SUBMIT), Call(who, ACQUIRE)
        await settled()
        with pytest.raises(Overloaded, match="2 calls about simulations wait"):
            await Call(who, SUBMIT).task
        first.task.cancel()
        await asyncio.wait([first.task])
        third = Call(who, SUBMIT)
        await settled()
        await step.end()
        for call in (second, third):
            await call.began.wait()
            await call.end()

    play(scene)


def test_a_call_that_hangs_keeps_its_turn_for_a_while_only(play: Callable[..., None]) -> None:
    async def scene(who: Precedence) -> None:
        hung = Call(who, SUBMIT)
        await hung.began.wait()
        following = Call(who, SUBMIT)
        await following.began.wait()
        last = Call(who, ACQUIRE)
        await hung.end()
        await following.end()
        await last.began.wait()
        await last.end()

    play(scene, LONGEST_TURN_S=0.05)
