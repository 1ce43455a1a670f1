"""`probescout campaign`: exit codes, and real processes that are killed and run again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from probescout.campaigns.conduct import Place, conduct
from probescout.campaigns.holding import PLACE_NAME
from probescout.campaigns.reading import read_file, read_text
from probescout.cli.main import app
from probescout.core.errors import NotFound
from probescout.core.events import Created, encode
from probescout.core.specs import Budget, CampaignSpec, PluginSpec
from probescout.store.journal import Journal

TEXT = """
[campaign]
name = "cli"
[instrument]
kind = "twin"
params = { scene = "plasmonic", size = 16, latency_s = 0.05 }
[scalarizer]
name = "band_sum"
params = { low = 0.6, high = 0.8, axis_unit = "eV" }
[initial]
count = 8
[budget]
probes = 12
[model]
deep = false
[server]
patience_s = 1.0
[[regions]]
name = "only"
"""
PROBESCOUT = (sys.executable, "-m", "probescout.cli", "campaign")


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(PLACE_NAME, str(tmp_path / "locks"))
    (tmp_path / "locks").mkdir()
    path = tmp_path / "campaign.toml"
    path.write_text(TEXT)
    return path


def campaign(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    env = {
        name: value for name, value in os.environ.items() if name not in ("PROBESCOUT_SERVER", "PROBESCOUT_TOKEN_FILE")
    }
    return subprocess.run(
        [*PROBESCOUT, *map(str, arguments)], capture_output=True, text=True, timeout=90, env=env, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def catalogued(place: Path, *options: str) -> list[dict[str, Any]]:
    done = CliRunner().invoke(app, ["catalogue", str(place), *options, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    rows: list[dict[str, Any]] = json.loads(done.stdout)["campaigns"]
    return rows


def observed(data: Path) -> list[dict[str, Any]]:
    """Return what the one journal of a data folder holds, also while a server writes to it."""
    folders = sorted((data / "campaigns").glob("*/events.db"))
    if not folders:
        return []
    return [r.payload["observation"] for r in Journal.salvage(folders[0].parent) if r.kind == "Observed"]


def looks() -> Iterator[int]:
    """Yield until somebody else's process has come far enough, for a minute at most."""
    look = threading.Event()
    for n in range(600):
        yield n
        look.wait(0.1)
    pytest.fail("it did not come")


def run_until(spec: Path, n_points: int, end: int) -> tuple[int, str]:
    """Run a file until so many points are in its journal, then send a signal; return exit code and what was said."""
    data = spec.parent / "campaign-result" / "data"
    with subprocess.Popen([*PROBESCOUT, "run", str(spec)], stderr=subprocess.PIPE, text=True) as process:
        for _ in looks():
            if len(observed(data)) >= n_points:
                break
            assert process.poll() is None, "it ended too early"
        process.send_signal(end)
        said = process.communicate(timeout=60)[1]
    return process.returncode, said


def test_killed_at_any_time_and_run_again_nothing_is_lost_or_measured_twice(spec: Path) -> None:
    data = spec.parent / "campaign-result" / "data"
    code, _ = run_until(spec, 2, signal.SIGKILL)
    assert code == -signal.SIGKILL
    code, said = run_until(spec, 5, signal.SIGTERM)
    assert code == 130 and "is parked" in said and "run the same file again" in said
    n_before = len(observed(data))
    assert 5 <= n_before < 12
    done = campaign("run", spec, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    [region] = report["regions"]
    assert (region["state"], region["n_measured"], region["n_new"]) == ("complete", 12, 12 - n_before)
    told = observed(data)
    assert len(told) == 12 == len({(o["y"], o["x"]) for o in told}) == len({o["suggestion"] for o in told})
    assert json.loads((Path(report["folder"]) / "report.json").read_text())["state"] == "complete"
    # What it was begun from, its outcome and its files are found again from its journal.
    [name] = [d.name for d in (data / "campaigns").iterdir()]
    written = campaign("spec", name, "--data", data)
    assert written.returncode == 0 and str(spec.parent) in written.stdout.splitlines()[0]
    other = spec.with_name("other.toml")
    other.write_text(written.stdout)
    assert read_file(other).digest == read_file(spec).digest == report["digest"]
    [row] = catalogued(data.parent, "--outcome", "finished")
    assert row["campaign_file"] == {"digest": report["digest"], "region": "only", "run_key": ""}
    assert {Path(path).name for path in row["results"]} == {"report.json", "only.csv", "only.png"}
    assert all(Path(path).exists() for path in row["results"]) and catalogued(data.parent, "--outcome", "aborted") == []


def test_ctrl_c_exits_with_130(spec: Path) -> None:
    code, said = run_until(spec, 1, signal.SIGINT)
    assert code == 130 and "is parked" in said


def test_check_says_what_a_run_would_do_and_starts_nothing(spec: Path) -> None:
    done = campaign("check", spec, "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 0 and told["file"]["budget"]["probes"] == 12
    assert told["campaigns"]["only"].startswith("cli-only-") and told["campaigns"]["only"] in done.stderr
    assert {path.name for path in spec.parent.iterdir()} == {spec.name, "locks"}


@pytest.mark.parametrize("command", ["check", "run", "schedule"])
def test_a_bad_file_exits_with_three(spec: Path, command: str) -> None:
    spec.write_text(TEXT.replace("probes", "probs"))
    done = campaign(command, spec)
    assert done.returncode == 3 and "did you mean 'probes'" in done.stderr and "(budget.probs)" in done.stderr


def test_no_server_exits_with_four(spec: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t\n")
    done = campaign("run", spec, "--server", f"unix:{tmp_path}/none", "--token-file", tmp_path / "token")
    assert done.returncode == 4 and "error" in done.stderr


def test_a_question_that_nobody_hears_exits_with_two(spec: Path) -> None:
    spec.write_text(TEXT + "[confirm]\nrequired = true\nquestion = 'Is the beam on?'\n")
    done = campaign("run", spec)
    assert done.returncode == 2 and "Is the beam on?" in done.stderr and "--yes" in done.stderr
    assert {path.name for path in spec.parent.iterdir()} == {spec.name, "locks"}


def test_a_campaign_of_no_file_has_no_spec(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "campaigns" / "free") as journal:
        journal.append([encode(Created("free", CampaignSpec(PluginSpec("band_sum")), 0.0))], time=1.0, principal="me")
    with pytest.raises(NotFound, match="not begun from a campaign file"):
        CliRunner().invoke(app, ["campaign", "spec", "free", "--data", str(tmp_path)], catch_exceptions=False)


def test_a_planner_is_asked_for_a_spec(spec: Path, make_server: Any) -> None:
    server = make_server()
    file = read_file(spec)
    conduct(replace(file, budget=Budget(probes=1)), Place(server.ready["grpc"], server.ready["token_file"]))
    [folder] = (server.data / "campaigns").iterdir()
    place = ("--server", server.ready["grpc"], "--token-file", server.ready["token_file"])
    written = campaign("spec", folder.name, *place)
    assert written.returncode == 0, written.stderr
    assert read_text(written.stdout, spec.parent) == replace(file, budget=Budget(probes=1))


@pytest.mark.parametrize("command", [[], ["run"], ["check"], ["schedule"], ["spec"]])
def test_help_loads_no_prefect(command: list[str]) -> None:
    code = (
        "import sys; from probescout.cli.main import app; "
        f"app(['campaign', *{command!r}, '--help'], standalone_mode=False); "
        "print('loaded', sorted({'prefect', 'torch', 'grpc', 'scipy', 'httpx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip().endswith("loaded []"), done.stdout + done.stderr


def test_schedules_without_prefect_name_the_extra(spec: Path) -> None:
    code = (
        "import sys; sys.modules['prefect'] = None; from probescout.cli.main import run; "
        f"sys.argv = ['probescout', 'campaign', 'schedule', {str(spec)!r}]; run()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "MISSING_EXTRA" in done.stderr and "probescout[prefect]" in done.stderr
