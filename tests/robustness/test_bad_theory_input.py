"""Requests of TheoryService with bytes changed at random are refused with a reason, and the server lives on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from probescout_client.wire.v1 import probescout_pb2 as pb

N_CHANGED = 60
REFUSED = {
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "FAILED_PRECONDITION",
    "RESOURCE_EXHAUSTED",
}
NAME = "campaigns/fuzzed/theoryJobs/j0"
GOOD = {
    "SubmitTheoryJob": pb.SubmitTheoryJobRequest(
        campaign="campaigns/fuzzed",
        job=pb.TheoryJob(
            patch=pb.Tensor(dtype=pb.D_TYPE_FLOAT32, shape=[8, 8], dims=["y", "x"], data=bytes(256)),
            pixel_size=pb.Length(value=0.1, unit="nm"),
            engine="xtb",
            settings_json='{"lattice": "graphene"}',
            deadline_s=60.0,
            reason="why not",
        ),
    ),
    "AcquireTheoryJobs": pb.AcquireTheoryJobsRequest(worker_id="w", engines=["xtb"], count=1, lease_s=30.0),
    "ReportTheoryProgress": pb.ReportTheoryProgressRequest(name=NAME, lease_token="t", progress=0.5, message="half"),
    "FinishTheoryJob": pb.FinishTheoryJobRequest(
        name=NAME,
        lease_token="t",
        state=pb.THEORY_JOB_STATE_SUCCEEDED,
        results=[pb.Quantity(name="energy", value=1.0, std=0.1, unit="eV", is_converged=True)],
        core_hours=0.1,
        wall_s=1.0,
        key="ab" * 32,
        structure_json='{"symbols": ["C"], "positions": [[0, 0, 0]]}',
    ),
    "ListTheoryJobs": pb.ListTheoryJobsRequest(campaign="campaigns/fuzzed", page_size=10, page_token="1"),
    "CancelTheoryJob": pb.CancelTheoryJobRequest(name=NAME, reason="no use"),
    "SetEvidenceState": pb.SetEvidenceStateRequest(name=NAME, state=pb.EVIDENCE_STATE_RETRACTED, reason="wrong"),
}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, wire: Any) -> Iterator[Any]:
    """A server that runs no job, with a campaign that declares theory."""
    server = wire.LiveServer(tmp_path_factory.mktemp("fuzzed") / "data", "--theory-slots", "0")
    theory = pb.TheorySpec(engine="xtb", quantity="energy", deadline_s=60, max_running=64, max_attempts=10)
    spec = pb.CampaignSpec(scalarizer=pb.ScalarizerSpec(name="given"), theory=theory)
    server.call("CreateCampaign", pb.CreateCampaignRequest(request_id=wire.new_id(), campaign_id="fuzzed", spec=spec))
    yield server
    assert server.stop() == 0


def call(live: Any, method: str, body: bytes) -> Any:
    send = live.channel.unary_unary(f"/probescout.v1.TheoryService/{method}")
    return send(body, metadata=live.metadata, timeout=20)


@pytest.mark.parametrize("method", GOOD)
def test_changed_bytes_are_refused_or_understood(live: Any, wire: Any, method: str) -> None:
    rng = np.random.default_rng(sorted(GOOD).index(method))
    good = type(GOOD[method])()
    good.CopyFrom(GOOD[method])
    submitted = pb.SubmitTheoryJobRequest(
        request_id=wire.new_id(),
        campaign="campaigns/fuzzed",
        job=pb.TheoryJob(structure_json=json.dumps({"n": method})),
    )
    call(live, "SubmitTheoryJob", submitted.SerializeToString())
    taking = pb.AcquireTheoryJobsRequest(request_id=wire.new_id(), worker_id="w", engines=["xtb"], count=1)
    taken = pb.AcquireTheoryJobsReply.FromString(call(live, "AcquireTheoryJobs", taking.SerializeToString())).jobs[0]
    if hasattr(good, "name"):
        good.name = taken.name
    if hasattr(good, "lease_token"):
        good.lease_token = taken.lease_token
    for _ in range(N_CHANGED):
        if hasattr(good, "request_id"):
            good.request_id = wire.new_id()
        raw = bytearray(good.SerializeToString())
        for at in rng.integers(len(raw), size=rng.integers(1, 6)):
            raw[at] = rng.integers(256)
        try:
            call(live, method, bytes(raw))
        except grpc.RpcError as error:
            assert error.code().name in REFUSED, (bytes(raw), error)
    assert live.call("GetCampaign", pb.GetCampaignRequest(name="campaigns/fuzzed")).name == "campaigns/fuzzed"
