"""Which axis a fit chooses, and that it keeps it."""

import numpy as np
import pytest

from probescout.surrogates.committee import Committee
from probescout.surrogates.fitting import fit
from probescout.surrogates.warp import Warp


def fitted(features, values, *, n=60, n_fits=2, variance=float("nan")):
    committee = Committee(features, seed=0, use_deep=False)
    for index in np.random.default_rng(4).choice(1024, n, replace=False):
        committee.tell(int(index), float(values[index]), variance)
    for _ in range(n_fits):
        committee.swap(fit(committee.fit_request()))
    return committee


def width(committee):
    return Warp.from_json(committee.hyperparameters()["scale"]["warp"]).width


@pytest.fixture(scope="module")
def smooth(field):
    """A smooth target (1024,) of standard normal spread."""
    values = np.log(field[1])
    return (values - values.mean()) / values.std()


def test_values_that_span_decades_bend_the_axis_and_normal_ones_do_not(features, smooth):
    rng = np.random.default_rng(0)
    noisy = smooth + 0.1 * rng.normal(size=1024)
    assert width(fitted(features, noisy)) == 0.0
    assert width(fitted(features, np.exp(2.0 * noisy))) > 0.0


def test_what_is_mapped_back_is_right_over_decades(features, smooth):
    values = np.exp(2.0 * (smooth + 0.05 * np.random.default_rng(1).normal(size=1024)))
    bent = fitted(features, values)
    truth, spread = np.exp(2.0 * smooth), bent.posterior().std
    inside = np.abs(bent.posterior().mean - truth) <= 1.96 * spread
    assert 0.85 <= inside.mean() <= 1.0
    middle = np.abs(np.log(np.maximum(bent.posterior().mean, 1e-3)) - 2.0 * smooth)
    assert np.median(middle) < 0.6


def test_the_axis_does_not_flap(features, smooth):
    values = np.exp(2.0 * (smooth + 0.1 * np.random.default_rng(2).normal(size=1024)))
    committee = fitted(features, values, n_fits=1)
    first = committee.hyperparameters()["scale"]["warp"]
    committee.swap(fit(committee.fit_request()))
    committee.swap(fit(committee.fit_request()))
    assert committee.hyperparameters()["scale"]["warp"] == first


def test_counts_that_are_mostly_zero_stay_straight(features, smooth):
    counts = np.random.default_rng(3).poisson(0.2 * np.exp(smooth)).astype(float)
    assert (counts == 0).mean() > 0.6
    assert width(fitted(features, counts)) == 0.0


def test_units_do_not_matter_to_the_bend(features, smooth):
    values = np.exp(2.0 * smooth)
    one, other = fitted(features, values), fitted(features, 1e6 * values - 3.0)
    np.testing.assert_allclose(other.posterior().mean, 1e6 * one.posterior().mean - 3.0, rtol=2e-3)
    assert width(other) == pytest.approx(1e6 * width(one), rel=1e-6)


def test_counts_are_followed_although_each_claims_more_noise_than_all_vary(features, smooth):
    rate = np.exp(0.9 * smooth - 0.5)
    counts = np.random.default_rng(5).poisson(rate).astype(float)
    committee = Committee(features, seed=0, use_deep=False)
    for index in np.random.default_rng(6).choice(1024, 110, replace=False):
        committee.tell(int(index), counts[index], counts[index] + 1.0)
    committee.swap(fit(committee.fit_request()))
    post = committee.posterior()
    error = np.sqrt(np.mean((post.mean - rate) ** 2)) / rate.std()
    assert error < 0.75
    # The true probability of the interval mean +- 1.96 SD of so few counts is 0.90 to 0.95.
    assert 0.85 <= np.mean(np.abs(counts - post.mean) <= 1.96 * post.predictive_std) <= 0.99
