"""Jobs as flow runs on a real Prefect server, whose worker is a process of this computer."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from probescout.core.theory import Desk, Executor, Failure, JobOrder, JobState, TheoryPatch
from probescout.runtime.theory_far import run_key
from probescout.testing.bad_engines import ENGINES, GATED
from probescout.testing.executor import ExecutorConformance, Stage
from probescout.testing.lookout import killed_at_work

pytestmark = [
    pytest.mark.skipif(
        not os.environ.get("PROBESCOUT_TEST_PREFECT"), reason="takes minutes: make test-prefect runs it"
    ),
    pytest.mark.timeout(590),
    # Of Prefect and of what it stands on, in the process of the tests.
    pytest.mark.filterwarnings("default"),
]
POOL = "theory-tests"
NUMBERS = itertools.count()
HELD = """
import asyncio, sys
from probescout.runtime.prefect_quiet import set_quiet
set_quiet()
from probescout.runtime import theory_prefect
from probescout.testing.executor import ENGINES, RecordingDesk

async def main(engine, pool, port):
    theory_prefect.SILENCE_S = 6.0
    desk = RecordingDesk()
    desk.submit(engine, {"port": int(port)})
    executor = theory_prefect.PrefectExecutor(desk, pool, engines=[], allowed=ENGINES, lease_s=5.0)
    await executor.start()
    await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


def is_up(api: str) -> bool:
    try:
        with urllib.request.urlopen(f"{api}/health", timeout=5.0) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where a Prefect server of our own is to be, and what it and its worker may not do."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return {
        "PREFECT_HOME": str(tmp_path_factory.mktemp("prefect")),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }


@pytest.fixture(scope="module")
def prefect(settings: dict[str, str]) -> Iterator[dict[str, str]]:
    """A Prefect server and a worker of type process; yields their settings."""
    pytest.importorskip("prefect", reason="needs the extra prefect: make install-prefect")
    home, env, api = Path(settings["PREFECT_HOME"]), {**os.environ, **settings}, settings["PREFECT_API_URL"]
    commands = {
        "server": ["server", "start", "--host", "127.0.0.1", "--port", api.split(":")[2].partition("/")[0]],
        "worker": ["worker", "start", "--pool", POOL, "--type", "process", "--name", "one"],
    }
    running = []
    for role, command in commands.items():
        with (home / f"{role}.log").open("w") as log:
            process = subprocess.Popen([sys.executable, "-m", "prefect", *command], stdout=log, stderr=log, env=env)
        running.append(process)
        look = asyncio.run(_until_up(api)) if role == "server" else None
        assert look is None or look, (home / "server.log").read_text()
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

    with pytest.MonkeyPatch.context() as patch, temporary_settings({PREFECT_API_URL: api, PREFECT_HOME: home}):
        # For processes that tests start; in this one Prefect may have read its settings long ago.
        for name, value in settings.items():
            patch.setenv(name, value)
        yield settings
    for process in reversed(running):
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def _until_up(api: str) -> bool:
    """Ask until the server answers, two minutes long."""
    for _ in range(240):
        if await asyncio.to_thread(is_up, api):
            return True
        await asyncio.sleep(0.5)
    return False


class TestPrefectExecutor(ExecutorConformance):
    patience_s: ClassVar[float] = 240.0
    lease_s: ClassVar[float] = 20.0
    """It takes Prefect seconds to end a flow run, and a lease is not renewed meanwhile."""
    worker_id = ""

    @pytest.fixture(autouse=True)
    def _connect(self, prefect: dict[str, str]) -> None:
        """Have a server."""

    def make_executor(self, desk: Desk) -> Executor:
        from probescout.runtime.theory_prefect import PrefectExecutor

        # The tokens of the desks of all tests are alike, and Prefect remembers the runs of all tests.
        self.worker_id = f"tests-{next(NUMBERS)}"
        return PrefectExecutor(
            desk,
            POOL,
            engines=[],
            allowed=ENGINES,
            n_slots=self.n_slots,
            memory_bytes=self.memory_bytes,
            lease_s=self.lease_s,
            worker_id=self.worker_id,
        )

    def test_an_attempt_is_one_flow_run_and_leaves_no_result_behind(self) -> None:
        async def scene(stage: Stage) -> None:
            from prefect.client.orchestration import get_client

            from probescout.runtime.theory_prefect_flow import RESULT

            name = stage.submit("behave")
            await stage.desk.end_of(name)
            key = run_key(JobOrder(name, "", {}, stage.desk.token(name), 1, 0.0, 0.0), self.worker_id)
            async with get_client() as client:
                before = await client.read_flow_runs()
                artifacts = await client.read_artifacts()
                [mine] = [run for run in before if run.idempotency_key == key]
                again = await client.create_flow_run_from_deployment(
                    mine.deployment_id, parameters=mine.parameters, idempotency_key=mine.idempotency_key
                )
                assert again.id == mine.id
                assert len(await client.read_flow_runs()) == len(before)
            assert RESULT not in {artifact.type for artifact in artifacts}
            assert mine.state.is_completed() and stage.desk.token(name) not in str(mine.parameters)

        self.play(scene)

    def test_a_deployment_that_somebody_deleted_is_made_anew_and_costs_no_attempt(self) -> None:
        async def scene(stage: Stage) -> None:
            from prefect.client.orchestration import get_client

            first = stage.submit_gated()
            guest = await stage.lookout.next()
            # All workers are busy: this one waits as a flow run, which goes with the deployment.
            waiting = [stage.submit("behave") for _ in range(self.n_slots)]
            async with get_client() as client:
                for deployment in await client.read_deployments():
                    await client.delete_deployment(deployment.id)
            guest.release(2.0)
            for name in (first, *waiting, stage.submit("behave")):
                assert (await stage.desk.end_of(name)).state is JobState.SUCCEEDED
                assert "requeued" not in stage.desk.of(name)

        self.play(scene)

    def test_a_job_that_is_too_long_for_prefect(self) -> None:
        noise = np.random.default_rng(0).normal(size=(400, 400))
        result = self.failures_of("behave", patch=TheoryPatch(noise, 1e-11))["behave"]
        assert result.failure is Failure.BAD_INPUT and "PREFECT_SERVER_API_MAX_PARAMETER_SIZE" in result.message

    def test_a_flow_run_whose_executor_was_killed_ends_itself(self) -> None:
        asyncio.run(killed_at_work((sys.executable, "-c", HELD, GATED, POOL), self.patience_s))

    def test_a_person_cancels_the_flow_run(self) -> None:
        async def scene(stage: Stage) -> None:
            from prefect.client.orchestration import get_client
            from prefect.states import Cancelling

            name = stage.submit_gated()
            guest = await stage.lookout.next()
            async with get_client() as client:
                [run] = [r for r in await client.read_flow_runs() if r.state.is_running()]
                await client.set_flow_run_state(run.id, Cancelling())
            await guest.gone()
            (await stage.lookout.next()).release(2.0)
            assert (await stage.desk.end_of(name)).state is JobState.SUCCEEDED
            [requeued] = [e for e in stage.desk.record if e.kind == "requeued"]
            assert requeued.result is not None and "Cancelled" in requeued.result.message

        self.play(scene)

    def test_a_flow_run_that_says_nothing_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from probescout.runtime import theory_prefect_run

        async def scene(stage: Stage) -> None:
            name = stage.submit_gated()
            guest = await stage.lookout.next()
            keeper = Path(f"/proc/{guest.parent}/stat").read_text()
            flow_run = int(keeper.rpartition(")")[2].split()[1])
            os.kill(flow_run, signal.SIGSTOP)
            with monkeypatch.context() as patch:
                patch.setattr(theory_prefect_run, "NO_WORD_S", 5.0)
                await stage.desk.until(lambda: "requeued" in stage.desk.of(name))
            os.kill(flow_run, signal.SIGKILL)
            await guest.gone()
            (await stage.lookout.next()).release(2.0)
            assert (await stage.desk.end_of(name)).state is JobState.SUCCEEDED
            [requeued] = [e for e in stage.desk.record if e.kind == "requeued"]
            assert requeued.result is not None and "no word" in requeued.result.message

        self.play(scene)


def test_without_a_server_it_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    code = (
        "from probescout.runtime.theory_prefect import PrefectExecutor\nPrefectExecutor(None, 'p', engines=['xtb'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 1 and "prefect server start" in done.stderr


def test_frames_are_text_on_the_way(prefect: Any) -> None:
    from probescout.runtime.theory_prefect_flow import decode, encode

    frame = bytes(range(256)) * 50
    assert decode(encode(frame)) == frame and len(encode(frame)) < len(frame)
