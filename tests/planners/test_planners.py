"""The plain planners against closed forms and botorch's own acquisition functions."""

import json
import math
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
from probescout_planners.expected_improvement import ExpectedImprovement
from probescout_planners.grid import Grid
from probescout_planners.level_set import LevelSet
from probescout_planners.random import Random
from probescout_planners.thompson import Thompson
from probescout_planners.ucb import UpperConfidenceBound
from scipy.integrate import quad
from scipy.stats import kstest

from probescout.surrogates.improvement import expected_improvement, log_expected_improvement
from probescout.testing.fake_belief import fake_belief, with_moments


def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def botorch_values():
    """EI, LogEI and UCB of botorch on a posterior with given mean and SD."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # importing botorch warns about torch.jit
        import torch
        from botorch.acquisition import ExpectedImprovement as BotorchEI
        from botorch.acquisition import LogExpectedImprovement, UpperConfidenceBound
        from botorch.models.deterministic import GenericDeterministicModel
        from botorch.posteriors.gpytorch import GPyTorchPosterior
        from gpytorch.distributions import MultivariateNormal

    class Fixed(GenericDeterministicModel):
        def posterior(self, X, **_):  # noqa: N803
            mean, std = X[..., 0], X[..., 1]
            return GPyTorchPosterior(MultivariateNormal(mean, torch.diag_embed(std**2)))

    model = Fixed(lambda x: x[..., :1])

    def values(mean, std, best, beta):
        best, beta = torch.tensor(best, dtype=torch.float64), torch.tensor(beta, dtype=torch.float64)
        x = torch.tensor(np.stack([mean, std], axis=1)[:, None, :], dtype=torch.float64)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # botorch advises the logarithmic form, which is the second one
            rules = (
                BotorchEI(model, best_f=best),
                LogExpectedImprovement(model, best_f=best),
                UpperConfidenceBound(model, beta=beta**2),
            )
        with torch.no_grad():
            return tuple(rule(x).numpy() for rule in rules)

    return values


def single(mean, std, best):
    """A belief of one member with given moments (candidate,)."""
    belief = fake_belief(1, len(mean), n_members=1)
    belief = with_moments(belief, mean[None], std[None] ** 2)
    return replace(belief, incumbent=best, available=np.ones(len(mean), dtype=bool))


def test_agrees_with_botorch_on_a_single_member(botorch_values):
    mean, std = rng().normal(0, 2, 200), rng().uniform(0.05, 2, 200)
    ei, _, ucb = botorch_values(mean, std, 1.3, 2.5)
    belief = single(mean, std, 1.3)
    np.testing.assert_allclose(ExpectedImprovement().score(belief, rng()), ei, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(UpperConfidenceBound(2.5).score(belief, rng()), ucb, rtol=1e-9)


def test_log_improvement_agrees_with_botorch_where_the_plain_one_vanishes(botorch_values):
    mean, std = -np.geomspace(1e-3, 1e5, 60), np.full(60, 0.7)
    _, log_ei, _ = botorch_values(mean, std, 0.5, 1.0)
    np.testing.assert_allclose(log_expected_improvement(mean - 0.5, std), log_ei, rtol=1e-6)
    far = slice(50, None)
    belief = single(mean[far], std[far], 0.5)
    np.testing.assert_allclose(ExpectedImprovement().log_score(belief, rng()), log_ei[far], rtol=1e-6)
    scores = ExpectedImprovement().score(belief, rng())
    assert (scores > 0).all() and (scores < 1e-290).all() and (np.diff(scores) < 0).all()


def test_improvement_of_a_mixture_is_its_integral():
    belief = fake_belief(1, 3, n_members=2)
    belief = replace(belief, weights=np.array([0.3, 0.7]), incumbent=0.4)
    found = ExpectedImprovement(spread="mixture").score(belief, rng())
    for c in range(3):

        def integrand(y, c=c):
            density = sum(
                w * math.exp(-0.5 * (y - m) ** 2 / v) / math.sqrt(2 * math.pi * v)
                for w, m, v in zip(belief.weights, belief.member_mean[:, c], belief.member_var[:, c], strict=True)
            )
            return max(y - 0.4, 0) * density

        assert found[c] == pytest.approx(quad(integrand, 0.4, 12, epsabs=1e-12)[0], rel=1e-8)


def test_what_members_disagree_about_is_no_chance_of_a_gain(botorch_values):
    belief = fake_belief(1, 50, n_members=3)
    belief = replace(belief, weights=np.array([0.5, 0.3, 0.2]), incumbent=0.4)
    std = np.sqrt(belief.weights @ belief.member_var)
    ei, log_ei, _ = botorch_values(belief.weights @ belief.member_mean, std, 0.4, 1.0)
    np.testing.assert_allclose(ExpectedImprovement().score(belief, rng()), ei, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ExpectedImprovement().log_score(belief, rng()), log_ei, rtol=1e-6)


def test_a_member_of_little_weight_that_is_far_off_does_not_decide():
    # The first candidate is a little better for sure, the second far better in the eyes of one member of 2 %.
    mean = np.array([[1.2, 0.0], [1.0, 8.0]])
    belief = with_moments(fake_belief(1, 2, n_members=2), mean, np.full((2, 2), 0.05**2))
    belief = replace(belief, weights=np.array([0.98, 0.02]), incumbent=1.1, available=np.ones(2, dtype=bool))
    assert np.argmax(ExpectedImprovement().score(belief, rng())) == 0
    assert np.argmax(ExpectedImprovement(spread="mixture").score(belief, rng())) == 1


def test_improvement_without_uncertainty_is_the_gain():
    gain = np.array([-1.0, 0.0, 2.0])
    np.testing.assert_array_equal(expected_improvement(gain, np.zeros(3)), [0.0, 0.0, 2.0])


def test_hopeless_improvements_keep_their_order():
    belief = single(np.array([-5.0, -1.0, -3.0]), np.full(3, 1e-3), 1e3)
    assert np.argsort(ExpectedImprovement().score(belief, rng())).tolist() == [0, 2, 1]


def test_straddle_by_hand():
    belief = single(np.array([0.0, 1.0, 2.0]), np.array([0.1, 0.5, 3.0]), 0.0)
    found = LevelSet(level=1.5, beta=2.0).score(belief, rng())
    np.testing.assert_allclose(found, [0.2 - 1.5, 1.0 - 0.5, 6.0 - 0.5])
    by_quantile = LevelSet(quantile=0.5, beta=2.0).score(belief, rng())
    np.testing.assert_allclose(by_quantile, [0.2 - 1.0, 1.0, 6.0 - 1.0])


def test_thompson_picks_in_proportion_to_being_best():
    belief = single(np.zeros(4), np.array([1.0, 1.0, 1.0, 1e-9]), 0.0)
    generator = rng()
    picks = np.bincount([int(np.argmax(Thompson().score(belief, generator))) for _ in range(2000)], minlength=4)
    # The certain candidate wins when all three others fall below zero: 1/8; the rest is shared.
    np.testing.assert_allclose(picks / 2000, [7 / 24, 7 / 24, 7 / 24, 1 / 8], atol=0.04)


def test_thompson_never_picks_outside_its_subset_or_what_is_taken():
    belief = fake_belief(20, 20)
    for seed in range(20):
        scores = Thompson(n_subset=10).score(belief, np.random.default_rng(seed))
        assert (scores > scores.min()).sum() == 10
        assert belief.available[scores > scores.min()].all()


def test_random_is_uniform():
    scores = np.concatenate([Random().score(fake_belief(), np.random.default_rng(s)) for s in range(40)])
    assert kstest(scores, "uniform").pvalue > 1e-3


def walk(planner, belief, n):
    """Candidates that the planner proposes one after another."""
    picks, available = [], belief.available.copy()
    for _ in range(n):
        scores = planner.score(replace(belief, available=available), rng())
        picks.append(int(np.flatnonzero(available)[np.argmax(scores[available])]))
        available[picks[-1]] = False
    return picks


def test_grid_visits_a_regular_grid():
    belief = replace(fake_belief(30, 40), available=np.ones(1200, dtype=bool))
    picks = walk(Grid(budget=12), belief, 12)
    rows, cols = np.unravel_index(picks, (30, 40))
    assert len(set(rows)) == 3 and len(set(cols)) == 4
    assert len(set(picks)) == 12


def test_grid_fills_the_field_however_early_it_is_stopped():
    belief = replace(fake_belief(40, 40), available=np.ones(1600, dtype=bool))
    picks = walk(Grid(budget=100), belief, 40)
    distances = np.linalg.norm(belief.positions[:, None] - belief.positions[picks][None], axis=2).min(axis=1)
    spots = np.random.default_rng(3).choice(1600, 40, replace=False)
    by_chance = np.linalg.norm(belief.positions[:, None] - belief.positions[spots][None], axis=2).min(axis=1)
    assert distances.max() < 0.75 * by_chance.max()


def test_grid_goes_on_after_its_last_node_without_repeating():
    belief = replace(fake_belief(5, 6), available=np.ones(30, dtype=bool))
    assert sorted(walk(Grid(budget=4), belief, 30)) == list(range(30))


def test_planners_answer_without_torch():
    code = (
        "import sys, json; from probescout.core.registry import installed, PLANNERS\n"
        "names = [i.load().name for i in installed(PLANNERS)]\n"
        "print(json.dumps([names, [m for m in ('torch', 'gpytorch', 'botorch') if m in sys.modules]]))"
    )
    names, heavy = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert {"expected_improvement", "grid", "level_set", "max_variance", "random", "thompson", "ucb"} <= set(names)
    assert heavy == []
