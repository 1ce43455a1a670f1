"""Every planner on the belief of a real committee, pending points and all."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from probescout.core.ports import JointPlanner
from probescout.core.registry import PLANNERS, installed
from probescout.surrogates.committee import Committee
from probescout.surrogates.features import compute_features

PARAMS = {"target_value": {"value": 1.0}}
NAMES = [info.name for info in installed(PLANNERS) if info.distribution == "probescout"]


@pytest.fixture(scope="module")
def belief():
    image = ndimage.gaussian_filter(np.random.default_rng(5).normal(size=(32, 32)), 1.5)
    truth = np.exp(image.ravel() / image.std())
    features = compute_features(image)
    one, two = Committee(features, seed=0, use_deep=False), Committee(features, seed=0, use_deep=False)
    free = np.ones(1024, dtype=bool)
    for index in np.random.default_rng(1).choice(1024, 30, replace=False):
        one.tell(int(index), float(truth[index]), 0.01)
        two.tell(int(index), float(-(truth[index] ** 0.5)), 0.01)
        free[index] = False
    free[:3] = False
    cost = np.random.default_rng(2).uniform(1.0, 9.0, 1024)
    about = {"cost_s": cost, "n_budget": 110, "last_position": (0.5, 0.5)}
    other = replace(two.belief(free, [0, 1, 2]), **about)
    return replace(one.belief(free, [0, 1, 2]), **about, further=(other,), calibration=one.calibration())


def build(name, **params):
    [info] = [i for i in installed(PLANNERS) if i.name == name]
    return info.load()(**(params or PARAMS.get(name, {})))


@pytest.mark.parametrize("name", NAMES)
def test_planner_chooses_on_a_committee(belief, name):
    planner = build(name)
    scores = planner.score(belief, np.random.default_rng(0))
    free = belief.available
    assert np.isfinite(scores[free]).all() and np.ptp(scores[free]) > 0
    np.testing.assert_array_equal(build(name).score(belief, np.random.default_rng(0)), scores)
    if isinstance(planner, JointPlanner):
        batch = planner.score_batch(belief, np.random.default_rng(0), 5)
        assert len(set(batch.tolist())) == 5 and free[batch].all()


def test_policies_for_large_values_prefer_them(belief):
    free = belief.available
    for name in ("expected_improvement", "ucb", "probability_of_improvement", "knowledge_gradient",
                 "max_value_entropy", "thompson"):  # fmt: skip
        scores = np.where(free, build(name).score(belief, np.random.default_rng(0)), -np.inf)
        chosen = belief.mean[int(np.argmax(scores))] + 2 * belief.std[int(np.argmax(scores))]
        assert chosen > np.quantile(belief.mean[free] + 2 * belief.std[free], 0.9), name


def test_a_greedy_batch_by_fantasies_spreads(belief):
    # Less optimism picks the same six either way here.
    planner, now, picks = build("ucb", beta=6.0), belief, []
    for _ in range(6):
        scores = np.where(now.available, planner.score(now, np.random.default_rng(0)), -np.inf)
        picks.append(int(np.argmax(scores)))
        now = now.fantasise(picks[-1])
    assert len(set(picks)) == 6
    alone = np.argsort(-np.where(belief.available, planner.score(belief, np.random.default_rng(0)), -np.inf))[:6]
    var = belief.std**2
    left = now.std**2
    crowd = belief
    for index in alone:
        crowd = crowd.fantasise(int(index))
    assert set(picks) != set(alone.tolist())
    assert (var - left).sum() > 1.02 * (var - crowd.std**2).sum()
