"""Jobs in subprocesses of this computer, whatever the engine, the desk or the operator does."""

from __future__ import annotations

import asyncio
import doctest
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probescout.core.errors import InvalidInput, Reason
from probescout.core.theory import Desk, Executor, Failure, JobOrder, JobResult, JobState, TheoryPatch
from probescout.runtime import theory_cache, theory_local
from probescout.runtime.theory_local import MIN_MEMORY_BYTES, LocalExecutor
from probescout.testing import recording_desk
from probescout.testing.bad_engines import ENERGY, ENGINES, GATED, MISBEHAVING
from probescout.testing.executor import ExecutorConformance, Stage
from probescout.testing.lookout import killed_at_work

SAYING = {
    "exit": "exit code 0",
    "segfault": "killed by SIGSEGV\nThe engine printed last:\nFatal Python error: Segmentation fault",
    "raise": "RuntimeError('the engine has a bug')\nThe engine printed last:\nTraceback",
    "sys_exit": "SystemExit(3)",
    "scribble": "what is this?",
    "flood": "lines without end",
    "hog": "needs more memory",
}
"""What the failure of each act says."""


class TestLocalExecutor(ExecutorConformance):
    cache: Path | None = None

    def make_executor(self, desk: Desk) -> Executor:
        return LocalExecutor(
            desk,
            engines=[],
            allowed=ENGINES,
            n_slots=self.n_slots,
            memory_bytes=self.memory_bytes,
            lease_s=self.lease_s,
            cache=self.cache,
        )

    def test_what_is_written_to_the_channel_is_garbage(self) -> None:
        failures = self.failures_of("scribble", "flood")
        assert {act: f.failure for act, f in failures.items()} == dict.fromkeys(failures, Failure.GARBAGE)

    def failures_of(self, *acts: str, patch: TheoryPatch | None = None) -> dict[str, JobResult]:
        failures = super().failures_of(*acts, patch=patch)
        for act, says in SAYING.items():
            assert act not in failures or says in failures[act].message, act
        return failures

    def test_an_engine_that_comes_back_twice_has_one_result(self) -> None:
        async def scene(stage: Stage) -> None:
            result = await stage.desk.end_of(stage.submit("return_twice"))
            assert result.quantities == (ENERGY,), result.message

        self.play(scene)

    def test_the_keeper_is_killed(self) -> None:
        async def scene(stage: Stage) -> None:
            name = stage.submit_gated()
            first = await stage.lookout.next()
            scratch = Path(f"/proc/{first.pid}/cwd").resolve()
            assert scratch.name.startswith("probescout-job-") and scratch.exists()
            os.kill(first.parent, signal.SIGKILL)
            await first.gone()
            (await stage.lookout.next()).release(2.0)
            assert (await stage.desk.end_of(name)).state is JobState.SUCCEEDED
            [requeued] = [e for e in stage.desk.record if e.kind == "requeued"]
            assert requeued.result is not None and requeued.result.failure is Failure.CRASHED
            assert not scratch.exists()
            assert "keeper" in requeued.result.message and "SIGKILL" in requeued.result.message

        self.play(scene)

    def test_a_keeper_that_does_not_answer_is_killed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("probescout.runtime.theory_process.KEEPER_S", 0.2)

        async def scene(stage: Stage) -> None:
            stage.submit_gated()
            guest = await stage.lookout.next()
            os.kill(guest.parent, signal.SIGSTOP)
            await stage.executor.stop()
            await guest.gone()

        self.play(scene)

    def test_a_known_result_is_not_calculated_again(self, tmp_path: Path) -> None:
        self.cache = tmp_path / "cache"

        async def scene(stage: Stage) -> None:
            settings = {"port": stage.lookout.port}
            first = stage.desk.submit(GATED, settings, structure={"n": 1})
            (await stage.lookout.next()).release(4.0)
            calculated = await stage.desk.end_of(first)
            again = await stage.desk.end_of(stage.desk.submit(GATED, settings, structure={"n": 1}))
            assert again.quantities == calculated.quantities and again.key == calculated.key
            assert "cache" in again.message and "cache" not in calculated.message
            [file] = (tmp_path / "cache").rglob("*.json")
            file.write_bytes(file.read_bytes().replace(b"4.0", b"5.0"))
            damaged = stage.desk.submit(GATED, settings, structure={"n": 1})
            (await stage.lookout.next()).release(4.0)
            assert (await stage.desk.end_of(damaged)).quantities == calculated.quantities

        self.play(scene)

    def test_an_engine_that_is_not_allowed_is_not_imported(self) -> None:
        async def scene(stage: Stage) -> None:
            picky = LocalExecutor(stage.line, engines=["no_such_engine"], allowed=[])
            await picky.start()
            name = stage.desk.submit("no_such_engine")
            result = await stage.desk.end_of(name)
            assert result.failure is Failure.MISSING_EXTRA and "no_such_engine" in result.message
            # A desk that hands out what nobody asked for.
            stage.desk.acquire = _pushing(stage.desk, "os:system")  # type: ignore[method-assign]
            await picky.stop()
            await stage.executor.stop()
            await picky.start()
            result = await stage.desk.end_of(stage.desk.submit("os:system"))
            assert result.failure is Failure.BAD_INPUT and "did not ask for" in result.message
            await picky.stop()

        self.play(scene)

    def test_the_event_loop_is_never_held_up(self) -> None:
        longest = 0.0

        async def watch() -> None:
            nonlocal longest
            while True:
                before = time.thread_time()
                await asyncio.sleep(0.005)
                longest = max(longest, time.thread_time() - before)

        async def scene(stage: Stage) -> None:
            watching = asyncio.create_task(watch())
            patch = TheoryPatch(np.zeros((1500, 1500)), 1e-11)
            acts = ("print", "flood")
            ends = [stage.desk.end_of(stage.submit(act, patch=patch)) for act in acts]
            assert [r.failure for r in await asyncio.gather(*ends)] == [None, Failure.GARBAGE]
            watching.cancel()

        self.play(scene)
        assert 0.0 < longest < 0.2, "processor seconds of the loop between two looks"


def _pushing(desk: Any, engine: str) -> Any:
    """Return an `acquire` that hands out jobs of that engine to everybody."""
    acquire = type(desk).acquire

    async def push(worker_id: str, engines: Any, count: int, lease_s: float, *, wait_s: float = 0.0) -> Any:
        orders: tuple[JobOrder, ...] = await acquire(desk, worker_id, [engine], count + 1, lease_s, wait_s=wait_s)
        return orders

    return push


def test_jobs_end_with_an_executor_that_is_killed() -> None:
    code = (
        "import asyncio, sys\n"
        "from probescout.runtime.theory_local import LocalExecutor\n"
        "from probescout.testing.executor import ENGINES, RecordingDesk\n"
        "async def main(port):\n"
        "    desk = RecordingDesk()\n"
        f"    desk.submit({GATED!r}, {{'port': port}})\n"
        f"    desk.submit({MISBEHAVING!r}, {{'act': 'leave_and_stay', 'port': port}})\n"
        "    executor = LocalExecutor(desk, engines=[], allowed=ENGINES, n_slots=2)\n"
        "    await executor.start()\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main(int(sys.argv[1])))\n"
    )

    asyncio.run(killed_at_work((sys.executable, "-c", code), 60.0, n_jobs=2))


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"engines": []}, "engines"),
        ({"allowed": ["os"]}, "allowed"),
        ({"n_slots": 0}, "n_slots"),
        ({"memory_bytes": MIN_MEMORY_BYTES - 1}, "memory_bytes"),
        ({"lease_s": 0.0}, "lease_s"),
        ({"lease_s": float("nan")}, "lease_s"),
    ],
)
def test_what_cannot_work_is_refused(wrong: dict[str, Any], field: str) -> None:
    desk: Any = None
    assert LocalExecutor(desk, engines=["xtb"]).n_running == 0
    with pytest.raises(InvalidInput) as caught:
        LocalExecutor(desk, **{"engines": ["xtb"], **wrong})
    assert (caught.value.reason, caught.value.field) == (Reason.FIELD_INVALID, field)


def test_the_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    for module in (theory_local, theory_cache, recording_desk):
        found = doctest.testmod(module)
        assert found.attempted > 0 and found.failed == 0, module.__name__
    page = Path(__file__).resolve().parents[2] / "docs" / "theory-executors.md"
    blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)
    assert capsys.readouterr().out == f"{(ENERGY,)}\n"
    assert isinstance(names["TestMine"]().make_executor(recording_desk.RecordingDesk()), LocalExecutor)


def test_every_failure_has_its_row() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "theory-executors.md"
    rows = re.findall(r"^\| `(\w+)` \| .{10,} \| .{5,} \|$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(rows) >= {failure.value for failure in Failure}
