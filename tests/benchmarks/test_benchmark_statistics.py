"""Ranks, intervals and verdicts against closed forms and SciPy."""

import math

import numpy as np
import pytest
from scipy.stats import ttest_rel

from benchmarks.statistics import best_member, mean_interval, mean_ranks, overall, paired_interval, verdict


def row(hits, rmse=1.0, coverage=0.95):
    return {"top1_found": hits, "rmse": rmse, "coverage95": coverage}


def test_paired_interval_is_that_of_the_paired_t_test():
    rng = np.random.default_rng(0)
    a, b = rng.normal(3.0, 2.0, 10), rng.normal(2.0, 2.0, 10)
    mean, low, high = paired_interval(a, b)
    theirs = ttest_rel(a, b).confidence_interval(0.95)
    assert mean == pytest.approx(np.mean(a - b))
    assert (low, high) == pytest.approx((theirs.low, theirs.high))


def test_interval_of_two_pairs_by_hand():
    # Differences 1 and 3: mean 2, standard error 1, t(0.975, 1) = tan(0.475 pi).
    mean, low, high = paired_interval([2.0, 5.0], [1.0, 2.0])
    half = math.tan(0.475 * math.pi)
    assert (mean, low, high) == pytest.approx((2.0, 2.0 - half, 2.0 + half))


def test_one_seed_has_no_interval():
    mean, low, high = mean_interval([4.0])
    assert mean == 4.0
    assert math.isnan(low) and math.isnan(high)


def test_mean_ranks_share_ties_and_follow_the_direction():
    table = {"one": {"a": 5.0, "b": 5.0, "c": 1.0}, "two": {"a": 9.0, "b": 2.0, "c": 3.0}}
    assert mean_ranks(table, is_larger_better=True) == {"a": 1.25, "b": 2.25, "c": 2.5}
    assert mean_ranks(table, is_larger_better=False) == {"a": 2.75, "b": 1.75, "c": 1.5}


def test_a_case_that_lacks_an_arm_is_not_ranked():
    table = {"one": {"a": 5.0, "b": 4.0}, "two": {"a": 1.0}, "three": {"a": 1.0, "b": float("nan")}}
    assert mean_ranks(table, is_larger_better=True) == {"a": 1.0, "b": 2.0}


def test_best_member_is_by_hits_then_by_error():
    rows = {"a": row([3, 3], 0.9), "b": row([4, 2], 0.8), "c": row([0, 0], 0.1)}
    assert best_member(rows, ["a", "b", "c"]) == "b"


@pytest.mark.parametrize(
    ("hits", "is_no_loss"),
    [([10, 10, 10], True), ([8, 8, 8], True), ([6, 6, 6], False), ([16, 3, 10], False)],
    ids=["equal", "small loss", "large loss", "too uncertain"],
)
def test_verdict_excludes_a_loss_of_more_than_three(hits, is_no_loss):
    rows = {"ours": row(hits), "xy": row([10, 10, 10]), "deep": row([1, 1, 1])}
    found = verdict(rows, "ours", ["xy", "deep"])
    assert found["best_member"] == "xy"
    assert found["allowed_loss"] == 3.0
    assert found["is_no_loss"] is is_no_loss


def test_verdict_allows_a_tenth_of_many_hits():
    rows = {"ours": row([73, 73, 73]), "xy": row([80, 80, 80])}
    assert verdict(rows, "ours", ["xy"])["allowed_loss"] == 8.0
    assert verdict(rows, "ours", ["xy"])["is_no_loss"] is True


def test_verdict_takes_the_lowest_error_of_any_member():
    rows = {"ours": row([5, 5], 1.04), "xy": row([9, 9], 1.2), "deep": row([1, 1], 1.0)}
    found = verdict(rows, "ours", ["xy", "deep"])
    assert found["rmse_ratio"] == pytest.approx(1.04)
    assert found["is_rmse_good"] is True


def test_overall_compares_with_one_member_for_all_cases():
    cases = {
        "one": {"ours": row([8], 0.5, 0.96), "xy": row([10], 0.6), "deep": row([0], 0.4)},
        "two": {"ours": row([8], 0.7, 0.90), "xy": row([4], 0.8), "deep": row([9], 0.9)},
    }
    found = overall(cases, "ours", ["xy", "deep"])
    assert (found["top1_mean"], found["best_fixed_top1_mean"], found["best_fixed_member_by_top1"]) == (8.0, 7.0, "xy")
    assert found["best_fixed_rmse_mean"] == pytest.approx(0.65)
    assert found["is_top1_above"] and found["is_rmse_at_most"] and found["is_coverage_mean_good"]
    assert found["coverage_range"] == [0.90, 0.96]
