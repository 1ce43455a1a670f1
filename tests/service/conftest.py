"""TheoryService of a live server, with an engine of a stranger installed, for the tests of its calls and workers."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
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

    def wait_for_ends(self, campaign: str, n: int) -> None:
        """Follow the journal until so many jobs have ended."""
        ask = pb.WatchEventsRequest(campaign=campaign)
        stream = self.server.planner.WatchEvents(ask, metadata=self.server.metadata, timeout=30)
        for event in stream:
            n -= event.kind == "TheoryEnded"
            if n == 0:
                break
        stream.cancel()
        assert n == 0

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
def engines(tmp_path_factory: pytest.TempPathFactory, wire: Any) -> dict[str, str]:
    """An environment in which an engine of a stranger is installed."""
    return wire.install_engine(tmp_path_factory.mktemp("engines"), "springs", "Springs", ENGINE)


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


@pytest.fixture(scope="session")
def kit() -> Any:
    """The helpers of this file."""
    return sys.modules[__name__]
