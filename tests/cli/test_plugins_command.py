"""`probescout plugins`: what is installed, and what is installed and broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest


def plugins(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(path or "")}
    command = [sys.executable, "-m", "probescout.cli", "plugins", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=env, check=False)


def test_all_entry_points_with_their_parameters() -> None:
    done = plugins("--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["plugins"]
    for group in ("probescout.scalarizers", "probescout.planners"):
        names = {row["name"] for row in rows if row["group"] == group}
        assert names == {entry.name for entry in entry_points(group=group)}
    [ratio] = [row for row in rows if row["name"] == "peak_ratio"]
    assert ratio["summary"] and {"a", "b"} <= set(ratio["schema"]["properties"]) and ratio["load_error"] == ""
    # The text for a person goes to standard error while standard output carries the JSON.
    assert "peak_ratio" in done.stderr


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """A folder with a distribution of somebody else: one good plug-in and one that cannot be imported."""
    info = tmp_path / "stranger-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text(
        "[probescout.scalarizers]\ngood = stranger_mine:Good\nlost = stranger_mine:Lost\n"
    )
    (tmp_path / "stranger_mine.py").write_text(
        "class Good:\n    summary = 'counts sheep'\n"
        "    params_schema = {'properties': {'n': {'default': 3, 'description': 'Sheep (count)'}, 'm': {}}, "
        "'required': ['m']}\n"
    )
    return tmp_path


def test_plugins_of_others_and_broken_ones(stranger: Path) -> None:
    done = plugins(path=stranger)
    assert done.returncode == 0, done.stderr
    lines = [line.strip() for line in done.stdout.splitlines()]
    [good] = [n for n, line in enumerate(lines) if line.startswith("good ")]
    assert lines[good].endswith("counts sheep  [stranger 1.5]")
    assert lines[good + 1].split(maxsplit=1) == ["n", "(default 3) Sheep (count)"]
    assert lines[good + 2].split(maxsplit=1) == ["m", "(required)"]
    [lost] = [line for line in lines if line.startswith("lost ")]
    assert "CANNOT BE USED" in lost and "reinstall" in lost
