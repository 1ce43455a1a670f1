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
        gp.tell(seen(groups, j), float(value), float(s))
    return gp


def seen(groups, at):
    """What the member sees of candidates."""
    return [g[at] for g in groups]


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
    stepwise = told(case, dtype=dtype)
    for ends in ([18], [7, 18], [1, 2, 9, 10, 18]):
        batch = IncrementalGP(groups, HYPER, dtype=dtype)
        for start, end in zip([0, *ends], ends, strict=False):
            part = slice(start, end)
            batch.extend(seen(groups, index[part]), y[part], noise[part])
        np.testing.assert_allclose(batch.mean, stepwise.mean, atol=tolerance)
        np.testing.assert_allclose(batch.var, stepwise.var, atol=tolerance)
        for a, b in zip(batch.leave_one_out(), stepwise.leave_one_out(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9)


def test_rows_in_blocks_are_the_whole_factor(case):
    rng = np.random.default_rng(4)
    groups = case[0]
    index, y = rng.integers(N_CANDIDATES, size=100), rng.normal(size=100)
    gp = IncrementalGP(groups, HYPER, dtype=np.float64)
    for start, end in ((0, 30), (30, 31), (31, 70), (70, 100)):
        gp.extend(seen(groups, index[start:end]), y[start:end], np.zeros(end - start))
    rows = np.concatenate(list(gp.row_blocks()))
    prior = kernel(groups)
    lower = np.linalg.cholesky(prior[np.ix_(index, index)] + np.exp(HYPER.log_noise) * np.eye(100))
    np.testing.assert_allclose(rows, np.linalg.solve(lower, prior[index]), atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_any_point_is_answered_as_those_of_the_field(case, dtype):
    groups, index, y, noise = case
    gp = IncrementalGP([g[::2] for g in groups], HYPER, dtype=dtype)
    gp.extend(seen(groups, index), y, noise)
    mean, covariance = exact(case, np.arange(len(y)))
    tolerance = 1e-9 if dtype is np.float64 else 3e-5
    np.testing.assert_allclose(gp.mean, mean[::2], atol=tolerance)
    found_mean, found_var = gp.at(gp.kernel.points(groups))
    np.testing.assert_allclose(found_mean, mean, atol=tolerance)
    np.testing.assert_allclose(found_var, np.diag(covariance), atol=tolerance)
    known_mean, known_var = gp.at_measured()
    np.testing.assert_allclose(known_mean, mean[index], atol=1e-9)
    np.testing.assert_allclose(known_var, np.diag(covariance)[index], atol=1e-9)


def test_what_is_left_of_the_constant_is_the_variance_far_away(case):
    gp = told(case)
    far = gp.kernel.points([np.full((1, 4), 1e3), np.full((1, 2), 1e3)])
    assert gp.at(far)[1][0] == pytest.approx(gp.kernel.amplitude + gp.constant_variance, rel=1e-9)


def test_a_matrix_that_cannot_be_factorised_changes_nothing(case):
    gp = told(case)
    before, n = gp.mean, gp.n
    with pytest.raises(np.linalg.LinAlgError):
        gp.extend(seen(case[0], np.array([4, 4])), np.zeros(2), np.full(2, -gp.noise - 5.0))
    assert gp.n == n and gp.mean is before


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
        single.tell(seen(groups, j), y)
        double.tell(seen(groups, j), y)
    assert np.abs(np.sqrt(single.var) / np.sqrt(double.var) - 1).max() < 1e-4
    assert np.abs(single.mean - double.mean).max() < 1e-4


def test_measuring_one_place_again_and_again_averages_the_noise(case):
    gp = IncrementalGP(case[0], HYPER)
    for _ in range(500):
        gp.tell(seen(case[0], 7), 1.0)
    assert gp.mean[7] == pytest.approx(1.0, abs=1e-3)
    assert gp.var[7] == pytest.approx(gp.noise / 500, rel=0.05)
    assert np.isfinite(gp.mean).all() and (gp.var > 0).all()


def test_views_of_rows_survive_later_tells(case):
    gp = told(case)
    rows, mean = next(gp.row_blocks()), gp.mean
    copy, mean_copy = rows.copy(), mean.copy()
    for j in range(40):
        gp.tell(seen(case[0], j), 0.3)
    np.testing.assert_array_equal(rows, copy)
    np.testing.assert_array_equal(mean, mean_copy)


def test_correlation_is_one_with_itself_and_decays(case):
    gp = told(case)
    correlation = gp.correlation(gp.kernel.points(seen(case[0], np.array([50]))))
    assert correlation[1] == pytest.approx(1.0, abs=1e-12)
    assert (np.delete(correlation, 1) < 1.0).all() and (correlation > 0).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_what_was_prepared_changes_no_bit(case, dtype, monkeypatch):
    groups = case[0]
    plain, ready = told(case, dtype=dtype), told(case, dtype=dtype)
    worked_out = []
    real = IncrementalGP._ahead
    monkeypatch.setattr(IncrementalGP, "_ahead", lambda gp, x: worked_out.append(gp) or real(gp, x))
    for n, (guess, at) in enumerate([(5, 5), (7, 22), (50, 50), (22, 22)]):
        ready.prepare(seen(groups, guess))
        assert worked_out.pop() is ready
        for gp in (plain, ready):
            gp.tell(seen(groups, at), 0.1 * n, 0.01)
        assert (ready in worked_out) == (guess != at), "another point than was prepared is worked out anew"
        worked_out.clear()
    # What was prepared before something else was learnt, and for one of several, is of no use.
    ready.prepare(seen(groups, 9))
    for at in (np.array([1, 2]), np.array([9])):
        for gp in (plain, ready):
            gp.extend(seen(groups, at), np.full(len(at), 0.5), np.zeros(len(at)))
    for name in ("mean", "var", "innovations", "step_sd", "targets"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(ready, name))
    for a, b in zip(plain.row_blocks(), ready.row_blocks(), strict=True):
        np.testing.assert_array_equal(a, b)
