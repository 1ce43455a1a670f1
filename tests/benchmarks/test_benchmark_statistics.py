"""Verdicts of the quality benchmark by hand."""

import pytest

from benchmarks.statistics import best_member, overall, verdict


def row(hits, rmse=1.0, coverage=0.95):
    return {"top1_found": hits, "rmse": rmse, "coverage95": coverage}


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
