"""A committee with evidence: what it adds, that it can be taken back, and that nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from probescout.core.errors import InvalidInput
from probescout.surrogates.committee import Committee
from probescout.surrogates.features import compute_features
from probescout.surrogates.fitting import fit
from probescout.surrogates.prior.gate import UNHEARD
from probescout.surrogates.prior.theory import Result
from probescout.surrogates.prior.worth import MOST_UNHEARD, N_CALIBRATING, Tried, next_patch

SIDE = 32
EVERYWHERE = np.ones(SIDE * SIDE, dtype=bool)


@pytest.fixture(scope="module")
def sample():
    """Features of an image, a target that follows it in part, and the part."""
    rng = np.random.default_rng(0)
    image = gaussian_filter(rng.normal(size=(SIDE, SIDE)), 1.5)
    image /= image.std()
    part = np.tanh(2.0 * image).ravel()
    target = part + 0.3 * gaussian_filter(rng.normal(size=image.shape), 5.0).ravel() / 0.05
    return compute_features(image), target / target.std(), part


def committee_of(sample, n=40, **more):
    features, target, _ = sample
    rng = np.random.default_rng(7)
    committee = Committee(features, seed=3, use_deep=False, **more)
    for i in rng.choice(SIDE * SIDE, n, replace=False):
        committee.tell(int(i), float(target[i] + 0.05 * rng.normal()), 0.0025)
    return committee


def evidence_of(values, n=40, engine="xtb:formation_energy"):
    rng = np.random.default_rng(9)
    return [Result(int(i), float(values[i]), engine) for i in rng.choice(SIDE * SIDE, n, replace=False)]


def seen(committee):
    belief = committee.belief(EVERYWHERE, [5, 99])
    posterior = committee.posterior()
    return [
        belief.member_mean, belief.member_var, belief.weights, belief.mean, belief.std, belief.novelty,
        belief.noise_var, posterior.mean, posterior.std, posterior.predictive_std,
    ]  # fmt: skip


def test_right_theory_makes_the_map_better_and_keeps_it_honest(sample):
    _, target, part = sample
    committee = committee_of(sample)
    before = np.sqrt(((committee.posterior().mean - target) ** 2).mean())
    committee.inform(evidence_of(7.0 - 3.0 * part))
    posterior = committee.posterior()
    after = np.sqrt(((posterior.mean - target) ** 2).mean())
    assert committee.verdict().weight > 0.8 and after < 0.85 * before
    covered = np.abs(target - posterior.mean) <= 1.96 * posterior.std
    assert 0.85 < covered.mean() < 0.995


def test_unrelated_theory_changes_not_one_bit(sample):
    committee, alone = committee_of(sample), committee_of(sample)
    committee.inform(evidence_of(np.random.default_rng(1).normal(size=SIDE * SIDE)))
    assert committee.theory_report()["weight"] == 0.0
    for a, b in zip(seen(committee), seen(alone), strict=True):
        np.testing.assert_array_equal(a, b)


def test_evidence_taken_back_leaves_what_was_before_to_the_bit(sample):
    _, target, part = sample
    committee, alone = committee_of(sample), committee_of(sample)
    committee.inform(evidence_of(part))
    for i in (3, 500, 801):
        assert committee.belief(EVERYWHERE).weights.size == 8
        for one in (committee, alone):
            one.tell(i, float(target[i]), 0.0025)
    committee.inform([])
    assert committee.theory is None and committee.theory_report() is None
    for a, b in zip(seen(committee), seen(alone), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_snapshot_goes_on_to_the_bit_with_evidence(sample):
    features, target, part = sample
    committee = committee_of(sample)
    committee.inform(evidence_of(part))
    committee.tell(77, float(target[77]), 0.0025)
    again = Committee.restore(features, committee.state())
    assert again.verdict() == committee.verdict()
    assert again.calibration() == committee.calibration()
    for a, b in zip(seen(again), seen(committee), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_state_without_evidence_says_nothing_of_it(sample):
    committee = committee_of(sample)
    assert not {"evidence", "reported"} & set(committee.state())


def test_a_belief_with_theory_is_one_belief(sample):
    _, _, part = sample
    committee = committee_of(sample)
    committee.inform(evidence_of(part))
    belief = committee.belief(EVERYWHERE, [12])
    assert belief.weights.sum() == pytest.approx(1.0)
    index = np.array([3, 400, 900])
    covariance = belief.covariance(index, index)
    assert covariance.shape == (8, 3, 3)
    np.testing.assert_allclose(
        np.diagonal(covariance, axis1=1, axis2=2), belief.member_var[:, index], rtol=0.3, atol=1e-3
    )
    pending = belief.fantasise(400)
    assert pending.std[400] < belief.std[400]
    np.testing.assert_allclose(pending.mean, belief.mean)
    assert np.isfinite(belief.sample(np.random.default_rng(0), index)).all()
    only = belief.only(400)
    assert only.mean[0] == pytest.approx(belief.mean[400], abs=1e-6)
    assert only.std[0] == pytest.approx(belief.std[400], rel=1e-3)


def test_much_evidence_is_worked_out_in_bites_while_the_old_answers(sample, monkeypatch):
    monkeypatch.setattr("probescout.surrogates.informing.WORKED_OUT_AT_ONCE", 0)
    monkeypatch.setattr("probescout.surrogates.prior.view.BITE_WORK", 40 * 100)
    _, target, part = sample
    committee, whole = committee_of(sample), committee_of(sample)
    plain = seen(committee)
    committee.begin_inform(evidence_of(part))
    n_bites = 0
    while not committee.advance():
        n_bites += 1
        for a, b in zip(seen(committee), plain, strict=True):
            np.testing.assert_array_equal(a, b)
    assert n_bites == SIDE * SIDE // 100 and not committee.is_building
    whole.inform(evidence_of(part))
    for a, b in zip(seen(committee), seen(whole), strict=True):
        np.testing.assert_array_equal(a, b)
    # More of it: the old answers until the new is ready. Less of it: what was taken back says nothing any more.
    informed = seen(committee)
    committee.begin_inform([*evidence_of(part), *evidence_of(-part, n=20)])
    for a, b in zip(seen(committee), informed, strict=True):
        np.testing.assert_array_equal(a, b)
    committee.begin_inform(evidence_of(part)[1:])
    for a, b in zip(seen(committee), plain, strict=True):
        np.testing.assert_array_equal(a, b)
    while not committee.advance():
        pass
    assert committee.verdict().weight > 0.0


def test_a_new_version_of_the_model_keeps_what_theory_says(sample):
    committee = committee_of(sample)
    committee.inform(evidence_of(sample[2]))
    ready = committee._columns
    committee.swap(fit(committee.fit_request()))
    assert committee._columns is ready and committee.verdict().weight > 0.0


def test_a_large_frame_is_informed_in_its_field_and_beyond(sample, monkeypatch):
    monkeypatch.setattr("probescout.surrogates.field.MOST_CANDIDATES", 256)
    monkeypatch.setattr("probescout.surrogates.field.LEAST_CANDIDATES", 256)
    _, target, part = sample
    committee = committee_of(sample)
    assert not committee.field.is_whole
    plain = np.sqrt(((committee.posterior().mean - target) ** 2).mean())
    committee.inform(evidence_of(part))
    also = np.setdiff1d(np.arange(SIDE * SIDE), committee.field.candidates)[:5]
    belief = committee.belief(EVERYWHERE, also=also)
    assert belief.member_mean.shape == (8, 256 + 5)
    assert np.sqrt(((committee.posterior().mean - target) ** 2).mean()) < 0.9 * plain


def test_corrections_keep_the_evidence(sample):
    features, target, part = sample
    committee = committee_of(sample)
    committee.inform(evidence_of(part))
    rows = [(int(i), float(target[i]), 0.0025) for i in range(0, 1000, 30)]
    committee.rebuild(rows)
    fresh = Committee(features, seed=3, use_deep=False)
    fresh.rebuild(rows)
    fresh.inform(evidence_of(part))
    np.testing.assert_allclose(committee.posterior().mean, fresh.posterior().mean, atol=1e-5)


def test_refused_evidence_leaves_the_old(sample):
    committee = committee_of(sample)
    committee.inform(evidence_of(sample[2]))
    before = committee.theory
    with pytest.raises(InvalidInput):
        committee.inform([Result(10**6, 1.0, "xtb:formation_energy")])
    assert committee.theory is before


def test_a_deep_member_keeps_its_own_interval(sample):
    features, target, part = sample
    committee = Committee(features, seed=3)
    for i in np.random.default_rng(7).choice(SIDE * SIDE, 30, replace=False):
        committee.tell(int(i), float(target[i]), 0.0025)
        if committee.needs_fit():
            committee.swap(fit(committee.fit_request()))
    committee.inform(evidence_of(part))
    assert committee.verdict().weight > 0.0
    told = committee._shown.assessment
    names = [m.name for m in told.members]
    assert told.factors[names.index("deep+theory")] is told.factors[names.index("deep")]
    assert np.isfinite(committee.posterior().std).all()


def test_it_explains_what_theory_adds(sample):
    committee = committee_of(sample)
    committee.inform(evidence_of(2.0 * sample[2]))
    [told] = committee.explain(3)["theory"]
    assert told["engine"] == "xtb:formation_energy" and told["slope_std"] > 0.0
    report = committee.theory_report()
    assert report["engines"][0]["slope"] == pytest.approx(told["slope"]) and report["engines"][0]["slope"] > 0.0
    assert report["weight"] == committee.verdict().weight and report["skill"] > 0.0


# ---------------------------------------------------------------- which patch next


def wish(committee, asked, scores=None, failed=()):
    scores = np.linspace(0.0, 1.0, SIDE * SIDE) if scores is None else scores
    measured = committee.belief(EVERYWHERE).measured
    rng = np.random.default_rng(0)
    tried, features = Tried(asked, failed), committee.features.arrays
    return next_patch(committee.theory, committee.verdict(), committee.slopes(), scores, measured, tried, features, rng)


def test_measured_patches_come_first(sample):
    committee = committee_of(sample)
    asked: set[int] = set()
    for _ in range(N_CALIBRATING):
        found = wish(committee, asked)
        assert found.candidate in committee.belief(EVERYWHERE).measured.tolist() and found.candidate not in asked
        asked.add(found.candidate)


def test_theory_that_never_earns_a_say_gets_no_more(sample):
    committee = committee_of(sample)
    committee.inform(evidence_of(np.random.default_rng(1).normal(size=SIDE * SIDE)))
    assert committee.verdict().weight == 0.0 and committee.verdict() != UNHEARD
    measured = committee.belief(EVERYWHERE).measured.tolist()
    assert wish(committee, set(measured[:N_CALIBRATING])).candidate == measured[-1]
    assert wish(committee, set(measured[:MOST_UNHEARD])) is None


def test_an_engine_that_gives_no_numbers_eats_no_budget(sample):
    committee, asked = committee_of(sample), set()
    while (found := wish(committee, asked)) is not None:
        asked.add(found.candidate)
    assert len(asked) == MOST_UNHEARD


def test_heard_theory_is_asked_where_it_tells_most(sample):
    committee = committee_of(sample)
    committee.inform(evidence_of(sample[2]))
    asked = set(committee.belief(EVERYWHERE).measured.tolist())
    found = wish(committee, asked)
    assert found.candidate not in asked and found.gain > 0.0
    assert wish(committee, asked, np.full(SIDE * SIDE, -np.inf)) is None
    assert wish(committee, set(range(SIDE * SIDE))) is None


def test_patches_that_look_like_those_that_failed_come_last(sample):
    committee = committee_of(sample)
    measured = committee.belief(EVERYWHERE).measured
    first = wish(committee, set()).candidate
    alike = np.argsort(Tried(set(), {first}).chance(committee.features.arrays, measured), kind="stable")
    assert measured[alike[0]] == first
    asked = {first}
    again = wish(committee, asked, failed={first}).candidate
    chance = Tried(asked, {first}).chance(committee.features.arrays, np.array([again]))
    assert chance > 0.5 and again not in asked
    # One failure is not held against what looks different.
    far = Tried(asked, {first}).chance(committee.features.arrays, measured).max()
    assert far > 0.8


def test_a_heard_theory_is_not_asked_where_it_fails(sample):
    committee = committee_of(sample)
    committee.inform(evidence_of(sample[2]))
    asked = set(committee.belief(EVERYWHERE).measured.tolist())
    best = wish(committee, asked).candidate
    other = wish(committee, asked | {best}, failed={best})
    plain = wish(committee, asked | {best})
    assert other.gain < plain.gain or other.candidate != plain.candidate
