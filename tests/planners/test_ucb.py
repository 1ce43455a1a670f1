"""The schedules of the upper confidence bound, and whose spread it takes."""

import math
from dataclasses import replace

import numpy as np
import pytest
from probescout_planners.ucb import UpperConfidenceBound

from probescout.testing.fake_belief import fake_belief


def rng(seed=0):
    return np.random.default_rng(seed)


def test_schedules_of_the_bound():
    constant, linear = UpperConfidenceBound(2.0), UpperConfidenceBound(3.0, "linear", final_beta=1.0)
    assert constant.weight(50, 1000, 110) == 2.0
    assert [linear.weight(n, 1000, 100) for n in (0, 25, 100, 400)] == [3.0, 2.5, 1.0, 1.0]
    assert UpperConfidenceBound(3.0, "linear", final_beta=1.0, horizon=50).weight(25, 1000, 100) == 2.0
    switch = UpperConfidenceBound(3.0, "explore_then_exploit", final_beta=0.0, switch_at=0.4)
    assert [switch.weight(n, 1000, 100) for n in (39, 40, 100)] == [3.0, 0.0, 0.0]
    # Srinivas et al. 2010, theorem 1: beta_t = 2 log(|D| t^2 pi^2 / (6 delta)), divided by 5.
    assert UpperConfidenceBound(schedule="sqrt_log", delta=0.2).weight(7, 500, None) == pytest.approx(
        math.sqrt(0.4 * math.log(500 * 49 * math.pi**2 / 1.2))
    )


def test_bound_uses_the_budget_of_the_campaign():
    belief = replace(fake_belief(), n_observed=30, n_budget=60)
    found = UpperConfidenceBound(4.0, "linear", final_beta=0.0, spread="mixture").score(belief, rng())
    np.testing.assert_allclose(found, belief.mean + 2.0 * belief.std)


def test_bound_is_the_average_of_the_members_bounds():
    belief = fake_belief(2, 3)
    found = UpperConfidenceBound(1.5).score(belief, rng())
    for c in range(len(found)):
        each = [belief.member_mean[k, c] + 1.5 * math.sqrt(belief.member_var[k, c]) for k in range(len(belief.weights))]
        assert found[c] == pytest.approx(sum(w * bound for w, bound in zip(belief.weights, each, strict=True)))
    # Disagreement is no reason to look: the SD of the mixture, which holds it too, is never smaller.
    assert (UpperConfidenceBound(1.5, spread="mixture").score(belief, rng()) >= found - 1e-12).all()
