"""`probescout export`: beside a live server, into any place but the data directory."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from probescout_client.wire.v1 import probescout_pb2 as pb
from typer.testing import CliRunner

from probescout.cli.main import app
from probescout.core.errors import InvalidInput, NotFound
from probescout.core.events import Created, encode
from probescout.core.specs import CampaignSpec, PluginSpec
from probescout.export import read
from probescout.store.journal import Journal


def export(*arguments: object) -> tuple[int, dict[str, Any], str]:
    command = [sys.executable, "-m", "probescout.cli", "export", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


@pytest.fixture
def measured(make_server: Callable[..., Any], wire: Any) -> Any:
    """A server with a campaign of two observations, and an empty one."""
    server = make_server()
    campaign = server.campaign("gold", sample="gold")
    server.campaign("spare")
    for i in range(2):
        [point] = server.suggest(campaign).suggestions
        told = wire.observation(campaign, f"o-{i}", point, seed=i)
        server.call("Tell", pb.TellRequest(request_id=wire.new_id(), campaign=campaign, observation=told))
    return server


def test_beside_a_live_server(measured: Any, tmp_path: Path) -> None:
    out = tmp_path / "results" / "gold.nc"
    code, told, text = export(measured.data, "--campaign", "gold", "--format", "netcdf", "--out", out)
    assert code == 0, text
    assert told["written"] == [{"path": str(out), "size_bytes": out.stat().st_size}]
    assert f"wrote    {out} ({out.stat().st_size} bytes)" in text and "missing  instrument" in text
    first = read(out)
    assert list(first["steps/observation"].values) == ["o-0", "o-1"]
    assert first["maps/mean"].shape == (1, 16, 16) and first["latent/z"].sizes["candidate"] == 256
    assert told["maps_comment"] == first["maps"].attrs.get("comment", "")
    # The server goes on writing, and a second export holds more.
    measured.suggest("campaigns/gold")
    home = measured.data / "campaigns" / "gold"
    code, _, text = export(home, "--format", "netcdf", "--out", out, "--no-maps")
    assert code == 1 and "--force" in text
    code, _, text = export(home, "--format", "netcdf", "--out", out, "--force", "--licence", "CC0-1.0", "--no-maps")
    assert code == 0, text
    again = read(out)
    kinds = [json.loads(line)["kind"] for line in again["events/line"].values]
    assert kinds.count("Leased") == 3 and again.attrs["licence"] == "CC0-1.0" and "maps" not in again
    assert measured.stop() == 0


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A data directory with two campaigns in which nothing happened, and no server."""
    data = tmp_path / "data"
    for name in ("gold", "spare"):
        with Journal.open(data / "campaigns" / name) as journal:
            spec = CampaignSpec(PluginSpec("band_sum"), sample=name)
            journal.append([encode(Created(name, spec, 1.0))], time=1.0, principal="me")
    return data


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        (("data", "--format", "csv", "--out", "x.csv"), InvalidInput, "choose with --campaign: gold, spare"),
        (("data", "--campaign", "lost", "--format", "csv", "--out", "x.csv"), NotFound, "it has: gold, spare"),
        (("data/campaigns/gold", "--format", "xls", "--out", "x.csv"), InvalidInput, "choose one of netcdf"),
        (("data/campaigns/gold", "--format", "csv", "--out", "data/x.csv"), InvalidInput, "which is only read"),
        (
            ("data/campaigns/gold", "--format", "csv", "--out", "x.csv", "--strict"),
            InvalidInput,
            "does not say: instrument, operator, licence",
        ),
        (("none", "--format", "csv", "--out", "x.csv"), NotFound, "no journal"),
    ],
)
def test_what_cannot_be_done_is_told(
    two: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], error: type[Exception], message: str
) -> None:
    monkeypatch.chdir(two.parent)
    before = {p: p.read_bytes() for p in two.rglob("*") if p.is_file()}
    with pytest.raises(error, match=message):
        CliRunner().invoke(app, ["export", *arguments], catch_exceptions=False)
    assert not Path("x.csv").exists()
    assert {p: p.read_bytes() for p in before} == before
    new = {p for p in two.rglob("*") if p.is_file()} - set(before)
    assert all(p.name.endswith(("events.db-shm", "events.db-wal")) for p in new)


def test_the_only_campaign_needs_no_name(two: Path, tmp_path: Path) -> None:
    shutil.rmtree(two / "campaigns" / "spare")
    done = CliRunner().invoke(
        app, ["export", str(two), "--format", "csv", "--out", str(tmp_path / "x.csv")], catch_exceptions=False
    )
    assert done.exit_code == 0 and f"wrote    {tmp_path / 'x.schema.json'}" in done.stdout


def test_damage_is_told_and_the_rest_is_written(measured: Any, tmp_path: Path) -> None:
    measured.kill()
    home = measured.data / "campaigns" / "gold"
    blob = next(p for p in (home / "blobs").rglob("*") if p.is_file())
    blob.write_bytes(b"damaged")
    out = tmp_path / "gold.nc"
    command = ["export", str(home), "--format", "netcdf", "--out"]
    done = CliRunner().invoke(app, [*command, str(out)], catch_exceptions=False)
    assert done.exit_code == 1 and "PROBLEM" in done.stdout
    tree = read(out)
    assert tree["steps"].sizes["step"] == 2 and tree.attrs["problems"]
    with pytest.raises(InvalidInput, match="Set instrument by UpdateCampaign"):
        CliRunner().invoke(app, [*command, str(tmp_path / "again.nc"), "--strict"], catch_exceptions=False)
    assert not (tmp_path / "again.nc").exists()
