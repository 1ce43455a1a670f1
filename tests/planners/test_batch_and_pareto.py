"""Points that are best together, and several targets at once, against botorch and simulation."""

import itertools
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from probescout_planners.batch_expected_improvement import BatchExpectedImprovement, best_set, joint_gains
from probescout_planners.expected_improvement import ExpectedImprovement
from probescout_planners.pareto import Pareto, expected_growth, nondominated, reference_point

from probescout.core.errors import InvalidInput
from probescout.testing.fake_belief import fake_belief, told, with_moments


def rng(seed=0):
    return np.random.default_rng(seed)


# ---------------------------------------------------------------- batches


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_batch_is_as_good_as_the_best_that_botorch_finds(table_model, torch_, seed):
    from botorch.acquisition.logei import qLogNoisyExpectedImprovement
    from botorch.optim import optimize_acqf_discrete
    from botorch.sampling.normal import SobolQMCNormalSampler

    belief = fake_belief(8, 9, n_members=1, lengthscale=0.15, seed=seed)
    everyone = np.arange(72)
    model = table_model(belief.member_mean[0], belief.covariance(everyone, everyone) + 1e-6 * np.eye(72))
    rule = qLogNoisyExpectedImprovement(
        model, model.numbers(*belief.measured)[:, 0], prune_baseline=False, cache_root=False,
        sampler=SobolQMCNormalSampler(torch_.Size([1024]), seed=1), tau_max=1e-4, tau_relu=1e-8,
    )  # fmt: skip
    free = np.flatnonzero(belief.available)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs, _ = optimize_acqf_discrete(rule, 4, model.numbers(*free)[:, 0], unique=True)
        ours = BatchExpectedImprovement(n_draws=4096).score_batch(belief, rng(), 4)
        with torch_.no_grad():
            values = [float(rule(model.numbers(batch)).exp()) for batch in (theirs[:, 0].numpy(), ours)]
            chance = [float(rule(model.numbers(rng(s).choice(free, 4, replace=False))).exp()) for s in range(20)]
    assert values[1] > 0.98 * values[0]
    assert values[1] > 1.5 * np.median(chance)


def test_batch_does_not_ask_twice_for_the_same_answer():
    belief = fake_belief(1, 40, n_members=1, lengthscale=0.06)
    mean = np.exp(-0.5 * ((belief.positions[:, 1] - 0.3) / 0.05) ** 2)
    mean += 0.9 * np.exp(-0.5 * ((belief.positions[:, 1] - 0.8) / 0.05) ** 2)
    belief = with_moments(belief, mean[None], np.full((1, 40), 0.3))
    belief = replace(belief, available=np.ones(40, dtype=bool), incumbent=0.8, measured=np.array([-1]))
    batch = BatchExpectedImprovement(n_draws=4096).score_batch(belief, rng(), 2)
    at = np.sort(belief.positions[batch, 1])
    assert abs(at[0] - 0.3) < 0.06 and abs(at[1] - 0.8) < 0.06
    alone = np.argsort(-ExpectedImprovement().score(belief, rng()))[:2]
    assert np.ptp(belief.positions[alone, 1]) < 0.1


def test_exchanges_find_the_best_set():
    gains = np.maximum(rng(3).normal(size=(300, 9)), 0.0)
    found = best_set(gains, 3, np.zeros(9))
    value = gains[:, found].max(axis=1).mean()
    best = max(gains[:, list(c)].max(axis=1).mean() for c in itertools.combinations(range(9), 3))
    assert value > 0.99 * best


def test_joint_draws_have_the_moments_of_the_mixture():
    belief = fake_belief(4, 5, lengthscale=0.3)
    belief = with_moments(replace(belief, weights=np.array([0.2, 0.5, 0.3])), belief.member_mean, belief.member_var)
    belief = replace(belief, measured=np.array([-1]), incumbent=0.3)
    gains = joint_gains(belief, np.arange(20), 40_000, rng())
    alone = ExpectedImprovement(spread="mixture").score(belief, rng())
    np.testing.assert_allclose(gains.mean(axis=0), alone, atol=0.012)


def test_a_hopeless_batch_follows_the_single_points():
    belief = replace(fake_belief(lengthscale=0.2), incumbent=1e5, measured=np.full(10, -1))
    batch = BatchExpectedImprovement(n_draws=64).score_batch(belief, rng(), 5)
    scores = np.where(belief.available, ExpectedImprovement(spread="mixture").score(belief, rng()), -np.inf)
    assert batch.tolist() == np.argsort(-scores)[:5].tolist()


# ---------------------------------------------------------------- fronts


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 3), st.integers(0, 30), st.integers(0, 1000))
def test_front_is_what_no_point_dominates(n_targets, n, seed):
    # Whole numbers, so that ties occur.
    values = np.random.default_rng(seed).integers(0, 5, size=(n, n_targets)).astype(float)
    expected = [not any((other >= point).all() and (other > point).any() for other in values) for point in values]
    assert nondominated(values).tolist() == expected


def test_front_leaves_out_what_is_not_known():
    assert nondominated(np.array([[np.nan, 9.0], [1.0, 2.0], [0.0, 1.0]])).tolist() == [False, True, False]


@pytest.mark.parametrize("n_targets", [1, 2, 3])
def test_growth_agrees_with_botorch(table_model, torch_, n_targets):
    from botorch.acquisition.multi_objective.analytic import ExpectedHypervolumeImprovement
    from botorch.utils.multi_objective.box_decompositions.non_dominated import FastNondominatedPartitioning

    generator = rng(n_targets)
    mean, std = generator.normal(size=(n_targets, 40)), generator.uniform(0.05, 1.0, (n_targets, 40))
    points = generator.normal(size=(12, n_targets))
    reference = np.full(n_targets, -1.0)
    front = points[nondominated(points)]
    front = front[(front > reference).all(axis=1)]
    ours = expected_growth([(np.ones(1), m[None], s[None]) for m, s in zip(mean, std, strict=True)], front, reference)
    if n_targets == 1:
        belief = with_moments(fake_belief(5, 8, n_members=1), mean, std**2)
        theirs = ExpectedImprovement().score(replace(belief, incumbent=float(front.max())), rng())
    else:
        model = table_model(mean.T, [np.diag(s**2) for s in std])
        parts = FastNondominatedPartitioning(torch_.as_tensor(reference), torch_.as_tensor(points))
        rule = ExpectedHypervolumeImprovement(model, reference.tolist(), parts)
        with torch_.no_grad():
            theirs = rule(model.numbers(*range(40))).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


def hypervolume(front, reference):
    """Area that points (n, 2) dominate above a reference point."""
    area, best = 0.0, reference[1]
    for y0, y1 in sorted(front.tolist(), reverse=True):
        area += max(y0 - reference[0], 0.0) * max(y1 - best, 0.0)
        best = max(best, y1)
    return area


def test_growth_of_mixtures_is_the_simulated_one():
    belief = fake_belief(2, 3, n_targets=2)
    weights = np.array([0.2, 0.5, 0.3])
    front, reference = np.array([[0.0, 1.0], [0.8, 0.3]]), np.array([-1.0, -1.0])
    moments = [(weights, b.member_mean, np.sqrt(b.member_var)) for b in belief.objectives]
    found = expected_growth(moments, front, reference)
    base, generator = hypervolume(front, reference), rng(4)
    for c in range(3):
        draws = []
        for _, mean, std in moments:
            k = generator.choice(3, 20_000, p=weights)
            draws.append(mean[k, c] + std[k, c] * generator.normal(size=20_000))
        points = np.stack(draws, axis=1)
        grown = np.mean([hypervolume(np.vstack([front, p]), reference) - base for p in points])
        assert found[c] == pytest.approx(grown, rel=0.04)


def test_policy_slices_above_the_front_of_the_measured_points():
    belief = fake_belief(n_targets=2)
    values = np.stack([b.values for b in belief.objectives], axis=1)
    front = values[nondominated(values)]
    reference = front.min(axis=0) - 0.1 * np.ptp(front, axis=0)
    np.testing.assert_allclose(reference_point(front), reference)
    moments = [(b.weights, b.member_mean, np.sqrt(b.member_var)) for b in belief.objectives]
    expected = expected_growth(moments, front[(front > reference).all(axis=1)], reference)
    np.testing.assert_allclose(Pareto().score(belief, rng()), expected, rtol=1e-9)
    given_reference = Pareto(reference=[-0.2, -0.5]).score(belief, rng())
    expected = expected_growth(moments, front[(front > [-0.2, -0.5]).all(axis=1)], np.array([-0.2, -0.5]))
    np.testing.assert_allclose(given_reference, expected, rtol=1e-9)


def test_order_does_not_depend_on_the_units():
    belief = fake_belief(n_targets=2)
    other = belief.further[0]
    scaled = told(with_moments(other, 1e9 * other.member_mean, 1e18 * other.member_var))
    np.testing.assert_allclose(
        Pareto().score(replace(belief, further=(scaled,)), rng()), 1e9 * Pareto().score(belief, rng()), rtol=1e-9
    )


def test_a_target_that_failed_at_some_points_leaves_the_others():
    belief = fake_belief(n_targets=2)
    other = belief.further[0]
    partial = replace(other, measured=other.measured[3:], values=other.values[3:])
    values = np.stack([belief.values[3:], other.values[3:]], axis=1)
    front = values[nondominated(values)]
    reference = reference_point(front)
    moments = [(b.weights, b.member_mean, np.sqrt(b.member_var)) for b in belief.objectives]
    expected = expected_growth(moments, front[(front > reference).all(axis=1)], reference)
    found = Pareto().score(replace(belief, further=(partial,)), rng())
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_a_reference_of_another_size_is_refused():
    with pytest.raises(InvalidInput, match=r"2 values and the campaign 1 targets"):
        Pareto(reference=[0.0, 1.0]).score(fake_belief(), rng())
