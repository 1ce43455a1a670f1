"""Policies that map: integrated variance against conditioning by hand, novelty by hand."""

from dataclasses import replace

import numpy as np
import pytest
from probescout_planners.integrated_variance import IntegratedVariance
from probescout_planners.max_variance import MaxVariance
from probescout_planners.novelty import Novelty

from probescout.testing.fake_belief import fake_belief


def rng():
    return np.random.default_rng(0)


def test_integrated_variance_is_the_fall_of_the_mean_variance():
    belief = fake_belief(lengthscale=0.2)
    scores = IntegratedVariance(n_reference=10000, n_candidates=10000).score(belief, rng())
    free = np.flatnonzero(belief.available)
    for index in free[::5]:
        told = belief.fantasise(int(index))
        falls = (belief.member_var - told.member_var)[:, free].mean(axis=1)
        assert scores[index] == pytest.approx(float(belief.weights @ falls), rel=1e-9)


def test_integrated_variance_prefers_a_crowd_to_a_lonely_spot():
    belief = fake_belief(1, 30, n_members=1, lengthscale=0.05)
    belief = replace(belief, member_var=np.ones((1, 30)), std=np.ones(30), available=np.ones(30, dtype=bool))
    positions = belief.positions.copy()
    positions[7, 0] = 9.0
    belief = replace(belief, positions=positions)
    scores = IntegratedVariance().score(belief, rng())
    assert int(np.argmin(scores)) == 7
    assert np.ptp(MaxVariance().score(belief, rng())) == 0.0


def test_what_lies_outside_the_subset_scores_below_all_inside():
    belief = fake_belief(20, 20, lengthscale=0.1)
    scores = IntegratedVariance(n_reference=50, n_candidates=40).score(belief, rng())
    assert (scores >= 0).sum() == 40
    assert set(scores[scores < 0]) == {-1.0}
    assert not (scores >= 0)[~belief.available].any()


def test_novelty_alone_or_with_the_value():
    belief = fake_belief()
    np.testing.assert_array_equal(Novelty().score(belief, rng()), belief.novelty)
    free = belief.available
    found = Novelty(value_weight=0.5).score(belief, rng())
    standardised = (belief.mean - belief.mean[free].mean()) / belief.mean[free].std()
    np.testing.assert_allclose(found, belief.novelty + 0.5 * standardised)


def test_without_novelty_the_uncertain_is_novel():
    belief = replace(fake_belief(), novelty=np.zeros(42))
    found = Novelty().score(belief, rng())
    assert np.argsort(found).tolist() == np.argsort(belief.std).tolist()
    assert found[belief.available].max() == 1.0
