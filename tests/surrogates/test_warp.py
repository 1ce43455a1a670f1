"""The bent axis: its inverse, its slope and the moments of what is mapped back."""

import numpy as np
import pytest

from probescout.surrogates.noise import scale_of
from probescout.surrogates.warp import STRAIGHT, Warp

WARP = Warp(3.0, 0.7)


def test_inverse_and_slope():
    values = np.array([-1e6, -2.0, 2.999, 3.0, 3.5, 40.0, 1e9])
    np.testing.assert_allclose(WARP.inverse(WARP.forward(values)), values, rtol=1e-12)
    step = 1e-5 * np.maximum(np.abs(values), 1.0)
    numeric = (WARP.forward(values + step) - WARP.forward(values - step)) / (2 * step)
    np.testing.assert_allclose(WARP.slope(values), numeric, rtol=1e-6)


def test_moments_are_those_of_many_draws():
    rng = np.random.default_rng(0)
    mean, var = np.array([-1.0, 0.0, 1.5]), np.array([0.3, 0.8, 0.1])
    draws = WARP.inverse(mean + np.sqrt(var) * rng.normal(size=(400_000, 3)))
    centre, spread = WARP.moments(mean, var)
    np.testing.assert_allclose(centre, draws.mean(axis=0), rtol=0.01)
    np.testing.assert_allclose(spread, draws.var(axis=0), rtol=0.03)


def test_covariances_are_those_of_many_draws_and_agree_with_the_variances():
    rng = np.random.default_rng(1)
    mean, root = np.array([0.4, -0.6, 1.0]), rng.normal(size=(3, 3)) * 0.4
    covariance = root @ root.T
    var = np.diag(covariance)[None]
    found = WARP.covariance(covariance[None], mean[None], var, mean[None], var)[0]
    draws = WARP.inverse(mean + rng.normal(size=(400_000, 3)) @ root.T)
    np.testing.assert_allclose(found, np.cov(draws.T), rtol=0.05, atol=0.01)
    np.testing.assert_allclose(np.diag(found), WARP.moments(mean, var[0])[1], rtol=1e-12)


def test_what_is_absurd_stays_finite():
    mean, var = np.array([-1e9, 0.0, 1e9]), np.array([1e9, 1e9, 0.0])
    assert all(np.isfinite(a).all() for a in WARP.moments(mean, var))
    assert np.isfinite(WARP.inverse(mean)).all()


def test_a_straight_axis_changes_nothing():
    values = np.array([1.0, 2.0])
    assert STRAIGHT.forward(values) is values
    np.testing.assert_array_equal(STRAIGHT.moments(values, values), (values, values))
    assert Warp.from_json(WARP.to_json()) == WARP


def test_scale_maps_back_what_it_maps():
    values = np.random.default_rng(3).lognormal(size=60)
    scale = scale_of(values, np.full(60, np.nan), Warp(1.0, 0.4))
    y = scale.standardise(values)
    assert y.mean() == pytest.approx(0.0, abs=1e-12) and y.std() == pytest.approx(1.0)
    np.testing.assert_allclose(scale.restored(y), values, rtol=1e-12)
    step = 1e-6
    slope = (scale.standardise(scale.restored(y) + step) - scale.standardise(scale.restored(y) - step)) / (2 * step)
    np.testing.assert_allclose(scale.slope(y), slope, rtol=1e-5)
