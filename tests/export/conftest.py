"""A short real campaign: a server process measures, is killed, and leaves its directory."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from probescout_client.wire.v1 import probescout_pb2 as pb

from probescout.core.events import Created, encode
from probescout.core.specs import CampaignSpec, PluginSpec
from probescout.export import campaign_tree
from probescout.runtime.recalling import recall
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
    # The one fit of so few measurements is over, so that the model stays as it is.
    wanted = Counter(Scored=N_STEPS - 1, ModelSwapped=1)
    for event in stream:
        wanted[event.kind] -= 1
        if not +wanted:
            break
    stream.cancel()


def shown(server: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Return every map that the server shows of the campaign."""
    kinds = [k for k in pb.MapKind.values() if k]
    reply = server.call("GetMaps", pb.GetMapsRequest(campaign="campaigns/gold", kinds=kinds))
    names = {m.kind: pb.MapKind.Name(m.kind).removeprefix("MAP_KIND_").lower() for m in reply.maps}
    return {names[m.kind]: np.frombuffer(m.tensor.data, np.float32).reshape(m.tensor.shape) for m in reply.maps}


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory, wire: Any) -> tuple[Path, dict[str, np.ndarray[Any, Any]]]:
    """The directory of a campaign of seven measurements, one failed and one asked for by nobody, and its live maps."""
    server = wire.LiveServer(tmp_path_factory.mktemp("export") / "data")
    try:
        measure(server, wire)
        maps = shown(server)
    finally:
        server.kill()
    return server.data / "campaigns" / "gold", maps


@pytest.fixture(scope="session")
def measured(live: tuple[Path, Any]) -> Path:
    """The directory of that campaign."""
    return live[0]


@pytest.fixture(scope="session")
def mapped(measured: Path) -> xr.DataTree:
    """Its tree with the maps of the model."""
    return campaign_tree(measured, look=recall)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """The directory of a campaign in which nothing has happened yet."""
    home = tmp_path / "campaigns" / "bare"
    spec = CampaignSpec(PluginSpec("band_sum"))
    with Journal.open(home) as journal:
        journal.append([encode(Created("bare", spec, 1.0))], time=1.0, principal="me")
    return home


@pytest.fixture
def sidpy_quiet() -> Any:
    """Let the imports of the pycroscopy family warn; what they warn of is not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("pyNSID", exc_type=ImportError)
        yield
