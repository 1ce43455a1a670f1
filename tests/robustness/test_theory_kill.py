"""SIGKILL of the server while theory jobs run, here and at workers elsewhere: every job ends exactly once."""

from __future__ import annotations

import collections
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from probescout_client.wire.v1 import probescout_pb2 as pb
from probescout_client.wire.v1 import probescout_pb2_grpc as rpc

from probescout.cli.campaign_files import campaign_json, campaign_lines
from probescout.core.events import decode
from probescout.core.theory import JobState
from probescout.core.theory_events import TheoryEnded, TheoryLeased, TheoryRequeued
from probescout.store.journal import Journal
from probescout.store.verify import verify

N_JOBS = 4


class Desk:
    """TheoryService of one live server."""

    def __init__(self, server: Any, wire: Any) -> None:
        self.server, self.wire = server, wire
        self.stub = rpc.TheoryServiceStub(server.channel)

    def call(self, method: str, request: Any) -> Any:
        if "request_id" in request.DESCRIPTOR.fields_by_name:
            request.request_id = self.wire.new_id()
        return getattr(self.stub, method)(request, metadata=self.server.metadata, timeout=30)

    def submit(self, campaign: str, folder: Path) -> None:
        for n in range(N_JOBS):
            job = pb.TheoryJob(structure_json=json.dumps({"n": n, "folder": str(folder)}))
            self.call("SubmitTheoryJob", pb.SubmitTheoryJobRequest(campaign=campaign, job_id=f"j{n}", job=job))

    def acquire(self, count: int, wait_s: float = 0.0) -> list[pb.TheoryJob]:
        request = pb.AcquireTheoryJobsRequest(worker_id="w", engines=["waiting"], count=count, wait_s=wait_s)
        return list(self.call("AcquireTheoryJobs", request).jobs)

    def finish(self, job: pb.TheoryJob) -> str:
        """Hand in a result; return the state of the job, or the code of the refusal."""
        result = [pb.Quantity(name="energy", value=1.0, std=0.1, unit="eV", is_converged=True)]
        request = pb.FinishTheoryJobRequest(
            name=job.name, lease_token=job.lease_token, state=pb.THEORY_JOB_STATE_SUCCEEDED, results=result
        )
        try:
            return pb.TheoryJobState.Name(self.call("FinishTheoryJob", request).job.state)
        except grpc.RpcError as error:
            return str(error.code().name)

    def states(self, campaign: str) -> list[int]:
        return [j.state for j in self.call("ListTheoryJobs", pb.ListTheoryJobsRequest(campaign=campaign)).jobs]


def campaign(server: Any, wire: Any, lease_s: float) -> str:
    theory = pb.TheorySpec(engine="waiting", quantity="energy", lease_s=lease_s, deadline_s=120, max_attempts=5)
    spec = pb.CampaignSpec(scalarizer=pb.ScalarizerSpec(name="given"), theory=theory)
    made = pb.CreateCampaignRequest(request_id=wire.new_id(), campaign_id="killed", spec=spec)
    return str(server.call("CreateCampaign", made).name)


def all_ended(server: Any, campaign: str) -> None:
    """Follow the journal until every job has ended."""
    ask = pb.WatchEventsRequest(campaign=campaign)
    left = {f"j{n}" for n in range(N_JOBS)}
    stream = server.planner.WatchEvents(ask, metadata=server.metadata, timeout=100)
    for event in stream:
        if event.kind == "TheoryEnded":
            left.discard(json.loads(event.payload_json)["job"])
        if not left:
            break
    stream.cancel()


def journal(data: Path) -> list[Any]:
    directory = data / "campaigns" / "killed"
    assert verify(directory).problems == ()
    with Journal.open(directory) as store:
        return [decode(record) for record in store.read()]


def check_ends(events: list[Any]) -> None:
    ended = collections.Counter(e.job for e in events if isinstance(e, TheoryEnded))
    assert ended == {f"j{n}": 1 for n in range(N_JOBS)}
    assert {e.state for e in events if isinstance(e, TheoryEnded)} == {JobState.SUCCEEDED}


def test_four_jobs_of_its_own(
    make_server: Callable[..., Any], wire: Any, tmp_path: Path, engine: Any, gone: Callable[[int], None]
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    slots = ("--theory-slots", str(N_JOBS))
    server = make_server("data", *slots, env=engine)
    name = campaign(server, wire, 5.0)
    os.mkfifo(folder / "here")
    os.mkfifo(folder / "go")
    # Held open for both directions, so that engines may come and go.
    here = os.open(folder / "here", os.O_RDWR)
    Desk(server, wire).submit(name, folder)
    with os.fdopen(here) as announced:
        first = [int(announced.readline()) for _ in range(N_JOBS)]
        server.kill()
        for pid in first:
            gone(pid)
        go = os.open(folder / "go", os.O_RDWR)
        os.write(go, bytes(N_JOBS))
        server = make_server("data", *slots, env=engine)
        all_ended(server, name)
        os.close(go)
    assert set(Desk(server, wire).states(name)) == {pb.THEORY_JOB_STATE_SUCCEEDED}
    assert server.stop() == 0
    events = journal(server.data)
    check_ends(events)
    assert collections.Counter(e.attempt for e in events if isinstance(e, TheoryLeased)) == {1: N_JOBS, 2: N_JOBS}


def test_four_jobs_at_workers_elsewhere(
    make_server: Callable[..., Any], wire: Any, tmp_path: Path, engine: Any
) -> None:
    slots = ("--theory-slots", "0")
    server = make_server("data", *slots, env=engine)
    name = campaign(server, wire, 2.0)
    desk = Desk(server, wire)
    desk.submit(name, tmp_path)
    held = desk.acquire(N_JOBS)
    assert len(held) == N_JOBS and desk.finish(held[0]) == "THEORY_JOB_STATE_SUCCEEDED"
    server.kill()
    server = make_server("data", *slots, env=engine)
    desk = Desk(server, wire)
    # Whoever lives on hands in under the token of before, as often as it likes; the others are lost.
    assert [desk.finish(held[1]), desk.finish(held[1]), desk.finish(held[0])] == ["THEORY_JOB_STATE_SUCCEEDED"] * 3
    again: list[pb.TheoryJob] = []
    while len(again) < 2:
        again += desk.acquire(2, 5.0)
    assert {j.name for j in again} == {j.name for j in held[2:]} and {j.attempt for j in again} == {2}
    assert [desk.finish(j) for j in held[2:]] == ["FAILED_PRECONDITION"] * 2
    assert [desk.finish(j) for j in again] == ["THEORY_JOB_STATE_SUCCEEDED"] * 2
    assert server.stop() == 0
    events = journal(server.data)
    check_ends(events)
    assert sorted(e.job for e in events if isinstance(e, TheoryRequeued)) == ["j2", "j3"]
    row = campaign_json(server.data / "campaigns" / "killed")
    assert row["is_sound"] and row["theory"]["jobs"] == {"succeeded": N_JOBS} and row["theory"]["n_applied"] == N_JOBS
    [line] = [line for line in campaign_lines(row) if line.startswith("theory")]
    assert line.startswith("theory     energy by waiting: 4 succeeded; numbers of 4 applied; ")
