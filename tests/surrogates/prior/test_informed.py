"""The informed member against the dense formulas of a GP whose kernel has the theory as one more term."""

from __future__ import annotations

import numpy as np
import pytest

from probescout.surrogates.fantasies import Fantasies
from probescout.surrogates.incremental import IncrementalGP
from probescout.surrogates.members.definition import Hyperparameters
from probescout.surrogates.prior.informed import SCALE_COUNTS, SLOPE_VARIANCE, InformedGP

N, POINTS = 14, 40
NOISE = 0.05


@pytest.fixture(params=[1, 2])
def case(request):
    """A member in double precision with measurements and theory of one or two engines."""
    rng = np.random.default_rng(5)
    x = rng.uniform(size=(POINTS, 2))
    theory = rng.normal(size=(POINTS, request.param))
    at = rng.choice(POINTS, N, replace=False)
    y = 0.7 * theory[at, 0] + np.sin(4.0 * x[at, 0]) + 0.1 * rng.normal(size=N)
    gp = IncrementalGP([x], Hyperparameters(((-0.7, -0.3),), (-0.2,), float(np.log(NOISE))), dtype=np.float64)
    for j, value in zip(at, y, strict=True):
        gp.tell([x[j]], float(value))
    return gp, x, theory, at, y


def dense(gp, x, theory, at, y):
    """Return mean and covariance over the points, the scale of what is left, and leave-one-out means."""
    points = gp.kernel.points([x])
    prior = gp.kernel.between(points, points) + SLOPE_VARIANCE * theory @ theory.T
    k = prior[np.ix_(at, at)] + NOISE * np.eye(N)
    plain = gp.kernel.between(points, points)[np.ix_(at, at)] + NOISE * np.eye(N)
    scale = (SCALE_COUNTS + y @ np.linalg.solve(k, y)) / (SCALE_COUNTS + y @ np.linalg.solve(plain, y))
    mean = prior[:, at] @ np.linalg.solve(k, y)
    covariance = scale * (prior - prior[:, at] @ np.linalg.solve(k, prior[at]))
    inverse = np.linalg.inv(k)
    return mean, covariance, scale, y - inverse @ y / np.diag(inverse), scale / np.diag(inverse)


def test_mean_and_variance_are_those_of_the_kernel_with_the_theory(case):
    gp, x, theory, at, y = case
    informed = InformedGP(gp, theory, np.zeros_like(theory), theory[at])
    mean, covariance, scale, loo_mean, loo_var = dense(gp, x, theory, at, y)
    assert informed.scale == pytest.approx(scale, rel=1e-9)
    np.testing.assert_allclose(informed.mean, mean, atol=1e-8)
    np.testing.assert_allclose(informed.var, np.diag(covariance), atol=1e-8)
    np.testing.assert_allclose(informed.leave_one_out()[0], loo_mean, atol=1e-8)
    np.testing.assert_allclose(informed.leave_one_out()[1], loo_var, rtol=1e-8)
    np.testing.assert_allclose(informed.at_measured()[0], mean[at], atol=1e-8)
    np.testing.assert_allclose(informed.at_measured()[1], np.diag(covariance)[at], atol=1e-8)


def test_any_points_get_the_same_as_those_of_the_field(case):
    gp, x, theory, at, _ = case
    doubt = np.full_like(theory, 0.3)
    informed = InformedGP(gp, theory, doubt, theory[at])
    points = informed.points(gp.kernel.points([x[:9]]), theory[:9], doubt[:9])
    mean, var = informed.at(points)
    np.testing.assert_allclose(mean, informed.mean[:9], atol=1e-9)
    np.testing.assert_allclose(var, informed.var[:9], atol=1e-9)


def test_pending_points_take_away_what_the_dense_covariance_says(case):
    gp, x, theory, at, y = case
    informed = InformedGP(gp, theory, np.zeros_like(theory), theory[at])
    _, covariance, _, _, _ = dense(gp, x, theory, at, y)
    every = informed.points(gp.kernel.points([x]), theory, np.zeros_like(theory))
    pending = Fantasies.none(informed)
    for j in (3, 20):
        pending = pending.and_one(every[np.array([j])], NOISE)
    taken = covariance[:, [3, 20]] @ np.linalg.solve(
        covariance[np.ix_([3, 20], [3, 20])] + NOISE * np.eye(2), covariance[[3, 20]]
    )
    np.testing.assert_allclose(pending.covariance(every, every), covariance - taken, atol=1e-7)
    np.testing.assert_allclose(np.square(pending.rows).sum(axis=0), np.diag(taken), rtol=2e-4, atol=1e-6)


def test_doubt_about_the_theory_counts_where_the_member_does_not_know_better(case):
    gp, _, theory, at, _ = case
    sure = InformedGP(gp, theory, np.zeros_like(theory), theory[at])
    unsure = InformedGP(gp, theory, np.full_like(theory, 0.5), theory[at])
    gained = unsure.var - sure.var
    assert (gained > 0.0).all()
    far = np.setdiff1d(np.arange(POINTS), at)
    assert gained[at].max() < gained[far].max()


def test_a_theory_that_explains_nothing_changes_little():
    rng = np.random.default_rng(2)
    x = rng.uniform(size=(60, 1))
    gp = IncrementalGP([x], Hyperparameters(((-1.0,),), (0.0,), -3.0), dtype=np.float64)
    for j in range(0, 60, 2):
        gp.tell([x[j]], float(np.sin(5.0 * x[j, 0])))
    theory = rng.normal(size=(60, 1))
    informed = InformedGP(gp, theory, np.zeros_like(theory), theory[::2])
    assert abs(informed.slope[0]) < 3.0 * informed.slope_sd[0]
    assert informed.scale <= 1.0
    assert np.abs(informed.mean - gp.mean).max() < 0.2
