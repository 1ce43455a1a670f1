"""The comparison of made-up runs, by hand."""

import csv
import io
import math

import pytest

from probescout.suites.conduct import plain
from probescout.suites.gathering import reference_of, summary
from probescout.suites.planning import tasks_of
from probescout.suites.report import csv_text, draw, tables
from probescout.suites.spec import About, ArmSpec, CaseSpec, SuiteFile

FOUND = {"random": (1, 2), "grid": (1, 1), "ei": (4, 9)}


@pytest.fixture
def file(tmp_path):
    cases = (CaseSpec("one", scene="plasmonic", size=16), CaseSpec("two", scene="lattice", size=16))
    return SuiteFile(About("s", (0, 1), budget=12, initial=4), cases, (ArmSpec("ei"),), folder=tmp_path)


def result(found):
    curve = [0] * 11 + [found]
    scores = {"top1_found": found, "top1_total": 9, "best_fraction": 0.1 * found, "rmse": 1.0 / (1 + found)}
    rest = {"coverage95": 0.95, "seconds": 2.0, "points_to_95": None, "budget": 12, "n_candidates": 256}
    return {**scores, **rest, "top_curve": curve}


def test_gains_are_paired_by_seed_and_ranks_are_over_cases(file):
    tasks = tasks_of(file)
    told = summary(file, tasks, {t.key: result(FOUND[t.arm][t.seed]) for t in tasks}, [])
    gain = told["cases"]["one"]["ei"]["gain"]
    # Differences 3 and 7: mean 5, standard error 2, t(0.975, 1) = tan(0.475 pi).
    half = 2.0 * math.tan(0.475 * math.pi)
    assert (gain["mean"], gain["low"], gain["high"]) == pytest.approx((5.0, 5.0 - half, 5.0 + half))
    assert told["mean_rank"] == {"ei": 1.0, "random": 2.0, "grid": 3.0}
    assert told["cases"]["two"]["ei"]["curve"]["mean"][-2:] == [0.0, 6.5]
    assert told["digest"] == file.digest and told["reference"] == "random"
    rows = list(csv.DictReader(io.StringIO(csv_text(told))))
    assert [(r["case"], r["arm"]) for r in rows[:3]] == [("one", "random"), ("one", "grid"), ("one", "ei")]
    assert float(rows[2]["top1_found_mean"]) == 6.5 and float(rows[2]["gain_over_random_mean"]) == 5.0
    assert len(tables(told)) == 3
    assert [axes.get_title() for axes in draw(told).axes] == ["one (9 exist)", "two (9 exist)"]


def test_only_seeds_that_every_arm_has_finished_are_compared(file):
    tasks = tasks_of(file)
    found = {t.key: result(FOUND[t.arm][t.seed]) for t in tasks if (t.case.name, t.arm, t.seed) != ("one", "ei", 1)}
    failures = [{"case": "one", "arm": "ei", "seed": 1, "error": "MemoryError: no room"}]
    told = summary(file, tasks, found, failures)
    assert {row["seeds"] == [0] for row in told["cases"]["one"].values()} == {True}
    assert told["cases"]["one"]["random"]["means"]["top1_found"]["mean"] == 1.0
    assert plain(told)["cases"]["one"]["ei"]["gain"] == {"mean": 3.0, "low": None, "high": None}
    assert told["failures"] == failures
    assert "" in csv_text(told).splitlines()[1].split(",")


def test_a_case_without_any_shared_seed_is_empty_and_does_not_rank(file):
    tasks = tasks_of(file)
    found = {t.key: result(FOUND[t.arm][t.seed]) for t in tasks if t.case.name == "two"}
    told = summary(file, tasks, found, [])
    assert told["cases"]["one"] == {}
    assert told["mean_rank"]["ei"] == 1.0
    assert len(draw(told).axes) == 1


def test_gains_are_measured_from_the_first_arm_without_baselines(file):
    alone = SuiteFile(About("s", (0,), leave_out=("random", "grid")), file.cases, (ArmSpec("b"), ArmSpec("a")))
    assert reference_of(alone) == "b"
