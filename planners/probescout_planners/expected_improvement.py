"""Expected improvement over the committee's mixture."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, ndtr

from probescout.core.ports import Belief, Json

FloatArray = NDArray[np.float64]

LOG_SQRT_2PI = 0.5 * float(np.log(2.0 * np.pi))
VANISHED = 1e-290
"""Below this expected improvement the closed form has lost its digits."""


class ExpectedImprovement:
    """Prefer where the target is expected to exceed the best so far by most.

    Jones, Schonlau & Welch 1998, "Efficient global optimization", eq. 15, for each member with one common incumbent,
    averaged by the weights: the exact expectation over the mixture.
    """

    name: ClassVar[str] = "expected_improvement"
    summary: ClassVar[str] = "Find the largest values: expected gain over the best so far"
    params_schema: ClassVar[Json] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Expected improvement",
        "type": "object",
        "properties": {},
        "additionalProperties": False,
    }
    needs_model: ClassVar[bool] = True

    def score(self, belief: Belief, rng: np.random.Generator) -> FloatArray:
        """Return the expected improvement (candidate,) in target units.

        Before any measurement there is nothing to improve on and the SD is returned. Where the improvement is too small
        for a floating-point number at every available candidate, its logarithm is returned instead, so that
        the order is not lost.
        """
        if not np.isfinite(belief.incumbent):
            return np.array(belief.std, dtype=np.float64)
        std = np.sqrt(np.maximum(belief.member_var, 0.0))
        gain = belief.member_mean - belief.incumbent
        improvement = belief.weights @ expected_improvement(gain, std)
        if not belief.available.any() or improvement[belief.available].max() > VANISHED:
            return np.asarray(improvement)
        with np.errstate(divide="ignore"):
            logs = np.log(belief.weights)[:, None] + log_expected_improvement(gain, std)
        peak = np.maximum(logs.max(axis=0), np.finfo(float).min / 2)
        return np.asarray(peak + np.log(np.maximum(np.exp(logs - peak).sum(axis=0), VANISHED)))


def expected_improvement(gain: FloatArray, std: FloatArray) -> FloatArray:
    """Return E[max(gain + std * N(0, 1), 0)], element by element; exact for std = 0."""
    u = _ratio(gain, std)
    density = np.exp(-0.5 * np.minimum(u * u, 1500.0) - LOG_SQRT_2PI)
    # Far below the incumbent the two terms cancel; rounding must not leave a negative improvement.
    return np.where(std > 0, np.maximum(std * (u * ndtr(u) + density), 0.0), np.maximum(gain, 0.0))


def log_expected_improvement(gain: FloatArray, std: FloatArray) -> FloatArray:
    """Return the logarithm of `expected_improvement` without underflow.

    Ament et al. 2023, "Unexpected improvements to expected improvement", eq. 9: for u < -1 with the scaled
    complementary error function, for u < -1e4 by its asymptote -2 log|u|.
    """
    u = np.clip(_ratio(gain, std), -1e100, 1e100)
    near = np.maximum(u, -1.0)
    direct = np.log(np.exp(-0.5 * near * near - LOG_SQRT_2PI) + near * ndtr(near))
    far = np.clip(u, -1e4, -1.0)
    ratio = np.sqrt(np.pi / 2.0) * erfcx(-far / np.sqrt(2.0)) * -far
    tail = np.log1p(-np.minimum(ratio, 1.0 - 1e-13))
    beyond = -2.0 * np.log(np.maximum(-u, 1.0))
    log_h = -0.5 * u * u - LOG_SQRT_2PI + np.where(u < -1e4, beyond, tail)
    return np.where(u > -1.0, direct, log_h) + np.log(np.maximum(std, 1e-300))


def _ratio(gain: FloatArray, std: FloatArray) -> FloatArray:
    limited = np.maximum(std, 1e-300)
    with np.errstate(over="ignore"):
        return np.clip(gain / limited, -1e150, 1e150)
