"""What one-step-ahead predictions say about the calibration."""

import numpy as np
import pytest
from scipy.stats import kstest, norm

from probescout.surrogates.committee import Committee
from probescout.surrogates.fitting import fit
from probescout.surrogates.scores import NO_SCORE, Score, calibration_of

FIELD = np.linspace(0.0, 1.0, 800)


def scored(z, mean=None, pit=None):
    mean = np.full(len(z), 0.5) if mean is None else mean
    pit = norm.cdf(z) if pit is None else pit
    return [Score(float(a), pit=float(p), mean=float(m)) for a, p, m in zip(z, pit, mean, strict=True)]


def test_counts_and_distance_are_those_of_scipy():
    z = np.random.default_rng(0).normal(size=60) * 1.3 + 0.4
    found = calibration_of([NO_SCORE, *scored(z)], FIELD, is_deep_alarmed=False)
    pit = norm.cdf(z)
    assert found.n == 60 and sum(found.pit_counts) == 60
    np.testing.assert_array_equal(found.pit_counts, np.histogram(pit, bins=10, range=(0, 1))[0])
    assert found.pit_ks == pytest.approx(kstest(pit, "uniform").statistic, rel=1e-12)
    assert found.coverage50 == pytest.approx(np.mean((pit >= 0.25) & (pit <= 0.75)))
    assert found.coverage95 == pytest.approx(np.mean(np.abs(z) <= 1.96), abs=1e-9)


def test_only_the_latest_sixty_count():
    z = np.r_[np.full(100, 9.0), np.zeros(60)]
    found = calibration_of(scored(z), FIELD, is_deep_alarmed=False)
    assert found.n == 60 and found.coverage95 == 1.0 and not found.is_alarmed


def test_nothing_scored_says_nothing():
    found = calibration_of([NO_SCORE] * 5, FIELD, is_deep_alarmed=True)
    assert found.n == 0 and np.isnan(found.pit_ks) and found.is_alarmed and found.is_deep_shut_off


def test_too_narrow_intervals_raise_the_alarm_and_few_predictions_do_not():
    z = np.random.default_rng(1).normal(size=60) * 4.0
    assert calibration_of(scored(z), FIELD, is_deep_alarmed=False).is_alarmed
    assert not calibration_of(scored(z[:19]), FIELD, is_deep_alarmed=False).is_alarmed


def test_disappointment_where_the_planner_hoped_is_no_alarm_while_the_rest_is_right():
    rng = np.random.default_rng(2)
    mean = np.r_[np.full(50, 0.97), np.linspace(0.05, 0.8, 10)]
    z = np.r_[np.where(np.arange(50) % 3 == 0, -4.0, 0.5), 0.5 * rng.normal(size=10)]
    found = calibration_of(scored(z, mean), FIELD, is_deep_alarmed=False)
    assert found.coverage95 < 0.8 and not found.is_alarmed
    z[50:] = 5.0
    assert calibration_of(scored(z, mean), FIELD, is_deep_alarmed=False).is_alarmed


def test_probabilities_of_a_committee_are_even_on_what_it_is_made_for(features, field):
    rng = np.random.default_rng(3)
    values = field[1] + 0.5 * rng.normal(size=1024)
    committee = Committee(features, seed=0, use_deep=False)
    for index in rng.choice(1024, 100, replace=False):
        committee.tell(int(index), float(values[index]))
        if committee.needs_fit():
            committee.swap(fit(committee.fit_request()))
    found = committee.calibration()
    assert found.n == 60 and sum(found.pit_counts) == 60
    assert 0.85 <= found.coverage95 <= 1.0
    assert found.pit_ks < 0.25
    again = Committee.restore(features, committee.state()).calibration()
    assert again == found
