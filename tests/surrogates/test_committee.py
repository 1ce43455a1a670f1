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

ALL = np.ones(1024, dtype=bool)


def trained(features, target, *, n=20, seed=0, noise=0.3, n_fits=1, use_deep=True):
    """A committee told n random measurements, fitted when it asks, at most n_fits times."""
    rng = np.random.default_rng(seed)
    committee = Committee(features, seed=seed, use_deep=use_deep)
    for index in rng.choice(1024, n, replace=False):
        committee.tell(int(index), float(target[index] + noise * rng.normal()), noise**2)
        if committee.needs_fit() and n_fits:
            committee.swap(fit(committee.fit_request()))
            n_fits -= 1
    return committee


def assert_same_belief(one, other, pending=()):
    a, b = one.belief(ALL, pending), other.belief(ALL, pending)
    for name in ("member_mean", "member_var", "weights", "mean", "std", "incumbent"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def assert_close_belief(one, other):
    a, b = one.belief(ALL), other.belief(ALL)
    for name in ("member_mean", "member_var", "weights", "mean", "std"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=2e-3, atol=2e-3)


# What it costs to import


def test_answers_without_torch():
    code = (
        "import sys, probescout.surrogates.committee, probescout.surrogates.features\n"
        "print([m for m in ('torch', 'gpytorch', 'botorch') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.strip() == b"[]"


# Beliefs


def test_belief_before_any_data_is_the_prior(features):
    belief = Committee(features, seed=0).belief(ALL)
    assert belief.incumbent == -math.inf and belief.n_observed == 0
    np.testing.assert_array_equal(belief.mean, np.zeros(1024))
    np.testing.assert_allclose(belief.std, math.sqrt(2), rtol=1e-6)
    np.testing.assert_allclose(belief.weights.sum(), 1.0)


def test_belief_is_the_mixture_of_its_members_in_target_units(features, field):
    committee = trained(features, field[1])
    belief: Belief = committee.belief(ALL)
    w, m, v = belief.weights, belief.member_mean, belief.member_var
    np.testing.assert_allclose(belief.mean, w @ m)
    np.testing.assert_allclose(belief.std**2, w @ (v + m**2) - (w @ m) ** 2, rtol=1e-6)
    measured = [i for i, _, _ in zip(*columns(committee), strict=True)]
    assert belief.incumbent == pytest.approx(belief.mean[measured].max(), rel=1e-5)
    assert w.sum() == pytest.approx(1.0) and (w >= 0).all()


def columns(committee):
    arrays = committee.state()["arrays"]
    return arrays["index"].tolist(), arrays["value"].tolist(), arrays["variance"].tolist()


def test_units_of_the_target_do_not_matter(features, field):
    one = trained(features, field[1], use_deep=False)
    index, values, variances = columns(one)
    other = Committee(features, seed=0, use_deep=False)
    for i, y, v in zip(index, values, variances, strict=True):
        other.tell(i, 1e-9 * y + 5e-7, 1e-18 * v)
        if other.needs_fit() and other.hyperparameters()["n_fits"] == 0:
            other.swap(fit(other.fit_request()))
    a, b = one.posterior(), other.posterior()
    np.testing.assert_allclose(b.mean, 1e-9 * a.mean + 5e-7, rtol=1e-4)
    np.testing.assert_allclose(b.std, 1e-9 * a.std, rtol=1e-3)
    np.testing.assert_allclose(b.predictive_std, 1e-9 * a.predictive_std, rtol=1e-3)


def test_pending_points_shrink_the_spread_and_leave_the_committee_alone(features, field):
    committee = trained(features, field[1])
    before = committee.belief(ALL)
    pending = [400, 37, 400]
    after = committee.belief(ALL, pending)
    assert (after.member_var <= before.member_var * (1 + 1e-9)).all()
    assert after.std[400] < 0.7 * before.std[400]
    np.testing.assert_array_equal(after.member_mean, before.member_mean)
    assert after.incumbent == before.incumbent
    assert_same_belief(committee, committee)
    np.testing.assert_array_equal(committee.belief(ALL).std, before.std)
    fresh = Committee.restore(features, committee.state())
    assert_same_belief(committee, fresh, pending)


def test_a_batch_spreads_out(features, field):
    committee = trained(features, field[1], n=12)
    planner, rng = UpperConfidenceBound(beta=4.0), np.random.default_rng(0)

    def batch(is_conditioned):
        available, pending = ALL.copy(), []
        for _ in range(6):
            scores = planner.score(committee.belief(available, pending if is_conditioned else []), rng)
            pick = int(np.flatnonzero(available)[np.argmax(scores[available])])
            available[pick] = False
            pending.append(pick)
        positions = features.positions[pending]
        return np.linalg.norm(positions[:, None] - positions[None], axis=2)[np.triu_indices(6, 1)]

    assert batch(True).mean() > 1.3 * batch(False).mean()


def test_samples_have_the_moments_of_the_belief(features, field):
    belief = trained(features, field[1]).belief(ALL, [40])
    some, rng = np.array([5, 40, 41, 700]), np.random.default_rng(0)
    draws = np.stack([belief.sample(rng, some) for _ in range(4000)])
    np.testing.assert_allclose(draws.mean(axis=0), belief.mean[some], atol=4 * belief.std[some].max() / 60)
    np.testing.assert_allclose(draws.std(axis=0), belief.std[some], rtol=0.1)
    assert np.corrcoef(draws[:, 1], draws[:, 2])[0, 1] > 0.5  # neighbours


# Learning


def test_finds_more_than_chance(features, field):
    target = field[1]
    top = np.flatnonzero(target >= np.quantile(target, 0.98))
    for seed in range(2):
        committee = trained(features, target, n=10, seed=seed, use_deep=False)
        available = ALL.copy()
        available[columns(committee)[0]] = False
        for _ in range(30):
            scores = ExpectedImprovement().score(committee.belief(available), np.random.default_rng(0))
            pick = int(np.flatnonzero(available)[np.argmax(scores[available])])
            committee.tell(pick, float(target[pick]), 0.01)
            available[pick] = False
        # 40 of 1024 at random find 0.8 of 21 on average and six or more once in 4000 runs.
        assert (~available[top]).sum() >= 6


def test_intervals_cover_what_they_claim_at_random(features, field):
    target = field[1]
    for seed in range(2):
        committee = trained(features, target, n=60, seed=seed, n_fits=4)
        found = committee.posterior()
        noisy = target + 0.3 * np.random.default_rng(9).normal(size=1024)
        coverage = (np.abs(noisy - found.mean) <= 1.96 * found.predictive_std).mean()
        assert 0.85 <= coverage <= 1.0
        calibration = committee.calibration()
        assert calibration.n >= 50 and 0.85 <= calibration.coverage95 <= 1.0
        assert np.sqrt(np.mean((found.mean - target) ** 2)) < 0.5 * target.std()
        assert (found.predictive_std > found.std).all()


def test_predict_is_one_entry_of_the_posterior(features, field):
    committee = trained(features, field[1])
    found = committee.posterior()
    for index in (0, 500, 1023):
        expected = (found.mean[index], found.std[index], found.predictive_std[index])
        np.testing.assert_allclose(committee.predict(index), expected, rtol=1e-12)


def test_scores_are_taken_before_learning(features, field):
    committee = trained(features, field[1], n=12)
    mean, _, predictive = committee.predict(77)
    committee.tell(77, 30.0)
    assert committee.state()["arrays"]["scores"][-1, 0] == pytest.approx((30.0 - mean) / predictive, rel=1e-9)


def test_prefers_the_representation_that_carries_the_signal():
    rng = np.random.default_rng(0)
    noise_image = compute_features(rng.normal(size=(32, 32)))
    smooth = np.sin(5 * noise_image.positions[:, 0]) + noise_image.positions[:, 1]
    committee = trained(noise_image, smooth, n=40, noise=0.05, use_deep=False)
    weights = committee.weights()
    assert max(weights, key=weights.get) in ("xy", "bank_xy")
    assert weights["pca8"] < 0.1


# Odd targets


@pytest.mark.parametrize("value", [0.0, 5.0, -3e-9])
def test_constant_targets_do_not_make_it_sure(features, value):
    committee = Committee(features, seed=0)
    for index in range(0, 1000, 25):
        committee.tell(index, value)
    assert not committee.needs_fit()
    found = committee.posterior()
    size = abs(value) or 1.0
    np.testing.assert_allclose(found.mean, value, atol=1e-6 * size)
    assert (found.predictive_std > 0.1 * size).all()
    assert committee.calibration().n == 0
    committee.tell(3, value + 2 * size)
    assert committee.needs_fit()
    assert committee.belief(ALL).std.min() > 0


def test_mostly_zeros_stay_open_to_surprise(features, field):
    rng = np.random.default_rng(0)
    rate = np.where(field[1] > np.quantile(field[1], 0.85), 4.0, 0.05)
    counts = rng.poisson(rate).astype(float)
    committee = Committee(features, seed=0)
    for index in rng.choice(1024, 60, replace=False):
        committee.tell(int(index), counts[index], max(counts[index], 1.0))
        if committee.needs_fit():
            committee.swap(fit(committee.fit_request()))
    found = committee.posterior()
    coverage = (np.abs(counts - found.mean) <= 1.96 * found.predictive_std).mean()
    assert 0.85 <= coverage <= 1.0


def test_one_outlier_does_not_make_it_sure(features, field):
    target = field[1].copy()
    rng = np.random.default_rng(1)
    committee = Committee(features, seed=0)
    for k, index in enumerate(rng.choice(1024, 45, replace=False)):
        committee.tell(int(index), float(target[index]) * (100.0 if k == 22 else 1.0))
        if k == 22:
            assert committee.needs_fit()
        if committee.needs_fit():
            committee.swap(fit(committee.fit_request()))
    found = committee.posterior()
    assert np.isfinite(found.mean).all()
    coverage = (np.abs(target - found.mean) <= 1.96 * found.predictive_std).mean()
    assert coverage >= 0.85


# Deep member


def garbage(result, seed=0):
    """A fit whose deep member is sure of nonsense: a random embedding with short lengthscales and no noise."""
    deep = {
        "log_lengthscale": [[-2.5] * 3, [2.0] * 8, [1.0] * 2],
        "log_amplitude": [2.5, -5.0, -5.0],
        "log_noise": -7.9,
    }
    # Few distinct points: it believes to have measured every candidate already.
    embedding = np.random.default_rng(seed).integers(0, 2, size=(1024, 3)).astype(np.float32)
    return {**result, "members": {**result["members"], "deep": deep}, "arrays": {"deep": embedding}}


def test_deep_member_that_misbehaves_is_shut_off_with_an_alarm(features, field):
    committee = trained(features, field[1], n=15, n_fits=0)
    committee.swap(garbage(fit(committee.fit_request())))
    assert committee.weights()["deep"] == 0.0
    rng = np.random.default_rng(3)
    for index in rng.choice(1024, 15, replace=False):
        committee.tell(int(index), float(field[1][index]), 0.1)
    assert committee.weights()["deep"] == 0.0
    assert committee.calibration().is_alarmed
    shallow = Committee.restore(features, committee.state())
    assert shallow.calibration().is_alarmed


def test_deep_member_earns_weight_by_predicting(features, field):
    committee = trained(features, field[1], n=12, n_fits=0)
    request = committee.fit_request()
    # An embedding that holds the answer, as a perfect network would.
    answer = (np.log(field[1]) - np.log(field[1]).mean()).astype(np.float32)
    result = fit(request)
    result["members"]["deep"] = {
        "log_lengthscale": [[0.7, 2.0, 2.0], [3.5] * 8, [1.0] * 2],
        "log_amplitude": [1.0, -4.0, -4.0],
        "log_noise": -4.0,
    }
    result["arrays"] = {"deep": np.column_stack([answer, 0 * answer, 0 * answer])}
    committee.swap(result)
    assert committee.weights()["deep"] == 0.0
    for index in np.random.default_rng(3).choice(1024, 30, replace=False):
        committee.tell(int(index), float(field[1][index]), 0.01)
    assert committee.weights()["deep"] > 0.5
    assert sum(committee.weights().values()) == pytest.approx(1.0)


# Fits


def test_asks_for_fits_when_they_are_due(features, field):
    committee = Committee(features, seed=0, use_deep=False)
    due = []
    for n, index in enumerate(np.random.default_rng(0).choice(1024, 60, replace=False), start=1):
        committee.tell(int(index), float(field[1][index]))
        if committee.needs_fit():
            due.append(n)
            request = committee.fit_request()
            assert not committee.needs_fit()
            committee.swap(fit(request))
            assert committee.n_since_fit == 0
    assert due == [5, 10, 20, 35, 50]


def test_a_lost_fit_is_asked_for_again(features, field):
    committee = trained(features, field[1], n=8, n_fits=0)
    committee.fit_request()
    again = []
    for index in range(5):
        again.append(committee.needs_fit())
        committee.tell(index, float(field[1][index]))
    assert not any(again) and committee.needs_fit()


def test_swap_replays_what_was_told_since_the_request(features, field):
    slow, prompt = (trained(features, field[1], n=20, n_fits=0) for _ in range(2))
    request = slow.fit_request()
    result = fit(request)
    for index in (900, 901, 17):
        slow.tell(index, float(field[1][index]), 0.1)
    slow.swap(result)
    prompt.swap(result)
    for index in (900, 901, 17):
        prompt.tell(index, float(field[1][index]), 0.1)
    assert slow.n_since_fit == prompt.n_since_fit == 3
    a, b = slow.belief(ALL), prompt.belief(ALL)
    np.testing.assert_allclose(a.member_mean, b.member_mean, atol=1e-3)
    np.testing.assert_allclose(a.member_var, b.member_var, rtol=1e-3, atol=1e-4)


def spoilt(result, how):
    members = {name: dict(hyper) for name, hyper in result["members"].items()}
    arrays, scale = dict(result["arrays"]), dict(result["scale"])
    match how:
        case "missing member":
            del members["xy"]
        case "NaN":
            members["xy"]["log_noise"] = math.nan
        case "outside the box":
            members["bank"]["log_amplitude"] = [40.0]
        case "wrong number":
            members["xy"]["log_lengthscale"] = [[0.0]]
        case "text":
            members["xy"]["log_noise"] = "low"
        case "short embedding":
            arrays["deep"] = arrays["deep"][:-1]
        case "NaN embedding":
            arrays["deep"] = np.full_like(arrays["deep"], np.nan)
        case "no scale":
            scale["sd"] = 0.0
        case "nothing":
            return {}
    return {**result, "members": members, "arrays": arrays, "scale": scale}


@pytest.mark.parametrize(
    "how",
    ["missing member", "NaN", "outside the box", "wrong number", "text", "short embedding", "NaN embedding"]
    + ["no scale", "nothing"],
)
def test_garbage_from_a_fit_leaves_the_old_model(features, field, how):
    committee = trained(features, field[1], n=12)
    request = committee.fit_request()
    state, before = committee.state(), committee.belief(ALL)
    with pytest.raises(InvalidInput):
        committee.swap(spoilt(fit_once(request), how))
    np.testing.assert_array_equal(committee.belief(ALL).member_mean, before.member_mean)
    assert committee.hyperparameters() == {k: state[k] for k in committee.hyperparameters()}


_fits = {}


def fit_once(request):
    """The fit of the one request that the test above repeats."""
    if "result" not in _fits:
        _fits["result"] = fit(request)
    return _fits["result"]


def test_journalled_hyperparameters_give_the_model_back(features, field):
    committee = trained(features, field[1])
    journalled = json.loads(json.dumps(committee.hyperparameters()))
    fresh = Committee(features, seed=0)
    fresh.rebuild(list(zip(*columns(committee), strict=True)))
    fresh.apply_hyperparameters(journalled, committee.arrays())
    assert_close_belief(committee, fresh)
    assert fresh.n_since_fit == committee.n_since_fit
    fresh.apply_hyperparameters(journalled)
    assert "deep" in committee.weights() and "deep" not in fresh.weights()


# Amendments and snapshots


def test_rebuild_forgets_what_was_retracted(features, field):
    committee = trained(features, field[1], n=20)
    kept = list(zip(*columns(committee), strict=True))
    committee.tell(600, 500.0, 0.1)
    committee.rebuild(kept)
    assert committee.n_observed == 20
    other = trained(features, field[1], n=20)
    other.rebuild(kept)
    assert_same_belief(committee, other)
    assert committee.needs_fit()


def test_rebuild_keeps_scores_of_unchanged_observations_only(features, field):
    committee = trained(features, field[1], n=20)
    n_scored = committee.calibration().n
    observations = list(zip(*columns(committee), strict=True))
    index, value, variance = observations[-1]
    committee.rebuild([*observations[:-1], (index, value + 1.0, variance)])
    assert committee.calibration().n == n_scored - 1


def test_rebuild_with_nothing_is_the_prior_again(features, field):
    committee = trained(features, field[1], n=20)
    committee.rebuild([])
    assert committee.n_observed == 0 and not committee.needs_fit()
    assert np.isfinite(committee.belief(ALL).mean).all()


@pytest.mark.parametrize(("n", "n_fits"), [(0, 0), (3, 0), (14, 0), (37, 0), (24, 1), (45, 2)])
def test_restored_committee_goes_on_bit_for_bit(features, field, n, n_fits):
    committee = trained(features, field[1], n=n, n_fits=n_fits)
    other = Committee.restore(features, committee.state())
    assert_same_belief(committee, other, [3, 9])
    assert other.calibration() == committee.calibration() or committee.calibration().n == 0
    assert other.needs_fit() == committee.needs_fit()
    for index in (100, 200, 300):
        committee.tell(index, float(field[1][index]), 0.1)
        other.tell(index, float(field[1][index]), 0.1)
    assert_same_belief(committee, other)
    assert other.weights() == committee.weights()


def test_state_holds_json_and_arrays_only(features, field):
    state = trained(features, field[1]).state()
    arrays = state.pop("arrays")
    assert all(isinstance(a, np.ndarray) and a.dtype != object for a in arrays.values())
    json.dumps(state, allow_nan=False)


def test_state_of_another_version_or_frame_is_refused(features, field):
    state = trained(features, field[1]).state()
    with pytest.raises(InvalidInput, match="version"):
        Committee.restore(features, {**state, "version": 99})
    with pytest.raises(InvalidInput):
        Committee.restore(compute_features(field[0][:8, :8]), state)


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
def test_bad_measurements_change_nothing(features, index, value, variance, reason):
    committee = Committee(features, seed=0)
    committee.tell(5, 1.0)
    before = committee.belief(ALL).mean
    with pytest.raises(InvalidInput) as caught:
        committee.tell(index, value, variance)
    assert caught.value.reason is reason
    with pytest.raises(InvalidInput):
        committee.rebuild([(0, 1.0, 1.0), (index, value, variance)])
    assert committee.n_observed == 1
    np.testing.assert_array_equal(committee.belief(ALL).mean, before)


def test_explanation_names_members_and_likest_measurements(features, field):
    committee = trained(features, field[1])
    index = columns(committee)[0][4]
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
