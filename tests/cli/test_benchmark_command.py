"""`probescout benchmark` with real processes: killed, interrupted, resumed, and on a Dask cluster."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from probescout.cli.main import app
from probescout.core.errors import InvalidInput, MissingExtra
from probescout.suites.planning import tasks_of
from probescout.suites.reading import read_suite
from probescout.suites.running import carry_out
from probescout.suites.working import Dask

N_RUNS = 3 * 4
SUITE = """
[suite]
name = "small"
seeds = [0, 1, 2, 3]
budget = 12
initial = 4
deep = false
outputs = "out"

[[cases]]
name = "p"
scene = "plasmonic"
size = 16

[[arms]]
name = "xy"
members = ["xy"]
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "suite.toml"
    path.write_text(SUITE)
    return path


def start(suite: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "probescout.cli", "benchmark", str(suite), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait_for_runs(process: subprocess.Popen[str], n: int) -> None:
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        n -= line.startswith("[")
        if n == 0:
            return
    raise AssertionError("ended before: " + "".join(seen))


def kept(suite: Path) -> dict[str, int]:
    """Return the files of finished runs with the time they were written."""
    return {p.name: p.stat().st_mtime_ns for p in (suite.parent / "out" / "runs").glob("*.json")}


def children(pid: int) -> list[int]:
    return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    return out, err


@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc and pidfds")
def test_after_kill_and_ctrl_c_only_what_is_missing_is_done(suite: Path) -> None:
    process = start(suite, "--processes", "2")
    wait_for_runs(process, 2)
    workers = {pid: os.pidfd_open(pid) for pid in children(process.pid)}
    assert workers
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    for pid, descriptor in workers.items():
        ended, _, _ = select.select([descriptor], [], [], 20.0)
        os.close(descriptor)
        assert ended, f"worker {pid} outlived the command"
    first = kept(suite)
    assert 2 <= len(first) < N_RUNS

    process = start(suite, "--processes", "2")
    wait_for_runs(process, 2)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert f"{N_RUNS} runs, {N_RUNS - len(first)} of them to be done" in out
    second = kept(suite)
    assert f"{len(second)} of {N_RUNS} runs are kept" in err and "run the same command again" in err
    assert "Traceback" not in err
    assert first.items() < second.items() and len(second) < N_RUNS

    out, err = finish(start(suite, "--processes", "2", "--json", "-"))
    assert f"{N_RUNS} runs, {N_RUNS - len(second)} of them to be done" in err
    third = kept(suite)
    assert second.items() < third.items() and len(third) == N_RUNS
    assert [p for p in (suite.parent / "out" / "runs").iterdir() if p.name.startswith(".")] == []
    told = json.loads(out)
    rows = told["cases"]["p"]
    assert list(rows) == ["random", "grid", "xy"]
    assert all(row["seeds"] == [0, 1, 2, 3] for row in rows.values())
    assert sum(told["mean_rank"].values()) == pytest.approx(6.0)
    folder = suite.parent / "out"
    assert json.loads((folder / "suite.json").read_text())["digest"] == told["digest"]
    assert len(list(csv.DictReader((folder / "table.csv").read_text().splitlines()))) == 3
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_dry_run_a_bad_file_and_two_kinds_of_workers(suite: Path) -> None:
    invoke = CliRunner().invoke
    told = invoke(app, ["benchmark", str(suite), "--dry-run", "--json", "-"])
    assert json.loads(told.stdout)["n_runs"] == N_RUNS
    assert not (suite.parent / "out").exists()
    both = invoke(app, ["benchmark", str(suite), "--processes", "1", "--dask", "tcp://127.0.0.1:1"])
    assert isinstance(both.exception, InvalidInput) and "choose one" in str(both.exception)
    suite.write_text(SUITE.replace("budget", "bugdet"))
    bad = invoke(app, ["benchmark", str(suite)])
    assert bad.exit_code == 3 and "did you mean 'budget'" in bad.stderr


CLUSTER = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="the extra 'dask' is not installed")
def test_a_dask_cluster_gives_the_same_results(suite: Path, tmp_path: Path) -> None:
    suite.write_text(SUITE.replace("[0, 1, 2, 3]", '[0]\nleave_out = ["random", "grid"]'))
    [task] = tasks_of(read_suite(suite))
    here = carry_out(task)
    script = tmp_path / "cluster.py"
    script.write_text(CLUSTER)
    cluster = subprocess.Popen([sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert cluster.stdin is not None and cluster.stdout is not None
    try:
        address = cluster.stdout.readline().strip()
        finish(start(suite, "--dask", address))
    finally:
        cluster.communicate("", timeout=60)
    [path] = (suite.parent / "out" / "runs").iterdir()
    assert path.name == task.key
    there = json.loads(path.read_text())
    assert (there["best_curve"], there["rmse"]) == (here["best_curve"], here["rmse"])


def test_dask_is_an_extra_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtra, match=r"probescout\[dask\]"), Dask("tcp://127.0.0.1:1"):
        pass
