"""TheoryService over a real socket: asked for, taken, finished, taken back, through restarts and by the thin client."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import probescout_client as ps
import pytest
from probescout_client.wire.v1 import probescout_pb2 as pb
from probescout_client.wire.v1 import probescout_pb2_grpc as rpc

ENGINE = """
class Springs:
    name, summary = "springs", "A chain of springs"
    params_schema = {
        "type": "object", "additionalProperties": False, "properties": {"k": {"type": "number", "minimum": 0}},
    }
    quantities = {"energy": "eV"}

    def __init__(self, k=1.0):
        self.k = k

    def version(self):
        return "springs 1"

    def prepare(self, patch):
        return {"mean": float(patch.image.mean())}

    def run(self, structure, report):
        from probescout.core.theory import Quantity

        return [Quantity("energy", self.k * structure["mean"], "eV", 0.1)]
"""
PIXEL = pb.Length(value=0.25, unit="nm")
SPEC = pb.TheorySpec(engine="springs", quantity="energy", window_m=2e-9, max_running=8, lease_s=30, deadline_s=60)
GOOD = [pb.Quantity(name="energy", value=1.5, std=0.1, unit="eV", is_converged=True)]


class Theory:
    """The calls of TheoryService on a live server."""

    def __init__(self, server: Any, wire: Any) -> None:
        self.server, self.wire = server, wire
        self.stub = rpc.TheoryServiceStub(server.channel)

    def call(self, method: str, request: Any) -> Any:
        if "request_id" in request.DESCRIPTOR.fields_by_name and not request.request_id:
            request.request_id = self.wire.new_id()
        return getattr(self.stub, method)(request, metadata=self.server.metadata, timeout=30)

    def submit(self, campaign: str, job_id: str = "", **job: Any) -> pb.TheoryJob:
        job = job or {"position": pb.Position(y=0.5, x=0.5)}
        request = pb.SubmitTheoryJobRequest(campaign=campaign, job_id=job_id, job=pb.TheoryJob(**job))
        return self.call("SubmitTheoryJob", request).job

    def acquire(self, count: int = 1, **more: Any) -> list[pb.TheoryJob]:
        fields = {"worker_id": "w", "engines": ["springs"], "count": count, **more}
        return list(self.call("AcquireTheoryJobs", pb.AcquireTheoryJobsRequest(**fields)).jobs)

    def finish(self, job: pb.TheoryJob, **more: Any) -> pb.TheoryJob:
        fields = {"state": pb.THEORY_JOB_STATE_SUCCEEDED, "results": GOOD, "core_hours": 0.01, **more}
        request = pb.FinishTheoryJobRequest(name=job.name, lease_token=job.lease_token, **fields)
        return self.call("FinishTheoryJob", request).job

    def progress(self, job: pb.TheoryJob, share: float = 0.5) -> pb.ReportTheoryProgressReply:
        request = pb.ReportTheoryProgressRequest(
            name=job.name, lease_token=job.lease_token, progress=share, message="half"
        )
        return self.call("ReportTheoryProgress", request)

    def cancel(self, name: str) -> pb.TheoryJob:
        return self.call("CancelTheoryJob", pb.CancelTheoryJobRequest(name=name, reason="no use")).job

    def set_evidence(self, name: str, state: int) -> pb.TheoryJob:
        request = pb.SetEvidenceStateRequest(name=name, state=state, reason="look")  # type: ignore[arg-type]
        return self.call("SetEvidenceState", request).job

    def jobs(self, campaign: str, **more: Any) -> list[pb.TheoryJob]:
        found, token = [], None
        while token != "":
            request = pb.ListTheoryJobsRequest(campaign=campaign, page_token=token or "", page_size=1000, **more)
            reply = self.call("ListTheoryJobs", request)
            found += reply.jobs
            token = reply.next_page_token
        return found


def refusal(call: Any) -> tuple[str, str]:
    """Return (reason, field) of a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    trailer = dict(caught.value.trailing_metadata() or ())["grpc-status-details-bin"]
    found = {d.type_url.rpartition(".")[2]: d.value for d in pb.RichStatus.FromString(trailer).details}
    fields = pb.BadRequest.FromString(found.get("BadRequest", b"")).field_violations
    return pb.ErrorInfo.FromString(found["ErrorInfo"]).reason, fields[0].field if fields else ""


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which an engine of a stranger is installed."""
    root = tmp_path_factory.mktemp("engines")
    (root / "springs_engine.py").write_text(ENGINE)
    info = root / "springs_engine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: springs-engine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[probescout.theory]\nsprings = springs_engine:Springs\n")
    return {"PYTHONPATH": str(root)}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, wire: Any, engines: dict[str, str]) -> Iterator[Any]:
    """A server that runs no job by itself."""
    server = wire.LiveServer(tmp_path_factory.mktemp("theory") / "data", "--theory-slots", "0", env=engines)
    yield server
    assert server.stop() == 0


@pytest.fixture
def theory(live: Any, wire: Any) -> Theory:
    return Theory(live, wire)


def campaign(theory: Theory, name: str, spec: pb.TheorySpec = SPEC, has_frame: bool = False, **more: Any) -> str:
    """Create a campaign; one without a frame has no model to load, which takes seconds."""
    server, wire = theory.server, theory.wire
    fields = {
        "scalarizer": pb.ScalarizerSpec(name="band_sum", params_json='{"low": 0.0, "high": 9.0}'),
        "is_deep_member_disabled": True,
        "theory": spec,
        **more,
    }
    request = pb.CreateCampaignRequest(request_id=wire.new_id(), campaign_id=name, spec=pb.CampaignSpec(**fields))
    made = server.call("CreateCampaign", request)
    if not has_frame:
        return made.name
    image = wire.tensor(wire.scene(16).astype(np.float32), ("y", "x"))
    frame = pb.Frame(image=image, pixel_size=PIXEL)
    server.call("AddFrame", pb.AddFrameRequest(request_id=wire.new_id(), campaign=made.name, frame=frame))
    return made.name


def events(server: Any, name: str) -> list[tuple[str, dict[str, Any]]]:
    last = server.call("GetCampaign", pb.GetCampaignRequest(name=name)).version.event_seq
    stream = server.planner.WatchEvents(pb.WatchEventsRequest(campaign=name), metadata=server.metadata, timeout=30)
    found = []
    for event in stream:
        found.append((event.kind, json.loads(event.payload_json)))
        if event.seq == last:
            break
    stream.cancel()
    return found


def test_the_declaration_comes_back_as_it_was_made(theory: Theory) -> None:
    name = campaign(theory, "declared")
    told = theory.server.call("GetCampaign", pb.GetCampaignRequest(name=name)).spec.theory
    assert (told.engine, told.quantity, told.window_m, told.max_running) == ("springs", "energy", 2e-9, 8)
    assert told.settings_json == "{}" and told.max_attempts == 3
    for bad, reason, field in (
        (pb.TheorySpec(engine="springz", quantity="energy"), "PLUGIN_UNKNOWN", "spec.theory.engine.name"),
        (pb.TheorySpec(engine="springs", quantity="gap"), "FIELD_INVALID", "spec.theory.quantity"),
        (
            pb.TheorySpec(engine="springs", quantity="energy", settings_json='{"k": -1}'),
            "PARAM_INVALID",
            "spec.theory.engine.params.k",
        ),
    ):
        assert refusal(lambda bad=bad: campaign(theory, "bad", bad)) == (reason, field)


def test_a_job_from_position_to_evidence(theory: Theory) -> None:
    name = campaign(theory, "whole", has_frame=True)
    made = theory.submit(name, "first", position=pb.Position(y=0.5, x=0.03), reason="a bright spot")
    assert made.name == f"{name}/theoryJobs/first" and made.state == pb.THEORY_JOB_STATE_QUEUED
    assert made.has_candidate and made.reason == "a bright spot"
    [order] = theory.acquire(campaign=name)
    assert order.name == made.name and order.lease_token and order.expires_in_s == 30.0
    assert list(order.patch.shape) == [8, 8] and order.pixel_size.value == pytest.approx(2.5e-10)
    # At the border the window is moved inward, and says where the position is in it.
    assert order.place_x == pytest.approx(0.0625) and order.place_y == pytest.approx(0.5625)
    patch = np.frombuffer(order.patch.data, np.float32).reshape(8, 8)
    np.testing.assert_array_equal(patch, theory.wire.scene(16).astype(np.float32)[4:12, :8])
    assert theory.progress(order).expires_in_s == pytest.approx(30.0, abs=1.0)
    [shown] = theory.jobs(name)
    assert (shown.progress, shown.progress_message, shown.worker_id) == (0.5, "half", "w")
    assert shown.lease_token == "" and shown.state == pb.THEORY_JOB_STATE_RUNNING
    done = theory.finish(order, wall_s=2.0, key="ab" * 32, structure_json='{"atoms": 2}')
    assert done.state == pb.THEORY_JOB_STATE_SUCCEEDED and done.results[0].value == 1.5
    assert done.evidence_state == pb.EVIDENCE_STATE_APPLIED and done.structure.startswith("blobs/sha256-")
    assert theory.finish(order) == done, "twice is once"
    back = theory.set_evidence(done.name, pb.EVIDENCE_STATE_RETRACTED)
    assert back.evidence_state == pb.EVIDENCE_STATE_RETRACTED
    assert theory.set_evidence(done.name, pb.EVIDENCE_STATE_APPLIED).evidence_state == pb.EVIDENCE_STATE_APPLIED
    kinds = [kind for kind, _ in events(theory.server, name)][2:]
    assert kinds == ["TheoryQueued", "TheoryLeased", "TheoryEnded", "EvidenceSet", "EvidenceSet"]
    assert order.lease_token not in json.dumps(events(theory.server, name))
    use = theory.server.call("GetCampaign", pb.GetCampaignRequest(name=name)).use
    assert (use.core_hours_spent, use.core_hours_reserved) == (0.01, 0.0)


def test_what_is_known_ends_at_once(theory: Theory) -> None:
    name = campaign(theory, "cached", has_frame=True)
    theory.submit(name)
    theory.finish(theory.acquire(campaign=name)[0])
    again = theory.submit(name)
    assert again.state == pb.THEORY_JOB_STATE_SUCCEEDED and again.cached_from == "j1" and again.core_hours == 0.0
    other = theory.submit(name, position=pb.Position(y=0.5, x=0.5), engine="springs", settings_json='{"k": 2}')
    assert other.state == pb.THEORY_JOB_STATE_QUEUED


def test_a_structure_needs_no_frame_and_a_patch_may_be_brought(theory: Theory) -> None:
    name = campaign(theory, "own", has_frame=True)
    theory.submit(name, structure_json='{"mean": 2.0}')
    patch = theory.wire.tensor(np.ones((9, 11), np.float32), ("y", "x"))
    theory.submit(name, patch=patch, pixel_size=pb.Length(value=20, unit="pm"), position=pb.Position(y=0.1, x=0.1))
    first, second = theory.acquire(2, campaign=name)
    assert json.loads(first.structure_json) == {"mean": 2.0} and not first.HasField("patch")
    assert list(second.patch.shape) == [9, 11] and second.pixel_size.value == pytest.approx(2e-11)
    assert not theory.jobs(name)[0].has_candidate and theory.jobs(name)[1].has_candidate


@pytest.mark.parametrize(
    ("job", "reason", "field"),
    [
        ({"reason": "nothing"}, "FIELD_MISSING", "job.position"),
        ({"position": pb.Position(y=1.5, x=0.5)}, "FIELD_INVALID", "job.position"),
        ({"position": pb.Position(y=float("nan"), x=0.5)}, "FIELD_INVALID", "job.position"),
        ({"engine": "nope", "structure_json": '{"a": 1}'}, "PLUGIN_UNKNOWN", "job.engine.name"),
        ({"engine": "springs", "settings_json": '{"k": "x"}', "structure_json": '{"a": 1}'}, "PARAM_INVALID",
         "job.engine.params.k"),
        ({"settings_json": '{"k": 1}', "structure_json": '{"a": 1}'}, "FIELD_MISSING", "job.engine"),
        ({"structure_json": "[1]"}, "FIELD_INVALID", "job.structure_json"),
        ({"structure_json": "{}"}, "FIELD_MISSING", "job.structure_json"),
        ({"structure_json": '{"a": 1}', "deadline_s": 1e9}, "FIELD_INVALID", "job.deadline_s"),
        ({"structure_json": '{"a": 1}', "key": "short"}, "FIELD_INVALID", "job.key"),
        ({"patch": pb.Tensor(dtype=7, shape=[2, 2], dims=["y", "x"], data=bytes(16))}, "SHAPE_MISMATCH",
         "job.patch.shape"),
    ],
)  # fmt: skip
def test_what_cannot_be_simulated_is_refused_by_its_field(
    theory: Theory, job: dict[str, Any], reason: str, field: str
) -> None:
    try:
        name = campaign(theory, "refusing", has_frame=True)
    except grpc.RpcError:
        name = "campaigns/refusing"
    assert refusal(lambda: theory.submit(name, **job)) == (reason, field)
    assert theory.jobs(name) == []


def test_a_campaign_without_theory_takes_no_job(theory: Theory) -> None:
    name = theory.server.campaign("plain")
    assert refusal(lambda: theory.submit(name, structure_json='{"a": 1}'))[0] == "FIELD_MISSING"
    told = theory.server.call("GetCampaign", pb.GetCampaignRequest(name=name))
    assert not told.spec.HasField("theory")
    kinds = events(theory.server, name)
    assert "theory" not in kinds[0][1]["spec"]
    spec = pb.CampaignSpec(theory=SPEC)
    update = pb.UpdateCampaignRequest(
        request_id=theory.wire.new_id(), name=name, spec=spec, update_mask=["theory"], etag=told.etag
    )
    assert theory.server.call("UpdateCampaign", update).spec.theory.engine == "springs"
    assert theory.submit(name, structure_json='{"a": 1}').state == pb.THEORY_JOB_STATE_QUEUED
    assert refusal(lambda: theory.submit(name)) == ("FIELD_MISSING", "job.position"), "its pixels have no size"


def test_retries_act_once(theory: Theory) -> None:
    name = campaign(theory, "retried")
    job = pb.TheoryJob(structure_json='{"mean": 1}')
    request = pb.SubmitTheoryJobRequest(request_id=theory.wire.new_id(), campaign=name, job=job)
    first = theory.call("SubmitTheoryJob", request)
    assert theory.call("SubmitTheoryJob", request) == first
    request.job.reason = "another body"
    assert refusal(lambda: theory.call("SubmitTheoryJob", request))[0] == "REQUEST_ID_REUSED"
    taking = pb.AcquireTheoryJobsRequest(
        request_id=theory.wire.new_id(), campaign=name, worker_id="w", engines=["springs"]
    )
    [order] = theory.call("AcquireTheoryJobs", taking).jobs
    assert list(theory.call("AcquireTheoryJobs", taking).jobs) == [order]
    assert theory.acquire(campaign=name) == []
    taking.count = 2
    assert refusal(lambda: theory.call("AcquireTheoryJobs", taking))[0] == "REQUEST_ID_REUSED"
    theory.cancel(order.name)
    cancel = pb.CancelTheoryJobRequest(request_id=theory.wire.new_id(), name=order.name)
    assert theory.call("CancelTheoryJob", cancel).job.state == pb.THEORY_JOB_STATE_CANCELLED


def test_hostile_workers_change_nothing(theory: Theory) -> None:
    name = campaign(theory, "hostile")
    for i in range(2):
        theory.submit(name, f"h{i}", structure_json=json.dumps({"n": i}))
    one, two = theory.acquire(2, campaign=name)
    stolen = pb.TheoryJob(name=one.name, lease_token=two.lease_token)
    assert refusal(lambda: theory.finish(stolen))[0] == "LEASE_STALE"
    assert refusal(lambda: theory.progress(stolen))[0] == "LEASE_STALE"
    assert refusal(lambda: theory.progress(one, float("nan"))) == ("FIELD_INVALID", "progress")
    assert refusal(lambda: theory.finish(pb.TheoryJob(name=f"{name}/theoryJobs/none")))[0] == "JOB_NOT_FOUND"
    assert refusal(lambda: theory.finish(pb.TheoryJob(name="rubbish")))[0] == "ID_INVALID"
    assert refusal(lambda: theory.finish(one, state=0)) == ("FIELD_INVALID", "state")
    assert refusal(lambda: theory.finish(one, failure="bored")) == ("FIELD_INVALID", "failure")
    assert {j.state for j in theory.jobs(name)} == {pb.THEORY_JOB_STATE_RUNNING}
    bad = [pb.Quantity(name="energy", value=float("inf"), unit="eV", is_converged=True)]
    assert refusal(lambda: theory.finish(one, results=bad))[0] == "FIELD_INVALID"
    assert theory.jobs(name)[0].state == pb.THEORY_JOB_STATE_QUEUED, "garbage is worth another try"
    theory.cancel(two.name)
    assert theory.progress(two).is_cancelled
    assert refusal(lambda: theory.finish(two))[0] == "LEASE_STALE"
    assert refusal(lambda: theory.set_evidence(two.name, pb.EVIDENCE_STATE_APPLIED))[0] == "JOB_STATE_MISMATCH"
    for more in ({"count": 17}, {"wait_s": 61.0}, {"lease_s": 0.5}, {"wait_s": float("nan")}):
        assert refusal(lambda more=more: theory.acquire(**more))[0] == "FIELD_INVALID"
    assert refusal(lambda: theory.acquire(worker_id=""))[1] == "worker_id"


def test_a_waiting_worker_is_served_the_moment_a_job_comes(theory: Theory) -> None:
    name = campaign(theory, "polled")
    found: list[pb.TheoryJob] = []
    waiting = threading.Thread(target=lambda: found.extend(theory.acquire(campaign=name, wait_s=20.0)))
    waiting.start()
    theory.submit(name, "now", structure_json='{"n": 1}')
    waiting.join(10)
    assert [j.name for j in found] == [f"{name}/theoryJobs/now"]


def test_an_aborted_campaign_cancels_its_jobs(theory: Theory) -> None:
    name = campaign(theory, "aborted")
    for i in range(3):
        theory.submit(name, structure_json=json.dumps({"n": i}))
    [order] = theory.acquire(campaign=name)
    control = pb.ControlCampaignRequest(
        request_id=theory.wire.new_id(), name=name, action=pb.CONTROL_ACTION_ABORT, reason="smoke"
    )
    theory.server.call("ControlCampaign", control)
    until = time.monotonic() + 10
    while {j.state for j in theory.jobs(name)} != {pb.THEORY_JOB_STATE_CANCELLED}:
        assert time.monotonic() < until
    assert theory.progress(order).is_cancelled
    assert refusal(lambda: theory.submit(name, structure_json='{"n": 7}'))[0] == "CAMPAIGN_ENDED"


def test_the_budget_of_core_hours_holds(theory: Theory) -> None:
    name = campaign(theory, "poor", budget=pb.Budget(core_hours=0.02))
    for i in range(3):
        theory.submit(name, structure_json=json.dumps({"n": i}))
    [order] = theory.acquire(campaign=name)
    theory.finish(order, core_hours=0.015)
    assert refusal(lambda: theory.submit(name, structure_json='{"n": 9}'))[0] == "BUDGET_SPENT"
    assert theory.acquire(campaign=name) == []
    assert [(j.state, j.failure) for j in theory.jobs(name)[1:]] == [(pb.THEORY_JOB_STATE_FAILED, "over_budget")] * 2


def test_a_flood_of_jobs_is_bounded(theory: Theory) -> None:
    name = campaign(theory, "flooded")
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


def test_the_thin_client_asks_vetoes_and_takes_back(theory: Theory) -> None:
    name = campaign(theory, "thin")
    server = theory.server
    with ps.connect(server.ready["grpc"], token=server.token, outbox=str(server.data / "outbox")) as planner:
        run = planner.resume(name)
        one = run.theory.submit(structure={"mean": 1.0}, reason="from a script")
        two = run.theory.submit(structure={"mean": 2.0}, engine="springs", settings={"k": 2})
        assert run.theory.cancel(two.name, "not that one").state == "cancelled"
        [order] = theory.acquire(campaign=name)
        [seen] = run.theory.jobs("running")
        assert seen.name == one.name and seen.worker == "w" and seen.reason == "from a script"
        theory.finish(order)
        assert run.theory.retract(one.name, "wrong").is_applied is False
        done = run.theory.apply(one.name)
        assert done.is_applied and done.results["energy"] == ps.Quantity(1.5, "eV", 0.1) and done.position is None


def test_the_server_runs_jobs_by_itself(
    tmp_path: Path, make_server: Callable[..., Any], wire: Any, engines: dict[str, str]
) -> None:
    server = make_server("data", env=engines)
    theory = Theory(server, wire)
    name = campaign(theory, "served", has_frame=True)
    job = theory.submit(name, position=pb.Position(y=0.5, x=0.5))
    stream = server.planner.WatchEvents(pb.WatchEventsRequest(campaign=name), metadata=server.metadata, timeout=30)
    assert next(event for event in stream if event.kind == "TheoryEnded")
    stream.cancel()
    [done] = theory.jobs(name, state=pb.THEORY_JOB_STATE_SUCCEEDED)
    patch = wire.scene(16).astype(np.float32)[4:12, 4:12]
    assert done.name == job.name and done.results[0].value == pytest.approx(float(patch.mean()))
    assert done.key and done.core_hours > 0.0
    assert server.stop() == 0
