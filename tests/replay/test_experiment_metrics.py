"""Scores against hand-made maps whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from probescout.replay.metrics import best_curve, judge, prediction_scores, top_curve

TRUTH = np.arange(201.0)
ALL = np.ones(201, dtype=bool)


def test_best_fraction_counts_from_the_median_to_the_maximum() -> None:
    path = np.array([100, 150, 120, 200])
    np.testing.assert_allclose(best_curve(TRUTH, ALL, path), [0.0, 0.5, 0.5, 1.0])
    assert best_curve(TRUTH, ALL, np.array([50]))[0] == pytest.approx(-0.5)


def test_median_maximum_and_top_are_those_of_the_candidates() -> None:
    some = TRUTH <= 100
    np.testing.assert_allclose(best_curve(TRUTH, some, np.array([75])), [0.5])
    assert top_curve(TRUTH, some, np.array([99, 100, 98])).tolist() == [1, 2, 2]


def test_top_one_percent_counts_each_pixel_once_and_failures_never() -> None:
    # 99th percentile of 0..200 is 198: 198, 199 and 200 are the top.
    path = np.array([198, 198, -1, 197, 200, 199])
    assert top_curve(TRUTH, ALL, path).tolist() == [1, 1, 1, 1, 2, 3]
    failed = judge(TRUTH, ALL, np.array([-1, -1]), TRUTH, np.ones(201), np.array([1.0, 2.0]))
    assert (failed.top1_found, failed.top1_total) == (0, 3) and np.isnan(failed.best_fraction)


def test_ties_at_the_percentile_all_belong_to_the_top() -> None:
    truth = np.where(np.arange(100) < 95, 0.0, 7.0)
    assert judge(truth, np.ones(100, bool), np.array([0]), truth, truth + 1, np.ones(1)).top1_total == 5


def test_rmse_and_coverage_leave_out_what_was_measured() -> None:
    rng = np.random.default_rng(4)
    truth = rng.normal(3.0, 2.0, 50_000)
    mean = truth + rng.normal(0.0, 0.5, truth.size)
    mean[:1000] = 1e9
    path = np.arange(1000)
    every = np.ones(truth.size, dtype=bool)
    rmse, coverage = prediction_scores(truth, every, path, mean, np.full(truth.size, 0.5))
    assert rmse == pytest.approx(0.25, rel=0.02)
    assert coverage == pytest.approx(0.95, abs=0.005)
    # Half the width of the interval covers erf(1.96 / 2 / sqrt 2) = 67.3 %.
    assert prediction_scores(truth, every, path, mean, np.full(truth.size, 0.25))[1] == pytest.approx(0.673, abs=0.01)


def test_predicting_the_mean_of_the_map_has_an_error_of_one() -> None:
    rng = np.random.default_rng(5)
    truth = rng.normal(size=20_000)
    rmse, _ = prediction_scores(truth, np.ones(truth.size, bool), np.array([], int), np.zeros(truth.size), truth * 0)
    assert rmse == pytest.approx(1.0, rel=1e-3)


def test_pixels_without_truth_play_no_part() -> None:
    truth = TRUTH.copy()
    truth[150:] = np.nan
    scores = judge(truth, ALL, np.array([149, 10, 160]), np.where(np.isnan(truth), 1e6, truth), ALL * 1.0, np.ones(3))
    assert scores.best_fraction == 1.0 and scores.rmse == 0.0 and scores.coverage95 == 1.0
    assert scores.points_to_95 == 1


def test_points_needed_and_step_times() -> None:
    scores = judge(TRUTH, ALL, np.array([0, 150, 196, 200]), TRUTH, ALL * 1.0, np.array([1.0, 2.0, 3.0, 100.0]))
    assert scores.points_to_95 == 3
    assert scores.step_ms_p50 == 2.5 and scores.step_ms_p99 == pytest.approx(97.09)
    assert judge(TRUTH, ALL, np.array([0]), TRUTH, ALL * 1.0, np.ones(1)).points_to_95 is None


def test_a_constant_map_and_a_fully_measured_one_have_no_score() -> None:
    flat = judge(np.ones(9), np.ones(9, bool), np.arange(3), np.ones(9), np.ones(9), np.ones(3))
    assert np.isnan(flat.best_fraction) and np.isnan(flat.rmse) and flat.points_to_95 is None
    known = np.arange(9.0)
    assert np.isnan(judge(known, np.ones(9, bool), np.arange(9), known, known, np.ones(9)).rmse)
