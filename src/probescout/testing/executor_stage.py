"""What tests of an executor play on, and how a play begins and ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import ClassVar

from probescout.core.theory import Desk, Executor, JobResult, JobState, TheoryPatch
from probescout.testing.bad_engines import GATED, MISBEHAVING
from probescout.testing.failing_line import FailingLine
from probescout.testing.lookout import Lookout
from probescout.testing.recording_desk import RecordingDesk


class Stage:
    """What a test plays on: a desk, the line to it, an executor that runs, and a lookout for its processes."""

    def __init__(self, executor: Executor, line: FailingLine, desk: RecordingDesk, lookout: Lookout) -> None:
        """Put together what `ExecutorPlay.play` made."""
        self.executor = executor
        self.line = line
        self.desk = desk
        self.lookout = lookout

    def submit_gated(self, *, deadline_s: float = 60.0) -> str:
        """Queue a job that waits for the lookout."""
        return self.desk.submit(GATED, {"port": self.lookout.port}, deadline_s=deadline_s)

    def submit(self, act: str, *, patch: TheoryPatch | None = None, deadline_s: float = 60.0) -> str:
        """Queue a job that misbehaves and is tried once."""
        settings = {"act": act, "port": self.lookout.port}
        return self.desk.submit(MISBEHAVING, settings, patch=patch, deadline_s=deadline_s, max_attempts=1)

    def restart(self, *, is_forgetful: bool) -> None:
        """Let a new desk take the place of the old one."""
        self.desk = self.line.desk = self.desk.restarted(is_forgetful=is_forgetful)


Scene = Callable[[Stage], Awaitable[None]]


class ExecutorPlay:
    """Builds executors and plays scenes with them."""

    n_slots: ClassVar[int] = 2
    """Jobs at once that `make_executor` must allow."""
    lease_s: ClassVar[float] = 1.2
    """Lease that it must ask for."""
    memory_bytes: ClassVar[int] = 1 << 30
    """Memory that a job may have."""
    is_late_offered: ClassVar[bool] = True
    """Whether it hands in a result although it could not renew the lease for a while; both are allowed."""
    patience_s: ClassVar[float] = 90.0
    """How long one test may take."""

    def make_executor(self, desk: Desk) -> Executor:
        """Return an executor that is not started, takes jobs of `desk` for `ENGINES`, and has the limits above."""
        raise NotImplementedError("override make_executor() so that it returns your executor")

    def play(self, scene: Scene) -> None:
        """Run a scene; afterwards no process may be left, and no rule of the desk broken."""

        async def work() -> None:
            desk = RecordingDesk()
            line = FailingLine(desk)
            async with asyncio.timeout(self.patience_s), Lookout() as lookout:
                stage = Stage(self.make_executor(line), line, desk, lookout)
                await stage.executor.start()
                try:
                    await scene(stage)
                finally:
                    await stage.executor.stop()
                    await lookout.all_gone()
                assert stage.desk.offences == []

        asyncio.run(work())

    def end_once(self, stage: Stage, name: str) -> None:
        """Assert that a job ended exactly once."""
        assert stage.desk.of(name).count("ended") == 1

    def failures_of(self, *acts: str, patch: TheoryPatch | None = None) -> dict[str, JobResult]:
        """Return the failures of jobs that misbehave, each tried once."""
        results = {}

        async def scene(stage: Stage) -> None:
            names = {act: stage.submit(act, patch=patch) for act in acts}
            for act, name in names.items():
                results[act] = await stage.desk.end_of(name)
                self.end_once(stage, name)

        self.play(scene)
        for act, result in results.items():
            assert result.state is JobState.FAILED and result.quantities == () and result.message, act
        return results
