"""Times the measuring loop of a real server over gRPC, and prints one JSON object on the last line.

`python -m benchmarks.latency --sizes 64,256 --observations 100`: a durable Step (tell and suggest in one round trip,
two synced commits) on square frames with a 1,024-channel count spectrum at every point; then health checks while fits
run. Times are client-side wall times on loopback.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc
from probescout_client.wire.v1 import probescout_pb2 as pb
from probescout_client.wire.v1 import probescout_pb2_grpc as rpc

from probescout.replay.server_process import ServerProcess

N_CHANNELS = 1024
WARM_UP = 20
"""Steps that are left out of the figures: the seed design and the first fits."""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="64,128,256", help="edges of the square frames, pixels")
    parser.add_argument("--observations", type=int, default=100)
    args = parser.parse_args()
    result: dict[str, Any] = {"latency": {}, "atomai_ratio": None, "rss_mib": {}}
    for size in (int(s) for s in args.sizes.split(",")):
        print(f"{size} x {size} candidates ...", file=sys.stderr, flush=True)
        row = measure(size, args.observations)
        result["rss_mib"][str(size * size)] = row.pop("rss_mib")
        result["latency"][str(size * size)] = row
    result["observations"] = args.observations
    result["machine"] = {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    print(json.dumps(result))


def measure(size: int, n: int) -> dict[str, Any]:
    """Return the figures of one campaign on a size x size frame."""
    with tempfile.TemporaryDirectory() as folder, ServerProcess(Path(folder) / "data") as server:
        channel = grpc.insecure_channel(server.grpc, [("grpc.max_receive_message_length", -1)])
        token = Path(server.token_file).read_text(encoding="utf-8").split()[0]
        caller = Caller(channel, token)
        campaign = caller.start(size)
        health = HealthWatch(channel)
        health.start()
        steps, commits, sources = caller.loop(campaign, n)
        health.stop()
        timed = np.array(steps[WARM_UP:]) * 1e3
        figures = {
            "step_ms_p50": round(float(np.percentile(timed, 50)), 2),
            "step_ms_p99": round(float(np.percentile(timed, 99)), 2),
            "commit_ms_p50": round(float(np.percentile(np.array(commits[WARM_UP:]) * 1e3, 50)), 2),
            "health_ms_p99": round(float(np.percentile(np.array(health.times) * 1e3, 99)), 2),
            "health_checks": len(health.times),
            "fits": caller.n_fits(campaign),
            "sources": sources,
            "rss_mib": resident(server.pid),
        }
        channel.close()
        return figures


class HealthWatch(threading.Thread):
    """Asks for health again and again while the loop and its fits run."""

    def __init__(self, channel: grpc.Channel) -> None:
        """Use the loop's channel, as an instrument would."""
        super().__init__(daemon=True)
        self._stub = health_pb2_grpc.HealthStub(channel)
        self._ended = threading.Event()
        self.times: list[float] = []

    def run(self) -> None:
        """Ask every 5 ms until stopped."""
        while not self._ended.wait(0.005):
            started = time.perf_counter()
            self._stub.Check(health_pb2.HealthCheckRequest(), timeout=30)
            self.times.append(time.perf_counter() - started)

    def stop(self) -> None:
        """Stop asking."""
        self._ended.set()
        self.join()


class Caller:
    """A client that only measures time."""

    def __init__(self, channel: grpc.Channel, token: str) -> None:
        """Talk over a channel."""
        self._planner = rpc.PlannerServiceStub(channel)
        self._blobs = rpc.BlobServiceStub(channel)
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._rng = np.random.default_rng(0)

    def _call(self, method: Any, message: Any) -> Any:
        return method(message, metadata=self._metadata, timeout=120)

    def start(self, size: int) -> str:
        """Create a campaign on a textured size x size frame; return its name."""
        spec = pb.CampaignSpec(
            scalarizer=pb.ScalarizerSpec(name="band_sum", params_json='{"low": 100, "high": 200}'),
            seed_design=pb.SeedDesign(name="random", count=10),
        )
        request = pb.CreateCampaignRequest(request_id=str(uuid.uuid4()), campaign_id="bench", spec=spec)
        name: str = self._call(self._planner.CreateCampaign, request).name
        y, x = np.mgrid[0:size, 0:size] / size
        image = (np.sin(9 * y + 2) * np.cos(7 * x) + 0.2 * self._rng.normal(size=(size, size))).astype(np.float32)
        tensor = pb.Tensor(dtype=pb.D_TYPE_FLOAT32, shape=image.shape, dims=["y", "x"], blob=self._upload(name, image))
        frame = pb.Frame(image=tensor)
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
        events = self._planner.WatchEvents(watch, metadata=self._metadata, timeout=120)
        next(e for e in events if e.kind == "ModelSwapped")
        events.cancel()

    def n_fits(self, campaign: str) -> int:
        """Return how many fits were swapped in."""
        return int(self._call(self._planner.GetCampaign, pb.GetCampaignRequest(name=campaign)).version.model_version)

    def loop(self, campaign: str, n: int) -> tuple[list[float], list[float], dict[str, int]]:
        """Measure n points; return seconds a Step, seconds of commits in it, and suggestions a source."""
        ask = pb.SuggestRequest(request_id=str(uuid.uuid4()), campaign=campaign, compute_budget_s=60)
        s = self._call(self._planner.Suggest, ask).suggestions[0]
        steps, commits, sources = [], [], dict[str, int]()
        for i in range(n):
            if i == WARM_UP:
                # The pool imports torch for seconds at the start; what is timed is a server that fits beside it.
                self._first_fit(campaign)
            rate = np.exp(1 + np.sin(9 * s.position.y + 2) * np.cos(7 * s.position.x))
            counts = self._rng.poisson(rate, N_CHANNELS).astype(np.uint16)
            request = pb.StepRequest(
                request_id=str(uuid.uuid4()),
                campaign=campaign,
                compute_budget_s=60,
                observation=pb.Observation(
                    name=f"{campaign}/observations/o{i}",
                    suggestion=s.name,
                    lease_token=s.lease_token,
                    measured_at=s.position,
                    spectrum=pb.Tensor(
                        dtype=pb.D_TYPE_UINT16,
                        shape=[N_CHANNELS],
                        dims=["channel"],
                        unit="counts",
                        data=counts.tobytes(),
                        value_kind=pb.VALUE_KIND_COUNTS,
                    ),
                    axes=[pb.Axis(dim="channel", quantity="energy", unit="eV", start=0, step=1)],
                ),
            )
            started = time.perf_counter()
            reply = self._call(self._planner.Step, request)
            steps.append(time.perf_counter() - started)
            commits.append(reply.timing.commit_s)
            s = reply.suggestions[0]
            source = pb.SuggestionSource.Name(s.source).removeprefix("SUGGESTION_SOURCE_").lower()
            sources[source] = sources.get(source, 0) + 1
        return steps, commits, sources


def resident(pid: int) -> dict[str, float]:
    """Return the resident memory of the front and its children, MiB, by what they are."""
    found = {"front": _rss(pid)}
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    for child in children:
        role = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")[3].decode()
        found[f"{role} {child}"] = _rss(int(child))
    return found


def _rss(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


if __name__ == "__main__":
    main()
