"""The emulator against closed forms and against what must hold for any."""

from __future__ import annotations

import numpy as np
import pytest

from probescout.core.errors import InvalidInput, Reason
from probescout.surrogates.prior.emulator import Emulator
from probescout.surrogates.prior.theory import MOST_ENGINES, Result, Theory


@pytest.fixture
def table():
    """Structures (200, 2) of one representation, and a smooth function of them."""
    bank = np.random.default_rng(1).normal(size=(200, 2)).astype(np.float32) * 2.0
    return {"bank": bank}, 3.0 + 5.0 * np.sin(bank[:, 0].astype(float)) * np.cos(0.5 * bank[:, 1].astype(float))


def test_it_learns_a_function_of_structure_and_says_how_well(table):
    features, values = table
    index = np.arange(0, 200, 2)
    emulator = Emulator(features, index, values[index])
    rest = np.arange(1, 200, 2)
    mean, var = emulator.at(rest)
    error = emulator.mean + emulator.sd * mean - values[rest]
    assert np.sqrt((error**2).mean()) < 0.25 * values.std()
    z = error / (emulator.sd * np.sqrt(var))
    assert 0.5 < np.sqrt((z**2).mean()) < 1.5


def test_the_noise_of_an_engine_is_learnt(table):
    features, values = table
    index = np.arange(150)
    rng = np.random.default_rng(0)
    quiet = Emulator(features, index, values[index])
    noisy = Emulator(features, index, values[index] + 4.0 * rng.normal(size=150))
    assert quiet.sd * quiet.noise**0.5 < 1.0
    assert noisy.sd * noisy.noise**0.5 == pytest.approx(4.0, rel=0.25)


def test_far_from_every_simulation_it_knows_nothing(table):
    features, values = table
    bank = np.concatenate([features["bank"], np.full((1, 2), 500.0, dtype=np.float32)])
    emulator = Emulator({"bank": bank}, np.arange(60), values[:60])
    mean, var = emulator.at(np.array([200, 0]))
    assert abs(mean[0]) < 1e-6 and var[0] > 10.0 * var[1] > 0.0


def test_the_covariance_agrees_with_the_variance(table):
    features, values = table
    emulator = Emulator(features, np.arange(40), values[:40])
    at = np.array([50, 90, 130])
    own = np.diag(emulator.covariance(at, at))
    # The variance also holds what the hyperparameters disagree about.
    assert (own <= emulator.at(at)[1] + 1e-9).all() and (own > 0.0).all()


def test_patches_that_are_alike_may_come_again(table):
    features, values = table
    index = np.array([3] * 6 + [9] * 6)
    emulator = Emulator(features, index, values[index])
    mean, var = emulator.at(np.array([3, 9]))
    assert np.isfinite(mean).all() and np.isfinite(var).all()
    np.testing.assert_allclose(emulator.mean + emulator.sd * mean, values[[3, 9]], atol=0.3 * emulator.sd)


def test_tiles_do_not_change_what_is_said(table, monkeypatch):
    features, values = table
    emulator = Emulator(features, np.arange(30), values[:30])
    whole = emulator.at(np.arange(200))
    monkeypatch.setattr("probescout.surrogates.prior.emulator.AT_A_TIME", 30 * 7)
    np.testing.assert_allclose(emulator.at(np.arange(200)), whole, atol=1e-12)


def results(values, engine="xtb:energy", every=4):
    return [Result(i, float(values[i]), engine) for i in range(0, 200, every)]


def test_few_or_equal_results_say_nothing(table):
    features, values = table
    assert Theory(features, results(values)[:4]).engines == ()
    for same in (1.5, 0.1, 0.1 + 1e-17, 1e-300, 0.0):
        assert Theory(features, [Result(i, same, "a") for i in range(30)]).engines == ()


def test_engines_are_columns_and_there_are_not_too_many(table):
    features, values = table
    many = [r for k in range(7) for r in results(values * k + values, f"e{k}")]
    theory = Theory(features, many)
    mean, var = theory.at(np.arange(5))
    assert theory.engines == ("e0", "e1", "e2", "e3") and mean.shape == var.shape == (5, MOST_ENGINES)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Result(200, 1.0, "a"), Reason.FIELD_INVALID),
        (Result(-1, 1.0, "a"), Reason.FIELD_INVALID),
        (Result(1, float("nan"), "a"), Reason.NON_FINITE),
        (Result(1, 1e160, "a"), Reason.NON_FINITE),
    ],
)
def test_evidence_that_is_none_is_refused(table, bad, reason):
    features, values = table
    with pytest.raises(InvalidInput) as raised:
        Theory(features, [*results(values), bad])
    assert raised.value.reason is reason and raised.value.field.startswith("evidence[50]")


def test_a_flood_of_results_is_learnt_in_growing_parts(table, monkeypatch):
    features, values = table
    built = []

    class Counting(Emulator):
        def __init__(self, features, index, values):
            built.append(len(index))
            super().__init__(features, index, values)

    monkeypatch.setattr("probescout.surrogates.prior.theory.Emulator", Counting)
    flood = [Result(i % 200, float(values[i % 200]), "a") for i in range(230)]
    theory = None
    for n in range(5, 231):
        theory = Theory(features, flood[:n], theory)
    assert len(built) < 50 and max(built) > 210
    assert (
        theory is not None
        and Theory(features, flood[:230]).at(np.arange(9))[0].tolist() == theory.at(np.arange(9))[0].tolist()
    )


def test_one_wild_number_does_not_silence_the_others(table):
    features, values = table
    right = results(values)
    theory = Theory(features, [*right[:20], Result(7, 1e6, "xtb:energy"), *right[20:]])
    mean = theory.at(np.arange(200))[0][:, 0]
    assert np.corrcoef(mean, values)[0, 1] > 0.75


def test_those_that_came_first_are_not_pushed_out(table):
    features, values = table
    rng = np.random.default_rng(0)
    many = results(values) + [Result(i, float(rng.normal()), f"{c}:x") for c in "abcde" for i in range(0, 200, 9)]
    assert Theory(features, many).engines == ("xtb:energy", "a:x", "b:x", "c:x")
