"""What planners get from the committee beyond moments: covariances, fantasies, noise; against gpytorch and algebra."""

import numpy as np
import pytest

from probescout.core.ports import Belief
from probescout.surrogates.committee import Committee
from probescout.surrogates.fitting import fit
from probescout.testing.fake_belief import fake_belief

ALL = np.ones(1024, dtype=bool)


@pytest.fixture(scope="module")
def committee(field, features):
    image, truth = field
    found = Committee(features, seed=0, use_deep=False)
    for index in np.random.default_rng(1).choice(1024, 40, replace=False):
        found.tell(int(index), float(truth[index]), 0.04)
    found.swap(fit(found.fit_request()))
    return found


def indices(n, seed):
    return np.random.default_rng(seed).choice(1024, n, replace=False)


def test_covariance_has_the_variances_on_its_diagonal_and_is_symmetric(committee):
    belief = committee.belief(ALL, pending=[5, 700])
    index = indices(50, 0)
    block = belief.covariance(index, index)
    np.testing.assert_allclose(block, block.transpose(0, 2, 1), rtol=1e-9, atol=1e-9 * block.max())
    diagonal = np.einsum("kaa->ka", block)
    np.testing.assert_allclose(diagonal, belief.member_var[:, index], rtol=1e-3, atol=1e-4 * belief.scale**2)
    other = indices(20, 1)
    np.testing.assert_allclose(belief.covariance(index, other), belief.covariance(other, index).transpose(0, 2, 1),
                               rtol=1e-9, atol=1e-9 * block.max())  # fmt: skip


def test_draws_have_the_covariance(committee):
    belief = committee.belief(ALL)
    index = indices(4, 3)
    draws = np.array([belief.sample(np.random.default_rng(s), index) for s in range(4000)])
    deviation = belief.member_mean - belief.mean
    expected = np.einsum("k,kab->ab", belief.weights, belief.covariance(index, index))
    expected += (belief.weights[:, None] * deviation[:, index]).T @ deviation[:, index]
    np.testing.assert_allclose(np.cov(draws.T), expected, atol=0.08 * np.diag(expected).max())


def test_a_fantasy_is_a_pending_point(committee):
    pending = committee.belief(ALL, pending=[5, 700, 321])
    fantasised = committee.belief(ALL, pending=[5]).fantasise(700).fantasise(321)
    np.testing.assert_allclose(fantasised.member_var, pending.member_var, rtol=1e-4, atol=1e-6 * pending.scale**2)
    np.testing.assert_allclose(fantasised.std, pending.std, rtol=1e-4)
    np.testing.assert_array_equal(fantasised.mean, pending.mean)
    assert not fantasised.available[[700, 321]].any() and fantasised.available.sum() == 1022
    index = indices(30, 2)
    np.testing.assert_allclose(
        fantasised.covariance(index, index), pending.covariance(index, index), atol=1e-5 * pending.scale**2
    )


def test_a_fantasy_leaves_its_belief_alone(committee):
    belief = committee.belief(ALL, pending=[5])
    var, available, block = belief.member_var.copy(), belief.available.copy(), belief.covariance(indices(9, 0), [1, 2])
    belief.fantasise(100)
    np.testing.assert_array_equal(belief.member_var, var)
    np.testing.assert_array_equal(belief.available, available)
    np.testing.assert_array_equal(belief.covariance(indices(9, 0), [1, 2]), block)


def test_what_was_measured_is_told(committee, field):
    belief: Belief = committee.belief(ALL)
    np.testing.assert_allclose(belief.values, field[1][belief.measured], rtol=1e-9)
    assert len(belief.measured) == belief.n_observed == 40
    assert belief.incumbent == belief.mean[belief.measured].max()
    assert belief.calibration is not None and belief.calibration.n == committee.calibration().n
    assert len(belief.objectives) == 1 and belief.objectives[0] is belief


def test_expected_noise_is_what_was_stated_and_fitted(committee):
    belief = committee.belief(ALL)
    fitted, trust = belief.weights @ [(gp.noise, gp.trust) for gp in belief.gps]
    # Where the axis is bent a unit of it is worth less or more; a stated variance is one of the target itself.
    slope = belief.model.scale.slope(belief.weights @ np.stack([gp.mean for gp in belief.gps]))
    np.testing.assert_allclose(belief.noise_var, fitted / slope**2 + trust * 0.04, rtol=1e-6)


def test_the_published_fake_keeps_the_same_rules():
    belief = fake_belief(lengthscale=0.2)
    index = np.flatnonzero(belief.available)
    block = belief.covariance(index, index)
    np.testing.assert_allclose(np.einsum("kaa->ka", block), belief.member_var[:, index])
    assert min(np.linalg.eigvalsh(b).min() for b in block) > -1e-9
    told = belief.fantasise(int(index[3])).fantasise(int(index[9]))
    np.testing.assert_allclose(
        np.einsum("kaa->ka", told.covariance(index, index)), told.member_var[:, index], atol=1e-12
    )
    assert (told.member_var <= belief.member_var + 1e-12).all()
    assert not told.available[index[[3, 9]]].any()
