"""`probescout replay` and `probescout demo` as a person runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from probescout.cli.replay import parameters
from probescout.core.errors import InvalidInput
from probescout.core.spectra import Axis, ValueKind
from probescout.replay.recording import Recording

SCORES = ["best_fraction", "top1_found", "top1_total", "rmse", "coverage95", "step_ms_p50", "step_ms_p99"]


def probescout(*arguments: Any, cwd: Path, timeout: float = 100.0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "probescout.cli", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with case.nc (a spectrum in keV and two maps) and maps.nc (only maps)."""
    made = tmp_path_factory.mktemp("replay")
    rng = np.random.default_rng(6)
    y, x = np.mgrid[0:12, 0:15] / 12
    image = np.sin(7 * y + 2) * np.cos(5 * x)
    rate = np.exp(2.0 + image)[..., None] * np.linspace(0.5, 1.5, 8)
    maps = {"height": image, "phase": x}
    Recording(
        image=image,
        spectrum=rng.poisson(rate).astype(np.uint16),
        spectrum_dims=("channel",),
        axes=(Axis("channel", np.arange(8.0) / 4, "energy", "keV"),),
        spectrum_unit="counts",
        spectrum_kind=ValueKind.COUNTS,
        targets=maps,
    ).save(made / "case.nc")
    Recording(image=image, targets=maps).save(made / "maps.nc")
    return made


def test_replay_over_the_wire_prints_one_json_object(folder: Path) -> None:
    done = probescout(
        "replay", "case.nc", "--scalarizer", "band_sum", "--param", "low=0.5", "--param", "high=1.0", "--budget", "14",
        "--initial", "5", "--seeds", "2", "--compare", "random,grid", "--no-deep", "--out", "out", "--json", "-",
        cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert list(told) == ["case", "n_candidates", "budget", "arms"]
    assert (told["case"], told["n_candidates"], told["budget"]) == ("case", 180, 14)
    assert list(told["arms"]) == ["planner", "random", "grid"]
    for arm in told["arms"].values():
        assert list(arm) == SCORES and all(len(values) == 2 for values in arm.values())
        assert all(isinstance(v, int) for v in arm["top1_found"] + arm["top1_total"])
        assert all(0 < p50 <= p99 < 10_000 for p50, p99 in zip(arm["step_ms_p50"], arm["step_ms_p99"], strict=True))
    assert "instrument" in done.stderr and "planner" in done.stderr and "points needed" in done.stderr
    assert sorted(p.name for p in (folder / "out").iterdir()) == ["result.json", "result.nc", "result.png"]
    assert json.loads((folder / "out" / "result.json").read_text()) == told
    with xr.open_datatree(folder / "out" / "result.nc", engine="h5netcdf") as tree:
        y, x = (tree["steps"][dim].sel(arm="planner", seed=1).values for dim in ("y", "x"))
        target = tree["steps"]["target"].sel(arm="planner", seed=1).values
    cube = np.asarray(Recording.load(folder / "case.nc").loaded().spectrum)
    np.testing.assert_array_equal(target, cube[(y * 12).astype(int), (x * 15).astype(int), 2:5].sum(axis=-1))


def test_replay_of_a_ready_map_in_process(folder: Path) -> None:
    done = probescout(
        "replay", "maps.nc", "--target", "height", "--in-process", "--budget", "12", "--seeds", "1", "--compare",
        "none", "--policy", "ucb", "--policy-param", "beta=1.5", "--no-deep", "--json", "made/scores.json", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "planner" in done.stdout and "random" not in done.stdout
    told = json.loads((folder / "made" / "scores.json").read_text())
    assert list(told["arms"]) == ["planner"] and told["case"] == "maps"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["case.nc", "--scalarizer", "band_sum", "--compare", "gird"], "(compare): there is no baseline 'gird'"),
        (["maps.nc", "--target", "width"], "it has: height, phase"),
        (["maps.nc", "--scalarizer", "band_sum"], "use --target with one of its scalar maps: height, phase"),
        (["case.nc", "--scalarizer", "band_sum", "--param", "low"], "--param 'low' is not understood"),
        (["case.nc", "--target", "height", "--policy", "ucbb"], "did you mean 'ucb'?"),
    ],
)
def test_errors_say_what_to_do(folder: Path, arguments: list[str], words: str) -> None:
    done = probescout("replay", *arguments, "--in-process", "--json", cwd=folder)
    assert done.returncode in (1, 2) and done.stdout == ""
    assert words in done.stderr and "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("error ")


def test_parameters_are_numbers_ranges_or_words() -> None:
    texts = ["low=1.65", "channel=-1", "a=10:15", "b=0.5:2e3", "component=angle", "log=true", "c=a:b", "d=x=y"]
    assert parameters(texts, "param") == {
        "low": 1.65, "channel": -1, "a": [10, 15], "b": [0.5, 2000.0], "component": "angle", "log": True,
        "c": "a:b", "d": "x=y",
    }  # fmt: skip
    for wrong in (["=3"], ["a=1", "a=2"], ["a"]):
        with pytest.raises(InvalidInput):
            parameters(wrong, "param")


def test_help_needs_no_heavy_imports(tmp_path: Path) -> None:
    code = (
        "import sys; import probescout.cli.main; "
        "print(sorted({'numpy', 'xarray', 'matplotlib', 'grpc', 'torch', 'scipy', 'rich.progress'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_the_demo_replaces_what_an_earlier_one_left(tmp_path: Path) -> None:
    left = tmp_path / "demo-result"
    left.mkdir()
    for name in ("result.json", "result.nc", "result.png"):
        (left / name).write_text("old")
    done = probescout("demo", "--budget", "12", "--seconds", "0", "--json", "scores.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "points needed to find 95 % of the" in done.stdout and "demo-result/result.png" in done.stdout
    told = json.loads((tmp_path / "scores.json").read_text())
    assert list(told["arms"]) == ["planner", "random", "grid"] and len(told["arms"]["grid"]["rmse"]) == 1
    assert sorted(p.name for p in left.iterdir()) == ["result.json", "result.nc", "result.png"]
    assert json.loads((left / "result.json").read_text()) == told
    assert (left / "result.png").stat().st_size > 10_000
