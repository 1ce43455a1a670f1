"""A committee of some of its members."""

import numpy as np
import pytest

from probescout.core.errors import InvalidInput, Reason
from probescout.surrogates.committee import Committee
from probescout.surrogates.features import features_of_box
from probescout.surrogates.fitting import fit
from probescout.surrogates.members.catalogue import check_members

ALL = np.ones(1024, dtype=bool)


def taught(features, target, n=24, **more):
    committee = Committee(features, seed=3, **more)
    for index in np.random.default_rng(7).choice(1024, n, replace=False):
        committee.tell(int(index), float(target[index]), 0.09)
    return committee


@pytest.mark.parametrize("names", [("xy",), ("bank", "pca8"), ("bank_xy", "deep")])
def test_only_those_chosen_answer_before_and_after_a_fit(features, field, names):
    committee = taught(features, field[1], members=names)
    assert set(committee.weights()) == set(names) - {"deep"}
    committee.swap(fit(committee.fit_request()))
    assert set(committee.weights()) == set(names)
    assert sum(committee.weights().values()) == pytest.approx(1.0)
    assert set(committee.hyperparameters()["members"]) == set(names)


def test_a_committee_of_one_is_that_member_of_the_whole(features, field):
    """Its mean is what the same member says in a full committee: nothing of the others is left in it."""
    one, whole = taught(features, field[1], members=("bank",)), taught(features, field[1], use_deep=False)
    row = list(whole.weights()).index("bank")
    np.testing.assert_allclose(one.belief(ALL).mean, whole.belief(ALL).member_mean[row], rtol=1e-12)


def test_the_deep_member_alone_answers_once_it_is_learnt(features, field):
    committee = taught(features, field[1], members=("deep",))
    assert set(committee.weights()) == {"bank_xy"}, "somebody must answer until then"
    committee.swap(fit(committee.fit_request()))
    assert committee.weights() == {"deep": 1.0}
    free = int(np.setdiff1d(np.arange(1024), committee.belief(ALL).measured)[0])
    before = committee.calibration().n
    committee.tell(free, float(field[1][free]), 0.09)
    assert committee.calibration().n == before + 1, "its predictions are scored as any other's"
    committee.swap(fit(committee.fit_request()))
    assert committee.weights() == {"deep": 1.0}


@pytest.mark.parametrize("names", [("xy",), ("deep",), ("bank", "deep")])
def test_a_saved_choice_goes_on_bit_for_bit(features, field, names):
    committee = taught(features, field[1], members=names)
    committee.swap(fit(committee.fit_request()))
    again = Committee.restore(features, committee.state())
    assert again.weights() == committee.weights()
    np.testing.assert_array_equal(again.belief(ALL).mean, committee.belief(ALL).mean)
    request = again.fit_request()
    assert request["members"] == committee.fit_request()["members"]


def test_journalled_hyperparameters_of_a_choice_are_taken(features, field):
    committee = taught(features, field[1], members=("bank", "xy"))
    committee.swap(fit(committee.fit_request()))
    again = taught(features, field[1], members=("bank", "xy"))
    again.apply_hyperparameters(committee.hyperparameters())
    np.testing.assert_allclose(again.belief(ALL).mean, committee.belief(ALL).mean, rtol=1e-6)


@pytest.mark.parametrize(
    ("names", "use_deep", "field_name", "words"),
    [
        (("xy", "bnak"), True, "spec.members[1]", "xy, pca8, bank, bank_xy, deep"),
        (("xy", "xy"), True, "spec.members[1]", "twice"),
        (("deep",), False, "spec.members", "only member"),
    ],
)
def test_a_choice_that_makes_no_committee_is_refused(names, use_deep, field_name, words):
    with pytest.raises(InvalidInput, match=words) as caught:
        check_members(names, use_deep=use_deep)
    assert caught.value.reason is Reason.FIELD_INVALID and caught.value.field == field_name


def test_a_member_without_its_representation_is_refused():
    box = features_of_box(np.random.default_rng(0).random((20, 3)))
    with pytest.raises(InvalidInput, match="Choose other members"):
        Committee(box, seed=0, members=("bank",))
    assert set(Committee(box, seed=0).weights()) == {"xy"}
