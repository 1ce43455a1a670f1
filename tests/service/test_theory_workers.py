"""TheoryService over a real socket: workers that are hostile, wait, or are too many; the server's own."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from probescout_client.wire.v1 import probescout_pb2 as pb


def test_hostile_workers_change_nothing(theory: Any, kit: Any) -> None:
    name = kit.campaign(theory, "hostile")
    for i in range(2):
        theory.submit(name, f"h{i}", structure_json=json.dumps({"n": i}))
    one, two = theory.acquire(2, campaign=name)
    stolen = pb.TheoryJob(name=one.name, lease_token=two.lease_token)
    assert kit.refusal(lambda: theory.finish(stolen))[0] == "LEASE_STALE"
    assert kit.refusal(lambda: theory.progress(stolen))[0] == "LEASE_STALE"
    assert kit.refusal(lambda: theory.progress(one, float("nan"))) == ("FIELD_INVALID", "progress")
    assert kit.refusal(lambda: theory.finish(pb.TheoryJob(name=f"{name}/theoryJobs/none")))[0] == "JOB_NOT_FOUND"
    assert kit.refusal(lambda: theory.finish(pb.TheoryJob(name="rubbish")))[0] == "ID_INVALID"
    assert kit.refusal(lambda: theory.finish(one, state=0)) == ("FIELD_INVALID", "state")
    assert kit.refusal(lambda: theory.finish(one, failure="bored")) == ("FIELD_INVALID", "failure")
    assert {j.state for j in theory.jobs(name)} == {pb.THEORY_JOB_STATE_RUNNING}
    bad = [pb.Quantity(name="energy", value=float("inf"), unit="eV", is_converged=True)]
    assert kit.refusal(lambda: theory.finish(one, results=bad))[0] == "FIELD_INVALID"
    assert theory.jobs(name)[0].state == pb.THEORY_JOB_STATE_QUEUED, "garbage is worth another try"
    theory.cancel(two.name)
    assert theory.progress(two).is_cancelled
    assert kit.refusal(lambda: theory.finish(two))[0] == "LEASE_STALE"
    assert kit.refusal(lambda: theory.set_evidence(two.name, pb.EVIDENCE_STATE_APPLIED))[0] == "JOB_STATE_MISMATCH"
    for more in ({"count": 17}, {"wait_s": 61.0}, {"lease_s": 0.5}, {"wait_s": float("nan")}):
        assert kit.refusal(lambda more=more: theory.acquire(**more))[0] == "FIELD_INVALID"
    assert kit.refusal(lambda: theory.acquire(worker_id=""))[1] == "worker_id"


def test_no_result_is_lost_for_its_size(theory: Any, kit: Any) -> None:
    name = kit.campaign(theory, "large")
    theory.submit(name, "j1", structure_json='{"n": 1}')
    theory.submit(name, "j2", structure_json='{"n": 2}')
    one, two = theory.acquire(2, campaign=name)
    atoms = {"positions": [[0.125 * i, 1.0 / (i + 1), 0.0] for i in range(20000)]}
    said = "the engine said: " + "é" * 5000
    report = pb.ReportTheoryProgressRequest(name=one.name, lease_token=one.lease_token, progress=0.5, message=said)
    assert theory.call("ReportTheoryProgress", report).expires_in_s > 0.0
    done = theory.finish(one, structure_json=json.dumps(atoms), message=said)
    assert done.state == pb.THEORY_JOB_STATE_SUCCEEDED
    assert done.message.startswith(said[:1000]) and done.message.endswith("é…") and len(done.message.encode()) <= 4096
    stored = theory.server.blobs.ReadBlob(
        pb.ReadBlobRequest(campaign=name, name=done.structure), metadata=theory.server.metadata, timeout=30
    )
    assert json.loads(b"".join(chunk.data for chunk in stored)) == atoms
    larger = json.dumps({"a": "x" * (2 << 20)})
    assert kit.refusal(lambda: theory.finish(two, structure_json=larger)) == ("FIELD_INVALID", "structure_json")
    assert theory.finish(two).state == pb.THEORY_JOB_STATE_SUCCEEDED, "without its structure it is taken"


def test_a_waiting_worker_is_served_the_moment_a_job_comes(theory: Any, kit: Any) -> None:
    name = kit.campaign(theory, "polled")
    found: list[pb.TheoryJob] = []
    waiting = threading.Thread(target=lambda: found.extend(theory.acquire(campaign=name, wait_s=20.0)))
    waiting.start()
    theory.submit(name, "now", structure_json='{"n": 1}')
    waiting.join(10)
    assert [j.name for j in found] == [f"{name}/theoryJobs/now"]


def test_an_aborted_campaign_cancels_its_jobs(theory: Any, kit: Any) -> None:
    name = kit.campaign(theory, "aborted")
    for i in range(3):
        theory.submit(name, structure_json=json.dumps({"n": i}))
    [order] = theory.acquire(campaign=name)
    control = pb.ControlCampaignRequest(
        request_id=theory.wire.new_id(), name=name, action=pb.CONTROL_ACTION_ABORT, reason="smoke"
    )
    theory.server.call("ControlCampaign", control)
    theory.wait_for_ends(name, len(theory.jobs(name)))
    assert {j.state for j in theory.jobs(name)} == {pb.THEORY_JOB_STATE_CANCELLED}
    assert theory.progress(order).is_cancelled
    assert kit.refusal(lambda: theory.submit(name, structure_json='{"n": 7}'))[0] == "CAMPAIGN_ENDED"


def test_the_budget_of_core_hours_holds(theory: Any, kit: Any) -> None:
    name = kit.campaign(theory, "poor", budget=pb.Budget(core_hours=0.02))
    for i in range(3):
        theory.submit(name, structure_json=json.dumps({"n": i}))
    [order] = theory.acquire(campaign=name)
    theory.finish(order, core_hours=0.015)
    assert kit.refusal(lambda: theory.submit(name, structure_json='{"n": 9}'))[0] == "BUDGET_SPENT"
    assert theory.acquire(campaign=name) == []
    assert [(j.state, j.failure) for j in theory.jobs(name)[1:]] == [(pb.THEORY_JOB_STATE_FAILED, "over_budget")] * 2


def test_a_flood_of_jobs_is_bounded(theory: Any, kit: Any) -> None:
    name = kit.campaign(theory, "flooded")
    reasons: dict[str, int] = {}
    for batch in range(4):
        jobs = [
            pb.SubmitTheoryJobRequest(
                request_id=theory.wire.new_id(),
                campaign=name,
                job=pb.TheoryJob(structure_json=json.dumps({"n": 100 * batch + i})),
            )
            for i in range(100)
        ]
        flying = [theory.stub.SubmitTheoryJob.future(j, metadata=theory.server.metadata, timeout=60) for j in jobs]
        for call in flying:
            code = call.code().name
            reasons[code] = reasons.get(code, 0) + 1
    assert reasons == {"OK": 256, "RESOURCE_EXHAUSTED": 144}
    assert len(theory.jobs(name)) == 256
    theory.server.call("GetCampaign", pb.GetCampaignRequest(name=name))


def test_the_server_runs_jobs_by_itself(
    tmp_path: Path, make_server: Callable[..., Any], wire: Any, engines: dict[str, str], kit: Any
) -> None:
    server = make_server("data", env=engines)
    theory = kit.Theory(server, wire)
    name = kit.campaign(theory, "served", has_frame=True)
    job = theory.submit(name, position=pb.Position(y=0.5, x=0.5))
    theory.wait_for_ends(name, 1)
    [done] = theory.jobs(name, state=pb.THEORY_JOB_STATE_SUCCEEDED)
    patch = wire.scene(16).astype(np.float32)[4:12, 4:12]
    assert done.name == job.name and done.results[0].value == pytest.approx(float(patch.mean()))
    assert done.key and done.core_hours > 0.0
    assert server.stop() == 0
