"""A tiny run of the whole quality benchmark on files that the repository has never seen."""

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import quality, tables
from probescout.replay.recording import Recording
from probescout.replay.twin import make_twin, to_dataset


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """Two files: a simulated sample with its scalarizer named, and a bare map."""
    folder = tmp_path_factory.mktemp("cases")
    twin = make_twin("plasmonic", 0, 16, scene_seed=0)
    to_dataset(twin).to_netcdf(folder / "twin.nc", engine="h5netcdf")
    recording = Recording.load(folder / "twin.nc").loaded()
    named = {"scalarizer": twin.scene.scalarizer, "params": json.dumps(dict(twin.scene.params))}
    replace(recording, attrs=named).save(folder / "twin.nc")
    y, x = np.mgrid[0:16, 0:16] / 16.0
    rng = np.random.default_rng(0)
    smooth = np.sin(5 * y) * np.cos(4 * x)
    Recording(image=smooth + 0.1 * rng.normal(size=(16, 16)), targets={"t": smooth}).save(folder / "map.nc")
    return folder


def bench(cases, results, capsys):
    arguments = ["--arms", "random,xy", "--seeds", "3,", "--budget", "14", "--cases", str(cases), "--peers", "none"]
    arguments += ["--processes", "1", "--results", str(results), "--out", str(results / "quality.json")]
    with pytest.raises(SystemExit) as ended:
        quality.main(arguments)
    out, err = capsys.readouterr()
    assert ended.value.code == 0, err
    return json.loads(out.splitlines()[-1]), err


def test_two_files_two_arms_one_seed(cases, tmp_path, capsys, monkeypatch):
    # Sources that change between the two calls would rightly have everything done again.
    monkeypatch.setattr("benchmarks.runs.digest_of_sources", lambda: "as they are")
    told, err = bench(cases, tmp_path, capsys)
    assert "4 runs, 4 of them to be done" in err
    assert set(told["cases"]) == {"map", "twin"}
    assert told["peers"] is None and told["failures"] == []
    for rows in told["cases"].values():
        assert set(rows) == {"random", "xy"}
        for row in rows.values():
            assert len(row["top1_found"]) == 1
            assert 0 <= row["top1_found"][0] <= row["top1_total"] == 3
            assert 0.0 <= row["coverage95"] <= 1.0
            assert row["seconds"] > 0.0
            assert row["budget"] == 14
    # A smooth map is learnt from coordinates; predicting its mean everywhere has an error of 1.
    assert told["cases"]["map"]["xy"]["rmse"] < 0.9
    assert set(told["mean_rank"]) == {"random", "xy"}
    assert sum(told["mean_rank"].values()) == pytest.approx(3.0)

    again, err = bench(cases, tmp_path, capsys)
    assert "4 runs, 0 of them to be done" in err
    assert again == told

    tables.main(["--quality", str(tmp_path / "quality.json"), "--latency", "none", "--docs", str(tmp_path / "docs")])
    page = (tmp_path / "docs" / "quality.md").read_text()
    assert "| map |" in page and "| twin |" in page
    assert "Seeds 3;" in page
    assert (tmp_path / "docs" / "quality-found.png").stat().st_size > 10_000


def test_a_case_that_cannot_be_planned_costs_only_itself(tmp_path, capsys):
    folder = tmp_path / "cases"
    folder.mkdir()
    for name, edge in (("good", 12), ("tiny", 2)):
        y, x = np.mgrid[0:edge, 0:edge] / edge
        Recording(image=y + x, targets={"t": np.sin(5 * y) + x}).save(folder / f"{name}.nc")
    arguments = ["--arms", "random", "--seeds", "3,3", "--budget", "14", "--cases", str(folder), "--peers", "none"]
    arguments += ["--processes", "2", "--results", str(tmp_path), "--out", str(tmp_path / "quality.json")]
    with pytest.raises(SystemExit) as ended:
        quality.main(arguments)
    out, err = capsys.readouterr()
    assert ended.value.code == 1
    told = json.loads(out.splitlines()[-1])
    assert len(told["cases"]["good"]["random"]["top1_found"]) == 1, "a seed named twice is one seed"
    [failure] = told["failures"]
    assert failure["case"] == "tiny" and "InvalidInput" in failure["error"] and "8 candidates" in failure["error"]
