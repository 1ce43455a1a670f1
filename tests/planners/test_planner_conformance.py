"""Every planner of this distribution passes the published suite, with defaults and with other parameters."""

import pytest
from probescout_planners.batch_expected_improvement import BatchExpectedImprovement
from probescout_planners.expected_improvement import ExpectedImprovement
from probescout_planners.grid import Grid
from probescout_planners.integrated_variance import IntegratedVariance
from probescout_planners.knowledge_gradient import KnowledgeGradient
from probescout_planners.level_set import LevelSet
from probescout_planners.max_value_entropy import MaxValueEntropy
from probescout_planners.max_variance import MaxVariance
from probescout_planners.novelty import Novelty
from probescout_planners.pareto import Pareto
from probescout_planners.per_second import PerSecond
from probescout_planners.probability_of_improvement import ProbabilityOfImprovement
from probescout_planners.random import Random
from probescout_planners.staged import Staged
from probescout_planners.target_value import TargetValue
from probescout_planners.thompson import Thompson
from probescout_planners.ucb import UpperConfidenceBound

from probescout.core.errors import InvalidInput, Reason
from probescout.core.registry import PLANNERS, installed
from probescout.testing.planner import PlannerConformance


class TestExpectedImprovement(PlannerConformance):
    planner = ExpectedImprovement


class TestNoisyExpectedImprovement(PlannerConformance):
    planner = ExpectedImprovement
    params = {"noisy": True, "xi": 0.1, "n_draws": 5}


class TestUpperConfidenceBound(PlannerConformance):
    planner = UpperConfidenceBound


class TestUpperConfidenceBoundSqrtLog(PlannerConformance):
    planner = UpperConfidenceBound
    params = {"schedule": "sqrt_log"}


class TestUpperConfidenceBoundLinear(PlannerConformance):
    planner = UpperConfidenceBound
    params = {"schedule": "linear", "horizon": 20}


class TestUpperConfidenceBoundTwoPhases(PlannerConformance):
    planner = UpperConfidenceBound
    params = {"schedule": "explore_then_exploit", "beta": 3, "final_beta": 0}


class TestProbabilityOfImprovement(PlannerConformance):
    planner = ProbabilityOfImprovement


class TestMaxVariance(PlannerConformance):
    planner = MaxVariance


class TestIntegratedVariance(PlannerConformance):
    planner = IntegratedVariance


class TestSmallIntegratedVariance(PlannerConformance):
    planner = IntegratedVariance
    params = {"n_reference": 7, "n_candidates": 9}


class TestThompson(PlannerConformance):
    planner = Thompson


class TestThompsonSubset(PlannerConformance):
    planner = Thompson
    params = {"n_subset": 5}


class TestLevelSet(PlannerConformance):
    planner = LevelSet


class TestLevelSetAtLevel(PlannerConformance):
    planner = LevelSet
    params = {"level": 0.3, "beta": 1.0}


class TestTargetValue(PlannerConformance):
    planner = TargetValue
    params = {"value": 0.4}


class TestTargetValueFarAway(PlannerConformance):
    planner = TargetValue
    params = {"value": -1e5}


class TestTargetRange(PlannerConformance):
    planner = TargetValue
    params = {"value": 0.4, "tolerance": 0.1}


class TestMaxValueEntropy(PlannerConformance):
    planner = MaxValueEntropy


class TestKnowledgeGradient(PlannerConformance):
    planner = KnowledgeGradient


class TestSmallKnowledgeGradient(PlannerConformance):
    planner = KnowledgeGradient
    params = {"n_reference": 4, "n_candidates": 6}


class TestNovelty(PlannerConformance):
    planner = Novelty


class TestNoveltyAndValue(PlannerConformance):
    planner = Novelty
    params = {"value_weight": 0.5}


class TestBatchExpectedImprovement(PlannerConformance):
    planner = BatchExpectedImprovement
    params = {"n_draws": 64}


class TestPareto(PlannerConformance):
    planner = Pareto


class TestParetoSmallFront(PlannerConformance):
    planner = Pareto
    params = {"n_front": 2}


class TestPerSecond(PlannerConformance):
    planner = PerSecond


class TestChargedBound(PlannerConformance):
    planner = PerSecond
    params = {"policy": {"name": "ucb", "params": {"beta": 1.0}}, "weight": 0.5}


class TestVariancePerSecond(PlannerConformance):
    planner = PerSecond
    params = {"policy": {"name": "integrated_variance", "params": {"n_candidates": 9}}}


class TestStaged(PlannerConformance):
    planner = Staged


class TestStagedByAllRules(PlannerConformance):
    planner = Staged
    params = {
        "stages": [
            {"policy": {"name": "random"}, "until": {"n_observed": 5}},
            {"policy": {"name": "max_variance"}, "until": {"budget_fraction": 0.5}},
            {"policy": {"name": "integrated_variance"}, "until": {"coverage95_at_least": 0.9}},
            {"policy": {"name": "ucb"}, "until": {"expected_gain_below": 0.1}},
            {"policy": {"name": "per_second", "params": {"policy": {"name": "expected_improvement"}}}},
        ]
    }


class TestRandom(PlannerConformance):
    planner = Random


class TestGrid(PlannerConformance):
    planner = Grid


class TestSmallGrid(PlannerConformance):
    planner = Grid
    params = {"budget": 9}


def test_every_installed_planner_of_ours_is_tested_here():
    suites = [s for s in globals().values() if isinstance(s, type) and issubclass(s, PlannerConformance)]
    tested = {s.planner.name for s in suites if hasattr(s, "planner")}
    assert tested == {i.name for i in installed(PLANNERS) if i.distribution == "probescout"}


@pytest.mark.parametrize(
    ("build", "field", "reason", "words"),
    [
        (lambda: PerSecond({"name": "greedy"}), "params.policy.name", Reason.PLUGIN_UNKNOWN, "greedy"),
        (lambda: PerSecond({"name": "ucb", "params": {"beta": -1}}), "params.policy.params", Reason.PARAM_INVALID,
         "-1"),
        (lambda: Staged([{"policy": {"name": "ucb"}, "until": {"n_observed": 3}}]), "params.stages[0].until",
         Reason.PARAM_INVALID, "stage 1 of 1 has a condition"),
        (lambda: Staged([{"policy": {"name": "ucb"}}, {"policy": {"name": "random"}}]), "params.stages[0].until",
         Reason.PARAM_INVALID, "stage 1 of 2 has no condition"),
    ],
)  # fmt: skip
def test_a_wrong_delegate_is_refused_with_its_field(build, field, reason, words):
    with pytest.raises(InvalidInput) as refused:
        build()
    assert refused.value.field == field
    assert refused.value.reason is reason
    assert words in refused.value.message
