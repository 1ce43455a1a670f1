"""Policies that seek large values, against botorch, quadrature and simulation."""

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
from probescout_planners.expected_improvement import ExpectedImprovement
from probescout_planners.knowledge_gradient import KnowledgeGradient, expected_largest_gain
from probescout_planners.max_value_entropy import MaxValueEntropy, draw_largest, information
from probescout_planners.probability_of_improvement import ProbabilityOfImprovement
from probescout_planners.subsets import known_measured
from probescout_planners.target_value import TargetValue
from scipy.integrate import quad
from scipy.stats import gumbel_r, norm

from probescout.surrogates.improvement import ranked_below
from probescout.testing.fake_belief import fake_belief, told, with_moments


def rng(seed=0):
    return np.random.default_rng(seed)


def one_member(height=5, width=6, *, lengthscale=0.3, seed=0):
    return fake_belief(height, width, n_members=1, lengthscale=lengthscale, seed=seed)


def single(mean, std, incumbent):
    """A belief of one member with given moments (candidate,)."""
    belief = with_moments(fake_belief(1, len(mean), n_members=1), np.array([mean]), np.array([std]) ** 2)
    return replace(belief, incumbent=incumbent, available=np.ones(len(mean), dtype=bool))


def mixture_quad(belief, c, function):
    """Integral of a function of the target at candidate c over the belief's mixture."""
    total = 0.0
    for w, m, v in zip(belief.weights, belief.member_mean[:, c], belief.member_var[:, c], strict=True):
        s = math.sqrt(v)
        points = [p for p in (0.0, 0.4, m) if m - 9 * s < p < m + 9 * s]
        total += w * quad(lambda y, m=m, s=s: function(y) * norm.pdf(y, m, s), m - 9 * s, m + 9 * s, points=points)[0]
    return total


# ---------------------------------------------------------------- expected improvement


def test_noisy_improvement_agrees_with_botorch(table_model, torch_):
    from botorch.acquisition.monte_carlo import qNoisyExpectedImprovement
    from botorch.sampling.normal import SobolQMCNormalSampler

    belief = one_member()
    model = table_model(belief.member_mean[0], belief.covariance(np.arange(30), np.arange(30)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # botorch advises the logarithmic form, whose values cannot be compared
        rule = qNoisyExpectedImprovement(
            model, model.numbers(*belief.measured)[:, 0], prune_baseline=False, cache_root=False,
            sampler=SobolQMCNormalSampler(torch_.Size([2**14]), seed=1),
        )  # fmt: skip
    free = np.flatnonzero(belief.available)
    with torch_.no_grad():
        theirs = rule(model.numbers(*free)).numpy()
    ours = ExpectedImprovement(noisy=True, n_draws=4096).score(belief, rng())[free]
    np.testing.assert_allclose(ours, theirs, atol=0.01, rtol=0.03)
    # The test can fail: with the incumbent taken as known the values are others.
    assert np.abs(ExpectedImprovement().score(belief, rng())[free] - theirs).max() > 0.1


@pytest.mark.parametrize("spread", ["members", "mixture"])
def test_noisy_improvement_of_several_members_is_that_of_joint_draws(spread):
    belief = told(fake_belief(5, 6, n_members=3, lengthscale=0.3))
    found = ExpectedImprovement(noisy=True, n_draws=4096, spread=spread).score(belief, rng())
    rivals, free = known_measured(belief, 8), np.flatnonzero(belief.available)
    both, w = np.concatenate([rivals, free]), belief.weights
    mean, covariance = belief.member_mean[:, both], belief.covariance(both, both)
    if spread == "members":
        w, mean, covariance = np.ones(1), (w @ mean)[None], np.tensordot(w, covariance, axes=1)[None]
    gains = np.zeros(len(free))
    for k, share in enumerate(w):
        draws = rng(7).multivariate_normal(mean[k], covariance[k], 200_000, method="eigh")
        best = draws[:, : len(rivals)].max(axis=1, keepdims=True)
        gains += share * np.maximum(draws[:, len(rivals) :] - best, 0.0).mean(axis=0)
    np.testing.assert_allclose(found[free], gains, atol=0.012)


def test_noisy_improvement_is_the_plain_one_when_the_measured_points_are_certain():
    belief = one_member(lengthscale=0.0)
    var = belief.member_var.copy()
    var[:, belief.measured] = 0.0
    belief = told(with_moments(belief, belief.member_mean, var))
    plain, noisy = ExpectedImprovement(), ExpectedImprovement(noisy=True, n_draws=4)
    free = belief.available
    np.testing.assert_allclose(noisy.score(belief, rng())[free], plain.score(belief, rng())[free], rtol=1e-12)


def test_noisy_improvement_of_the_best_candidates_does_not_depend_on_the_screening(monkeypatch):
    belief = fake_belief(20, 30, lengthscale=0.1)
    free = belief.available
    every = ExpectedImprovement(noisy=True).score(belief, rng())
    monkeypatch.setattr("probescout_planners.expected_improvement.N_SCREENED", 60)
    some = ExpectedImprovement(noisy=True).score(belief, rng())
    screened = np.flatnonzero(np.isclose(some, every, rtol=1e-9) & free)
    assert len(screened) >= 60 and int(np.argmax(np.where(free, every, -1))) in screened
    best = np.argsort(-np.where(free, some, -1.0))[:60]
    np.testing.assert_allclose(some[best], every[best], rtol=1e-9)


def test_least_gain_raises_the_level():
    belief = one_member()
    raised = replace(belief, incumbent=belief.incumbent + 0.7)
    for policy in (ExpectedImprovement, ProbabilityOfImprovement):
        expected = policy().score(raised, rng())
        np.testing.assert_array_equal(policy(xi=0.7).score(belief, rng()), expected)
        assert (expected < policy().score(belief, rng()))[belief.available].all()


@pytest.mark.parametrize("policy", [ExpectedImprovement, ProbabilityOfImprovement])
def test_logarithm_of_the_score_is_its_logarithm_and_goes_on_where_it_vanishes(policy):
    belief = fake_belief()
    scores = policy().score(belief, rng())
    np.testing.assert_allclose(policy().log_score(belief, rng()), np.log(scores), rtol=1e-9, atol=1e-12)
    far = replace(belief, incumbent=1e4)
    logs = policy().log_score(far, rng())
    assert (logs < -1e5).all() and len(set(logs)) == len(logs)
    scores = policy().score(far, rng())
    assert (scores > 0).all() and (scores < 1e-290).all()
    assert np.argsort(scores).tolist() == np.argsort(logs).tolist()


def test_probability_of_improvement_is_the_integral_over_the_mixture():
    belief = replace(fake_belief(2, 3), weights=np.array([0.2, 0.5, 0.3]), incumbent=0.4)
    found = ProbabilityOfImprovement().score(belief, rng())
    for c in range(6):
        assert found[c] == pytest.approx(mixture_quad(belief, c, lambda y: float(y > 0.4)), abs=1e-7)


# ---------------------------------------------------------------- max-value entropy


@pytest.mark.parametrize("gamma", [-6.0, -2.0, -0.3, 0.0, 0.7, 3.0])
def test_information_is_the_fall_of_the_entropy(gamma):
    chance = norm.cdf(gamma)
    entropy = quad(lambda z: -norm.pdf(z) / chance * (norm.logpdf(z) - math.log(chance)), -np.inf, gamma)[0]
    assert information(np.array(gamma)) == pytest.approx(norm.entropy() - entropy, abs=1e-7)


def test_information_falls_with_the_distance_to_the_largest_value_and_stays_finite():
    values = information(np.array([-1e150, -1e3, -10.0, -1.0, 0.0, 1.0, 5.0, 1e150]))
    assert np.isfinite(values).all() and (np.diff(values) <= 0).all() and values[-1] == 0.0


def test_draws_of_the_largest_value_follow_the_independent_maximum():
    mean, std = rng().normal(size=300), rng(1).uniform(0.2, 1.0, 300)
    draws = draw_largest(mean, std, -np.inf, 1000, rng(2))
    simulated = (mean + std * rng(3).normal(size=(4000, 300))).max(axis=1)
    np.testing.assert_allclose(
        np.quantile(draws, [0.25, 0.5, 0.75]), np.quantile(simulated, [0.25, 0.5, 0.75]), atol=0.05
    )
    location, scale = gumbel_r.fit(draws)
    assert gumbel_r(location, scale).std() == pytest.approx(simulated.std(), rel=0.2)
    assert draw_largest(mean, std, 50.0, 20, rng(2)).tolist() == [50.0] * 20


def test_entropy_search_averages_the_information_over_the_draws():
    belief = fake_belief()
    open_ = np.flatnonzero(belief.available)
    largest = draw_largest(belief.mean[open_], belief.std[open_], belief.incumbent, 7, rng(5))
    expected = np.mean([information((y - belief.mean[open_]) / belief.std[open_]) for y in largest], axis=0)
    np.testing.assert_allclose(MaxValueEntropy(n_draws=7).score(belief, rng(5))[open_], expected, rtol=1e-10)


# ---------------------------------------------------------------- knowledge gradient


def test_expected_largest_of_lines_is_the_integral():
    offsets = rng().normal(size=9)
    slopes = rng(1).normal(size=(40, 9))
    slopes[0] = 0.0
    slopes[1] = 0.5
    slopes[2, :] = np.tile([0.3, -0.3, 0.3], 3)
    slopes[3] *= 1e-6
    found = expected_largest_gain(offsets, slopes)
    z = np.linspace(-9, 9, 200001)
    lines = offsets[:, None]
    for row, gain in zip(slopes, found, strict=True):
        largest = np.max(lines + row[:, None] * z, axis=0)
        assert gain == pytest.approx(np.trapezoid(largest * norm.pdf(z), z) - offsets.max(), abs=2e-8)
    assert found[0] == found[1] == 0.0


def test_knowledge_gradient_is_the_expected_rise_of_the_best_mean():
    belief = one_member()
    scores = KnowledgeGradient(n_reference=1000, n_candidates=1000).score(belief, rng())
    everyone = np.arange(30)
    covariance = belief.covariance(everyone, everyone)[0]
    z = np.linspace(-8, 8, 4001)
    for x in np.flatnonzero(belief.available)[::6]:
        slope = covariance[x] / math.sqrt(covariance[x, x] + belief.noise_var[x])
        largest = (belief.mean[:, None] + slope[:, None] * z).max(axis=0)
        rise = np.trapezoid(largest * norm.pdf(z), z) - belief.mean.max()
        assert scores[x] == pytest.approx(rise, rel=1e-5, abs=1e-8)


def test_knowledge_gradient_is_what_conditioning_botorch_gives(torch_):
    from botorch.models import SingleTaskGP

    x = torch_.linspace(0, 1, 12, dtype=torch_.float64).reshape(-1, 1)
    train = x[[1, 5, 9]]
    y = torch_.tensor([[-1.0], [0.0], [1.0]], dtype=torch_.float64)
    model = SingleTaskGP(train, y, torch_.full_like(y, 0.01), outcome_transform=None)
    model.covar_module.lengthscale = 0.2
    model.eval()
    with torch_.no_grad():
        posterior = model.posterior(x)
        mean = posterior.mean.numpy().ravel()
        covariance = posterior.distribution.covariance_matrix.numpy()
        # One fantasy at a time: condition botorch's model on y(x') = mean + sd * z and look at its new best mean.
        at, rises, points, masses = 7, [], *np.polynomial.hermite_e.hermegauss(60)
        sd = math.sqrt(covariance[at, at] + 0.01)
        for z in points:
            told_y = torch_.tensor([[mean[at] + sd * z]], dtype=torch_.float64)
            fresh = model.condition_on_observations(x[[at]], told_y, noise=torch_.full_like(told_y, 0.01))
            rises.append(float(fresh.posterior(x).mean.max()) - mean.max())
    expected = float(np.dot(masses, rises) / masses.sum())
    found = expected_largest_gain(mean, (covariance[at] / sd)[None])
    assert found[0] == pytest.approx(expected, rel=0.05)


# ---------------------------------------------------------------- a wanted value


def test_closeness_is_the_integral_over_the_mixture():
    belief = replace(fake_belief(2, 3), weights=np.array([0.2, 0.5, 0.3]))
    belief = told(with_moments(belief, belief.member_mean, belief.member_var))
    least = float(np.abs(belief.values - 0.4).min())
    found = TargetValue(0.4).score(belief, rng())
    for c in range(6):
        expected = mixture_quad(belief, c, lambda y: max(least - abs(y - 0.4), 0.0))
        assert found[c] == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_tolerance_gives_the_probability_of_the_range():
    belief = single(np.array([0.0, 1.0, 40.0, -40.0]), np.array([1.0, 0.5, 1.0, 1.0]), 0.0)
    found = TargetValue(0.4, tolerance=0.3).score(belief, rng())
    np.testing.assert_allclose(found[:2], norm.cdf([0.7, -0.6]) - norm.cdf([0.1, -1.8]))
    # Both far tails keep their digits.
    assert found[2] == pytest.approx(norm.sf(39.3) - norm.sf(39.9), rel=1e-6)
    assert found[3] == pytest.approx(norm.cdf(-40.1) - norm.cdf(-40.7), rel=1e-6)


def test_a_wanted_value_far_away_keeps_its_order():
    belief = replace(single(np.array([0.0, 1.0, 2.0]), np.full(3, 0.1), 0.0), measured=np.array([2]), n_observed=1,
                     values=np.array([2.0]), mean=np.array([0.0, 1.0, 1e3]))  # fmt: skip
    for tolerance in (None, 1.0):
        scores = TargetValue(1e3 + 1e-3, tolerance).score(belief, rng())
        assert np.argsort(scores).tolist() == [0, 1, 2]


def test_without_measurements_the_smallest_expected_distance_wins():
    belief = replace(single(np.array([0.0, 3.0]), np.array([1.0, 2.0]), -np.inf), measured=np.empty(0, np.intp),
                     values=np.empty(0), n_observed=0)  # fmt: skip
    found = TargetValue(0.0).score(belief, rng())
    assert found[0] == pytest.approx(-math.sqrt(2 / math.pi))
    folded = 2 * math.sqrt(2 / math.pi) * math.exp(-9 / 8) + 3 * (1 - 2 * norm.cdf(-1.5))
    assert found[1] == pytest.approx(-folded)


def test_lost_gains_keep_their_order_below_the_floor():
    logs = np.array([-1e300, -1e32, -1e5, -700.0, -1.0, 0.0, 3.0])
    for floor in (0.0, 1e-290, 1e-13):
        found = ranked_below(floor, logs)
        assert (np.diff(found) > 0).all() and found[0] > 0 and found[-1] < max(floor, 1e-290)
