"""Intervals that cover what they claim: two corrections on top of the members' variances.

What is left of miscalibration after a proper fit is mostly selection: bright regions are oversampled. Both corrections
therefore weigh each measurement by how rare values like it are among the measured. They are reported and never fed back
into what is planned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

Z95 = 1.959963984540054
PSEUDO_FACTOR = 3.0
PSEUDO_QUANTILE = 10.0
PRIOR_QUANTILE = 2.1
"""Left-out errors of a fit to the same values are a little too small: the quantile shrinks towards more than 1.96."""
MOST_Z2 = 9.0
BANDWIDTH = 0.8
"""Of the Gaussian in the predicted mean, standardised units."""
N_KNOTS = 64
LEAST_FACTOR, LEAST_QUANTILE = 0.1, 1.0
"""However well the residuals behave, the variance shrinks no further: a run of equal values proves little."""
LEAST_N = 5
"""Below this number of measurements nothing is corrected."""
MOST_FACTOR = 50.0
TOLERANCE, N_HALVINGS = 0.01, 9
"""Of the search for a quantile on a bent axis, where the width may grow with a high power of its factor."""


@dataclass(frozen=True)
class VarianceFactor:
    """A factor on a member's variance as a function of its predicted mean."""

    knots: FloatArray
    """(knot,) predicted means, standardised units."""
    values: FloatArray
    """(knot,) factors."""

    def __call__(self, mean: FloatArray) -> FloatArray:
        """Return the factors at predicted means (any shape)."""
        return np.asarray(np.interp(mean, self.knots, self.values))


FLAT = VarianceFactor(np.array([0.0]), np.array([1.0]))


def variance_factor(loo_mean: FloatArray, z2: FloatArray, omega: FloatArray, low: float, high: float) -> VarianceFactor:
    """Return (3 + sum K omega z^2) / (3 + sum K omega) with K Gaussian in the predicted mean.

    Args:
        loo_mean: (n,) leave-one-out means.
        z2: (n,) squared standardised leave-one-out residuals.
        omega: (n,) importance weights.
        low: Least predicted mean of any candidate.
        high: Largest.
    """
    if len(z2) < LEAST_N:
        return FLAT
    # Farther out no measurement weighs in and the factor is 1; the knots stay dense where it varies.
    low = max(low, float(loo_mean.min()) - 5.0 * BANDWIDTH)
    high = min(high, float(loo_mean.max()) + 5.0 * BANDWIDTH)
    knots = np.linspace(low, max(high, low + 1e-6), N_KNOTS)
    kernel = omega * np.exp(-0.5 * ((knots[:, None] - loo_mean) / BANDWIDTH) ** 2)
    capped = np.minimum(z2, MOST_Z2)
    factor = (PSEUDO_FACTOR + kernel @ capped) / (PSEUDO_FACTOR + kernel.sum(axis=1))
    return VarianceFactor(knots, np.maximum(factor, LEAST_FACTOR))


def flat_factor(z2: FloatArray) -> VarianceFactor:
    """Return one factor for all means, from squared one-step-ahead errors (n,)."""
    factor = (PSEUDO_FACTOR + np.minimum(z2, MOST_Z2).sum()) / (PSEUDO_FACTOR + len(z2))
    return VarianceFactor(np.array([0.0]), np.array([max(float(factor), LEAST_FACTOR)]))


def quantile_factor(sizes: Callable[[float], FloatArray], omega: FloatArray) -> float:
    """Return the factor on the SD that makes 95 % intervals cover 95 % of left-out values.

    What is judged is the interval that is reported, mean +- 1.96 SD in target units: on a bent axis both its middle and
    its width move with the factor, so there the factor is searched for.

    Args:
        sizes: Gives the distances (n,) of left-out values from their prediction, in SD of it, once the SD is multiplied
            by a factor.
        omega: (n,) importance weights.
    """
    n = len(omega)
    if n < LEAST_N:
        return 1.0
    # Exact on a straight axis.
    factor = min(max(_quantile(sizes(1.0), omega) / Z95, LEAST_QUANTILE / Z95), MOST_FACTOR)
    ratio = _quantile(sizes(factor), omega) / Z95
    if ratio > 1.0 + TOLERANCE or (ratio < 1.0 - TOLERANCE and factor > LEAST_QUANTILE / Z95):
        factor = _searched(sizes, omega, factor)
    known = factor * Z95
    shrunk = max(known, (n * known + PSEUDO_QUANTILE * PRIOR_QUANTILE) / (n + PSEUDO_QUANTILE))
    return max(shrunk, LEAST_QUANTILE) / Z95


def _searched(sizes: Callable[[float], FloatArray], omega: FloatArray, guess: float) -> float:
    """Return the factor on a bent axis, by halving the range of its logarithm; the guess where none is large enough."""
    low, high = LEAST_QUANTILE / Z95, MOST_FACTOR
    if _quantile(sizes(high), omega) > Z95:
        return guess
    for _ in range(N_HALVINGS):
        middle = float(np.sqrt(low * high))
        if _quantile(sizes(middle), omega) <= Z95:
            high = middle
        else:
            low = middle
    return high


def _quantile(size: FloatArray, omega: FloatArray) -> float:
    """Return the weighted conformal 95 % quantile of sizes (n,).

    One more value, the next, counts as beyond all others (Tibshirani et al. 2019, "Conformal prediction under covariate
    shift").
    """
    order = np.argsort(size)
    share = np.cumsum(omega[order]) / (omega.sum() + omega.mean())
    return float(size[order][min(int(np.searchsorted(share, 0.95)), len(size) - 1)])
