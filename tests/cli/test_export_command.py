"""`probescout export`: beside a live server, into any place but the data directory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from probescout_client.wire.v1 import probescout_pb2 as pb

from probescout.export import read


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
    assert list(read(out)["steps/observation"].values) == ["o-0", "o-1"]
    # The server goes on writing, and a second export holds more.
    measured.suggest("campaigns/gold")
    home = measured.data / "campaigns" / "gold"
    code, _, text = export(home, "--format", "netcdf", "--out", out)
    assert code == 1 and "--force" in text
    code, _, text = export(home, "--format", "netcdf", "--out", out, "--force", "--licence", "CC0-1.0")
    assert code == 0, text
    again = read(out)
    kinds = [json.loads(line)["kind"] for line in again["events/line"].values]
    assert kinds.count("Leased") == 3 and again.attrs["licence"] == "CC0-1.0"
    assert measured.stop() == 0


def test_what_cannot_be_done_is_told(measured: Any, tmp_path: Path) -> None:
    assert measured.stop() == 0
    data = measured.data
    home = data / "campaigns" / "gold"
    before = {p: p.read_bytes() for p in data.rglob("*") if p.is_file()}
    out = tmp_path / "x.csv"
    for arguments, code, message in (
        ((data, "--format", "csv", "--out", out), 2, "choose with --campaign: gold, spare"),
        ((data, "--campaign", "lost", "--format", "csv", "--out", out), 1, "it has: gold, spare"),
        ((home, "--format", "xls", "--out", out), 2, "choose one of netcdf"),
        ((home, "--format", "csv", "--out", data / "x.csv"), 2, "which is only read"),
        ((home, "--format", "csv", "--out", out, "--strict"), 2, "does not say: instrument, operator, licence"),
        ((tmp_path / "none", "--format", "csv", "--out", out), 1, "no journal"),
    ):
        found = export(*arguments)
        assert found[0] == code and message in found[2], (arguments, found)
    assert not out.exists()
    assert {p: p.read_bytes() for p in before} == before


def test_damage_is_told_and_the_rest_is_written(measured: Any, tmp_path: Path) -> None:
    measured.kill()
    home = measured.data / "campaigns" / "gold"
    [blob, *_] = [p for p in (home / "blobs").rglob("*") if p.is_file()] or [None]
    assert blob is not None
    blob.write_bytes(b"damaged")
    out = tmp_path / "gold.nc"
    code, told, text = export(home, "--format", "netcdf", "--out", out)
    assert code == 1 and "PROBLEM" in text and told["problems"], text
    assert read(out)["steps"].sizes["step"] == 2
    code, _, text = export(home, "--format", "netcdf", "--out", tmp_path / "again.nc", "--strict")
    assert code == 2
