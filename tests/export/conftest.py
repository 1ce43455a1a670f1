"""A short real campaign: a server process measures, is killed, and leaves its directory."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from probescout_client.wire.v1 import probescout_pb2 as pb

from probescout.core.events import Created, encode
from probescout.core.specs import CampaignSpec, PluginSpec
from probescout.store.journal import Journal

N_STEPS = 7
FAILED = 4


def measure(server: Any, wire: Any) -> None:
    """Run the campaign until everything is scored."""
    metadata = {"licence": "CC-BY-4.0", "detector": {"gain": 2.0}, "is_cooled": True, "note": None}
    spec = pb.CampaignSpec(
        title="Gold on carbon",
        sample="gold",
        instrument="STEM",
        operator="0000-0002-1825-0097",
        seed=5,
        metadata_json=json.dumps(metadata),
        scalarizer=pb.ScalarizerSpec(name="band_sum", params_json='{"low": 0.0, "high": 9.0}'),
        seed_design=pb.SeedDesign(name="random", count=3),
        is_deep_member_disabled=True,
    )
    server.call("CreateCampaign", pb.CreateCampaignRequest(request_id=wire.new_id(), campaign_id="gold", spec=spec))
    image = wire.tensor(wire.scene(16).astype(np.float32)[:12], ("y", "x"), "nA")
    frame = pb.Frame(image=image, pixel_size=pb.Length(value=2.0, unit="nm"))
    campaign = "campaigns/gold"
    server.call("AddFrame", pb.AddFrameRequest(request_id=wire.new_id(), campaign=campaign, frame=frame))
    for i in range(N_STEPS):
        at = (0.5, 0.25) if i == N_STEPS - 1 else server.suggest(campaign).suggestions[0]
        told = wire.observation(campaign, f"o-{i}", at, seed=i)
        if i == FAILED:
            told.status = pb.OBSERVATION_STATUS_FAILED
            told.ClearField("spectrum")
            told.ClearField("axes")
        told.measured_time = 1.7e9 + i
        server.call("Tell", pb.TellRequest(request_id=wire.new_id(), campaign=campaign, observation=told))
    ask = pb.WatchEventsRequest(campaign=campaign)
    # Past the timeout the stream raises.
    stream = server.planner.WatchEvents(ask, metadata=server.metadata, timeout=60)
    scored = (json.loads(e.payload_json)["observation"] for e in stream if e.kind == "Scored")
    assert len(list(islice(scored, N_STEPS - 1))) == N_STEPS - 1
    stream.cancel()


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory, wire: Any) -> Path:
    """The directory of a campaign of seven measurements, one of them failed, and one asked for by nobody."""
    server = wire.LiveServer(tmp_path_factory.mktemp("export") / "data")
    try:
        measure(server, wire)
    finally:
        server.kill()
    return server.data / "campaigns" / "gold"


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """The directory of a campaign in which nothing has happened yet."""
    home = tmp_path / "campaigns" / "bare"
    spec = CampaignSpec(PluginSpec("band_sum"))
    with Journal.open(home) as journal:
        journal.append([encode(Created("bare", spec, 1.0))], time=1.0, principal="me")
    return home
