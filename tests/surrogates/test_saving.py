"""Corrections, and states from which a committee goes on bit for bit."""

import json

import numpy as np
import pytest

from probescout.core.errors import InvalidInput
from probescout.surrogates.committee import Committee
from probescout.surrogates.features import compute_features

# Amendments and snapshots


def test_rebuild_forgets_what_was_retracted(kit, features, field):
    committee = kit.trained(features, field[1], n=20)
    kept = list(zip(*kit.columns(committee), strict=True))
    committee.tell(600, 500.0, 0.1)
    committee.rebuild(kept)
    assert committee.n_observed == 20
    other = kit.trained(features, field[1], n=20)
    other.rebuild(kept)
    kit.assert_same_belief(committee, other)
    assert committee.needs_fit()


def test_rebuild_keeps_scores_of_unchanged_observations_only(kit, features, field):
    committee = kit.trained(features, field[1], n=20)
    n_scored = committee.calibration().n
    observations = list(zip(*kit.columns(committee), strict=True))
    index, value, variance = observations[-1]
    committee.rebuild([*observations[:-1], (index, value + 1.0, variance)])
    assert committee.calibration().n == n_scored - 1


def test_rebuild_with_nothing_is_the_prior_again(kit, features, field):
    committee = kit.trained(features, field[1], n=20)
    committee.rebuild([])
    assert committee.n_observed == 0 and not committee.needs_fit()
    assert np.isfinite(committee.belief(kit.ALL).mean).all()


@pytest.mark.parametrize(("n", "n_fits"), [(0, 0), (3, 0), (14, 0), (37, 0), (24, 1), (45, 2)])
def test_restored_committee_goes_on_bit_for_bit(kit, features, field, n, n_fits):
    committee = kit.trained(features, field[1], n=n, n_fits=n_fits)
    other = Committee.restore(features, committee.state())
    kit.assert_same_belief(committee, other, [3, 9])
    assert other.calibration() == committee.calibration() or committee.calibration().n == 0
    assert other.needs_fit() == committee.needs_fit()
    for index in (100, 200, 300):
        committee.tell(index, float(field[1][index]), 0.1)
        other.tell(index, float(field[1][index]), 0.1)
    kit.assert_same_belief(committee, other)
    assert other.weights() == committee.weights()


def test_state_holds_json_and_arrays_only(kit, features, field):
    state = kit.trained(features, field[1]).state()
    arrays = state.pop("arrays")
    assert all(isinstance(a, np.ndarray) and a.dtype != object for a in arrays.values())
    json.dumps(state, allow_nan=False)


def test_state_of_another_version_or_frame_is_refused(kit, features, field):
    state = kit.trained(features, field[1]).state()
    with pytest.raises(InvalidInput, match="version"):
        Committee.restore(features, {**state, "version": 99})
    with pytest.raises(InvalidInput):
        Committee.restore(compute_features(field[0][:8, :8]), state)
