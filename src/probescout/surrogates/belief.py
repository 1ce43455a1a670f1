"""What a planner sees of the committee."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cholesky

from probescout.surrogates.incremental import IncrementalGP

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Posterior:
    """What the committee reports about every candidate, in target units."""

    mean: FloatArray
    """(candidate,)"""
    std: FloatArray
    """(candidate,) calibrated SD of the noise-free target."""
    predictive_std: FloatArray
    """(candidate,) calibrated SD of the next measured value, measurement noise included."""


@dataclass(frozen=True)
class CommitteeBelief:
    """The posterior over all candidates with pending points conditioned on; implements `core.ports.Belief`.

    Valid until the next tell.
    """

    positions: FloatArray
    shape: tuple[int, int] | None
    available: NDArray[np.bool_]
    member_mean: FloatArray
    member_var: FloatArray
    weights: FloatArray
    mean: FloatArray
    std: FloatArray
    incumbent: float
    n_observed: int
    scale: float
    """Target units per standardised unit."""
    gps: Sequence[IncrementalGP] = field(repr=False)
    fantasies: Sequence[NDArray[np.floating]] = field(repr=False)
    """Rows of the pending points, one array per member."""

    def sample(self, rng: np.random.Generator, index: NDArray[np.intp]) -> FloatArray:
        """Draw one joint sample (m,) of the noise-free target at candidates `index` (m,).

        A member is drawn by its weight, then a function from it: exactly a draw from the mixture.
        """
        index = np.asarray(index, dtype=np.intp)
        k = int(rng.choice(len(self.weights), p=self.weights))
        covariance = self.gps[k].covariance(index, self.fantasies[k])
        draw = _root(covariance) @ rng.standard_normal(len(index))
        return np.asarray(self.member_mean[k, index] + self.scale * draw)


def mixture(weights: FloatArray, mean: FloatArray, var: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return mean and variance (candidate,) of a mixture of normals.

    Args:
        weights: (member,) sums to 1.
        mean: (member, candidate).
        var: (member, candidate).
    """
    centre = weights @ mean
    # The spread is summed around the mean: E[m^2] - E[m]^2 would cancel for values far from zero.
    return centre, weights @ (var + (mean - centre) ** 2)


def _root(covariance: FloatArray) -> FloatArray:
    """Return a lower root of a covariance (m, m) that rounding may have made indefinite."""
    if len(covariance) == 0:
        return covariance
    size = float(np.diag(covariance).max())
    jitter = 1e-9 * max(size, 1e-9)
    while jitter <= size * 1e-2 or jitter <= 1e-9:
        try:
            return np.asarray(cholesky(covariance + jitter * np.eye(len(covariance)), lower=True))
        except LinAlgError:
            jitter *= 10.0
    return np.diag(np.sqrt(np.maximum(np.diag(covariance), 0.0)))
