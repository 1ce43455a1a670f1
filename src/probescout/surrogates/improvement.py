"""Closed forms of how far a normal value may exceed a level, and of their mixtures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, log_ndtr, ndtr

FloatArray = NDArray[np.float64]

LOG_SQRT_2PI = 0.5 * float(np.log(2.0 * np.pi))
VANISHED = 1e-290
"""Below this an expected improvement or a probability has lost its digits, and its logarithm must be used."""
LEAST_STD = 1e-300


def expected_improvement(gain: FloatArray, std: FloatArray) -> FloatArray:
    """Return E[max(gain + std * N(0, 1), 0)], element by element; exact for std = 0.

    Jones, Schonlau & Welch 1998, "Efficient global optimization", eq. 15.

    Args:
        gain: Mean less level (any shape).
        std: Standard deviation (a shape that broadcasts with it).
    """
    u = standardised(gain, std)
    density = np.exp(-0.5 * np.minimum(u * u, 1500.0) - LOG_SQRT_2PI)
    # Far below the level the two terms cancel; rounding must not leave a negative improvement.
    return np.where(std > 0, np.maximum(std * (u * ndtr(u) + density), 0.0), np.maximum(gain, 0.0))


def log_expected_improvement(gain: FloatArray, std: FloatArray) -> FloatArray:
    """Return the logarithm of `expected_improvement` without underflow.

    Ament et al. 2023, "Unexpected improvements to expected improvement", eq. 9: for u < -1 with the scaled
    complementary error function, for u < -1e4 by its asymptote -2 log|u|.

    Args:
        gain: Mean less level (any shape).
        std: Standard deviation (a shape that broadcasts with it).
    """
    u = np.clip(standardised(gain, std), -1e100, 1e100)
    near = np.maximum(u, -1.0)
    direct = np.log(np.exp(-0.5 * near * near - LOG_SQRT_2PI) + near * ndtr(near))
    far = np.clip(u, -1e4, -1.0)
    ratio = np.sqrt(np.pi / 2.0) * erfcx(-far / np.sqrt(2.0)) * -far
    tail = np.log1p(-np.minimum(ratio, 1.0 - 1e-13))
    beyond = -2.0 * np.log(np.maximum(-u, 1.0))
    log_h = -0.5 * u * u - LOG_SQRT_2PI + np.where(u < -1e4, beyond, tail)
    return np.where(u > -1.0, direct, log_h) + np.log(np.maximum(std, LEAST_STD))


def exceedance(gain: FloatArray, std: FloatArray) -> FloatArray:
    """Return P(gain + std * N(0, 1) > 0), element by element."""
    return np.asarray(ndtr(standardised(gain, std)))


def log_exceedance(gain: FloatArray, std: FloatArray) -> FloatArray:
    """Return the logarithm of `exceedance` without underflow."""
    # Beyond 1e100 the square in the logarithm would overflow.
    return np.asarray(log_ndtr(np.clip(standardised(gain, std), -1e100, 1e100)))


def log_mixture(weights: FloatArray, logs: FloatArray) -> FloatArray:
    """Return log of sum_k weights_k exp(logs_k) (candidate,), finite however small the terms.

    Args:
        weights: (member,) sums to 1.
        logs: (member, candidate).
    """
    with np.errstate(divide="ignore"):
        terms = np.log(weights)[:, None] + logs
    peak = np.maximum(terms.max(axis=0), np.finfo(float).min / 2)
    return np.asarray(peak + np.log(np.maximum(np.exp(terms - peak).sum(axis=0), VANISHED)))


def ranked_below(floor: float, logs: FloatArray) -> FloatArray:
    """Return positive numbers below `floor` in the order of `logs` (candidate,), for gains that are lost in rounding.

    A policy then still proposes the least hopeless candidate, and its score still reads as what it is: next to nothing.
    """
    # The root keeps what a logarithm of -1e300 becomes above the smallest floating-point number.
    x = np.abs(logs) ** 0.05
    return np.asarray(max(floor, VANISHED) * np.where(logs < 0, 0.5 / (1.0 + x), 1.0 - 0.5 / (1.0 + x)))


def standardised(gain: FloatArray, std: FloatArray) -> FloatArray:
    """Return gain / std, limited to 1e150 in size so that neither it nor its square overflows."""
    with np.errstate(over="ignore"):
        return np.clip(gain / np.maximum(std, LEAST_STD), -1e150, 1e150)
