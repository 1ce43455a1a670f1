"""`probescout theory-worker`: real processes that run the jobs of a real server, and are killed or stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from probescout_client.wire.v1 import probescout_pb2 as pb
from probescout_client.wire.v1 import probescout_pb2_grpc as rpc

Start = Callable[..., subprocess.Popen[str]]


class Stage:
    """A server that runs no jobs, and a campaign in it."""

    def __init__(self, server: Any, wire: Any) -> None:
        self.server, self.wire = server, wire
        self.stub = rpc.TheoryServiceStub(server.channel)
        theory = pb.TheorySpec(engine="waiting", quantity="energy", deadline_s=120, max_attempts=5)
        spec = pb.CampaignSpec(scalarizer=pb.ScalarizerSpec(name="given"), theory=theory)
        made = pb.CreateCampaignRequest(request_id=wire.new_id(), campaign_id="elsewhere", spec=spec)
        self.campaign = server.call("CreateCampaign", made).name

    def submit(self, job: str, **structure: Any) -> None:
        asked = pb.TheoryJob(structure_json=json.dumps(structure))
        request = pb.SubmitTheoryJobRequest(campaign=self.campaign, job_id=job, job=asked)
        request.request_id = self.wire.new_id()
        self.stub.SubmitTheoryJob(request, metadata=self.server.metadata, timeout=30)

    def end_of(self, job: str) -> pb.TheoryJob:
        ask = pb.WatchEventsRequest(campaign=self.campaign)
        stream = self.server.planner.WatchEvents(ask, metadata=self.server.metadata, timeout=60)
        for event in stream:
            if event.kind == "TheoryEnded" and json.loads(event.payload_json)["job"] == job:
                break
        stream.cancel()
        listing = pb.ListTheoryJobsRequest(campaign=self.campaign)
        found = self.stub.ListTheoryJobs(listing, metadata=self.server.metadata, timeout=30).jobs
        return next(row for row in found if row.name.endswith(f"/{job}"))


@pytest.fixture
def stage(make_server: Callable[..., Any], wire: Any, engine: dict[str, str]) -> Stage:
    return Stage(make_server("data", "--theory-slots", "0", env=engine), wire)


@pytest.fixture
def start(stage: Stage, engine: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Start workers that end with the test."""
    workers: list[subprocess.Popen[str]] = []

    def begin(name: str, *more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "probescout.cli", "theory-worker", "--server", stage.server.ready["grpc"]]
        given = ["--token-file", stage.server.ready["token_file"], "--worker-id", name, "--engines", "waiting"]
        with (tmp_path / f"{name}.log").open("w") as log:
            worker = subprocess.Popen(
                [*command, *given, *more],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **engine},
            )
        workers.append(worker)
        return worker

    yield begin
    for worker in workers:
        worker.kill()
        worker.wait()
        assert worker.stdout is not None
        worker.stdout.close()


def told(worker: subprocess.Popen[str]) -> dict[str, Any]:
    assert worker.stdout is not None
    line: dict[str, Any] = json.loads(worker.stdout.readline())
    return line


@pytest.fixture(params=["local", "dask"])
def where(request: pytest.FixtureRequest, engine: dict[str, str], tmp_path: Path) -> Iterator[list[str]]:
    """Say where the jobs of workers run: in processes of their own, or on a cluster, which is started."""
    if request.param == "local":
        yield []
        return
    pytest.importorskip("distributed", reason="needs the extra dask")
    file = str(tmp_path / "scheduler.json")
    commands = {"scheduler": ["--host", "127.0.0.1", "--port", "0"], "worker": ["--nthreads", "1"]}
    cluster = []
    for role, options in commands.items():
        command = [sys.executable, "-m", f"distributed.cli.dask_{role}", "--scheduler-file", file, "--no-dashboard"]
        with (tmp_path / f"{role}.log").open("w") as log:
            running = subprocess.Popen([*command, *options], stderr=log, env={**os.environ, **engine})
        cluster.append(running)
    yield ["--executor", "dask", "--scheduler", file]
    for running in reversed(cluster):
        running.terminate()
        running.wait()


def test_jobs_run_elsewhere_and_go_to_others_when_their_worker_dies(
    stage: Stage, start: Start, where: list[str], tmp_path: Path, gone: Callable[[int], None]
) -> None:
    first = start("first", "--lease-s", "1.5", *where)
    ready = told(first)
    assert (ready["worker_id"], ready["engines"], ready["slots"], ready["pid"]) == ("first", ["waiting"], 1, first.pid)
    stage.submit("quick", n=2.0)
    done = stage.end_of("quick")
    assert (done.state, done.worker_id, done.attempt) == (pb.THEORY_JOB_STATE_SUCCEEDED, "first", 1)
    assert done.results[0].value == 2.0 and done.key and done.core_hours > 0.0

    for name in ("here", "go"):
        os.mkfifo(tmp_path / name)
    # Held open for both directions, so that engines may come and go.
    with os.fdopen(os.open(tmp_path / "here", os.O_RDWR)) as here:
        go = os.open(tmp_path / "go", os.O_RDWR)
        stage.submit("long", n=3.0, folder=str(tmp_path))
        running = int(here.readline())
        first.kill()
        gone(running)
        second = start("second", *where)
        told(second)
        running = int(here.readline())
        os.write(go, b"1")
        done = stage.end_of("long")
        assert (done.state, done.worker_id, done.attempt) == (pb.THEORY_JOB_STATE_SUCCEEDED, "second", 2)

        stage.submit("stopped", n=4.0, folder=str(tmp_path))
        running = int(here.readline())
        second.send_signal(signal.SIGTERM)
        assert second.wait(timeout=30) == 0
        gone(running)
        os.close(go)
    assert stage.server.stop() == 0


def test_a_worker_without_the_right_token_ends_and_says_why(stage: Stage, start: Start, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("no such token\n")
    worker = start("stranger", "--token-file", str(tmp_path / "wrong"))
    assert worker.wait(timeout=60) == 5
    assert "TOKEN_UNKNOWN" in (tmp_path / "stranger.log").read_text()
    unknown = start("unknown", "--engines", "wating")
    assert unknown.wait(timeout=60) == 2
    assert "did you mean 'waiting'" in (tmp_path / "unknown.log").read_text()
    nowhere = start("nowhere", "--executor", "dask")
    assert nowhere.wait(timeout=60) == 2
    assert "tcp://HOST:PORT" in (tmp_path / "nowhere.log").read_text()


def test_an_engine_that_fails_when_asked_keeps_no_other_from_running(
    stage: Stage, start: Start, tmp_path: Path, wire: Any, waiting: str
) -> None:
    broken = waiting.replace("class Waiting", "class Broken").replace('"waiting"', '"broken"')
    wire.install_engine(
        tmp_path / "engines", "broken", "Broken", broken.replace('return "1"', 'raise OSError("no disk")')
    )
    worker = start("all", "--engines", "")
    ready = told(worker)
    assert "waiting" in ready["engines"] and "broken" not in ready["engines"]
