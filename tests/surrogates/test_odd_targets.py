"""Targets and deep members that would lead a careless committee astray."""

import numpy as np
import pytest

from probescout.surrogates.committee import Committee
from probescout.surrogates.fitting import fit

# Odd targets


@pytest.mark.parametrize("value", [0.0, 5.0, -3e-9])
def test_constant_targets_do_not_make_it_sure(kit, features, value):
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
    assert committee.belief(kit.ALL).std.min() > 0


def test_the_end_of_a_long_constant_stretch_is_learnt_in_bites(kit, features, monkeypatch):
    monkeypatch.setattr("probescout.surrogates.learning.REBUILT_AT_ONCE", 1024 * 20)
    committee, n_builds = Committee(features, seed=0, use_deep=False), 0
    for index in range(64):
        committee.tell(index, 5.0)
        n_builds += committee.is_building
    assert n_builds == 0, "a constant says nothing new at every doubling"
    committee.tell(500, 9.0)
    assert committee.is_building and committee.predict(500)[0] > 5.0
    again = Committee.restore(features, committee.state())
    while not again.advance():
        pass
    while not committee.advance():
        pass
    other = Committee(features, seed=0, use_deep=False)
    other.rebuild([*((i, 5.0, float("nan")) for i in range(64)), (500, 9.0, float("nan"))])
    kit.assert_close_belief(committee, other)
    kit.assert_same_belief(committee, again)


@pytest.mark.parametrize("scale", [1e-170, 1e99])
def test_values_at_the_ends_of_the_range_are_taken(features, scale):
    committee = Committee(features, seed=0, use_deep=False)
    for k, index in enumerate(range(0, 1000, 90)):
        committee.tell(index, scale * (1 + k % 4), scale * scale if scale > 1 else 0.0)
        if committee.needs_fit():
            committee.swap(fit(committee.fit_request()))
    found = committee.posterior()
    assert np.isfinite(found.mean).all() and np.isfinite(found.std).all()


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


def test_deep_member_that_misbehaves_is_shut_off_with_an_alarm(kit, features, field):
    committee = kit.trained(features, field[1], n=15, n_fits=0)
    committee.swap(garbage(fit(committee.fit_request())))
    assert committee.weights()["deep"] == 0.0
    rng = np.random.default_rng(3)
    for index in rng.choice(1024, 15, replace=False):
        committee.tell(int(index), float(field[1][index]), 0.1)
    assert committee.weights()["deep"] == 0.0
    assert committee.calibration().is_alarmed
    shallow = Committee.restore(features, committee.state())
    assert shallow.calibration().is_alarmed


def test_deep_member_earns_weight_by_predicting(kit, features, field):
    committee = kit.trained(features, field[1], n=12, n_fits=0)
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
