"""Pending points, against measurements made at their mean and against brute force."""

import numpy as np
import pytest

from probescout.surrogates.fantasies import Fantasies
from probescout.surrogates.incremental import IncrementalGP
from probescout.surrogates.members.definition import Hyperparameters

HYPER = Hyperparameters(((0.3, 0.1), (-1.0,)), (-0.4, -1.1), -2.5)


@pytest.fixture
def case():
    """Groups over 40 candidates, and a member that has learnt 12 of them."""
    rng = np.random.default_rng(3)
    groups = [rng.normal(size=(40, 2)), rng.uniform(size=(40, 1))]
    return groups, taught(groups, np.arange(0, 36, 3))


def taught(groups, index):
    gp = IncrementalGP(groups, HYPER, dtype=np.float64)
    gp.extend([g[index] for g in groups], np.sin(index.astype(float)), np.zeros(len(index)))
    return gp


def with_pending(gp, groups, pending):
    found = Fantasies.none(gp)
    for j in pending:
        found = found.and_one(gp.kernel.points([g[[j]] for g in groups]), gp.noise)
    return found


def test_a_pending_point_shrinks_the_variance_as_a_measurement_there_would(case):
    groups, gp = case
    pending = (5, 14, 5)
    found = with_pending(gp, groups, pending)
    real = taught(groups, np.arange(0, 36, 3))
    for j in pending:
        real.tell([g[j] for g in groups], float(real.mean[j]))
    np.testing.assert_allclose(gp.var - (found.rows**2).sum(axis=0), real.var, atol=1e-6)
    np.testing.assert_allclose(real.mean, gp.mean, atol=1e-9)
    np.testing.assert_allclose(found.at(gp.kernel.points(groups)), found.rows, atol=1e-5)


def test_the_first_of_them_are_those_that_were_there_before(case):
    groups, gp = case
    found = with_pending(gp, groups, (5, 14, 22)).first(2)
    again = with_pending(gp, groups, (5, 14))
    for name in ("solved", "factor", "rows"):
        np.testing.assert_array_equal(getattr(found, name), getattr(again, name))
    three = found.and_one(gp.kernel.points([g[[22]] for g in groups]), gp.noise)
    np.testing.assert_array_equal(three.rows, with_pending(gp, groups, (5, 14, 22)).rows)


def test_covariance_equals_that_after_measuring(case):
    groups, gp = case
    points = gp.kernel.points(groups)
    real = taught(groups, np.arange(0, 36, 3))
    for j in (5, 14):
        real.tell([g[j] for g in groups], 0.0)
    found = with_pending(gp, groups, (5, 14)).covariance(points, points)
    np.testing.assert_allclose(found, real.covariance(points, points), atol=1e-9)
    np.testing.assert_allclose(np.diag(real.covariance(points, points)), real.var, atol=1e-9)
    none = Fantasies.none(gp).covariance(points, points)
    np.testing.assert_allclose(none, gp.covariance(points, points), atol=1e-12)
