"""Weights, interval corrections, scale of the target: closed forms and limits."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import norm

from probescout.surrogates.interval import LEAST_QUANTILE, Z95, flat_factor, quantile_factor, variance_factor
from probescout.surrogates.noise import Scale, is_constant, scale_of
from probescout.surrogates.schedule import FitSchedule
from probescout.surrogates.warp import Warp
from probescout.surrogates.weights import judge_deep, log_normal, point_weights, stack


def rng():
    return np.random.default_rng(0)


def test_log_normal_is_that_of_scipy():
    y, mean, var = rng().normal(size=9), rng().normal(size=9) + 1, np.full(9, 2.3)
    np.testing.assert_allclose(log_normal(y, mean, var), norm(mean, np.sqrt(var)).logpdf(y))


def test_stacking_maximises_its_penalised_score():
    generator = rng()
    y = generator.normal(size=80)
    mean = np.stack([0.8 * y, np.zeros(80), generator.normal(size=80)])
    var = np.stack([np.full(80, 0.2), np.full(80, 1.0), np.full(80, 1.5)])
    omega = generator.uniform(0.3, 3, size=80)
    density = np.exp(log_normal(y, mean, var))

    def loss(logits):
        w = np.exp(logits - logits.max())
        w /= w.sum()
        return -(omega @ np.log(w @ density) + np.log(w).sum())

    best = minimize(loss, np.zeros(3), tol=1e-12).x
    expected = np.exp(best - best.max())
    expected /= expected.sum()
    np.testing.assert_allclose(stack(y, mean, var, omega), expected, atol=2e-3)


def test_stacking_without_evidence_is_even():
    np.testing.assert_array_equal(stack(np.zeros(0), np.zeros((4, 0)), np.ones((4, 0)), np.zeros(0)), np.full(4, 0.25))


def test_stacking_survives_densities_that_underflow():
    y = np.full(30, 1e4)
    weights = stack(y, np.zeros((2, 30)), np.stack([np.full(30, 1e-3), np.full(30, 1.0)]), np.ones(30))
    assert np.isfinite(weights).all() and weights[1] > 0.9


def test_point_weights_undo_oversampling():
    field = np.linspace(0, 1, 8000)
    measured = np.r_[np.arange(200, 8000, 1000), np.full(8, 7500)]
    weights = point_weights(field, field[measured])
    assert weights.sum() == pytest.approx(len(measured))
    # Nine measurements share the last bin, one each the other seven.
    assert weights[0] / weights[-1] == pytest.approx(9.0)
    np.testing.assert_array_equal(point_weights(np.zeros(10), np.array([1, 2])), [1.0, 1.0])


def test_variance_factor_by_hand():
    mean, z2, even = np.zeros(10), np.full(10, 4.0), np.ones(10)
    factor = variance_factor(mean, z2, even, -10.0, 10.0)
    assert factor(np.array(0.0)) == pytest.approx((3 + 40) / 13, rel=0.02)
    assert factor(np.array(10.0)) == pytest.approx(1.0, abs=1e-3)
    capped = variance_factor(mean, np.full(10, 1e6), even, -1.0, 1.0)
    assert capped(np.array(0.0)) == pytest.approx(93 / 13, rel=0.02)
    half = variance_factor(mean, np.r_[np.full(5, 4.0), np.zeros(5)], np.r_[np.full(5, 2.0), np.zeros(5)], -1.0, 1.0)
    assert half(np.array(0.0)) == pytest.approx((3 + 40) / 13, rel=0.02)
    assert flat_factor(np.full(7, 2.0))(np.array(5.0)) == pytest.approx(17 / 10)


def test_quantile_is_right_for_normal_errors_and_grows_for_narrow_claims():
    z, omega = np.abs(rng().normal(size=4000)), np.ones(4000)
    assert quantile_factor(lambda f: z / f, omega) == pytest.approx(1.0, abs=0.04)
    assert quantile_factor(lambda f: 2.0 * z / f, omega) == pytest.approx(2.0, abs=0.08)
    assert quantile_factor(lambda f: 1e-3 * z / f, omega) == pytest.approx(LEAST_QUANTILE / Z95, rel=0.01)
    assert np.isfinite(quantile_factor(lambda f: 1e6 * z / f, omega))
    assert quantile_factor(lambda f: z[:4] / f, omega[:4]) == 1.0


def test_quantile_weighs_and_counts_one_value_more():
    size = np.arange(1.0, 41.0)
    # 0.95 of 41 is reached at the 39th; with the largest two unweighted 0.95 of 38.95 at the 38th.
    assert quantile_factor(lambda f: size / f, np.ones(40)) * Z95 == pytest.approx(39.0)
    omega = np.r_[np.ones(38), 0.0, 0.0]
    assert quantile_factor(lambda f: size / f, omega) * Z95 == pytest.approx(38.0)


def test_quantile_of_tied_values_keeps_them_inside():
    # One value in eight is 1, the others 0: an interval that leaves the ones out covers 88 %.
    y = np.r_[np.zeros(84), np.ones(12)]
    size = np.abs(y - y.mean()) / y.std()
    factor = quantile_factor(lambda f: size / f, np.ones(96))
    assert (size / factor <= Z95 + 1e-9).all()


def test_quantile_is_found_where_the_width_grows_fast():
    warp, n = Warp(centre=0.0, width=1.0), 110
    for seed in range(20):
        bent = np.random.default_rng(seed).normal(scale=1.2, size=n)
        values = warp.inverse(bent)

        def sizes(factor, values=values):
            mean, var = warp.moments(np.zeros(n), np.full(n, factor * factor))
            return np.abs(values - mean) / np.sqrt(var)

        assert 0.95 <= np.mean(sizes(quantile_factor(sizes, np.ones(n))) <= Z95) <= 0.99, seed


def test_where_no_factor_is_enough_it_stays_moderate():
    assert quantile_factor(lambda f: np.full(40, 9.0), np.ones(40)) * Z95 == pytest.approx(9.0)


@pytest.mark.parametrize("spread", [0.4, 0.9])
def test_quantile_on_a_bent_axis_is_that_of_the_reported_interval(spread):
    warp, n = Warp(centre=0.0, width=1.0), 20000
    bent = 1.5 + spread * rng().normal(size=n)
    values = warp.inverse(bent)

    def sizes(factor):
        mean, var = warp.moments(np.full(n, 1.5), np.full(n, (factor * spread) ** 2))
        return np.abs(values - mean) / np.sqrt(var)

    factor = quantile_factor(sizes, np.ones(n))
    assert np.mean(sizes(factor) <= Z95) == pytest.approx(0.95, abs=0.006)


def test_importance_does_not_depend_on_the_unit():
    field, measured = np.linspace(0, 1, 100), np.linspace(0.5, 1, 10)
    for unit in (1e-13, 1e9):
        np.testing.assert_allclose(point_weights(unit * field, unit * measured), point_weights(field, measured))
    np.testing.assert_array_equal(point_weights(1e9 + 0 * field, 1e9 + 0 * measured), np.ones(10))


def test_doubted_measurements_have_no_weight():
    field, measured = np.linspace(0, 1, 100), np.linspace(0, 1, 10)
    trusted = np.arange(10) != 4
    weights = point_weights(field, measured, trusted)
    assert weights[4] == 0.0 and weights.sum() == pytest.approx(10.0)
    np.testing.assert_allclose(weights[trusted], point_weights(field, measured[trusted]) * 10 / 9)


def test_deep_verdicts():
    z = rng().normal(size=40)
    even = np.zeros(40)
    assert judge_deep(even[:5], even[:5] + 3, z[:5], z[:5]).weight == 0.0  # too early
    assert judge_deep(even, even + 1.0, z, z).weight > 0.6
    worse = judge_deep(even, even - 0.3, z, z)
    assert worse.weight < 0.1 and not worse.is_alarmed
    assert judge_deep(even, even - 1.0, z, z) == judge_deep(even, even - 1.0, 5 * z, z)
    assert judge_deep(even, even - 1.0, z, z).is_alarmed  # much worse
    assert judge_deep(even, even + 1.0, 5 * z, z).is_alarmed  # covers too little
    assert not judge_deep(even, even + 1.0, 5 * z, 5 * z).is_alarmed  # and so do the others
    assert judge_deep(even, np.full(40, np.nan), z, z).is_alarmed
    # An early failure is forgotten once sixty later scores are good.
    late = np.r_[np.full(40, -9.0), np.full(60, 1.0)]
    later = rng().normal(size=60)
    assert judge_deep(np.zeros(100), late, np.r_[9 * z, later], np.r_[z, later]).weight > 0.6


def test_scale_of_values():
    values, unknown = np.array([1.0, 3.0]), np.full(2, np.nan)
    assert scale_of(values, unknown) == Scale(2.0, 1.0, 0.0, 0.0, (0.0, 0.0), False, typical_value=2.0)
    assert scale_of(np.zeros(0), np.zeros(0)) == Scale()
    assert scale_of(np.zeros(4), np.full(4, np.nan)).sd == 1.0
    assert scale_of(np.full(4, -3.0), np.full(4, np.nan)).sd == 3.0
    assert scale_of(np.zeros(4), np.full(4, 25.0)).sd == 5.0
    assert is_constant(np.full(5, 0.1 + 0.2)) and is_constant(np.array([0.3, 0.1 + 0.2]))
    assert not is_constant(np.array([1e-12, 2e-12]))


def test_schedule_waits_longer_as_data_grow():
    schedule = FitSchedule()
    assert not schedule.is_due(4, is_constant=False) and schedule.is_due(5, is_constant=False)
    assert not schedule.is_due(50, is_constant=True)
    done = schedule.requested(5).done(1, 5)
    assert not done.is_due(9, is_constant=False) and done.is_due(10, is_constant=False)
    assert not done.requested(10).is_due(14, is_constant=False) and done.requested(10).is_due(15, is_constant=False)
    assert FitSchedule(3, 100).is_due(115, is_constant=False) and not FitSchedule(3, 100).is_due(114, is_constant=False)
    assert FitSchedule.from_json(done.requested(10).to_json()).is_due(10, is_constant=False)
