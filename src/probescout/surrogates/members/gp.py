"""A member as a gpytorch model, with its priors: what a fit optimises."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import gpytorch
import numpy as np
import torch
from gpytorch.constraints import Positive
from gpytorch.distributions import MultivariateNormal
from gpytorch.kernels import ConstantKernel, Kernel, MaternKernel, ScaleKernel
from gpytorch.likelihoods import FixedNoiseGaussianLikelihood
from gpytorch.priors import NormalPrior
from numpy.typing import NDArray

from probescout.surrogates.kernel import CONSTANT_VARIANCE
from probescout.surrogates.members.definition import BOX, LOG_NOISE, Group, Hyperparameters, Member

FloatArray = NDArray[np.float64]
LEAST_STATED_NOISE = 1e-6
"""gpytorch rounds a fixed noise up to this, with a warning; beside the fitted noise (>= 3e-4) it is nothing."""


def log_positive() -> Positive:
    """Return a constraint whose raw parameter is the logarithm, so that priors and box apply to it directly."""
    return Positive(transform=torch.exp, inv_transform=torch.log)


class MemberGP(gpytorch.models.ExactGP):  # type: ignore[misc]
    """k = sum_g a_g Matern52_ARD(x_g) + 1 with zero mean; the groups lie side by side in the inputs."""

    def __init__(
        self,
        member: Member,
        dims: Sequence[int],
        x: torch.Tensor,
        y: torch.Tensor,
        stated_noise: torch.Tensor,
    ) -> None:
        """Build the model and register the priors.

        Args:
            member: Its groups and priors.
            dims: Number of dimensions of each group.
            x: (measurement, dim) float64.
            y: (measurement,) standardised.
            stated_noise: (measurement,) noise variances that the measurements state.
        """
        likelihood = FixedNoiseGaussianLikelihood(
            stated_noise, learn_additional_noise=True, noise_constraint=log_positive()
        )
        super().__init__(x, y, likelihood)
        self.mean_module = gpytorch.means.ZeroMean()
        self.terms: list[ScaleKernel] = []
        """One per group; they are registered as parts of `covar_module`."""
        kernel: Kernel | None = None
        start = 0
        for group, n_dims in zip(member.groups, dims, strict=True):
            term = _term(group, tuple(range(start, start + n_dims)))
            self.terms.append(term)
            kernel = term if kernel is None else kernel + term
            start += n_dims
        constant = ConstantKernel()
        constant.constant = torch.tensor(CONSTANT_VARIANCE)
        constant.raw_constant.requires_grad_(False)
        self.covar_module = kernel + constant
        noise = likelihood.second_noise_covar
        noise.register_prior("log_noise_prior", NormalPrior(*LOG_NOISE), lambda module: module.noise.log())

    def forward(self, x: torch.Tensor) -> MultivariateNormal:
        """Return the prior at inputs (point, dim)."""
        return MultivariateNormal(self.mean_module(x), self.covar_module(x))

    def log_parameters(self) -> list[torch.nn.Parameter]:
        """Return the raw parameters, all logarithms: per group lengthscales and amplitude, then the noise."""
        found = [p for t in self.terms for p in (t.base_kernel.raw_lengthscale, t.raw_outputscale)]
        return [*found, self.likelihood.second_noise_covar.raw_noise]

    def write(self, hyper: Hyperparameters) -> None:
        """Set all hyperparameters."""
        pairs = zip(hyper.log_lengthscale, hyper.log_amplitude, strict=True)
        values = [v for lengthscale, amplitude in pairs for v in (lengthscale, (amplitude,))] + [(hyper.log_noise,)]
        with torch.no_grad():
            for parameter, value in zip(self.log_parameters(), values, strict=True):
                parameter.copy_(torch.tensor(value, dtype=parameter.dtype).reshape(parameter.shape))

    def read(self) -> Hyperparameters:
        """Return all hyperparameters."""
        lengthscales, amplitudes = [], []
        for term in self.terms:
            lengthscales.append(tuple(term.base_kernel.raw_lengthscale.detach().flatten().tolist()))
            amplitudes.append(term.raw_outputscale.item())
        return Hyperparameters(
            tuple(lengthscales), tuple(amplitudes), self.likelihood.second_noise_covar.raw_noise.item()
        )


def _term(group: Group, active: tuple[int, ...]) -> ScaleKernel:
    base = MaternKernel(nu=2.5, ard_num_dims=len(active), active_dims=active, lengthscale_constraint=log_positive())
    base.register_prior(
        "log_lengthscale_prior", NormalPrior(*group.log_lengthscale), lambda module: module.lengthscale.log()
    )
    term = ScaleKernel(base, outputscale_constraint=log_positive())
    term.register_prior(
        "log_amplitude_prior", NormalPrior(*group.log_amplitude), lambda module: module.outputscale.log()
    )
    return term


def boxes(member: Member, dims: Sequence[int]) -> Iterator[tuple[float, float]]:
    """Yield the bounds of every log parameter, in the order of `MemberGP.log_parameters`."""
    for group, n_dims in zip(member.groups, dims, strict=True):
        for (mean, sd), n in ((group.log_lengthscale, n_dims), (group.log_amplitude, 1)):
            for _ in range(n):
                yield mean - BOX * sd, mean + BOX * sd
    yield LOG_NOISE[0] - BOX * LOG_NOISE[1], LOG_NOISE[0] + BOX * LOG_NOISE[1]


def build_gp(
    member: Member, observed: Mapping[str, NDArray[np.floating]], y: FloatArray, stated_noise: FloatArray
) -> MemberGP:
    """Return a member on measurements, in float64.

    Args:
        member: The member.
        observed: Feature -> (measurement, dim).
        y: (measurement,) standardised.
        stated_noise: (measurement,) variances.
    """
    parts = [torch.as_tensor(np.asarray(observed[f], dtype=np.float64)) for f in member.features]
    model: MemberGP = MemberGP(
        member,
        [p.shape[1] for p in parts],
        torch.cat(parts, dim=1),
        torch.as_tensor(np.array(y, dtype=np.float64)),
        torch.as_tensor(np.maximum(stated_noise, LEAST_STATED_NOISE), dtype=torch.float64),
    ).double()
    return model
