"""Policies that hand over to others: cost of time, and stages."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from probescout_planners.expected_improvement import ExpectedImprovement
from probescout_planners.integrated_variance import IntegratedVariance
from probescout_planners.per_second import PerSecond, charged, seconds
from probescout_planners.staged import Staged
from probescout_planners.ucb import UpperConfidenceBound

from probescout.core.ports import present
from probescout.testing.fake_belief import FakeCalibration, fake_belief, hard_beliefs, told, with_moments


def rng(seed=0):
    return np.random.default_rng(seed)


def flat(mean, std, cost, incumbent=0.0):
    """A belief whose candidates differ in cost alone."""
    n = len(cost)
    belief = with_moments(fake_belief(1, n, n_members=1), np.full((1, n), mean), np.full((1, n), std**2))
    return replace(belief, cost_s=np.asarray(cost), available=np.ones(n, dtype=bool), incumbent=incumbent,
                   novelty=np.full(n, 0.5))  # fmt: skip


INNER = ["expected_improvement", "ucb", "probability_of_improvement", "max_variance", "level_set", "novelty",
         "max_value_entropy", "pareto", "integrated_variance", "knowledge_gradient"]  # fmt: skip


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    st.sampled_from(INNER), st.floats(-50, 50), st.floats(1e-3, 10), st.floats(0, 100),
    st.lists(st.floats(0.01, 1e4), min_size=2, max_size=8, unique=True), st.floats(0.1, 3),
)  # fmt: skip
def test_of_equal_promises_the_cheapest_wins_whatever_their_sign(inner, mean, std, incumbent, cost, weight):
    policy = PerSecond({"name": inner}, weight)
    scores = policy.score(flat(mean, std, cost, incumbent), rng())
    assert scores[np.argmin(cost)] == scores.max()
    assert scores[np.argmax(cost)] == scores.min()


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0, 1e6)), min_size=2, max_size=20), st.floats(0, 10))
def test_charge_keeps_the_order_at_equal_cost_and_never_rewards_cost(rows, weight):
    scores, cost = np.array(rows).T
    found = charged(scores, cost + 1e-6, weight, np.ones(len(rows), dtype=bool))
    for i in range(len(rows)):
        for j in range(len(rows)):
            if scores[i] <= scores[j] and cost[i] >= cost[j]:
                assert found[i] <= found[j]


def test_gain_is_divided_by_the_seconds():
    belief = replace(fake_belief(), cost_s=rng(3).uniform(1, 20, 42))
    gain = ExpectedImprovement().score(belief, rng())
    np.testing.assert_allclose(PerSecond().score(belief, rng()), gain / belief.cost_s, rtol=1e-10)
    np.testing.assert_allclose(PerSecond(weight=0.5).score(belief, rng()), gain / belief.cost_s**0.5, rtol=1e-10)
    np.testing.assert_array_equal(PerSecond(weight=0).score(belief, rng()), gain)
    np.testing.assert_array_equal(PerSecond().score(replace(belief, cost_s=None), rng()), gain)


def test_a_gain_too_small_for_a_number_is_still_weighed():
    belief = flat(0.0, 1.0, [4.0, 1.0, 2.0], incumbent=1e4)
    scores = PerSecond().score(belief, rng())
    assert np.argsort(scores).tolist() == [0, 2, 1]
    assert scores[1] - scores[0] == pytest.approx(np.log(4.0), rel=1e-4)


def test_candidates_outside_the_subset_stay_below_all_gains():
    belief = replace(fake_belief(12, 12, lengthscale=0.1), cost_s=rng(3).uniform(1, 20, 144))
    inner = {"name": "integrated_variance", "params": {"n_reference": 20, "n_candidates": 15}}
    plain = IntegratedVariance(n_reference=20, n_candidates=15).score(belief, rng())
    weighed = PerSecond(inner).score(belief, rng())
    assert (weighed[plain >= 0] >= 0).all() and (weighed[plain < 0] < 0).all()
    np.testing.assert_allclose(weighed[plain >= 0], (plain / belief.cost_s)[plain >= 0])


def test_unknown_costs_count_as_the_dearest():
    belief = replace(fake_belief(1, 4), cost_s=np.array([1.0, np.nan, 3.0, np.inf]))
    np.testing.assert_array_equal(seconds(belief), [1.0, 3.0, 3.0, 3.0])
    assert seconds(replace(belief, cost_s=np.full(4, np.nan))) is None


def test_who_answered_is_named():
    policy = PerSecond({"name": "staged", "params": {"stages": [{"policy": {"name": "ucb"}}]}})
    policy.score(fake_belief(), rng())
    assert policy.chosen_by == "per_second/staged[1]/ucb"


# ---------------------------------------------------------------- stages


def stages(until):
    return Staged([{"policy": {"name": "max_variance"}, "until": until}, {"policy": {"name": "ucb"}}])


BASE = fake_belief()
RULES = [
    ({"n_observed": 10}, replace(BASE, n_observed=9), replace(BASE, n_observed=10)),
    ({"budget_fraction": 0.5}, replace(BASE, n_observed=19, n_budget=40), replace(BASE, n_observed=20, n_budget=40)),
    ({"budget_fraction": 0.5}, replace(BASE, n_observed=10**6), replace(BASE, n_observed=1, n_budget=2)),
    (
        {"coverage95_at_least": 0.9},
        replace(BASE, calibration=FakeCalibration(19, 1.0)),
        replace(BASE, calibration=FakeCalibration(20, 0.9)),
    ),
    (
        {"coverage95_at_least": 0.9},
        replace(BASE, calibration=FakeCalibration(60, 0.89)),
        replace(BASE, calibration=FakeCalibration(60, 0.95)),
    ),
    ({"expected_gain_below": 1e-3}, BASE, replace(BASE, incumbent=20.0)),
    ({"expected_gain_below": 1e-3}, hard_beliefs()["nothing measured"], replace(BASE, incumbent=20.0)),
]


@pytest.mark.parametrize(("until", "before", "after"), RULES)
def test_stage_ends_with_its_condition(until, before, after):
    policy = stages(until)
    np.testing.assert_array_equal(policy.score(before, rng()), before.std)
    assert policy.chosen_by == "staged[1]/max_variance"
    np.testing.assert_array_equal(policy.score(after, rng()), UpperConfidenceBound().score(after, rng()))
    assert policy.chosen_by == "staged[2]/ucb"


def test_stage_follows_from_the_belief_alone():
    policy, belief = stages({"n_observed": 10}), replace(BASE, n_observed=3)
    policy.score(replace(BASE, n_observed=50), rng())
    np.testing.assert_array_equal(policy.score(belief, rng()), stages({"n_observed": 10}).score(belief, rng()))


def test_stages_that_are_over_at_once_are_passed_in_turn():
    three = Staged([
        {"policy": {"name": "random"}, "until": {"n_observed": 5}},
        {"policy": {"name": "max_variance"}, "until": {"n_observed": 8}},
        {"policy": {"name": "ucb"}},
    ])  # fmt: skip
    assert [three.stage(replace(BASE, n_observed=n)) for n in (4, 5, 7, 8, 99)] == [0, 1, 1, 2, 2]
    assert three.needs_model is False
    assert stages({"n_observed": 5}).needs_model is True


def test_the_stage_that_is_on_says_whether_it_needs_a_model_and_what_its_scores_are():
    policy = Staged([
        {"policy": {"name": "random"}, "until": {"n_observed": 5}},
        {"policy": {"name": "staged", "params": {"stages": [
            {"policy": {"name": "grid"}, "until": {"n_observed": 7}}, {"policy": {"name": "ucb"}}]}},
         "until": {"n_observed": 9}},
        {"policy": {"name": "per_second", "params": {"policy": {"name": "random"}}}},
    ])  # fmt: skip
    found = []
    for n in (4, 5, 7, 9):
        answering = present(policy, replace(BASE, n_observed=n))
        found.append((answering.needs_model, getattr(answering, "is_split", False), policy.chosen_by))
    assert found == [
        (False, False, "staged[1]/random"), (False, False, "staged[2]/staged[1]/grid"),
        (True, True, "staged[2]/staged[2]/ucb"), (False, False, "staged[3]/per_second/random"),
    ]  # fmt: skip


def test_costs_are_weighed_against_the_stage_that_is_on():
    belief = replace(BASE, n_observed=9, cost_s=rng(1).uniform(1.0, 9.0, len(BASE.mean)))
    inner = [{"policy": {"name": "random"}, "until": {"n_observed": 5}}, {"policy": {"name": "expected_improvement"}}]
    policy = PerSecond({"name": "staged", "params": {"stages": inner}})
    np.testing.assert_array_equal(policy.score(belief, rng()), PerSecond().score(belief, rng()))
    assert policy.needs_model is False and policy.present(belief).needs_model is True
    assert policy.chosen_by == "per_second/staged[2]/expected_improvement"


def test_expected_gain_of_a_stage_is_that_of_the_best_candidate():
    belief = told(fake_belief())
    best = float(ExpectedImprovement(spread="mixture").score(belief, rng())[belief.available].max())
    assert stages({"expected_gain_below": best * 0.999}).stage(belief) == 0
    assert stages({"expected_gain_below": best * 1.001}).stage(belief) == 1
