"""The benchmark of theory: its arithmetic against NumPy and SciPy, and a tiny run of it as a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from benchmarks.theory import HARM, summary, told
from benchmarks.theory_campaign import Jobs
from benchmarks.theory_truth import KINDS

ROOT = Path(__file__).parents[2]


def test_summary_is_the_interval_of_differences_relative_to_the_mean_without_theory():
    rng = np.random.default_rng(0)
    rows = [{"none": x, **{k: x + rng.normal(0.1, 0.2) for k in KINDS}} for x in rng.uniform(1.0, 2.0, 12)]
    found = summary(rows, range(5, 17), 3.0)
    plain = np.mean([row["none"] for row in rows])
    for kind in KINDS:
        difference = [(row[kind] - row["none"]) / plain for row in rows]
        theirs = ttest_1samp(difference, 0.0).confidence_interval(0.95)
        ours = found["kinds"][kind]
        assert ours["mean"] == pytest.approx(np.mean(difference), abs=5e-5)
        assert (ours["lower95"], ours["upper95"]) == pytest.approx((theirs.low, theirs.high), abs=5e-5)
        assert ours["seeds"] == 12
    assert found["regret_without_theory"] == pytest.approx(plain, abs=5e-5)
    assert found["first_seed"] == 5


@pytest.mark.parametrize(
    ("kind", "shift", "is_met"),
    [("right", -0.01, True), ("right", 0.01, False), ("late", 0.01, True), ("late", HARM + 0.01, False)],
)
def test_right_theory_has_to_help_and_the_others_must_not_harm(kind, shift, is_met):
    rows = [{"none": 1.0, **dict.fromkeys(KINDS, 1.0 + shift)} for _ in range(3)]
    assert summary(rows, range(3), 0.0)["kinds"][kind]["is_met"] is is_met


def test_a_job_without_a_value_fails_and_the_others_give_theirs():
    jobs = Jobs(
        KINDS["right"], np.array([1.5, np.nan, -2.0]), np.random.default_rng(0), running=[(2, 0), (2, 1), (3, 2)]
    )
    assert jobs.collect(1) is False
    assert jobs.collect(2) is True
    assert [(r.candidate, r.value) for r in jobs.results] == [(0, 1.5)]
    assert jobs.collect(3) is True
    assert jobs.collect(4) is False
    assert [(r.candidate, r.value) for r in jobs.results] == [(0, 1.5), (2, -2.0)]


def test_progress_is_told_and_rows_pass_in_order(capsys):
    assert list(told(iter("abcde"), 5, "seeds", every=2)) == list("abcde")
    assert [line.split(",")[0] for line in capsys.readouterr().err.splitlines()] == [
        "2 of 5 seeds",
        "4 of 5 seeds",
        "5 of 5 seeds",
    ]


def test_two_seeds_on_the_cheap_truth():
    command = [sys.executable, "-m", "benchmarks.theory", "--seeds", "2", "--first", "10000", "--processes", "2"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    assert set(found["kinds"]) == set(KINDS)
    assert {row["seeds"] for row in found["kinds"].values()} == {2}
    assert found["regret_without_theory"] > 0.0
    assert "atomistic" not in found
    assert "2 of 2 seeds" in ended.stderr
