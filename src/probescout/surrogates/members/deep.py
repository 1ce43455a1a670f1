"""A small deep-kernel member in residual form: what a network sees is added to the fixed filters and the coordinates.

Wilson et al. 2016, "Deep kernel learning", eq. 5, with two differences that were found to matter on real maps: normal
priors on the weights (marginal likelihood alone over-fits, Ober et al. 2021, "The promises and pitfalls of deep kernel
learning"), and the learnt kernel is one term of three, so that it can only add to a kernel that works without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from probescout.surrogates.members.catalogue import DEEP, DEEP_INPUTS
from probescout.surrogates.members.definition import Hyperparameters, defaults
from probescout.surrogates.members.posterior_mode import Problem, squares_of

FloatArray = NDArray[np.float64]

N_HIDDEN = 24
N_EMBEDDING = 3
N_STEPS = 80
LEARNING_RATE = 0.03
CHUNK_ROWS = 65_536


class Embedding(torch.nn.Module):
    """Two tanh layers; weights start from their prior, N(0, 1 / fan-in), biases from N(0, 0.1)."""

    def __init__(self, n_inputs: int, generator: torch.Generator) -> None:
        """Draw the weights.

        Args:
            n_inputs: Dimensions of the inputs.
            generator: Source of the draw.
        """
        super().__init__()
        sizes = [n_inputs, N_HIDDEN, N_EMBEDDING]
        layers = []
        for fan_in, fan_out in zip(sizes[:-1], sizes[1:], strict=True):
            layer = torch.nn.Linear(fan_in, fan_out).double()
            with torch.no_grad():
                weight = torch.randn(fan_out, fan_in, generator=generator, dtype=torch.float64)
                layer.weight.copy_(weight / fan_in**0.5)
                layer.bias.copy_(0.1**0.5 * torch.randn(fan_out, generator=generator, dtype=torch.float64))
            layers.append(layer)
        self.first, self.second = layers

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return embeddings (point, 3) of inputs (point, dim); each entry is of order one."""
        return 2.0 * torch.tanh(self.second(torch.tanh(self.first(x))))

    def log_prior(self) -> torch.Tensor:
        """Return the log density of the weights under their prior, up to a constant."""
        total = torch.zeros((), dtype=torch.float64)
        for layer in (self.first, self.second):
            total = total - 0.5 * layer.in_features * layer.weight.square().sum() - 5.0 * layer.bias.square().sum()
        return total


def fit_deep(
    observed: Mapping[str, NDArray[np.floating]],
    candidates: Mapping[str, NDArray[np.floating]],
    y: FloatArray,
    stated_noise: FloatArray,
    start: Hyperparameters | None,
    seed: int,
) -> tuple[Hyperparameters, NDArray[np.float32]]:
    """Fit network and hyperparameters together by maximum a posteriori.

    Args:
        observed: Feature -> (measurement, dim).
        candidates: Feature -> (candidate, dim) for the network's inputs.
        y: (measurement,) standardised.
        stated_noise: (measurement,) variances.
        start: Hyperparameters to start from; None: the prior modes.
        seed: Of the network's start.

    Returns:
        Hyperparameters, and embeddings (candidate, 3) float32.
    """
    inputs = _inputs(observed)
    network = Embedding(inputs.shape[1], torch.Generator().manual_seed(seed))
    with torch.no_grad():
        seen = {**observed, DEEP.name: network(inputs).numpy()}
    squares = squares_of({f: seen[f] for f in DEEP.features})
    # The trust in the stated noises is a fit's of the members without a network; here they are as good as known.
    problem = Problem(DEEP, squares, y, np.zeros_like(y), stated_noise)
    dims = {name: array.shape[1] for name, array in seen.items()}
    theta = torch.nn.Parameter(torch.as_tensor(problem.pack(start or defaults(DEEP, dims))))
    climb(
        lambda: _log_posterior(theta, network(inputs), problem),
        lambda: network.log_prior() / len(y),
        [([*network.parameters(), theta], LEARNING_RATE)],
        N_STEPS,
    )
    return problem.unpack(problem.clipped(theta.detach().numpy())), embed(network, candidates)


class _LogPosterior(torch.autograd.Function):
    """The log posterior per measurement of a member whose first group is learnt, for automatic differentiation."""

    @staticmethod
    def forward(ctx: Any, theta: torch.Tensor, x: torch.Tensor, problem: Problem) -> torch.Tensor:
        """Return it; NaN where it is not finite."""
        found = problem.loss_at(theta.detach().numpy(), x.detach().numpy())
        value, *slopes = found if found is not None else (np.nan, np.zeros(theta.shape), np.zeros(x.shape))
        ctx.save_for_backward(*(torch.as_tensor(-slope) for slope in slopes))
        return torch.tensor(-value, dtype=torch.float64)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        """Return the gradients by hyperparameters and inputs."""
        by_theta, by_x = ctx.saved_tensors
        return gradient * by_theta, gradient * by_x, None


def _log_posterior(theta: torch.Tensor, x: torch.Tensor, problem: Problem) -> torch.Tensor:
    found: torch.Tensor = _LogPosterior.apply(theta, x, problem)  # type: ignore[no-untyped-call]
    return found


def climb(
    log_posterior: Callable[[], torch.Tensor],
    log_prior: Callable[[], torch.Tensor],
    rates: Sequence[tuple[Sequence[torch.nn.Parameter], float]],
    n_steps: int,
) -> None:
    """Climb the posterior by Adam; a step that leaves it non-finite ends the climb, and the best point is kept.

    Args:
        log_posterior: Returns the log posterior of the hyperparameters per measurement, under the present weights.
        log_prior: Returns the log density of the weights under their prior, per measurement.
        rates: Parameters and their learning rates.
        n_steps: Of Adam.
    """
    parameters = [p for group, _ in rates for p in group]
    optimizer = torch.optim.Adam([{"params": list(group), "lr": rate} for group, rate in rates])
    best = [p.detach().clone() for p in parameters]
    best_value = -np.inf
    for _ in range(n_steps):
        optimizer.zero_grad()
        value = log_posterior() + log_prior()
        if not torch.isfinite(value):
            break
        if value.item() > best_value:
            best_value, best = value.item(), [p.detach().clone() for p in parameters]
        (-value).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.no_grad():
        for parameter, saved in zip(parameters, best, strict=True):
            parameter.copy_(saved)


def embed(network: Embedding, candidates: Mapping[str, NDArray[np.floating]]) -> NDArray[np.float32]:
    """Return embeddings (candidate, 3) float32."""
    n = len(candidates[DEEP_INPUTS[0]])
    out = np.empty((n, N_EMBEDDING), dtype=np.float32)
    with torch.no_grad():
        for start in range(0, n, CHUNK_ROWS):
            part = slice(start, start + CHUNK_ROWS)
            out[part] = network(_inputs({f: candidates[f][part] for f in DEEP_INPUTS})).numpy()
    return out


def _inputs(features: Mapping[str, NDArray[np.floating]]) -> torch.Tensor:
    return torch.cat([torch.as_tensor(np.asarray(features[f], dtype=np.float64)) for f in DEEP_INPUTS], dim=1)
