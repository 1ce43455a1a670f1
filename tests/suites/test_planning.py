"""Which runs a suite asks for, and what their keys stand for."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from probescout.core.errors import InvalidInput, Reason
from probescout.replay.recording import Recording
from probescout.suites import planning
from probescout.suites.planning import tasks_of
from probescout.suites.results import RunFolder
from probescout.suites.running import carry_out
from probescout.suites.sources import digest_of_code, plugin_packages
from probescout.suites.spec import About, ArmSpec, CaseSpec, SuiteFile


def map_file(path, shift=0.0):
    y, x = np.mgrid[0:12, 0:12] / 12.0
    target = np.sin(5 * y + shift) * np.cos(4 * x)
    Recording(image=target + 0.1, targets={"height": target}).save(path)


@pytest.fixture
def file(tmp_path):
    map_file(tmp_path / "a.nc")
    return SuiteFile(
        About("s", (0, 1), budget=12, initial=4, deep=False),
        (CaseSpec("map", file="a.nc", target="height"), CaseSpec("twin", scene="plasmonic", size=16, budget=14)),
        (ArmSpec("xy", members=("xy",)),),
        folder=tmp_path,
    )


def keys(file):
    return [task.key for task in tasks_of(file)]


def test_all_combinations_are_run_baselines_included(file):
    tasks = tasks_of(file)
    assert [(t.case.name, t.seed, t.arm) for t in tasks[:4]] == [
        ("map", 0, "random"), ("map", 0, "grid"), ("map", 0, "xy"), ("map", 1, "random")
    ]  # fmt: skip
    assert len(tasks) == len(set(keys(file))) == 2 * 2 * 3
    assert {(t.case.name, t.budget) for t in tasks} == {("map", 12), ("twin", 14)}
    # Members by name are obeyed; without names the suite says whether the deep one takes part.
    assert {(t.arm, t.use_deep) for t in tasks} == {("random", False), ("grid", False), ("xy", True)}


def test_a_key_follows_the_content_of_the_data_and_not_their_place(file, tmp_path):
    before = keys(file)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(tmp_path / "a.nc", elsewhere / "a.nc")
    assert keys(replace(file, folder=elsewhere)) == before
    map_file(elsewhere / "a.nc", shift=0.5)
    after = keys(replace(file, folder=elsewhere))
    assert not set(after[:6]) & set(before[:6]) and after[6:] == before[6:]


@pytest.mark.parametrize(
    "change",
    [
        lambda f: replace(f, suite=replace(f.suite, budget=13)),
        lambda f: replace(f, suite=replace(f.suite, initial=3)),
        lambda f: replace(f, arms=(replace(f.arms[0], policy="ucb"),)),
        lambda f: replace(f, arms=(replace(f.arms[0], members=("bank",)),)),
    ],
    ids=["budget", "initial", "policy", "members"],
)
def test_a_key_follows_everything_that_a_run_depends_on(file, change):
    changed = [t for t in tasks_of(change(file)) if t.case.name == "map" and t.arm == "xy"]
    assert not {t.key for t in changed} & set(keys(file))


def test_a_key_follows_the_code(file, monkeypatch):
    before = keys(file)
    monkeypatch.setattr(planning, "digest_of_code", lambda modules: "another")
    assert not set(keys(file)) & set(before)


def test_more_seeds_leave_the_others_as_they_are(file):
    more = keys(replace(file, suite=replace(file.suite, seeds=(0, 1, 2))))
    assert set(keys(file)) < set(more)


def test_the_code_of_nested_policies_counts():
    staged = {"stages": [{"policy": {"name": "ucb", "params": {}}, "until": {"n_observed": 5}}]}
    assert plugin_packages("staged", staged, "band_sum") == ("probescout_planners", "probescout_scalarizers")
    with pytest.raises(InvalidInput, match="annealing"):
        plugin_packages("staged", {"stages": [{"policy": {"name": "annealing"}}]}, "")


def test_the_digest_of_code_differs_by_module_and_is_that_of_its_files():
    assert digest_of_code(("probescout.core",)) == digest_of_code(("probescout.core",))
    assert digest_of_code(("probescout.core",)) != digest_of_code(("probescout.store",))


def test_a_worker_with_other_sources_refuses(file):
    task = tasks_of(file)[0]
    with pytest.raises(Exception, match="other sources"):
        carry_out(replace(task, code="other"))


def test_a_result_is_kept_whole_and_a_broken_one_is_named(tmp_path):
    kept = RunFolder(tmp_path / "runs")
    assert kept.find("a.json") is None
    kept.keep("a.json", {"rmse": 0.5})
    assert kept.find("a.json") == {"rmse": 0.5}
    assert [p.name for p in kept.folder.iterdir()] == ["a.json"]
    (kept.folder / "a.json").write_text('{"rmse": ')
    with pytest.raises(InvalidInput, match=r"a\.json.*remove it") as caught:
        kept.find("a.json")
    assert caught.value.reason is Reason.FILE_UNREADABLE


def test_an_instruments_own_file_is_converted_once(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "cube.npy", rng.random((10, 9, 6)))
    case = CaseSpec("cube", file="cube.npy", convert={"image_from": "channel:0"}, scalarizer="value_at")
    file = SuiteFile(About("s", (0,), budget=12, initial=4, deep=False), (case,), folder=tmp_path)
    first = tasks_of(file)
    [made] = (file.directory / "cases").glob("*.nc")
    stamp = made.stat().st_mtime_ns
    assert [t.key for t in tasks_of(file)] == [t.key for t in first]
    assert made.stat().st_mtime_ns == stamp
    assert first[0].case.make().n_candidates == 90
