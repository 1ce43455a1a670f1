"""A model of an earlier campaign: what is handed on, and how it joins the committee of the next one."""

import copy

import numpy as np
import pytest
from scipy import ndimage

from probescout.core.errors import InvalidInput, Reason
from probescout.store.model_files import pack, unpack
from probescout.surrogates.committee import Committee
from probescout.surrogates.earlier import EarlierModel
from probescout.surrogates.features import compute_features, features_of_patches
from probescout.surrogates.fitting import fit
from probescout.surrogates.transfer import hand_on

PLAIN = ("xy", "pca8", "bank", "bank_xy")


def sample(seed):
    """Another image (32, 32) of the same kind as `field`, and the same target (1024,) of it."""
    image = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(32, 32)), 1.5)
    image /= image.std()
    return image, (np.exp(1.2 * ndimage.gaussian_filter(image, 1.0)) * 10.0).ravel()


@pytest.fixture(scope="module")
def taught(kit, features, field):
    return kit.trained(features, field[1], n=60, use_deep=False)


@pytest.fixture(scope="module")
def earlier(taught):
    return hand_on(taught)


def learnt(features, target, n, *, members=()):
    """A committee told n random measurements and fitted once."""
    committee = Committee(features, seed=1, use_deep=False, members=members)
    for index in np.random.default_rng(1).choice(1024, n, replace=False):
        committee.tell(int(index), float(target[index]), 0.09)
    committee.swap(fit(committee.fit_request()))
    return committee


def rmse(committee, target):
    return float(np.sqrt(np.mean((committee.posterior().mean - target) ** 2)) / target.std())


def test_what_is_handed_on_is_the_mean_of_the_members_that_look_at_patches(features, field):
    committee = learnt(features, field[1], 30, members=("bank", "xy"))
    again = compute_features(field[0], earlier=hand_on(committee)).arrays["earlier"][:, 0]
    [at] = [k for k, m in enumerate(committee.plain.members) if m.name == "bank"]
    mean = committee.plain.gps[at].mean
    np.testing.assert_allclose(again, (mean - mean.mean()) / mean.std(), atol=2e-3)


def test_a_file_gives_back_the_same_bits(earlier):
    image, _ = sample(8)
    file = pack(*earlier.parts())
    assert file == pack(*EarlierModel.of_parts(*unpack(file)).parts())
    one, two = (compute_features(image, earlier=m) for m in (earlier, EarlierModel.of_parts(*unpack(file))))
    np.testing.assert_array_equal(one.arrays["earlier"], two.arrays["earlier"])
    assert one.arrays["earlier"].shape == (1024, 1) and abs(one.arrays["earlier"].std() - 1.0) < 1e-3


def test_without_it_a_committee_is_what_it_was(features, earlier):
    image, _ = sample(8)
    plain, more = compute_features(image), compute_features(image, earlier=earlier)
    assert set(plain.arrays) == {"xy", "pca8", "bank"} and set(more.arrays) - set(plain.arrays) == {"earlier"}
    for name, array in plain.arrays.items():
        np.testing.assert_array_equal(array, more.arrays[name])
    assert tuple(Committee(plain, seed=0).weights()) == PLAIN
    assert tuple(Committee(more, seed=0).weights()) == (*PLAIN, "earlier")
    # Whoever chooses members gets it too; nobody can choose it where it is not.
    assert tuple(Committee(more, seed=0, members=["bank"]).weights()) == ("bank", "earlier")
    with pytest.raises(InvalidInput, match="no member of the committee is named 'earlier'"):
        Committee(plain, seed=0, members=["earlier"])


def test_patches_are_looked_at_in_the_same_way(field):
    rng = np.random.default_rng(3)
    patches, positions = rng.normal(size=(40, 1, 10, 10)), rng.random((40, 2))
    committee = Committee(features_of_patches(patches, positions), seed=0, use_deep=False)
    for index in range(20):
        committee.tell(index, float(patches[index, 0, 3:7, 3:7].mean()), 1e-4)
    others = rng.normal(size=(200, 1, 10, 10))
    seen = features_of_patches(others, rng.random((200, 2)), earlier=hand_on(committee)).arrays["earlier"]
    assert seen.shape == (200, 1)
    assert np.corrcoef(seen[:, 0], others[:, 0, 3:7, 3:7].mean(axis=(1, 2)))[0, 1] > 0.2


def test_a_similar_sample_helps_from_the_start_and_a_meaningless_model_costs_nothing_lasting(earlier):
    image, target = sample(8)
    lie = copy.copy(earlier)
    order = np.random.default_rng(0).permutation(lie.alpha.shape[1])
    object.__setattr__(lie, "alpha", lie.alpha[:, order])
    without, helped, lied = (compute_features(image, earlier=m) for m in (None, earlier, lie))
    assert np.corrcoef(helped.arrays["earlier"][:, 0], target)[0, 1] > 0.7
    few = {name: rmse(learnt(f, target, 10), target) for name, f in (("without", without), ("helped", helped))}
    assert few["helped"] < 0.9 * few["without"]
    many = {name: learnt(f, target, 60) for name, f in (("without", without), ("lied", lied))}
    assert rmse(many["lied"], target) < rmse(many["without"], target) + 0.03


def test_a_restored_committee_goes_on_bit_for_bit(kit, earlier):
    image, target = sample(8)
    features = compute_features(image, earlier=earlier)
    committee = learnt(features, target, 20)
    other = Committee.restore(features, committee.state())
    kit.assert_same_belief(committee, other, pending=(5, 90))
    for one in (committee, other):
        one.tell(700, float(target[700]), 0.09)
    kit.assert_same_belief(committee, other)
    assert other.weights()["earlier"] > 0.0


def test_what_can_not_be_handed_on(features, field, kit):
    with pytest.raises(InvalidInput, match="5 are needed") as caught:
        hand_on(kit.trained(features, field[1], n=4, n_fits=0))
    assert caught.value.reason is Reason.MODEL_INCOMPATIBLE
    with pytest.raises(InvalidInput, match="positions mean nothing on another image"):
        hand_on(learnt(features, field[1], 10, members=("xy",)))


def test_an_earlier_model_is_not_handed_on_again_as_such(earlier):
    image, target = sample(8)
    next_one = hand_on(learnt(compute_features(image, earlier=earlier), target, 20))
    assert {term.feature for term in next_one.terms} <= {"pca8", "bank"}


BREAKS = {
    "no terms": lambda h, a: h["terms"].clear(),
    "another representation": lambda h, a: h["terms"][0].update(feature="xy"),
    "a lengthscale too few": lambda h, a: h["terms"][0]["log_lengthscale"].pop(),
    "a lengthscale that overflows": lambda h, a: h["terms"][0].update(log_amplitude=800.0),
    "not a number": lambda h, a: a["alpha"].fill(np.nan),
    "a row too few": lambda h, a: a.update({"observed.bank": a["observed.bank"][1:]}),
    "no basis": lambda h, a: a.pop("bank.basis"),
    "a standardisation by zero": lambda h, a: a["bank.sd"].fill(0.0),
    "half a standardisation": lambda h, a: a.pop("bank.sd"),
    "text for a number": lambda h, a: h.update(constant="much"),
}


@pytest.mark.parametrize("what", BREAKS)
def test_a_broken_model_is_refused(earlier, what):
    header, arrays = copy.deepcopy(earlier.parts())
    for term in header["terms"]:
        term["log_lengthscale"] = list(term["log_lengthscale"])
    BREAKS[what](header, arrays)
    with pytest.raises(InvalidInput) as caught:
        EarlierModel.of_parts(header, arrays)
    assert caught.value.reason is Reason.MODEL_INCOMPATIBLE
