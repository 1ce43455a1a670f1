"""The fit: its objective written out, its determinism, its box."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from gpytorch.mlls import ExactMarginalLogLikelihood
from scipy.stats import multivariate_normal, norm

from probescout.core.errors import InvalidInput, Reason
from probescout.surrogates.committee import Committee
from probescout.surrogates.fitting import fit
from probescout.surrogates.members.catalogue import BANK_XY, DEEP, XY
from probescout.surrogates.members.definition import BOX, LOG_NOISE, LOG_STATED, Hyperparameters, defaults
from probescout.surrogates.members.gp import build_gp
from probescout.surrogates.members.posterior_mode import Problem, squares_of

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


def test_gpytorch_objective_is_the_log_posterior_written_out():
    observed, y, noise = observations()
    model = build_gp(BANK_XY, observed, y, noise)
    model.write(HYPER)
    model.train()
    found = ExactMarginalLogLikelihood(model.likelihood, model)(model(*model.train_inputs), model.train_targets)
    assert found.item() * len(y) == pytest.approx(log_posterior(observed, y, noise), rel=1e-9)
    assert model.read() == HYPER


def test_closed_form_is_the_gpytorch_model():
    observed, y, noise = observations()
    problem = Problem(BANK_XY, squares_of(observed), y, noise)
    value, gradient = problem.loss(problem.pack(HYPER))
    of_trust = norm(*LOG_STATED).logpdf(0.0)
    assert -value * len(y) == pytest.approx(log_posterior(observed, y, noise) + of_trust, rel=1e-9)
    model = build_gp(BANK_XY, observed, y, noise)
    model.write(HYPER)
    model.train()
    objective = ExactMarginalLogLikelihood(model.likelihood, model)(model(*model.train_inputs), model.train_targets)
    objective.backward()
    slopes = torch.cat([p.grad.flatten() for p in model.log_parameters()])
    np.testing.assert_allclose(gradient[:-1], -slopes.numpy(), rtol=1e-6, atol=1e-9)


def test_closed_form_gradient_is_that_of_differences():
    observed, y, noise = observations()
    problem = Problem(BANK_XY, squares_of(observed), y, noise, np.linspace(0.0, 0.5, len(y)))
    theta = problem.pack(replace(HYPER, log_stated=0.7))
    _, gradient = problem.loss(theta)
    step = 1e-6
    for i, slope in enumerate(gradient):
        one = np.eye(len(theta))[i] * step
        assert (problem.loss(theta + one)[0] - problem.loss(theta - one)[0]) / (2 * step) == pytest.approx(
            slope, abs=1e-7
        )
    assert problem.unpack(theta) == replace(HYPER, log_stated=0.7)


def test_closed_form_gradient_by_what_a_network_says_is_that_of_the_gpytorch_model():
    observed, y, noise = observations()
    observed["deep"] = np.random.default_rng(4).normal(size=(len(y), 3))
    hyper = Hyperparameters(((0.2, -0.3, 0.5), (0.3, 0.1), (-1.0, -0.6)), (0.1, -0.4, -1.1), -2.5)
    squares = squares_of({f: observed[f] for f in DEEP.features})
    elsewhere = {**squares, "deep": np.zeros_like(squares["deep"])}
    problem = Problem(DEEP, elsewhere, y, np.zeros_like(y), noise)
    theta = problem.pack(hyper)
    value, gradient, by_x = problem.loss_at(theta, observed["deep"])
    again = Problem(DEEP, squares, y, np.zeros_like(y), noise).loss(theta)
    assert value == pytest.approx(again[0], rel=1e-12)
    np.testing.assert_allclose(gradient, again[1], rtol=1e-9, atol=1e-12)
    model = build_gp(DEEP, observed, y, noise)
    model.write(hyper)
    model.train()
    x = model.train_inputs[0].clone().requires_grad_()
    model.set_train_data(inputs=x, strict=False)
    objective = ExactMarginalLogLikelihood(model.likelihood, model)(model(x), model.train_targets)
    objective.backward()
    np.testing.assert_allclose(by_x, -x.grad[:, :3].numpy(), rtol=1e-6, atol=1e-9)
    slopes = torch.cat([p.grad.flatten() for p in model.log_parameters()])
    np.testing.assert_allclose(gradient[:-1], -slopes.numpy(), rtol=1e-6, atol=1e-9)
    assert problem.loss_at(theta, np.full((len(y), 3), np.nan)) is None


def test_a_matrix_that_cannot_be_factorised_is_a_bad_point():
    observed = {"xy": np.zeros((4, 2))}
    problem = Problem(XY, squares_of(observed), np.ones(4), np.zeros(4), np.full(4, -3.0))
    value, gradient = problem.loss(problem.pack(defaults(XY, {"xy": 2})))
    assert value == 1e10 and not gradient.any()


def test_left_out_values_are_predicted_as_by_leaving_them_out():
    observed, y, noise = observations(12)
    hyper = replace(HYPER, log_stated=-0.5)
    mean, variance, spread = Problem(BANK_XY, squares_of(observed), y, noise).leave_one_out(hyper)
    model = build_gp(BANK_XY, {f: a[1:] for f, a in observed.items()}, y[1:], np.exp(-0.5) * noise[1:])
    model.write(hyper)
    model.eval()
    with torch.no_grad():
        found = model(torch.as_tensor(np.hstack([observed["bank"][:1], observed["xy"][:1]])))
    assert spread[0] == pytest.approx(np.exp(HYPER.log_noise) + np.exp(-0.5) * noise[0])
    assert mean[0] == pytest.approx(found.mean.item(), rel=1e-8)
    assert variance[0] == pytest.approx(found.variance.item() + spread[0], rel=1e-8)


def test_fit_reaches_a_maximum():
    observed, y, noise = observations(40)
    start = defaults(BANK_XY, {"bank": 2, "xy": 2})
    problem = Problem(BANK_XY, squares_of(observed), y, noise)
    hyper, value = problem.maximise(start, 60)
    assert value > -problem.loss(problem.pack(start))[0] + 0.1
    assert np.abs(problem.loss(problem.pack(hyper))[1]).max() < 2e-3
    # The second bank dimension and the first coordinate carry the signal: shorter lengthscales.
    assert hyper.log_lengthscale[0][1] < hyper.log_lengthscale[0][0]
    assert hyper.log_lengthscale[1][0] < hyper.log_lengthscale[1][1]


@pytest.mark.parametrize("y", [np.zeros(8), np.r_[np.zeros(7), 100.0], np.tile([1.0, -1.0], 4)])
def test_fit_of_odd_targets_stays_in_its_box(y):
    rng = np.random.default_rng(3)
    observed = {"xy": np.repeat(rng.uniform(size=(4, 2)), 2, axis=0)}
    hyper, value = Problem(XY, squares_of(observed), y, np.zeros(8)).maximise(defaults(XY, {"xy": 2}), 60)
    assert np.isfinite(value)
    assert hyper.log_stated == 0.0
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
        ({"values": np.zeros(3)}, Reason.SHAPE_MISMATCH),
        ({"values": np.full(20, np.nan)}, Reason.NON_FINITE),
        ({"variances": np.full(20, np.inf)}, Reason.NON_FINITE),
        ({"doubts": [[1, 2.0, -3.0]]}, Reason.FIELD_INVALID),
        ({"warp": {"centre": 0.0}}, Reason.FIELD_INVALID),
    ],
)
def test_bad_requests_are_refused(request_, change, reason):
    with pytest.raises(InvalidInput) as caught:
        fit({**request_, **change})
    assert caught.value.reason is reason
