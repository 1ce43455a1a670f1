"""Settings and the real server process that tests share."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from probescout.core.one_thread import use_one_thread

use_one_thread()

import grpc  # noqa: E402 (after the thread counts)
import numpy as np  # noqa: E402
import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402
from probescout_client.wire.v1 import probescout_pb2 as pb  # noqa: E402
from probescout_client.wire.v1 import probescout_pb2_grpc as rpc  # noqa: E402

# Neither time nor chance decides a test.
settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

CHANNEL_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.enable_retries", 0)]


class LiveServer:
    """A real `probescout serve` process on a data directory."""

    def __init__(self, data: Path, *args: str, env: dict[str, str] | None = None) -> None:
        self.data = data
        log = data.parent / f"{data.name}.log"
        errors = log.open("a")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "probescout.cli", "serve", "--listen", "127.0.0.1:0", "--data", str(data), *args],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **(env or {})},
        )
        errors.close()
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"no ready line: {log.read_text()}"
        self.ready: dict[str, Any] = json.loads(line)
        self.token = Path(self.ready["token_file"]).read_text(encoding="utf-8").split()[0]
        self.metadata = (("authorization", f"Bearer {self.token}"),)
        self.channel = grpc.insecure_channel(self.ready["grpc"], CHANNEL_OPTIONS)
        self.planner = rpc.PlannerServiceStub(self.channel)
        self.blobs = rpc.BlobServiceStub(self.channel)

    def call(self, method: str, request: Any, timeout: float = 30.0) -> Any:
        """Call a method of PlannerService."""
        return getattr(self.planner, method)(request, metadata=self.metadata, timeout=timeout)

    def kill(self) -> None:
        """SIGKILL the front."""
        self.channel.close()
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def stop(self) -> int:
        """SIGTERM; return the exit code."""
        self.channel.close()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    # -------------------------------------------------------- a small campaign

    def campaign(self, name: str, *, size: int = 16, **spec: Any) -> str:
        """Create a campaign with a smooth random image; return its resource name."""
        fields: dict[str, Any] = {
            "scalarizer": pb.ScalarizerSpec(name="band_sum", params_json='{"low": 0.0, "high": 9.0}'),
            "seed_design": pb.SeedDesign(name="random", count=3),
            "is_deep_member_disabled": True,
        }
        fields.update(spec)
        request = pb.CreateCampaignRequest(request_id=new_id(), campaign_id=name, spec=pb.CampaignSpec(**fields))
        made: pb.Campaign = self.call("CreateCampaign", request)
        image = tensor(scene(size).astype(np.float32), ("y", "x"))
        self.call("AddFrame", pb.AddFrameRequest(request_id=new_id(), campaign=made.name, frame=pb.Frame(image=image)))
        return made.name

    def suggest(self, campaign: str, count: int = 1, **more: Any) -> pb.SuggestReply:
        """Lease suggestions."""
        return self.call("Suggest", pb.SuggestRequest(request_id=new_id(), campaign=campaign, count=count, **more))


def new_id() -> str:
    """Return a request id."""
    return str(uuid.uuid4())


def scene(size: int) -> np.ndarray:
    """Return a smooth image (y, x), mean 0."""
    y, x = np.mgrid[0:size, 0:size] / size
    return np.sin(7 * y + 2) * np.cos(5 * x) + 0.3 * np.sin(19 * x * y)


def tensor(values: np.ndarray, dims: tuple[str, ...], unit: str = "", kind: int = 0) -> pb.Tensor:
    """Return an inline tensor."""
    codes = {"float32": 7, "float64": 8, "uint16": 2, "uint8": 1, "bool": 9}
    return pb.Tensor(
        dtype=codes[values.dtype.name],
        shape=values.shape,
        dims=dims,
        unit=unit,
        data=np.ascontiguousarray(values).tobytes(),
        value_kind=kind,
    )


def observation(campaign: str, name: str, at: pb.Suggestion | tuple[float, float], seed: int = 0) -> pb.Observation:
    """Return a complete observation of a 10-channel count spectrum that depends on the position."""
    y, x = (at.position.y, at.position.x) if isinstance(at, pb.Suggestion) else at
    rate = np.exp(1.0 + np.sin(7 * y + 2) * np.cos(5 * x))
    counts = np.random.default_rng(seed).poisson(rate, 10).astype(np.uint16)
    made = pb.Observation(
        name=f"{campaign}/observations/{name}",
        measured_at=pb.Position(y=y, x=x),
        spectrum=tensor(counts, ("channel",), "counts", 1),
        axes=[pb.Axis(dim="channel", quantity="energy", unit="eV", start=0.0, step=1.0)],
        dwell_s=0.1,
    )
    if isinstance(at, pb.Suggestion):
        made.suggestion, made.lease_token = at.name, at.lease_token
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A running server that the tests of a module share."""
    live = LiveServer(tmp_path_factory.mktemp("server") / "data")
    yield live
    assert live.stop() == 0


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., LiveServer]]:
    """Start servers that end with the test."""
    made: list[LiveServer] = []

    def make(name: str = "data", *args: str, env: dict[str, str] | None = None) -> LiveServer:
        made.append(LiveServer(tmp_path / name, *args, env=env))
        return made[-1]

    yield make
    for live in made:
        if live.process.poll() is None:
            live.kill()


def install_engine(root: Path, name: str, kind: str, source: str) -> dict[str, str]:
    """Install a theory engine in a folder; return the environment in which processes have it."""
    info = root / f"{name}_engine-1.0.dist-info"
    info.mkdir(parents=True)
    (root / f"{name}_engine.py").write_text(source)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-engine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[probescout.theory]\n{name} = {name}_engine:{kind}\n")
    return {"PYTHONPATH": str(root)}


@pytest.fixture(scope="session")
def wire() -> Any:
    """The helpers of this file, for tests that build messages."""
    return sys.modules[__name__]
