"""What looks like nothing that was measured is uncertain, and says so."""

from dataclasses import replace

import numpy as np
import pytest

from probescout.surrogates.committee import Committee
from probescout.surrogates.features import compute_features
from probescout.surrogates.fitting import fit

SIZE = 40
CORNER = np.zeros((SIZE, SIZE), dtype=bool)
CORNER[-12:, -12:] = True


def lattice(garbage):
    """A lattice of atoms with some disorder, and rubbish in one corner."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    image = np.cos(2 * np.pi * y / 5) + np.cos(2 * np.pi * x / 5) + 0.05 * rng.normal(size=(SIZE, SIZE))
    match garbage:
        case "noise":
            image[CORNER] = 3 * rng.normal(size=144)
        case "saturated":
            image[CORNER] = rng.choice([-1e6, 1e6], size=144)
        case "dead":
            image[CORNER] = -4.0
        case "not a number":
            image[CORNER] = np.where(rng.random(144) < 0.5, np.nan, 30.0)
    return image


def learnt(garbage, *, use_deep, n=60):
    """A committee that has measured the lattice but not its corner, and the candidates that it knows the likes of."""
    image = lattice(garbage)
    features = replace(compute_features(image), image=None)
    committee = Committee(features, seed=0, use_deep=use_deep)
    away = ~CORNER
    away[-16:] = away[:, -16:] = False
    rng = np.random.default_rng(1)
    target = np.nan_to_num(lattice("none")).ravel()
    chosen = rng.choice(np.flatnonzero(away), n + 12, replace=False)
    for index in chosen[:n]:
        committee.tell(int(index), float(target[index] + 0.05 * rng.normal()), 0.0025)
        if committee.needs_fit() and committee.n_observed in (20, 50):
            committee.swap(fit(committee.fit_request()))
    return committee, chosen[n:]


def deep_inside():
    inside = np.zeros((SIZE, SIZE), dtype=bool)
    inside[-8:-2, -8:-2] = True
    return np.flatnonzero(inside)


@pytest.mark.parametrize("use_deep", [False, True])
@pytest.mark.parametrize("garbage", ["noise", "saturated", "dead", "not a number"])
def test_garbage_is_newer_and_less_certain_than_the_familiar(garbage, use_deep):
    committee, familiar = learnt(garbage, use_deep=use_deep)
    posterior = committee.posterior()
    assert ("deep" in committee.weights()) is use_deep
    strange = deep_inside()
    assert np.median(posterior.novelty[strange]) > 3 * np.median(posterior.novelty[familiar])
    assert np.median(posterior.std[strange]) > 1.5 * np.median(posterior.std[familiar])
    assert (posterior.novelty >= 0).all() and (posterior.novelty <= 1).all()


def test_what_was_measured_is_not_new():
    committee, familiar = learnt("none", use_deep=False)
    measured = committee.state()["arrays"]["index"]
    found = committee.posterior().novelty
    assert found[measured].max() < 0.1
    assert np.median(found[measured]) <= np.median(found[familiar])


def test_before_any_measurement_everything_is_new():
    features = compute_features(lattice("none"))
    committee = Committee(features, seed=0)
    np.testing.assert_allclose(committee.posterior().novelty, 1.0)
    np.testing.assert_allclose(committee.belief(np.ones(SIZE * SIZE, dtype=bool)).novelty, 1.0)


def test_a_belief_tells_the_same_novelty_whatever_is_pending():
    committee, _ = learnt("noise", use_deep=False, n=20)
    free = np.ones(SIZE * SIZE, dtype=bool)
    at = np.arange(0, SIZE * SIZE, 7)
    told = committee.describe(at)[3]
    np.testing.assert_allclose(committee.belief(free).novelty[at], told, atol=1e-12)
    np.testing.assert_allclose(committee.belief(free, [800, 1500]).novelty[at], told, atol=1e-12)


def test_far_from_everything_the_share_is_one():
    """Coordinates a thousand lengthscales away: nothing measured says anything there but the constant."""
    positions = np.concatenate([np.linspace(0, 1, 30), [1e4]])[:, None] * np.ones((1, 2))
    from probescout.surrogates.features import features_of_box

    committee = Committee(features_of_box(positions), seed=0)
    for index in range(0, 30, 2):
        committee.tell(index, float(np.sin(5 * positions[index, 0])), 0.01)
    found = committee.posterior()
    assert found.novelty[-1] == pytest.approx(1.0, abs=1e-6)
    assert found.novelty[:30].max() < 0.5 and found.std[-1] > 2 * found.std[:30].max()
