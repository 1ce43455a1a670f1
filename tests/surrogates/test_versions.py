"""Versions of the model: when fits are asked for, how they take over, in bites or at once."""

import json
import math

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from probescout.core.errors import InvalidInput
from probescout.surrogates import learning, model
from probescout.surrogates.committee import Committee
from probescout.surrogates.fitting import fit

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


def test_a_lost_fit_is_asked_for_again(kit, features, field):
    committee = kit.trained(features, field[1], n=8, n_fits=0)
    committee.fit_request()
    again = []
    for index in range(5):
        again.append(committee.needs_fit())
        committee.tell(index, float(field[1][index]))
    assert not any(again) and committee.needs_fit()


def test_swap_replays_what_was_told_since_the_request(kit, features, field):
    slow, prompt = (kit.trained(features, field[1], n=20, n_fits=0) for _ in range(2))
    request = slow.fit_request()
    result = fit(request)
    for index in (900, 901, 17):
        slow.tell(index, float(field[1][index]), 0.1)
    slow.swap(result)
    prompt.swap(result)
    for index in (900, 901, 17):
        prompt.tell(index, float(field[1][index]), 0.1)
    assert slow.n_since_fit == prompt.n_since_fit == 3
    a, b = slow.belief(kit.ALL), prompt.belief(kit.ALL)
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
def test_garbage_from_a_fit_leaves_the_old_model(kit, features, field, how):
    committee = kit.trained(features, field[1], n=12)
    request = committee.fit_request()
    state, before = committee.state(), committee.belief(kit.ALL)
    with pytest.raises(InvalidInput):
        committee.swap(spoilt(fit_once(request), how))
    np.testing.assert_array_equal(committee.belief(kit.ALL).member_mean, before.member_mean)
    assert committee.hyperparameters() == {k: state[k] for k in committee.hyperparameters()}


_fits = {}


def fit_once(request):
    """The fit of the one request that the test above repeats."""
    if "result" not in _fits:
        _fits["result"] = fit(request)
    return _fits["result"]


def test_journalled_hyperparameters_give_the_model_back(kit, features, field):
    committee = kit.trained(features, field[1])
    journalled = json.loads(json.dumps(committee.hyperparameters()))
    fresh = Committee(features, seed=0)
    fresh.rebuild(list(zip(*kit.columns(committee), strict=True)))
    fresh.apply_hyperparameters(journalled, committee.arrays())
    kit.assert_close_belief(committee, fresh)
    assert fresh.n_since_fit == committee.n_since_fit
    fresh.apply_hyperparameters(journalled)
    assert "deep" in committee.weights() and "deep" not in fresh.weights()


# In bites


def told(committee, target, indices):
    for index in indices:
        committee.tell(index, float(target[index]), 0.1)


def in_bites(committee, between=lambda: None):
    """Bring the next version on until it takes over; return in how many bites."""
    n_bites = 1
    while not committee.advance():
        between()
        n_bites += 1
    return n_bites


@pytest.fixture
def small_bites(monkeypatch):
    monkeypatch.setattr(model, "BITE_WORK", 4 * 1024 * 100)


def test_a_swap_in_bites_is_the_swap_at_once(kit, features, field, small_bites):
    slow, prompt = (kit.trained(features, field[1], n=24, n_fits=0) for _ in range(2))
    result = fit(slow.fit_request())
    before = slow.belief(kit.ALL)
    slow.begin_swap(result)
    assert slow.is_building and not slow.is_outdated

    def still_the_old_one():
        assert_array_equal(slow.belief(kit.ALL).member_mean, before.member_mean)
        assert slow.n_since_fit == 24

    assert in_bites(slow, still_the_old_one) > 10
    prompt.swap(result)
    kit.assert_same_belief(slow, prompt)
    assert not slow.is_building and slow.advance() and slow.hyperparameters() == prompt.hyperparameters()


def test_what_is_told_while_a_version_is_built_is_learnt_by_both(kit, features, field, small_bites):
    slow, prompt, never = (kit.trained(features, field[1], n=20, n_fits=0) for _ in range(3))
    result, later = fit(slow.fit_request()), iter((900, 901, 17, 44, 45, 46))
    slow.begin_swap(result)
    prompt.swap(result)
    for index in (900, 901, 17, 44, 45, 46):
        assert not slow.advance()
        told(slow, field[1], [next(later)])
        told(never, field[1], [index])
        assert_array_equal(slow.belief(kit.ALL).member_mean, never.belief(kit.ALL).member_mean)
        told(prompt, field[1], [index])
    in_bites(slow)
    kit.assert_close_belief(slow, prompt)
    assert slow.n_since_fit == prompt.n_since_fit == 6
    again = Committee.restore(features, slow.state())
    for committee in (slow, again):
        told(committee, field[1], [500])
    kit.assert_same_belief(slow, again, [3, 4])


@pytest.mark.parametrize("n_between", (1, 3))
def test_a_version_is_ready_however_fast_measurements_come(kit, features, field, small_bites, n_between):
    committee = kit.trained(features, field[1], n=100, n_fits=0)
    left = iter(np.random.default_rng(1).permutation(1024))
    committee.begin_swap(fit(committee.fit_request()))

    def between():
        assert committee.n_observed < 900, "the version on its way never catches up"
        told(committee, field[1], [int(next(left)) for _ in range(n_between)])

    in_bites(committee, between)
    assert committee.hyperparameters()["n_fits"] == 1
    anew = kit.trained(features, field[1], n=1, n_fits=0)
    anew.rebuild(list(zip(*kit.columns(committee), strict=True)))
    anew.apply_hyperparameters(committee.hyperparameters(), committee.arrays())
    one, other = committee.belief(kit.ALL), anew.belief(kit.ALL)
    # Other blocks round otherwise, the more so with hundreds of measurements.
    np.testing.assert_allclose(one.member_mean, other.member_mean, atol=0.05 * float(one.std.mean()))


def test_a_burst_is_not_learnt_in_one_bite(kit, features, field, small_bites):
    committee = kit.trained(features, field[1], n=60, n_fits=0)
    committee.begin_swap(fit(committee.fit_request()))
    told_at = []

    def between():
        build = committee._build
        if not told_at and build._end == 60 and build._member == 2:
            told_at.append(committee.n_observed)
            told(committee, field[1], list(range(300, 364)))

    in_bites(committee, between)
    edges = committee.state()["arrays"]["edges"]
    assert told_at == [60] and edges[-1] == 124
    assert max(np.diff(edges)) <= 2 * edges[0], "it is chased once"


def test_at_leisure_no_bite_is_longer_than_it_should_be(kit, features, field, small_bites):
    committee = kit.trained(features, field[1], n=60, n_fits=0)
    later = iter(range(100, 200))
    committee.begin_swap(fit(committee.fit_request()))
    n = 0
    while not committee.advance():
        n += 1
        if n % 20 == 0:
            told(committee, field[1], [next(later)])
    edges = committee.state()["arrays"]["edges"]
    assert edges[-1] == committee.n_observed > 60 and max(np.diff(edges)) <= edges[0]


def test_a_state_saved_while_a_version_is_built_goes_on_with_the_one_before(kit, features, field, small_bites):
    committee = kit.trained(features, field[1], n=30)
    committee.begin_swap(fit(committee.fit_request()))
    for index in (7, 8, 9):
        committee.advance()
        told(committee, field[1], [index])
    again = Committee.restore(features, committee.state())
    kit.assert_same_belief(committee, again, [60])
    assert again.needs_fit() and not again.is_building


def test_a_correction_starts_the_version_on_its_way_anew(kit, features, field, small_bites):
    committee, other = (kit.trained(features, field[1], n=20, n_fits=0) for _ in range(2))
    result, kept = fit(committee.fit_request()), list(zip(*kit.columns(other), strict=True))[2:]
    committee.begin_swap(result)
    for _ in range(7):
        committee.advance()
    committee.rebuild(kept)
    assert committee.n_observed == 18 and not committee.is_building and committee.hyperparameters()["n_fits"] == 1
    other.rebuild(kept)
    other.swap(result)
    kit.assert_close_belief(committee, other)
    assert committee.needs_fit()


def test_with_much_data_a_correction_is_worked_in_in_bites(kit, features, field, small_bites, monkeypatch):
    monkeypatch.setattr(learning, "REBUILT_AT_ONCE", 1024 * 10)
    committee, other = (kit.trained(features, field[1], n=25) for _ in range(2))
    kept = list(zip(*kit.columns(committee), strict=True))[3:]
    before = committee.belief(kit.ALL).mean.copy()
    committee.begin_rebuild(kept)
    assert committee.is_outdated and committee.n_observed == 22
    told = {int(i): y for i, y, _ in zip(*kit.columns(other), strict=True)}
    for index in (0, 500, 1000):
        # What is explained meanwhile is what still answers, retracted measurements and all.
        assert all(n["value"] == told[n["index"]] for n in committee.explain(index)["nearest"])
    committee.advance()
    assert_array_equal(committee.belief(kit.ALL).mean, before)
    saved = Committee.restore(features, committee.state())
    in_bites(committee)
    assert not committee.is_outdated
    other.rebuild(kept)
    kit.assert_same_belief(committee, other)
    kit.assert_same_belief(committee, saved)


def test_a_version_that_cannot_be_built_leaves_the_one_before(kit, features, field):
    committee = kit.trained(features, field[1], n=20)
    before, result = committee.belief(kit.ALL).mean.copy(), fit(committee.fit_request())
    committee.begin_swap(result)
    committee._build.model.gps[2].extend = broken
    with pytest.raises(InvalidInput, match="'bank' cannot be conditioned on 20 measurements"):
        in_bites(committee)
    assert not committee.is_building and committee.hyperparameters()["n_fits"] == 1
    assert_array_equal(committee.belief(kit.ALL).mean, before)


def broken(*_):
    raise np.linalg.LinAlgError("not positive definite")


def test_members_learn_the_same_blocks(kit, features, field, small_bites):
    committee = kit.trained(features, field[1], n=40, n_fits=0)
    committee.begin_swap(fit(committee.fit_request()))
    in_bites(committee)
    edges = committee.state()["arrays"]["edges"]
    assert edges[-1] == 40 and len(edges) > 3 and (np.diff(edges) > 0).all()
    # The more there is to multiply with, the smaller the bites.
    assert np.diff(edges)[-2] <= edges[0]
