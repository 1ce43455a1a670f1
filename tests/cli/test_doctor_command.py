"""`probescout doctor`: finds what is wrong with a computer, says what to do, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from probescout.cli import checkup, installation
from probescout.cli.checkup import Verdict, check_address, check_space, check_sync


def doctor(data: Path, *arguments: str, path: Path | None = None) -> tuple[int, dict[str, Any], str]:
    env = {**os.environ, "PYTHONPATH": str(path or "")}
    command = [sys.executable, "-m", "probescout.cli", "doctor", "--data", str(data), "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, env=env, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


def named(report: dict[str, Any], name: str) -> dict[str, Any]:
    [check] = [c for c in report["checks"] if c["name"] == name]
    return check


def test_a_computer_that_passes_the_tests_is_well(tmp_path: Path, server: Any) -> None:
    data = tmp_path / "later"
    code, report, text = doctor(data, "--listen", server.ready["grpc"])
    assert code == 0 and report["ok"] is True
    assert not data.exists() and list(tmp_path.iterdir()) == []
    names = {check["name"] for check in report["checks"]}
    assert {"python", "packages", "client", "torch", "plug-ins", "disk", "space", "address", "extra readers"} <= names
    assert "CPU threads" in named(report, "torch")["what"]
    assert "8 scalarizers, 17 planners" in named(report, "plug-ins")["what"]
    assert "a planner answers" in named(report, "address")["what"]
    for check in report["checks"]:
        # What is not right comes with what to do.
        assert bool(check["advice"]) is (check["verdict"] != "ok"), check
        assert f"{check['verdict']:<5} {check['name']}" in text


def test_broken_torch_and_broken_plugin_fail(tmp_path: Path) -> None:
    path = tmp_path / "path"
    info = path / "stranger-1.5.dist-info"
    info.mkdir(parents=True)
    (path / "torch.py").write_text("raise ImportError('libtorch_cpu.so: cannot open shared object file')\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text("[probescout.planners]\nlost = nowhere_at_all:Lost\n")
    code, report, text = doctor(tmp_path, "--listen", "127.0.0.1:0", path=path)
    assert code == 1 and report["ok"] is False
    torch, plugin = named(report, "torch"), named(report, "plug-in")
    assert torch["verdict"] == "fail" and "libtorch_cpu.so" in torch["what"] and "pip install" in torch["advice"]
    assert plugin["verdict"] == "fail" and "lost" in plugin["what"] and "stranger" in plugin["advice"]
    assert "fail  torch" in text


def test_missing_and_old_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["numpy>=999", "no-such-thing-here>=2; extra == 'readers'", "nothing-of-the-kind", "grpcio>=1"]
    monkeypatch.setattr(installation.metadata, "requires", lambda name: wanted)
    checks = list(installation.check_packages())
    assert [c.verdict for c in checks] == [Verdict.FAIL, Verdict.FAIL]
    assert "needed: >=999" in checks[0].what and checks[0].advice == "run: pip install 'numpy>=999'"
    assert checks[1].what == "nothing-of-the-kind is not installed"
    [readers] = [c for c in installation.check_extras() if c.name == "extra readers"]
    assert readers.verdict is Verdict.WARN and readers.advice.endswith("pip install 'probescout[readers]'")


def test_every_extra_of_the_package_is_looked_at() -> None:
    extras = set(metadata.metadata(installation.DISTRIBUTION).get_all("Provides-Extra") or [])
    assert set(installation.USER_EXTRAS) == extras - {"dev"}


def test_an_address_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = f"127.0.0.1:{holder.getsockname()[1]}"
        check = check_address(taken)
    assert check.verdict is Verdict.FAIL and taken in check.what and "--listen" in check.advice
    assert check_address("127.0.0.1:0").verdict is Verdict.OK


@pytest.mark.parametrize("listen", ["nonsense", "127.0.0.1:port", "127.0.0.1:70000", "unix:/no/such/folder/socket"])
def test_an_address_that_cannot_be(listen: str) -> None:
    assert check_address(listen).verdict is Verdict.FAIL


def test_a_data_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    check = check_sync(tmp_path / "file" / "data")
    assert check.verdict is Verdict.FAIL and "--data" in check.advice


@pytest.mark.parametrize(
    ("each_ms", "verdict", "word"),
    [(3.0, Verdict.OK, ""), (40.0, Verdict.WARN, "SSD"), (0.001, Verdict.WARN, "RAM disk")],
)
def test_slow_disks_and_disks_that_do_not_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, each_ms: float, verdict: Verdict, word: str
) -> None:
    monkeypatch.setattr(checkup, "sync_times_ms", lambda directory: [each_ms] * 49 + [each_ms * 4])
    check = check_sync(tmp_path)
    assert check.verdict is verdict and word in check.advice
    assert f"p50 {each_ms:.2f} ms" in check.what


def test_synced_writes_are_really_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    monkeypatch.setattr(checkup.os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    assert len(checkup.sync_times_ms(tmp_path)) == 50
    assert synced == [4096 * n for n in range(1, 51)]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("free_gib", "verdict"), [(100.0, Verdict.OK), (1.0, Verdict.WARN), (0.1, Verdict.FAIL)])
def test_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_gib: float, verdict: Verdict) -> None:
    usage = type("Usage", (), {"free": int(free_gib * 2**30)})
    monkeypatch.setattr(checkup.shutil, "disk_usage", lambda place: usage)
    assert check_space(tmp_path / "not" / "yet").verdict is verdict
