"""Ranks and intervals against closed forms and SciPy."""

import math

import numpy as np
import pytest
from scipy.stats import ttest_rel

from probescout.suites.statistics import mean_interval, mean_ranks, paired_interval


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
