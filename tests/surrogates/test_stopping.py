"""Stop advice: bounds against simulation, doubts, and whether a met rule was right on maps with known truth."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from probescout.core.errors import InvalidInput, Reason
from probescout.core.geometry import pixel_centers
from probescout.surrogates.improvement import expected_improvement
from probescout.surrogates.incremental import IncrementalGP
from probescout.surrogates.members.definition import Hyperparameters
from probescout.surrogates.stopping import advise, remaining_gain
from probescout.testing.fake_belief import FakeCalibration, fake_belief, hard_beliefs, told, with_moments


def rng(seed=0):
    return np.random.default_rng(seed)


def learnt(**changes):
    return replace(told(fake_belief()), n_observed=40, **changes)


def test_bounds_are_those_of_independent_candidates():
    belief = learnt(incumbent=0.5)
    free = np.flatnonzero(belief.available)
    generator = rng(1)
    members = generator.choice(3, size=(20_000, len(free)), p=belief.weights)
    mean, std = belief.member_mean[:, free], np.sqrt(belief.member_var[:, free])
    columns = np.arange(len(free))
    draws = mean[members, columns] + std[members, columns] * generator.normal(size=members.shape)
    gains = np.maximum(draws.max(axis=1) - 0.5, 0.0)
    expectation, quantile = remaining_gain(belief)
    assert expectation == pytest.approx(gains.mean(), rel=0.03)
    assert quantile == pytest.approx(np.quantile(gains, 0.95), rel=0.05)


def test_bounds_hold_for_tied_candidates():
    belief = fake_belief(10, 10, n_members=1, lengthscale=0.3)
    free = np.flatnonzero(belief.available)
    draws = np.array([belief.sample(rng(s), free).max() for s in range(800)])
    gains = np.maximum(draws - belief.incumbent, 0.0)
    expectation, quantile = remaining_gain(belief)
    assert gains.mean() < expectation and np.mean(gains <= quantile) > 0.95


def test_one_candidate_by_hand():
    belief = with_moments(fake_belief(1, 1, n_members=1), np.array([[1.0]]), np.array([[4.0]]))
    belief = replace(belief, available=np.array([True]), incumbent=0.5)
    expectation, quantile = remaining_gain(belief)
    assert expectation == pytest.approx(float(expected_improvement(np.array(0.5), np.array(2.0))), rel=5e-3)
    assert quantile == pytest.approx(0.5 + 2.0 * norm.ppf(0.95), rel=0.03)
    wider, _ = remaining_gain(belief, 2.0)
    assert wider == pytest.approx(float(expected_improvement(np.array(0.5), np.array(4.0))), rel=5e-3)


def test_what_is_left_out_of_a_large_set_enters_by_its_sum():
    belief = fake_belief(50, 60, n_members=1)
    belief = replace(belief, incumbent=float(belief.mean.max()) + 0.5)
    expectation, _ = remaining_gain(belief)
    free = belief.available
    each = expected_improvement(belief.member_mean[0, free] - belief.incumbent, np.sqrt(belief.member_var[0, free]))
    assert each.max() < expectation < each.sum()
    draws = belief.mean[free] + belief.std[free] * rng(2).normal(size=(1000, int(free.sum())))
    assert np.maximum(draws.max(axis=1) - belief.incumbent, 0.0).mean() < expectation * 1.02


def test_met_when_the_value_is_at_most_the_bound():
    for rule in ("expected_regret", "gain_per_second", "map_error"):
        value = advise(rule, learnt(), 0.0).value
        assert value > 0
        below, above = advise(rule, learnt(), value * 0.999), advise(rule, learnt(), value * 1.001)
        assert (below.is_met, above.is_met) == (False, True)
        assert below.rule == rule and below.unit.startswith("target")
        assert "not met" in below.message and f"{value:.4g}" in below.message


def test_gain_is_per_second_where_costs_are_known():
    belief = learnt()
    free = belief.available
    std = np.sqrt(belief.member_var)
    gain = belief.weights @ expected_improvement(belief.member_mean - belief.incumbent, std)
    plain = advise("gain_per_second", belief, 1.0)
    assert plain.value == pytest.approx(gain[free].max()) and plain.unit == "target/probe"
    cost = rng(4).uniform(1, 9, len(gain))
    timed = advise("gain_per_second", replace(belief, cost_s=cost), 1.0)
    assert timed.value == pytest.approx((gain / cost)[free].max()) and timed.unit == "target/s"


def test_map_error_is_the_mean_sd():
    belief = learnt()
    assert advise("map_error", belief, 1.0).value == pytest.approx(belief.std[belief.available].mean())


@pytest.mark.parametrize(("n", "n_inside"), [(60, 60), (60, 54), (20, 12), (4, 4)])
def test_intervals_that_may_have_covered_too_little_are_widened_first(n, n_inside):
    doubted = learnt(calibration=FakeCalibration(n, n_inside / n))
    # By Wilson's rule the least coverage solves share - least = z sqrt(least (1 - least) / n).
    least = brentq(lambda c: n_inside / n - c - norm.ppf(0.9) * np.sqrt(c * (1 - c) / n), 1e-6, n_inside / n - 1e-9)
    factor = max(norm.ppf(0.975) / norm.ppf(0.5 * (1 + least)), 1.0)
    assert advise("map_error", doubted, 9.0).value == pytest.approx(factor * advise("map_error", learnt(), 9.0).value)
    assert bool(factor > 1.0) is (n < 60 or n_inside < 60)


def test_a_model_that_cannot_be_trusted_meets_no_rule():
    for belief, words in (
        (learnt(calibration=FakeCalibration(60, 0.95, True)), "alarmed"),
        (replace(learnt(), n_observed=19), "only 19"),
    ):
        found = advise("map_error", belief, 1e6)
        assert not found.is_met and words in found.message


def test_nothing_left_is_a_reason_to_stop():
    found = advise("expected_regret", replace(fake_belief(), available=np.zeros(42, dtype=bool)), 0.0)
    assert found.is_met and found.value == 0.0 and "no candidate is left" in found.message


@pytest.mark.parametrize("rule", ["expected_regret", "gain_per_second", "map_error"])
def test_every_belief_gets_an_answer(rule):
    for case, belief in hard_beliefs().items():
        found = advise(rule, belief, 1e-3)
        assert found.message and (found.value >= 0.0 or not np.isfinite(belief.incumbent)), case
        assert not (found.is_met and np.isnan(found.value)), case


@pytest.mark.parametrize(("name", "bound", "words"), [("regret", 1.0, "expected_regret"), ("map_error", -1.0, "-1.0"),
                                                      ("map_error", float("nan"), "nan")])  # fmt: skip
def test_unknown_rules_and_bounds_are_refused(name, bound, words):
    with pytest.raises(InvalidInput, match=words) as refused:
        advise(name, fake_belief(), bound)
    assert refused.value.reason is Reason.FIELD_INVALID


SIDE, LENGTH, BOUND, NOISE = 16, 0.12, 0.25, 0.05


def simulated(seed):
    """Measure a map drawn from the model's own prior by expected improvement until the rule is met."""
    generator = rng([seed, 5])
    positions = pixel_centers(SIDE, SIDE)
    hyper = Hyperparameters(((np.log(LENGTH),) * 2,), (0.0,), np.log(NOISE**2))
    gp = IncrementalGP([positions], hyper, dtype=np.float64)
    everyone = np.arange(SIDE * SIDE)
    factor = np.linalg.cholesky(gp.covariance(gp.field, gp.field) - 1.0 + 1e-9 * np.eye(len(everyone)))
    truth = factor @ generator.normal(size=len(everyone))
    base = with_moments(fake_belief(SIDE, SIDE, n_members=1), gp.mean[None], gp.var[None])
    measured: list[int] = [int(j) for j in generator.choice(len(everyone), 10, replace=False)]
    free, gains = np.ones(len(everyone), dtype=bool), np.zeros(len(everyone))
    for n in range(120):
        if n >= 10:
            measured.append(int(np.argmax(np.where(free, gains, -1.0))))
        gp.tell([positions[measured[n]]], float(truth[measured[n]] + NOISE * generator.normal()))
        free = np.ones(len(everyone), dtype=bool)
        free[measured[: n + 1]] = False
        incumbent = float(gp.mean[measured[: n + 1]].max())
        gains = expected_improvement(gp.mean - incumbent, np.sqrt(gp.var))
        belief = replace(with_moments(base, gp.mean[None], gp.var[None]), available=free, incumbent=incumbent,
                         n_observed=n + 1)  # fmt: skip
        if advise("expected_regret", belief, BOUND).is_met:
            best = measured[int(np.argmax(gp.mean[measured[: n + 1]]))]
            return n + 1, float(truth[free].max() - truth[best])
    return None


def test_a_met_rule_was_right_on_nine_maps_in_ten():
    found = [simulated(seed) for seed in range(30)]
    met = [row for row in found if row is not None]
    assert len(met) >= 27, "the rule must be of use: met within 120 measurements"
    assert np.mean([gap <= BOUND for _, gap in met]) >= 0.9
    # It does not wait for ever: the stop comes well before the map is exhausted.
    assert np.median([n for n, _ in met]) < 80


def test_the_evidence_holds_whatever_the_sign_of_the_targets():
    # A belief of a minimising campaign is negated: its levels are none that a person knows.
    belief = replace(learnt(), incumbent=-123.4)
    message = advise("expected_regret", belief, 1e9).message
    assert "123.4" not in message and "exceeds" not in message and "best so far" in message
