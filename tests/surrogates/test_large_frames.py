"""Frames of which only some candidates are kept: answers for all of them, and the same ones after a restart."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from probescout.surrogates import field as fields
from probescout.surrogates import learning
from probescout.surrogates.committee import Committee
from probescout.surrogates.fitting import fit


@pytest.fixture
def few(monkeypatch):
    """Keep at most 200 of the 1024 candidates."""
    monkeypatch.setattr(fields, "MOST_CANDIDATES", 200)
    monkeypatch.setattr(fields, "LEAST_CANDIDATES", 50)


def pair(features, target, monkeypatch, n=40):
    """The same measurements and fit, with some candidates kept and with all."""
    found, result = [], None
    for most in (200, 32_768):
        monkeypatch.setattr(fields, "MOST_CANDIDATES", most)
        committee = Committee(features, seed=0, use_deep=False)
        for index in np.random.default_rng(0).choice(1024, n, replace=False):
            committee.tell(int(index), float(target[index]), 0.1)
        result = result or fit(committee.fit_request())
        committee.swap(result)
        found.append(committee)
    return found


def test_every_candidate_is_answered_as_if_all_were_kept(features, field, monkeypatch):
    some, whole = pair(features, field[1], monkeypatch)
    assert 100 < len(some.field) <= 200 and whole.field.is_whole
    # The weights rest on how common each predicted value is, which a sample only estimates.
    assert_allclose(list(some.weights().values()), list(whole.weights().values()), atol=0.1)
    size = field[1].std()
    assert_allclose(some.posterior().mean, whole.posterior().mean, atol=0.1 * size)
    for k in range(len(whole.weights())):
        also = np.setdiff1d(np.arange(1024), some.field.candidates)
        belief = some.belief(np.ones(1024, dtype=bool), [7, 900], also=also)
        exact = whole.belief(np.ones(1024, dtype=bool), [7, 900])
        at = belief.candidates
        # Far out on a bent axis single precision shows as a share of the value.
        assert_allclose(belief.member_mean[k], exact.member_mean[k, at], rtol=1e-4, atol=1e-4 * size)
        assert_allclose(belief.member_var[k], exact.member_var[k, at], rtol=1e-3, atol=1e-4 * size**2)
        assert_array_equal(belief.positions, exact.positions[at])
    assert_array_equal(at[belief.measured], whole.belief(np.ones(1024, dtype=bool)).measured)


def test_a_belief_of_some_candidates_knows_which(features, field, monkeypatch):
    some, whole = pair(features, field[1], monkeypatch)
    free = np.ones(1024, dtype=bool)
    free[::3] = False
    belief = some.belief(free)
    assert_array_equal(belief.candidates, some.field.candidates)
    assert_array_equal(belief.available, free[belief.candidates])
    assert belief.shape is None and belief.n_observed == 40
    known = belief.measured >= 0
    assert_array_equal(belief.candidates[belief.measured[known]], some.belief(free).model.measured[known])
    assert 0 < known.sum() < 40
    assert belief.incumbent == pytest.approx(whole.belief(free).incumbent, rel=0.05)
    only = some.belief(free, also=np.array([5, 6]), has_field=False)
    assert len(only.mean) == 2 and only.sample(np.random.default_rng(0), np.array([0, 1])).shape == (2,)
    inside = np.flatnonzero(np.isin(belief.candidates, [*some.field.candidates[:9]]))
    block = belief.covariance(inside, inside)
    assert_allclose(np.einsum("kaa->ka", block), belief.member_var[:, inside], rtol=1e-3)
    assert belief.only(3).mean[0] == pytest.approx(belief.mean[3], rel=1e-9)


def test_a_restart_keeps_the_same_candidates_bit_for_bit(features, field, few):
    committee = Committee(features, seed=3, use_deep=False)
    for index in range(0, 1000, 40):
        committee.tell(index, float(field[1][index]), 0.1)
    committee.swap(fit(committee.fit_request()))
    for index in (5, 6, 7):
        committee.tell(index, float(field[1][index]), 0.1)
    again = Committee.restore(features, committee.state())
    assert_array_equal(again.field.candidates, committee.field.candidates)
    free = np.ones(1024, dtype=bool)
    also = np.setdiff1d(np.arange(300), committee.field.candidates)
    one, other = committee.belief(free, [9], also=also), again.belief(free, [9], also=also)
    assert_array_equal(one.member_mean, other.member_mean)
    assert_array_equal(one.member_var, other.member_var)


def test_other_candidates_are_kept_when_others_are_allowed(features, field, few):
    left = np.tile(np.arange(32) < 20, 32)
    committee = Committee(features, seed=3, use_deep=False, allowed=left)
    assert left[committee.field.candidates].all()
    for index in range(0, 1000, 40):
        committee.tell(index, float(field[1][index]), 0.1)
    committee.allow(left.copy())
    assert not committee.is_building, "the same candidates are allowed as before"
    right = ~left
    committee.allow(right)
    assert committee.is_building and left[committee.field.candidates].all()
    committee.tell(500, float(field[1][500]), 0.1)
    while not committee.advance():
        pass
    assert right[committee.field.candidates].all() and committee.n_observed == 26
    tiny = np.zeros(1024, dtype=bool)
    tiny[700:760] = True
    committee.allow(tiny)
    while not committee.advance():
        pass
    assert_array_equal(committee.field.candidates, np.arange(700, 760))


def test_another_region_restarts_a_version_on_its_way(features, field, few, monkeypatch):
    monkeypatch.setattr(learning, "REBUILT_AT_ONCE", 0)
    committee = Committee(features, seed=3, use_deep=False)
    rows = [(index, float(field[1][index]), 0.1) for index in range(0, 1000, 40)]
    for row in rows:
        committee.tell(*row)
    committee.begin_swap(fit(committee.fit_request()))
    committee.advance()
    allowed = np.arange(1024) < 400
    committee.allow(allowed)
    while not committee.advance():
        pass
    assert committee.hyperparameters()["n_fits"] == 1 and allowed[committee.field.candidates].all()
    committee.begin_rebuild(rows[3:])
    committee.allow(~allowed)
    assert committee.is_outdated
    while not committee.advance():
        pass
    assert committee.n_observed == 22 and (~allowed)[committee.field.candidates].all()


def test_a_restart_goes_on_to_the_candidates_of_another_region(features, field, few):
    left = np.tile(np.arange(32) < 20, 32)
    committee = Committee(features, seed=3, use_deep=False, allowed=left)
    for index in range(0, 1000, 40):
        committee.tell(index, float(field[1][index]), 0.1)
    right = ~left
    committee.allow(right)
    again = Committee.restore(features, committee.state(), allowed=right)
    for each in (committee, again):
        assert each.is_building
        while not each.advance():
            pass
    assert right[again.field.candidates].all()
    assert_array_equal(again.field.candidates, committee.field.candidates)


def test_a_belief_about_another_target_is_over_the_same_candidates(features, field, few):
    one, other = (Committee(features, seed=s, use_deep=False) for s in (1, 2))
    free = np.ones(1024, dtype=bool)
    for index in range(0, 1000, 40):
        one.tell(index, float(field[1][index]), 0.1)
        other.tell(index, -float(field[1][index]), 0.1)
    also = np.setdiff1d(np.arange(100), one.field.candidates)
    first = one.belief(free, [50], also=also)
    for second in (other.belief_like(first, free, [50]), one.belief_like(first, free, [50])):
        assert_array_equal(second.candidates, first.candidates)
    assert_allclose(other.belief_like(first, free, [50]).mean, -first.mean, atol=0.02 * field[1].std())


def test_at_most_so_much_memory_is_kept_as_measurements_grow(features, field, monkeypatch):
    monkeypatch.setattr(fields, "MOST_BYTES", 4 * 4 * 100 * 240)
    monkeypatch.setattr(fields, "MOST_CANDIDATES", 480)
    monkeypatch.setattr(fields, "LEAST_CANDIDATES", 50)
    committee = Committee(features, seed=3, use_deep=False)
    assert 240 < len(committee.field) <= 480
    rng = np.random.default_rng(0)
    for index in rng.integers(1024, size=200):
        committee.tell(int(index), float(field[1][index]), 0.1)
        if committee.needs_fit() and committee.n_observed in (5, 150):
            committee.swap(fit(committee.fit_request()))
    committee.rebuild([(int(i), float(field[1][i]), 0.1) for i in rng.integers(1024, size=200)])
    assert len(committee.field) <= 120


def test_without_fits_fewer_are_kept_in_time(features, field, monkeypatch):
    monkeypatch.setattr(fields, "MOST_BYTES", 4 * 4 * 100 * 240)
    monkeypatch.setattr(fields, "MOST_CANDIDATES", 480)
    monkeypatch.setattr(fields, "LEAST_CANDIDATES", 50)
    committee = Committee(features, seed=3, use_deep=False)
    rng, kept = np.random.default_rng(0), []
    for index in rng.integers(1024, size=300):
        committee.tell(int(index), float(field[1][index]), 0.1)
        while not committee.advance():
            pass
        kept.append(len(committee.field))
        assert 4 * 4 * committee.n_observed * kept[-1] <= 2 * 4 * 4 * 100 * 240
    assert kept[40] > 240 and kept[-1] <= 120 and sorted(kept, reverse=True) == kept


def test_what_is_being_built_learns_a_scale_taken_anew(features, field, few):
    committee = Committee(features, seed=3, use_deep=False)
    for index in range(15):
        committee.tell(60 * index, float(index % 3))
    committee.allow(np.tile(np.arange(32) < 20, 32))
    assert committee.is_building
    committee.tell(901, 1000.0)
    while not committee.advance():
        pass
    assert np.abs(committee._model.y).max() < 10.0


def test_a_whole_frame_that_is_being_thinned_keeps_to_new_limits(features, field, monkeypatch):
    monkeypatch.setattr(fields, "MOST_BYTES", 4 * 4 * 30 * 1024)
    monkeypatch.setattr(fields, "LEAST_CANDIDATES", 50)
    left = np.tile(np.arange(32) < 16, 32)
    committee = Committee(features, seed=3, use_deep=False, allowed=left)
    for index in range(32):
        committee.tell(32 * index, float(field[1][32 * index]), 0.1)
    assert committee.field.is_whole and committee.is_building
    committee.allow(~left)
    while not committee.advance():
        pass
    assert not left[committee.field.candidates].any()
