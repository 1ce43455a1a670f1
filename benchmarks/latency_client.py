"""A client that measures at a simulated sample as fast as the planner answers, and takes the time of everything."""

from __future__ import annotations

import hashlib
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc
from probescout_client.wire.v1 import probescout_pb2 as pb
from probescout_client.wire.v1 import probescout_pb2_grpc as rpc

from benchmarks.processes import FitClock

N_CHANNELS = 1024
WARM_UP = 20
"""Steps that are left out of the figures: the seed design and the first fits."""
BLOCK = 15
"""Steps, as many as between two fits, that are done without a pause and then with one for every fit to end."""
COMPUTE_BUDGET_S = 60.0
CALL_S = 300.0
PIXEL = pb.Length(value=0.25, unit="nm")
FIRST_FIT_S = 90.0
HEALTH_S = 0.05


def picture(size: int) -> np.ndarray:
    """Return the image (y, x) of the sample."""
    y, x = np.mgrid[0:size, 0:size] / size
    noise = 0.2 * np.random.default_rng(0).normal(size=(size, size))
    return np.asarray(np.sin(9 * y + 2) * np.cos(7 * x) + noise, dtype=np.float32)


def expected_counts(y: np.ndarray | float, x: np.ndarray | float) -> Any:
    """Return the expected counts of each channel of a spectrum at fractional positions."""
    return np.exp(1 + np.sin(9 * np.asarray(y) + 2) * np.cos(7 * np.asarray(x)))


@dataclass(frozen=True)
class Step:
    """One timed Step."""

    n: int
    """Observations that the model knew before it."""
    seconds: float
    """Wall time at the client."""
    commit_s: float
    """Of it, synced commits."""
    is_beside_fit: bool
    """Whether a fit ran, or its result was swapped in, meanwhile."""
    source: str
    is_degraded: bool


class HealthWatch(threading.Thread):
    """Asks for health again and again while the loop and its fits run."""

    def __init__(self, channel: grpc.Channel) -> None:
        """Use the loop's channel, as an instrument would."""
        super().__init__(daemon=True)
        self._stub = health_pb2_grpc.HealthStub(channel)
        self._ended = threading.Event()
        self.times: list[float] = []

    def run(self) -> None:
        """Ask until stopped."""
        while not self._ended.wait(HEALTH_S):
            started = time.perf_counter()
            self._stub.Check(health_pb2.HealthCheckRequest(), timeout=30)
            self.times.append(time.perf_counter() - started)

    def stop(self) -> None:
        """Stop asking."""
        self._ended.set()
        self.join()


class Caller:
    """Creates a campaign and measures."""

    def __init__(self, channel: grpc.Channel, token_file: Path) -> None:
        """Talk over a channel."""
        token = token_file.read_text(encoding="utf-8").split()[0]
        self._planner = rpc.PlannerServiceStub(channel)
        self._blobs = rpc.BlobServiceStub(channel)
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._rng = np.random.default_rng(0)

    def _call(self, method: Any, message: Any) -> Any:
        return method(message, metadata=self._metadata, timeout=CALL_S)

    def start(
        self,
        size: int,
        campaign_id: str = "bench",
        theory: pb.TheorySpec | None = None,
        *,
        initial: int = 10,
        use_deep: bool = True,
    ) -> str:
        """Create a campaign on a size x size frame; return its name."""
        spec = pb.CampaignSpec(
            scalarizer=pb.ScalarizerSpec(name="band_sum", params_json='{"low": 100, "high": 200}'),
            seed_design=pb.SeedDesign(name="random", count=initial),
            theory=theory,
            is_deep_member_disabled=not use_deep,
        )
        request = pb.CreateCampaignRequest(request_id=str(uuid.uuid4()), campaign_id=campaign_id, spec=spec)
        name: str = self._call(self._planner.CreateCampaign, request).name
        image = picture(size)
        tensor = pb.Tensor(dtype=pb.D_TYPE_FLOAT32, shape=image.shape, dims=["y", "x"], blob=self._upload(name, image))
        frame = pb.Frame(image=tensor, pixel_size=PIXEL)
        self._call(self._planner.AddFrame, pb.AddFrameRequest(request_id=str(uuid.uuid4()), campaign=name, frame=frame))
        return name

    def _upload(self, campaign: str, image: np.ndarray) -> str:
        data = image.tobytes()
        begin = pb.BeginBlobRequest(
            request_id=str(uuid.uuid4()),
            campaign=campaign,
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )
        upload = self._call(self._blobs.BeginBlob, begin)
        for offset in range(0, len(data), upload.chunk_size):
            part = data[offset : offset + upload.chunk_size]
            self._call(self._blobs.WriteBlob, pb.WriteBlobRequest(upload_id=upload.upload_id, offset=offset, data=part))
        finish = pb.FinishBlobRequest(request_id=str(uuid.uuid4()), upload_id=upload.upload_id)
        return str(self._call(self._blobs.FinishBlob, finish).name)

    def _first_fit(self, campaign: str) -> None:
        watch = pb.WatchEventsRequest(campaign=campaign)
        events = self._planner.WatchEvents(watch, metadata=self._metadata, timeout=FIRST_FIT_S)
        try:
            next(e for e in events if e.kind == "ModelSwapped")
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                raise
            # A fit that failed is tried again after some more tells; the figures then show how many there were.
            print(f"no fit within {FIRST_FIT_S:g} s; going on without", file=sys.stderr, flush=True)
        events.cancel()

    def n_fits(self, campaign: str) -> int:
        """Return how many fits were swapped in."""
        return int(self._call(self._planner.GetCampaign, pb.GetCampaignRequest(name=campaign)).version.model_version)

    def loop(self, campaign: str, n: int, clock: FitClock, dwell_s: float = 0.0) -> tuple[list[Step], float]:
        """Measure n points, in blocks without and with a pause for fits; return Steps and the first Suggest's s.

        Each measurement takes the instrument so many seconds; none: Steps come as fast as the planner answers.
        """
        ask = pb.SuggestRequest(request_id=str(uuid.uuid4()), campaign=campaign, compute_budget_s=COMPUTE_BUDGET_S)
        began = time.perf_counter()
        reply = self._call(self._planner.Suggest, ask)
        first_s = time.perf_counter() - began
        version = reply.version.model_version
        steps = []
        for i in range(n):
            if i == WARM_UP:
                # The pool imports torch for seconds at the start; what is timed is a server that fits beside it.
                self._first_fit(campaign)
            if i >= WARM_UP and ((i - WARM_UP) // BLOCK) % 2:
                clock.wait_idle()
            request = self.step_request(campaign, i, reply.suggestions[0])
            time.sleep(dwell_s)
            fitted, began = clock.seconds(), time.perf_counter()
            reply = self._call(self._planner.Step, request)
            seconds = time.perf_counter() - began
            is_busy = clock.seconds() - fitted > 0.05 * seconds or reply.version.model_version != version
            version = reply.version.model_version
            source = pb.SuggestionSource.Name(reply.suggestions[0].source).removeprefix("SUGGESTION_SOURCE_").lower()
            steps.append(Step(i, seconds, reply.timing.commit_s, is_busy, source, bool(reply.degraded_reasons)))
        return steps, first_s

    def step_request(
        self, campaign: str, i: int, suggestion: Any, *, compute_budget_s: float = COMPUTE_BUDGET_S
    ) -> pb.StepRequest:
        """Return the Step that follows a suggestion, with a measured spectrum; a budget of 0 is the server's own."""
        where = suggestion.position
        counts = self._rng.poisson(expected_counts(where.y, where.x), N_CHANNELS).astype(np.uint16)
        spectrum = pb.Tensor(
            dtype=pb.D_TYPE_UINT16,
            shape=[N_CHANNELS],
            dims=["channel"],
            unit="counts",
            data=counts.tobytes(),
            value_kind=pb.VALUE_KIND_COUNTS,
        )
        return pb.StepRequest(
            request_id=str(uuid.uuid4()),
            campaign=campaign,
            compute_budget_s=compute_budget_s,
            observation=pb.Observation(
                name=f"{campaign}/observations/o{i}",
                suggestion=suggestion.name,
                lease_token=suggestion.lease_token,
                measured_at=where,
                spectrum=spectrum,
                axes=[pb.Axis(dim="channel", quantity="energy", unit="eV", start=0, step=1)],
            ),
        )
