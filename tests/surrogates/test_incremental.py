"""The posterior of one member against gpytorch's exact GP and against brute force."""

import gpytorch
import numpy as np
import pytest
import torch

from probescout.surrogates.incremental import IncrementalGP
from probescout.surrogates.members.catalogue import BANK_XY
from probescout.surrogates.members.definition import Hyperparameters
from probescout.surrogates.members.gp import build_gp

HYPER = Hyperparameters(((0.3, 0.1, -0.2, 0.5), (-1.0, -0.6)), (-0.4, -1.1), -2.5)
N_CANDIDATES = 60


@pytest.fixture
def case():
    """Groups, candidates measured (one of them twice), values and stated noises."""
    rng = np.random.default_rng(1)
    groups = [rng.normal(size=(N_CANDIDATES, 4)), rng.uniform(size=(N_CANDIDATES, 2))]
    index = np.array([3, 50, 17, 8, 3, 21, 44, 59, 0, 30, 12, 40, 9, 27, 33, 51, 6, 48])
    return groups, index, rng.normal(size=len(index)), rng.uniform(0.0, 0.2, size=len(index))


def told(case, *, dtype=np.float64, n=None):
    groups, index, y, noise = case
    gp = IncrementalGP(groups, HYPER, dtype=dtype)
    for j, value, s in list(zip(index, y, noise, strict=True))[:n]:
        gp.tell(int(j), float(value), float(s))
    return gp


def kernel(groups):
    """The prior covariance (candidate, candidate), written out."""
    total = np.ones((N_CANDIDATES, N_CANDIDATES))
    for x, lengthscale, amplitude in zip(groups, HYPER.log_lengthscale, HYPER.log_amplitude, strict=True):
        scaled = x / np.exp(lengthscale)
        r = np.sqrt(5 * ((scaled[:, None] - scaled[None]) ** 2).sum(axis=2))
        total += np.exp(amplitude) * (1 + r + r**2 / 3) * np.exp(-r)
    return total


def exact(case, keep):
    """Mean and covariance over all candidates given some of the measurements, by direct solution."""
    groups, index, y, noise = case
    prior = kernel(groups)
    cross = prior[:, index[keep]]
    gram = prior[np.ix_(index[keep], index[keep])] + np.diag(np.exp(HYPER.log_noise) + noise[keep])
    return cross @ np.linalg.solve(gram, y[keep]), prior - cross @ np.linalg.solve(gram, cross.T)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-9), (np.float32, 2e-5)])
def test_mean_and_variance_agree_with_gpytorch(case, dtype, tolerance):
    groups, index, y, noise = case
    model = build_gp(BANK_XY, {"bank": groups[0][index], "xy": groups[1][index]}, y, np.maximum(noise, 1e-6))
    model.write(HYPER)
    model.eval()
    with torch.no_grad(), gpytorch.settings.fast_computations(False, False, False):
        reference = model(torch.tensor(np.hstack(groups)))
    gp = told(case, dtype=dtype)
    np.testing.assert_allclose(gp.mean, reference.mean.numpy(), atol=tolerance)
    np.testing.assert_allclose(gp.var, reference.variance.numpy(), atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 1e-5)])
def test_one_by_one_equals_all_at_once(case, dtype, tolerance):
    groups, index, y, noise = case
    batch = IncrementalGP(groups, HYPER, dtype=dtype)
    batch.rebuild(index, y, noise)
    stepwise = told(case, dtype=dtype)
    np.testing.assert_allclose(batch.mean, stepwise.mean, atol=tolerance)
    np.testing.assert_allclose(batch.var, stepwise.var, atol=tolerance)
    for a, b in zip(batch.leave_one_out(), stepwise.leave_one_out(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4 if dtype is np.float32 else 1e-9)


def test_tells_after_a_rebuild_equal_all_tells(case):
    groups, index, y, noise = case
    gp = IncrementalGP(groups, HYPER, dtype=np.float64)
    gp.rebuild(index[:7], y[:7], noise[:7])
    for j, value, s in zip(index[7:], y[7:], noise[7:], strict=True):
        gp.tell(int(j), float(value), float(s))
    np.testing.assert_allclose(gp.mean, told(case).mean, atol=1e-10)
    np.testing.assert_allclose(gp.var, told(case).var, atol=1e-10)


def test_leave_one_out_equals_refitting_without_each(case):
    _, index, y, noise = case
    mean, var = told(case).leave_one_out()
    for i in range(len(y)):
        without_mean, without_cov = exact(case, np.delete(np.arange(len(y)), i))
        assert mean[i] == pytest.approx(without_mean[index[i]], abs=1e-6)
        expected = without_cov[index[i], index[i]] + np.exp(HYPER.log_noise) + noise[i]
        assert var[i] == pytest.approx(expected, rel=1e-6)


def test_many_tells_in_single_precision_stay_accurate():
    rng = np.random.default_rng(2)
    groups = [rng.normal(size=(400, 4)), rng.uniform(size=(400, 2))]
    single, double = (IncrementalGP(groups, HYPER, dtype=d) for d in (np.float32, np.float64))
    for j in rng.integers(400, size=200):
        y = float(rng.normal())
        single.tell(int(j), y)
        double.tell(int(j), y)
    assert np.abs(np.sqrt(single.var) / np.sqrt(double.var) - 1).max() < 1e-4
    assert np.abs(single.mean - double.mean).max() < 1e-4


def test_a_pending_point_shrinks_the_variance_as_a_measurement_there_would(case):
    gp = told(case)
    mean, var, n = gp.mean.copy(), gp.var.copy(), gp.n
    pending = (5, 14, 5)
    rows = gp.fantasies(pending)
    real = told(case)
    for j in pending:
        real.tell(j, float(real.mean[j]))
    np.testing.assert_allclose(var - (rows**2).sum(axis=0), real.var, atol=1e-10)
    np.testing.assert_allclose(real.mean, mean, atol=1e-10)
    np.testing.assert_array_equal(gp.mean, mean)
    np.testing.assert_array_equal(gp.var, var)
    assert gp.n == n
    np.testing.assert_allclose(gp.fantasies(pending, rows[:2]), rows, atol=1e-12)


def test_covariance_equals_brute_force(case):
    gp = told(case)
    _, covariance = exact(case, np.arange(len(case[1])))
    some = np.array([1, 3, 20, 59])
    np.testing.assert_allclose(gp.covariance(some), covariance[np.ix_(some, some)], atol=1e-9)
    rows = gp.fantasies((5,))
    conditioned = covariance - np.outer(covariance[5], covariance[5]) / (covariance[5, 5] + gp.noise)
    np.testing.assert_allclose(gp.covariance(some, rows), conditioned[np.ix_(some, some)], atol=1e-9)


def test_measuring_one_place_again_and_again_averages_the_noise(case):
    gp = IncrementalGP(case[0], HYPER)
    for _ in range(500):
        gp.tell(7, 1.0)
    assert gp.mean[7] == pytest.approx(1.0, abs=1e-3)
    assert gp.var[7] == pytest.approx(gp.noise / 500, rel=0.05)
    assert np.isfinite(gp.mean).all() and (gp.var > 0).all()


def test_views_of_rows_survive_later_tells(case):
    gp = told(case)
    rows, mean = gp.rows, gp.mean
    copy, mean_copy = rows.copy(), mean.copy()
    for j in range(40):
        gp.tell(j, 0.3)
    np.testing.assert_array_equal(rows, copy)
    np.testing.assert_array_equal(mean, mean_copy)


def test_correlation_is_one_with_itself_and_decays(case):
    correlation = told(case).correlation(4)
    assert correlation[4] == pytest.approx(1.0, abs=1e-12)
    assert (np.delete(correlation, 4) < 1.0).all() and (correlation > 0).all()
