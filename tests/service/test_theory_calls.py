"""TheoryService over a real socket: asked for, refused, retried, taken back, and by the thin client."""

from __future__ import annotations

import json
from typing import Any

import grpc
import numpy as np
import probescout_client as ps
import pytest
from probescout_client.wire.v1 import probescout_pb2 as pb


def test_the_declaration_comes_back_as_it_was_made(theory: Any, kit: Any) -> None:
    name = kit.campaign(theory, "declared")
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
        assert kit.refusal(lambda bad=bad: kit.campaign(theory, "bad", bad)) == (reason, field)


def test_a_job_from_position_to_evidence(theory: Any, kit: Any) -> None:
    name = kit.campaign(theory, "whole", has_frame=True)
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
    kinds = [kind for kind, _ in kit.events(theory.server, name)][2:]
    assert kinds == ["TheoryQueued", "TheoryLeased", "TheoryEnded", "EvidenceSet", "EvidenceSet"]
    assert order.lease_token not in json.dumps(kit.events(theory.server, name))
    use = theory.server.call("GetCampaign", pb.GetCampaignRequest(name=name)).use
    assert (use.core_hours_spent, use.core_hours_reserved) == (0.01, 0.0)


def test_what_is_known_ends_at_once(theory: Any, kit: Any) -> None:
    name = kit.campaign(theory, "cached", has_frame=True)
    theory.submit(name)
    theory.finish(theory.acquire(campaign=name)[0])
    again = theory.submit(name)
    assert again.state == pb.THEORY_JOB_STATE_SUCCEEDED and again.cached_from == "j1" and again.core_hours == 0.0
    other = theory.submit(name, position=pb.Position(y=0.5, x=0.5), engine="springs", settings_json='{"k": 2}')
    assert other.state == pb.THEORY_JOB_STATE_QUEUED


def test_a_structure_needs_no_frame_and_a_patch_may_be_brought(theory: Any, kit: Any) -> None:
    name = kit.campaign(theory, "own", has_frame=True)
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
    theory: Any, kit: Any, job: dict[str, Any], reason: str, field: str
) -> None:
    try:
        name = kit.campaign(theory, "refusing", has_frame=True)
    except grpc.RpcError:
        name = "campaigns/refusing"
    assert kit.refusal(lambda: theory.submit(name, **job)) == (reason, field)
    assert theory.jobs(name) == []


def test_a_campaign_without_theory_takes_no_job(theory: Any, kit: Any) -> None:
    name = theory.server.campaign("plain")
    assert kit.refusal(lambda: theory.submit(name, structure_json='{"a": 1}'))[0] == "FIELD_MISSING"
    told = theory.server.call("GetCampaign", pb.GetCampaignRequest(name=name))
    assert not told.spec.HasField("theory")
    kinds = kit.events(theory.server, name)
    assert "theory" not in kinds[0][1]["spec"]
    spec = pb.CampaignSpec(theory=kit.SPEC)
    update = pb.UpdateCampaignRequest(
        request_id=theory.wire.new_id(), name=name, spec=spec, update_mask=["theory"], etag=told.etag
    )
    assert theory.server.call("UpdateCampaign", update).spec.theory.engine == "springs"
    assert theory.submit(name, structure_json='{"a": 1}').state == pb.THEORY_JOB_STATE_QUEUED
    assert kit.refusal(lambda: theory.submit(name)) == ("FIELD_MISSING", "job.position"), "its pixels have no size"


def test_retries_act_once(theory: Any, kit: Any) -> None:
    name = kit.campaign(theory, "retried")
    job = pb.TheoryJob(structure_json='{"mean": 1}')
    request = pb.SubmitTheoryJobRequest(request_id=theory.wire.new_id(), campaign=name, job=job)
    first = theory.call("SubmitTheoryJob", request)
    assert theory.call("SubmitTheoryJob", request) == first
    request.job.reason = "another body"
    assert kit.refusal(lambda: theory.call("SubmitTheoryJob", request))[0] == "REQUEST_ID_REUSED"
    taking = pb.AcquireTheoryJobsRequest(
        request_id=theory.wire.new_id(), campaign=name, worker_id="w", engines=["springs"]
    )
    [order] = theory.call("AcquireTheoryJobs", taking).jobs
    assert list(theory.call("AcquireTheoryJobs", taking).jobs) == [order]
    assert theory.acquire(campaign=name) == []
    taking.count = 2
    assert kit.refusal(lambda: theory.call("AcquireTheoryJobs", taking))[0] == "REQUEST_ID_REUSED"
    theory.cancel(order.name)
    cancel = pb.CancelTheoryJobRequest(request_id=theory.wire.new_id(), name=order.name)
    assert theory.call("CancelTheoryJob", cancel).job.state == pb.THEORY_JOB_STATE_CANCELLED


def test_the_thin_client_asks_vetoes_and_takes_back(theory: Any, kit: Any) -> None:
    name = kit.campaign(theory, "thin")
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
