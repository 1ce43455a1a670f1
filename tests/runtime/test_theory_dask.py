"""Jobs as tasks of a real Dask cluster: scheduler and workers are processes of this computer."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from probescout.core.theory import Desk, Executor, Failure, JobState
from probescout.testing.bad_engines import ENGINES, GATED
from probescout.testing.executor import ExecutorConformance, Lookout, RecordingDesk, Stage
from probescout.testing.lookout import killed_at_work

distributed = pytest.importorskip("distributed", reason="needs the extra dask")

from probescout.runtime import theory_dask  # noqa: E402 (after the check that Dask is there)
from probescout.runtime.theory_dask import DaskExecutor  # noqa: E402


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def lacking(*arguments: Any) -> str:
    raise ModuleNotFoundError("No module named 'probescout'")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two workers of one thread each, in processes of their own, which a nanny starts again when they die."""
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        silence_logs=False,
        # Without a dashboard it still listens to HTTP, at a fixed port that another cluster may have.
        scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
    ) as running:
        yield running


class TestDaskExecutor(ExecutorConformance):
    address: ClassVar[str] = ""

    @pytest.fixture(autouse=True)
    def _connect(self, cluster: Any) -> None:
        type(self).address = cluster.scheduler_address

    def make_executor(self, desk: Desk) -> Executor:
        return DaskExecutor(
            desk,
            self.address,
            engines=[],
            allowed=ENGINES,
            n_slots=self.n_slots,
            memory_bytes=self.memory_bytes,
            lease_s=self.lease_s,
        )

    def test_a_worker_of_the_cluster_dies(self) -> None:
        async def scene(stage: Stage) -> None:
            name = stage.submit_gated()
            first = await stage.lookout.next()
            keeper = parent_of(first.pid)
            os.kill(parent_of(keeper), signal.SIGKILL)
            await first.gone()
            # By the other worker, or by the next one that the nanny starts.
            (await stage.lookout.next()).release(2.0)
            assert (await stage.desk.end_of(name)).state is JobState.SUCCEEDED
            assert stage.desk.of(name) == ["submitted", "leased", "ended"], "Dask moved it under the same lease"

        self.play(scene)

    def test_jobs_end_with_an_executor_that_is_killed(self) -> None:
        code = (
            "import asyncio, sys\n"
            "from probescout.runtime.theory_dask import DaskExecutor\n"
            "from probescout.testing.executor import ENGINES, RecordingDesk\n"
            "async def main(port):\n"
            "    desk = RecordingDesk()\n"
            f"    desk.submit({GATED!r}, {{'port': port}})\n"
            "    executor = DaskExecutor(desk, sys.argv[1], engines=[], allowed=ENGINES)\n"
            "    await executor.start()\n"
            "    await asyncio.Event().wait()\n"
            "asyncio.run(main(int(sys.argv[2])))\n"
        )

        asyncio.run(killed_at_work((sys.executable, "-c", code, self.address), self.patience_s))

    def test_a_worker_that_lacks_the_program(self) -> None:
        async def scene(stage: Stage) -> None:
            name = stage.submit("behave")
            result = await stage.desk.end_of(name)
            assert result.failure is Failure.MISSING_EXTRA and "probescout[dask]" in result.message

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(theory_dask, "run_attempt", lacking)
            self.play(scene)


def test_no_job_is_taken_while_the_scheduler_is_away(tmp_path: Path) -> None:
    """Neither before it was there nor after it died in mid-job; jobs that it had are reported and done again."""
    desk, file = RecordingDesk(), tmp_path / "scheduler.json"
    tried = asyncio.Event()

    async def pause(seconds: float) -> None:
        tried.set()
        await asyncio.sleep(min(seconds, 0.2))

    async def work() -> None:
        async with asyncio.timeout(100.0), Lookout() as lookout:
            executor = DaskExecutor(desk, str(file), engines=[], allowed=ENGINES, lease_s=60.0, pause=pause)
            name = desk.submit(GATED, {"port": lookout.port})
            await executor.start()
            await tried.wait()
            assert desk.of(name) == ["submitted"]
            async with cluster_of_one(file) as scheduler:
                guest = await lookout.next()
                scheduler.kill()
                await scheduler.wait()
                await guest.gone()
                await desk.until(lambda: "requeued" in desk.of(name))
                [requeued] = [e for e in desk.record if e.kind == "requeued"]
                assert requeued.result is not None and requeued.result.failure is Failure.CRASHED
                assert "scheduler-connection-lost" in requeued.result.message
            async with cluster_of_one(file):
                (await lookout.next()).release(1.0)
                assert (await desk.end_of(name)).state is JobState.SUCCEEDED
                await executor.stop()
        assert desk.offences == []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(theory_dask, "CONNECT_S", 1.0)
        asyncio.run(work())


@asynccontextmanager
async def cluster_of_one(file: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Keep a scheduler and a worker, by their own commands; yield the scheduler."""
    file.unlink(missing_ok=True)
    port = ("--port", "0", "--no-dashboard", "--host", "127.0.0.1", "--scheduler-file", str(file))
    scheduler = await asyncio.create_subprocess_exec(sys.executable, "-m", "distributed.cli.dask_scheduler", *port)
    found = ("--scheduler-file", str(file), "--nthreads", "1", "--no-dashboard", "--death-timeout", "60")
    worker = await asyncio.create_subprocess_exec(sys.executable, "-m", "distributed.cli.dask_worker", *found)
    try:
        yield scheduler
    finally:
        for process in (worker, scheduler):
            if process.returncode is None:
                process.terminate()
            await process.wait()


BATCH = """
import asyncio, sys
from dask_jobqueue.local import LocalCluster
from probescout.runtime.theory_dask import DaskExecutor
from probescout.testing.bad_engines import ENERGY, ENGINES, MISBEHAVING
from probescout.testing.recording_desk import RecordingDesk

async def work(address):
    desk = RecordingDesk()
    executor = DaskExecutor(desk, address, engines=[], allowed=ENGINES, n_slots=2)
    await executor.start()
    names = [desk.submit(MISBEHAVING, {"act": "behave"}, structure={"n": n}) for n in range(4)]
    results = [await desk.end_of(name) for name in names]
    await executor.stop()
    print([r.quantities for r in results] == [(ENERGY,)] * 4 and not desk.offences)

here = {"dashboard_address": ":0", "host": "127.0.0.1"}
with LocalCluster(cores=1, processes=1, memory="1GB", scheduler_options=here) as queue:
    queue.adapt(minimum_jobs=0, maximum_jobs=2)
    asyncio.run(work(queue.scheduler_address))
"""


def test_on_what_a_batch_system_starts(tmp_path: Path) -> None:
    """Dask-jobqueue asks a batch system for workers; here its stand-in, which runs their script on this computer."""
    pytest.importorskip("dask_jobqueue", reason="needs the extra dask")
    # In a process of its own: the stand-in leaves pipes open.
    done = subprocess.run(
        [sys.executable, "-c", BATCH], capture_output=True, text=True, timeout=90, cwd=tmp_path, check=False
    )
    assert done.stdout.split() == ["True"], done.stderr
