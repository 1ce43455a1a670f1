"""The fit: its objective written out, its determinism, its box."""

import json

import numpy as np
import pytest
import torch
from gpytorch.mlls import ExactMarginalLogLikelihood
from scipy.stats import multivariate_normal, norm

from probescout.core.errors import InvalidInput, Reason
from probescout.surrogates.committee import Committee
from probescout.surrogates.fitting import fit, fit_member, map_objective
from probescout.surrogates.members.catalogue import BANK_XY, XY
from probescout.surrogates.members.definition import BOX, LOG_NOISE, Hyperparameters, defaults
from probescout.surrogates.members.gp import build_gp

HYPER = Hyperparameters(((0.3, 0.1), (-1.0, -0.6)), (-0.4, -1.1), -2.5)


def observations(n=25, seed=0):
    rng = np.random.default_rng(seed)
    observed = {"bank": rng.normal(size=(n, 2)), "xy": rng.uniform(size=(n, 2))}
    y = np.sin(4 * observed["xy"][:, 0]) + observed["bank"][:, 1] + 0.1 * rng.normal(size=n)
    return observed, (y - y.mean()) / y.std(), rng.uniform(0.001, 0.1, size=n)


def log_posterior(observed, y, noise):
    """Log marginal likelihood plus log priors of HYPER for the additive member, by numpy and scipy only."""
    gram = np.ones((len(y), len(y))) + np.diag(np.exp(HYPER.log_noise) + noise)
    for name, lengthscale, amplitude in zip(("bank", "xy"), HYPER.log_lengthscale, HYPER.log_amplitude, strict=True):
        scaled = observed[name] / np.exp(lengthscale)
        r = np.sqrt(5 * ((scaled[:, None] - scaled[None]) ** 2).sum(axis=2))
        gram += np.exp(amplitude) * (1 + r + r**2 / 3) * np.exp(-r)
    total = multivariate_normal(np.zeros(len(y)), gram).logpdf(y)
    for group, lengthscale, amplitude in zip(BANK_XY.groups, HYPER.log_lengthscale, HYPER.log_amplitude, strict=True):
        total += norm(*group.log_lengthscale).logpdf(lengthscale).sum() + norm(*group.log_amplitude).logpdf(amplitude)
    return total + norm(*LOG_NOISE).logpdf(HYPER.log_noise)


def test_objective_is_the_log_posterior_written_out():
    observed, y, noise = observations()
    model = build_gp(BANK_XY, observed, y, noise)
    model.write(HYPER)
    model.train()
    found = map_objective(ExactMarginalLogLikelihood(model.likelihood, model), model)
    assert found.item() * len(y) == pytest.approx(log_posterior(observed, y, noise), rel=1e-9)
    assert model.read() == HYPER


def test_fit_reaches_a_maximum():
    observed, y, noise = observations(40)
    start = defaults(BANK_XY, {"bank": 2, "xy": 2})
    hyper, value = fit_member(BANK_XY, observed, y, noise, None)
    model = build_gp(BANK_XY, observed, y, noise)
    objective = ExactMarginalLogLikelihood(model.likelihood, model)
    model.train()
    model.write(start)
    assert value > map_objective(objective, model).item() + 0.1
    model.write(hyper)
    map_objective(objective, model).backward()
    slopes = torch.cat([p.grad.flatten() for p in model.log_parameters()])
    assert slopes.abs().max() < 2e-3
    # The second bank dimension and the first coordinate carry the signal: shorter lengthscales.
    assert hyper.log_lengthscale[0][1] < hyper.log_lengthscale[0][0]
    assert hyper.log_lengthscale[1][0] < hyper.log_lengthscale[1][1]


@pytest.mark.parametrize("y", [np.zeros(8), np.r_[np.zeros(7), 100.0], np.tile([1.0, -1.0], 4)])
def test_fit_of_odd_targets_stays_in_its_box(y):
    rng = np.random.default_rng(3)
    observed = {"xy": np.repeat(rng.uniform(size=(4, 2)), 2, axis=0)}
    hyper, value = fit_member(XY, observed, y, np.zeros(8), None)
    assert np.isfinite(value)
    for values, (mean, sd) in [
        (hyper.log_lengthscale[0], XY.groups[0].log_lengthscale),
        (hyper.log_amplitude, XY.groups[0].log_amplitude),
        ((hyper.log_noise,), LOG_NOISE),
    ]:
        assert (np.abs(np.array(values) - mean) <= BOX * sd + 1e-9).all()


@pytest.fixture(scope="module")
def request_(features, field):
    committee = Committee(features, seed=4)
    for index in np.random.default_rng(0).choice(1024, 20, replace=False):
        committee.tell(int(index), float(field[1][index]), 0.1)
    return committee.fit_request()


@pytest.fixture(scope="module")
def result(request_):
    return fit(request_)


def only_json_and_arrays(value):
    if isinstance(value, dict):
        return all(isinstance(k, str) and only_json_and_arrays(v) for k, v in value.items())
    if isinstance(value, list):
        return all(only_json_and_arrays(v) for v in value)
    return value is None or type(value) in (bool, int, float, str, np.ndarray)


def test_request_and_result_hold_json_and_arrays_only(request_, result):
    assert only_json_and_arrays(request_)
    assert only_json_and_arrays(result)
    json.dumps(result["members"])


def test_same_request_gives_same_result(request_, result):
    again = fit(request_)
    assert again["members"] == result["members"]
    np.testing.assert_array_equal(again["arrays"]["deep"], result["arrays"]["deep"])


def test_another_seed_gives_another_network(request_, result):
    other = fit({**request_, "seed": 99})
    assert other["members"]["xy"] == result["members"]["xy"]
    assert not np.array_equal(other["arrays"]["deep"], result["arrays"]["deep"])


def test_embedding_covers_all_candidates(result):
    embedding = result["arrays"]["deep"]
    assert embedding.shape == (1024, 3) and embedding.dtype == np.float32
    assert np.isfinite(embedding).all() and np.abs(embedding).max() <= 2.0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"members": ["nobody"]}, Reason.FIELD_INVALID),
        ({"y": np.zeros(3)}, Reason.SHAPE_MISMATCH),
        ({"y": np.full(20, np.nan)}, Reason.NON_FINITE),
    ],
)
def test_bad_requests_are_refused(request_, change, reason):
    with pytest.raises(InvalidInput) as caught:
        fit({**request_, **change})
    assert caught.value.reason is reason
