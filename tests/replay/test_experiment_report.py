"""The files and the table that an experiment leaves."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from rich.console import Console

from probescout.core.errors import InvalidInput
from probescout.core.ports import Overview
from probescout.replay.case import twin_case
from probescout.replay.experiment import Experiment, Plan, run_experiment
from probescout.replay.opening import open_campaigns
from probescout.replay.report import draw, save_picture, table
from probescout.replay.result_file import save_experiment


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    plan = Plan(budget=10, n_initial=4, seeds=(0, 5), compare=("random",), use_deep=False)
    with open_campaigns(in_process=True) as open_session:
        return run_experiment(twin_case("plasmonic", size=16), plan, open_session)


def test_the_result_file_gives_everything_back(experiment: Experiment, tmp_path: Path) -> None:
    scores, data = save_experiment(experiment, tmp_path / "new" / "folder")
    assert json.loads(scores.read_text()) == experiment.to_json()
    with xr.open_datatree(data, engine="h5netcdf") as tree:
        steps = tree["steps"].to_dataset()
        assert dict(steps.sizes) == {"arm": 2, "seed": 2, "step": 10}
        run = experiment.of("random")[1]
        one = steps.sel(arm="random", seed=5)
        for name in ("target", "target_std", "mean_at_ask", "std_at_ask", "step_ms", "y", "x"):
            np.testing.assert_array_equal(one[name], getattr(run, name))
        assert one["source"].values.tolist() == list(run.source)
        assert steps["target"].attrs["units"] == "counts" and "y" in steps.coords
        maps = tree["maps"].to_dataset()
        np.testing.assert_allclose(maps["mean"].sel(arm="random", seed=5), run.maps["mean"], rtol=1e-6)
        overview = tree["overview"].to_dataset()
        np.testing.assert_array_equal(overview["image"], experiment.overview.image)
        np.testing.assert_array_equal(overview["truth"], experiment.case.truth)
        pixel = experiment.overview.pixel_size_m
        assert pixel is not None and float(overview["y"][1] - overview["y"][0]) == pytest.approx(pixel)
        assert json.loads(tree.attrs["settings_json"])["scalarizer"] == "band_sum"
    assert [p.name for p in data.parent.iterdir() if p.name.startswith(".")] == []


def test_scores_without_a_number_are_null(experiment: Experiment, tmp_path: Path) -> None:
    first = experiment.runs[0]
    holed = replace(first, scores=replace(first.scores, rmse=float("nan")))
    scores, _ = save_experiment(replace(experiment, runs=(holed, *experiment.runs[1:])), tmp_path)
    assert json.loads(scores.read_text())["arms"]["planner"]["rmse"][0] is None


def test_the_picture_names_every_axis_with_its_unit(experiment: Experiment, tmp_path: Path) -> None:
    figure = draw(experiment)
    panels = [a for part in figure.subfigs for a in part.axes]
    words = [a.get_xlabel() for a in panels] + [a.get_ylabel() for a in panels]
    assert words.count("x (nm)") == 5 and words.count("y (nm)") == 5
    assert words.count("target (counts)") == 2 and "SD of the target (counts)" in words
    assert words.count("points measured") == 2
    assert save_picture(experiment, tmp_path / "p" / "result.png").read_bytes()[:4] == b"\x89PNG"


def test_the_path_lies_where_the_probe_was(experiment: Experiment) -> None:
    size = experiment.overview.pixel_size_m
    assert size is not None
    edge = 16 * size / 1e-9
    axes = draw(experiment).subfigs[0].axes[0]
    run = experiment.of("planner")[0]
    # x runs to the right, y downward from the top left corner.
    np.testing.assert_allclose(axes.lines[0].get_xydata(), np.column_stack([run.x, run.y]) * edge)
    drawn = np.vstack([np.asarray(c.get_offsets()) for c in axes.collections])
    np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(np.column_stack([run.x, run.y]) * edge, axis=0))
    assert len(axes.collections[1].get_offsets()) == run.scores.top1_found
    assert axes.get_ylim() == pytest.approx((edge, 0.0)) and axes.get_xlim() == pytest.approx((0.0, edge))


def test_a_picture_without_pixel_size_counts_pixels(experiment: Experiment) -> None:
    bare = replace(experiment, overview=Overview(np.stack([experiment.overview.image] * 2)))
    assert draw(bare).subfigs[0].axes[0].get_xlabel() == "x (px)"


def test_the_table_compares_the_arms(experiment: Experiment) -> None:
    text = io.StringIO()
    Console(file=text, width=100).print(table(experiment))
    said = text.getvalue()
    assert "planner" in said and "random" in said and "grid" not in said
    assert "points needed to find 95 % of the best" in said and "mean of 2 seeds" in said
    found = np.mean([r.scores.top1_found for r in experiment.of("planner")])
    row = next(line for line in said.splitlines() if "top 1 %" in line)
    assert f"{found:.1f}" in row


def test_a_folder_that_cannot_be_written_is_named(experiment: Experiment, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="cannot be written"):
        save_experiment(experiment, tmp_path / "file")
    with pytest.raises(InvalidInput, match="cannot be written"):
        save_picture(experiment, tmp_path / "file" / "a.png")
