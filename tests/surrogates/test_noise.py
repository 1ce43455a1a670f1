"""What stated variances mean: counts, claims that cannot be true, values far out."""

import numpy as np
import pytest

from probescout.surrogates.noise import Scale, scale_of
from probescout.surrogates.warp import Warp


def test_noise_of_counts_is_that_of_the_rate():
    counts = np.array([1.0, 4.0, 9.0, 16.0])
    scale = scale_of(counts, counts + 1.0)
    assert scale.variance_slope == pytest.approx(1.0) and scale.count_variance == pytest.approx(1.0)
    # A quarter of the spread may be noise, so predictions count for three quarters.
    share = 7.5 / counts.var()
    assert scale.noise_share == pytest.approx(share)
    expected = 7.5 + (1.0 - share) * (np.array([4.0, 9.0]) - 7.5)
    np.testing.assert_allclose(scale.expected_noise(scale.standardise(np.array([4.0, 9.0]))) * scale.sd**2, expected)
    many = 1000.0 * counts
    exact = scale_of(many, many + 1.0)
    np.testing.assert_allclose(exact.expected_noise(exact.standardise(many)) * exact.sd**2, many, rtol=2e-3)
    # Beyond what was stated the line does not go on.
    np.testing.assert_allclose(scale.expected_noise(np.array([-50.0, 50.0])) * scale.sd**2, [1.0, 16.0])
    assert Scale.from_json(scale.to_json()) == scale


def test_poisson_counts_without_signal_all_get_the_same_noise():
    counts = np.random.default_rng(0).poisson(2.0, size=4000).astype(float)
    scale = scale_of(counts, counts + 1.0)
    assert scale.noise_share == pytest.approx(1.0, abs=0.05)
    found = scale.noise(counts, counts + 1.0)
    np.testing.assert_allclose(found, found[0], rtol=0.25)
    assert found.mean() == pytest.approx(1.0, abs=0.06)


def test_scaled_counts_are_recognised_and_other_variances_are_not():
    counts = np.random.default_rng(1).poisson(30.0, size=50).astype(float)
    assert scale_of(0.2 * counts, 0.04 * (counts + 1.0)).count_variance == pytest.approx(0.04)
    assert scale_of(counts, 2.0 * counts).count_variance == 0.0
    assert scale_of(counts, np.full(50, 3.0)).count_variance == 0.0
    assert scale_of(counts, np.where(np.arange(50) < 3, 9.0, counts + 1.0)).count_variance == 0.0
    assert scale_of(counts, np.full(50, np.nan)).count_variance == 0.0


def test_claims_are_taken_as_they_are_up_to_the_spread_of_the_values():
    scale = Scale(5.0, 2.0, 3.0, 0.0, (1.0, 9.0), False)
    found = scale.noise(np.array([5.0, 5.0, 5.0, 5.0, 5.0]), np.array([1.0, 2.5, np.nan, 0.0, 1e30]))
    np.testing.assert_allclose(found, [0.25, 0.625, 0.0, 0.0, 1.0])


def test_a_claim_far_from_the_rest_is_believed_further():
    scale = Scale(5.0, 2.0, 3.0, 0.0, (1.0, 9.0), False)
    assert scale.noise(np.array([5.0 + 30 * 2.0]), np.array([1e30]))[0] == pytest.approx(100.0)


def test_noise_on_a_bent_axis_is_that_of_small_errors():
    rng = np.random.default_rng(2)
    values = np.exp(rng.normal(size=200))
    scale = scale_of(values, np.full(200, 1e-4), Warp(1.0, 0.5))
    errors = 0.01 * rng.normal(size=(4000, 200))
    spread = (scale.standardise(values + errors) - scale.standardise(values)).var(axis=0)
    np.testing.assert_allclose(scale.noise(values, np.full(200, 1e-4)), spread, rtol=0.12)
    np.testing.assert_allclose(scale.expected_noise(scale.standardise(values)), spread, rtol=0.12)


def test_a_scale_of_the_first_version_is_still_read():
    old = {"mean": 2.0, "sd": 1.0, "typical_variance": 0.5, "variance_slope": 0.1, "variance_limits": [0.1, 1.0]}
    scale = Scale.from_json({**old, "is_constant": False})
    assert scale.warp.is_straight and scale.count_variance == 0.0 and scale.typical_value == 2.0
