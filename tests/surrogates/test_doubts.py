"""Outliers: contradicted ones lose their say, hot spots keep it."""

import numpy as np
import pytest

from probescout.surrogates.committee import Committee
from probescout.surrogates.doubts import Doubts, doubted, muted, suspicious
from probescout.surrogates.features import compute_features
from probescout.surrogates.fitting import fit


def told(features, values, index):
    committee = Committee(features, seed=0, use_deep=False)
    for i in index:
        committee.tell(int(i), float(values[i]))
        if committee.needs_fit():
            committee.swap(fit(committee.fit_request()))
    committee.swap(fit(committee.fit_request()))
    return committee


def scattered(n=90, seed=0):
    return np.random.default_rng(seed).choice(1024, n, replace=False)


def test_spikes_do_not_wreck_the_map(features, field):
    target, rng, index = field[1], np.random.default_rng(1), scattered()
    values = target + 0.02 * target.std() * rng.normal(size=1024)
    spiked = values.copy()
    bad = rng.choice(index, 5, replace=False)
    spiked[bad] = np.median(target) * np.exp(rng.uniform(np.log(10), np.log(100), size=5))
    rest = np.setdiff1d(np.arange(1024), index)

    def error(committee):
        return float(np.sqrt(np.mean((committee.posterior().mean - target)[rest] ** 2)) / target.std())

    clean, hit = error(told(features, values, index)), error(told(features, spiked, index))
    assert clean < 0.5
    assert hit < 1.6 * clean + 0.1


@pytest.mark.parametrize("sentinel", [2.0**32 - 1, 3.4e38, -1e60])
def test_a_sentinel_does_not_come_back_however_large_it_is(features, field, sentinel):
    for seed in range(3):
        index = scattered(60, seed)
        values = field[1].copy()
        values[index[30]] = sentinel
        committee = told(features, values, index)
        rest = np.setdiff1d(np.arange(1024), index)
        error = np.sqrt(np.mean((committee.posterior().mean - field[1])[rest] ** 2)) / field[1].std()
        assert error < 0.6, seed


def test_a_hot_spot_that_neighbours_confirm_is_believed():
    rng = np.random.default_rng(2)
    image = rng.normal(size=(32, 32))
    features = compute_features(image)
    distance = np.hypot(*(np.indices((32, 32)) - 16)).ravel()
    values = 1.0 + 60.0 * np.exp(-0.5 * (distance / 2.0) ** 2) + 0.3 * rng.normal(size=1024)
    index = np.r_[scattered(50, seed=3), [16 * 32 + 16, 16 * 32 + 17, 17 * 32 + 16, 15 * 32 + 15, 18 * 32 + 17]]
    committee = told(features, values, index)
    hot = {(int(i), float(values[i])) for i in index[-5:]}
    assert suspicious(values[index]).any()
    assert not hot & set(Doubts.from_json(committee.hyperparameters()["doubts"]).extra)
    assert int(np.argmax(committee.posterior().mean)) in np.flatnonzero(distance < 3)


def test_the_rule_itself():
    n = 12
    error, variance, informed = np.full(n, 1.0), np.ones(n), np.full(n, 0.9)
    error[:3] = [10.0, -10.0, 10.0]
    informed[2] = 0.1
    found = doubted(error, variance, informed)
    assert found[:2].all() and not found[2:].any()
    extra = muted(error, found)
    assert not extra[2:].any()
    # What is left of its pull on the model is small whatever the value.
    assert np.abs(error / (1.0 + extra))[:2].max() < 0.01
    assert not doubted(error[:5], variance[:5], informed[:5]).any()


def test_suspicion_needs_a_spread_to_compare_with():
    values = np.r_[np.random.default_rng(0).normal(size=40), 30.0]
    np.testing.assert_array_equal(np.flatnonzero(suspicious(values)), [40])
    assert not suspicious(np.r_[np.zeros(40), 1000.0]).any()
    assert not suspicious(values[-5:]).any()


def test_doubts_stay_with_their_measurement(features, field):
    values, index = field[1].copy(), scattered(40)
    values[index[7]] = 300.0 * np.median(values)
    committee = told(features, values, index)
    doubts = Doubts.from_json(committee.hyperparameters()["doubts"])
    assert [key[0] for key in doubts.extra] == [index[7]]
    assert doubts.of(index, values[index]).nonzero()[0].tolist() == [7]
    again = Committee.restore(features, committee.state())
    np.testing.assert_array_equal(again.posterior().mean, committee.posterior().mean)
    journalled = Committee(features, seed=0, use_deep=False)
    for i in index:
        journalled.tell(int(i), float(values[i]))
    journalled.apply_hyperparameters(committee.hyperparameters())
    np.testing.assert_allclose(journalled.posterior().mean, committee.posterior().mean, rtol=1e-4, atol=1e-4)
    committee.rebuild([(int(i), float(values[i]), float("nan")) for i in index[1:]])
    assert Doubts.from_json(committee.hyperparameters()["doubts"]) == doubts
    assert committee.posterior().mean.max() < 30 * np.median(values)


@pytest.mark.parametrize("row", [[1, 2.0], [1, 2.0, -1.0], [1, 2.0, float("nan")], ["one", 2.0, 1.0]])
def test_unreadable_doubts_are_refused(row):
    with pytest.raises((TypeError, ValueError)):
        Doubts.from_json([row])
