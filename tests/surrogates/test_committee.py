"""The committee as its callers use it."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from probescout_planners.expected_improvement import ExpectedImprovement
from probescout_planners.ucb import UpperConfidenceBound

from probescout.core.errors import InvalidInput, Reason
from probescout.core.ports import Belief
from probescout.surrogates.committee import Committee
from probescout.surrogates.features import compute_features, features_of_box
from probescout.surrogates.fitting import fit

# What it costs to import


def test_answers_without_torch():
    code = (
        "import sys, probescout.surrogates.committee, probescout.surrogates.features\n"
        "print([m for m in ('torch', 'gpytorch', 'botorch') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.strip() == b"[]"


# Beliefs


def test_belief_before_any_data_is_the_prior(kit, features):
    belief = Committee(features, seed=0).belief(kit.ALL)
    assert belief.incumbent == -math.inf and belief.n_observed == 0
    np.testing.assert_array_equal(belief.mean, np.zeros(1024))
    np.testing.assert_allclose(belief.std, math.sqrt(2), rtol=1e-6)
    np.testing.assert_allclose(belief.weights.sum(), 1.0)


def test_belief_is_the_mixture_of_its_members_in_target_units(kit, features, field):
    committee = kit.trained(features, field[1])
    belief: Belief = committee.belief(kit.ALL)
    w, m, v = belief.weights, belief.member_mean, belief.member_var
    np.testing.assert_allclose(belief.mean, w @ m)
    np.testing.assert_allclose(belief.std**2, w @ (v + m**2) - (w @ m) ** 2, rtol=1e-6)
    measured = [i for i, _, _ in zip(*kit.columns(committee), strict=True)]
    assert belief.incumbent == pytest.approx(belief.mean[measured].max(), rel=1e-5)
    assert w.sum() == pytest.approx(1.0) and (w >= 0).all()


def test_units_of_the_target_do_not_matter(kit, features, field):
    one = kit.trained(features, field[1], use_deep=False)
    index, values, variances = kit.columns(one)
    other = Committee(features, seed=0, use_deep=False)
    for i, y, v in zip(index, values, variances, strict=True):
        other.tell(i, 1e-9 * y + 5e-7, 1e-18 * v)
        if other.needs_fit() and other.hyperparameters()["n_fits"] == 0:
            other.swap(fit(other.fit_request()))
    a, b = one.posterior(), other.posterior()
    np.testing.assert_allclose(b.mean, 1e-9 * a.mean + 5e-7, rtol=1e-4)
    np.testing.assert_allclose(b.std, 1e-9 * a.std, rtol=1e-3)
    np.testing.assert_allclose(b.predictive_std, 1e-9 * a.predictive_std, rtol=1e-3)


def test_pending_points_shrink_the_spread_and_leave_the_committee_alone(kit, features, field):
    committee = kit.trained(features, field[1])
    before = committee.belief(kit.ALL)
    pending = [400, 37, 400]
    after = committee.belief(kit.ALL, pending)
    assert (after.member_var <= before.member_var * (1 + 1e-9)).all()
    assert after.std[400] < 0.7 * before.std[400]
    np.testing.assert_array_equal(after.member_mean, before.member_mean)
    assert after.incumbent == before.incumbent
    kit.assert_same_belief(committee, committee)
    np.testing.assert_array_equal(committee.belief(kit.ALL).std, before.std)
    fresh = Committee.restore(features, committee.state())
    kit.assert_same_belief(committee, fresh, pending)


def test_a_pending_point_is_expected_with_the_noise_that_is_stated(kit, features, field):
    committee = kit.trained(features, field[1], noise=6.0)
    at = 400
    pending = committee.belief(kit.ALL, [at])
    before = committee.belief(kit.ALL)
    expected = before.assessment.member_noise(before.model.scale, before._moments[0][:, [at]])[:, 0]
    for k, gp in enumerate(before.gps):
        var, noise = before._var[k, at], expected[k]
        assert noise > 1.2 * gp.noise
        assert pending._var[k, at] == pytest.approx(var * noise / (var + noise), rel=1e-3)


def test_a_batch_spreads_out(kit, features, field):
    committee = kit.trained(features, field[1], n=12)
    planner, rng = UpperConfidenceBound(beta=10.0), np.random.default_rng(0)

    def batch(is_conditioned):
        available, pending = kit.ALL.copy(), []
        for _ in range(6):
            scores = planner.score(committee.belief(available, pending if is_conditioned else []), rng)
            pick = int(np.flatnonzero(available)[np.argmax(scores[available])])
            available[pick] = False
            pending.append(pick)
        positions = features.positions[pending]
        return np.linalg.norm(positions[:, None] - positions[None], axis=2)[np.triu_indices(6, 1)]

    assert batch(True).mean() > 1.3 * batch(False).mean()


def test_samples_have_the_moments_of_the_belief(kit, features, field):
    belief = kit.trained(features, field[1]).belief(kit.ALL, [40])
    some, rng = np.array([5, 40, 41, 700]), np.random.default_rng(0)
    draws = np.stack([belief.sample(rng, some) for _ in range(4000)])
    np.testing.assert_allclose(draws.mean(axis=0), belief.mean[some], atol=4 * belief.std[some].max() / 60)
    np.testing.assert_allclose(draws.std(axis=0), belief.std[some], rtol=0.1)
    assert np.corrcoef(draws[:, 1], draws[:, 2])[0, 1] > 0.5  # neighbours


# Learning


def test_finds_more_than_chance(kit, features, field):
    target = field[1]
    top = np.flatnonzero(target >= np.quantile(target, 0.98))
    for seed in range(2):
        committee = kit.trained(features, target, n=10, seed=seed, use_deep=False)
        available = kit.ALL.copy()
        available[kit.columns(committee)[0]] = False
        for _ in range(30):
            scores = ExpectedImprovement().score(committee.belief(available), np.random.default_rng(0))
            pick = int(np.flatnonzero(available)[np.argmax(scores[available])])
            committee.tell(pick, float(target[pick]), 0.01)
            available[pick] = False
        # 40 of 1024 at random find 0.8 of 21 on average and six or more once in 4000 runs.
        assert (~available[top]).sum() >= 6


def test_intervals_cover_what_they_claim_at_random(kit, features, field):
    target = field[1]
    for seed in range(2):
        committee = kit.trained(features, target, n=60, seed=seed, n_fits=4)
        found = committee.posterior()
        noisy = target + 0.3 * np.random.default_rng(9).normal(size=1024)
        coverage = (np.abs(noisy - found.mean) <= 1.96 * found.predictive_std).mean()
        assert 0.85 <= coverage <= 1.0
        calibration = committee.calibration()
        assert calibration.n >= 50 and 0.85 <= calibration.coverage95 <= 1.0
        assert np.sqrt(np.mean((found.mean - target) ** 2)) < 0.5 * target.std()
        assert (found.predictive_std > found.std).all()


def test_predict_is_one_entry_of_the_posterior(kit, features, field):
    committee = kit.trained(features, field[1])
    found = committee.posterior()
    for index in (0, 500, 1023):
        expected = (found.mean[index], found.std[index], found.predictive_std[index])
        np.testing.assert_allclose(committee.predict(index), expected, rtol=1e-12)


def test_scores_are_taken_before_learning(kit, features, field):
    committee = kit.trained(features, field[1], n=12)
    mean, _, predictive = committee.predict(77)
    committee.tell(77, 30.0)
    assert committee.state()["arrays"]["scores"][-1, 0] == pytest.approx((30.0 - mean) / predictive, rel=1e-9)


def test_prefers_the_representation_that_carries_the_signal(kit):
    rng = np.random.default_rng(0)
    noise_image = compute_features(rng.normal(size=(32, 32)))
    smooth = np.sin(5 * noise_image.positions[:, 0]) + noise_image.positions[:, 1]
    committee = kit.trained(noise_image, smooth, n=40, noise=0.05, use_deep=False)
    weights = committee.weights()
    assert max(weights, key=weights.get) in ("xy", "bank_xy")
    assert weights["pca8"] < 0.1


# Input and explanations


@pytest.mark.parametrize(
    ("index", "value", "variance", "reason"),
    [
        (-1, 1.0, 1.0, Reason.FIELD_INVALID),
        (1024, 1.0, 1.0, Reason.FIELD_INVALID),
        (0, math.nan, 1.0, Reason.NON_FINITE),
        (0, math.inf, 1.0, Reason.NON_FINITE),
        (0, 1.0, -1.0, Reason.FIELD_INVALID),
        (0, 1.0, math.inf, Reason.FIELD_INVALID),
    ],
)
def test_bad_measurements_change_nothing(kit, features, index, value, variance, reason):
    committee = Committee(features, seed=0)
    committee.tell(5, 1.0)
    before = committee.belief(kit.ALL).mean
    with pytest.raises(InvalidInput) as caught:
        committee.tell(index, value, variance)
    assert caught.value.reason is reason
    with pytest.raises(InvalidInput):
        committee.rebuild([(0, 1.0, 1.0), (index, value, variance)])
    assert committee.n_observed == 1
    np.testing.assert_array_equal(committee.belief(kit.ALL).mean, before)


def test_explanation_names_members_and_likest_measurements(kit, features, field):
    committee = kit.trained(features, field[1])
    index = kit.columns(committee)[0][4]
    found = committee.explain(index)
    json.dumps(found, allow_nan=False)
    assert found["mean"] == pytest.approx(committee.predict(index)[0])
    assert {m["name"]: m["weight"] for m in found["members"]} == committee.weights()
    assert found["nearest"][0]["index"] == index
    assert found["nearest"][0]["correlation"] == pytest.approx(1.0, abs=1e-5)
    correlations = [n["correlation"] for n in found["nearest"]]
    assert correlations == sorted(correlations, reverse=True)
    assert found["n_since_fit"] == committee.n_since_fit


def test_plans_over_a_box_of_parameters():
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 7)] * 3), axis=-1).reshape(-1, 3)
    committee = Committee(features_of_box(grid), seed=0)
    target = -((grid - 0.6) ** 2).sum(axis=1)
    for index in np.random.default_rng(0).choice(len(grid), 30, replace=False):
        committee.tell(int(index), float(target[index]))
        if committee.needs_fit():
            committee.swap(fit(committee.fit_request()))
    assert committee.weights() == {"xy": pytest.approx(1.0)}
    assert np.corrcoef(committee.posterior().mean, target)[0, 1] > 0.95
