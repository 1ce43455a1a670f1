"""Max-value entropy search."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from probescout.core.ports import Belief, Json
from probescout.surrogates.improvement import LOG_SQRT_2PI, standardised

FloatArray = NDArray[np.float64]

N_RIVALS = 1000
"""Candidates that may hold the largest value."""
QUARTILES = (0.25, 0.5, 0.75)


class MaxValueEntropy:
    """Prefer the measurement that tells most about how large the largest value is.

    Wang & Jegelka 2017, "Max-value entropy search for efficient Bayesian optimization", eqs. 5-6, MES-G: the largest
    value over all candidates is drawn from a Gumbel distribution with the quartiles of the product of the candidates'
    distributions (as if they were independent), never below the incumbent; the score is the mutual information
    between the noise-free target and that value, averaged over the draws. The mixture is taken as one normal
    distribution with its mean and variance.
    """

    name: ClassVar[str] = "max_value_entropy"
    summary: ClassVar[str] = "Learn the largest value: measure what says most about how large it is"
    params_schema: ClassVar[Json] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Max-value entropy search",
        "type": "object",
        "properties": {
            "n_draws": {
                "title": "Draws",
                "description": "Draws of the largest value (count)",
                "type": "integer",
                "minimum": 1,
                "maximum": 1000,
                "default": 10,
            }
        },
        "additionalProperties": False,
    }
    needs_model: ClassVar[bool] = True
    is_gain: ClassVar[bool] = True

    def __init__(self, n_draws: int = 10) -> None:
        """Set the number of draws.

        Args:
            n_draws: Draws of the largest value.
        """
        self.n_draws = int(n_draws)

    def score(self, belief: Belief, rng: np.random.Generator) -> FloatArray:
        """Return the mutual information (candidate,) in nats; 0 where the target is certain."""
        open_ = np.flatnonzero(belief.available)
        mean, std = np.array(belief.mean, dtype=np.float64), np.array(belief.std, dtype=np.float64)
        scores = np.zeros(len(mean))
        if len(open_) == 0:
            return scores
        largest = draw_largest(mean[open_], std[open_], belief.incumbent, self.n_draws, rng)
        for value in largest:
            scores[open_] += information(standardised(value - mean[open_], std[open_]))
        scores[open_] = np.where(std[open_] > 0, scores[open_] / len(largest), 0.0)
        return scores


def information(gamma: FloatArray) -> FloatArray:
    """Return how many nats the entropy of a normal value falls when it is cut off gamma SDs above its mean.

    Wang & Jegelka 2017, eq. 6: gamma phi(gamma) / (2 Phi(gamma)) - log Phi(gamma).

    Args:
        gamma: Any shape.
    """
    # Far below zero the two terms cancel; their difference grows only as log(-gamma), so the cut changes no order.
    g = np.clip(gamma, -1e4, 1e4)
    log_cdf = log_ndtr(g)
    hazard = np.exp(-0.5 * g * g - LOG_SQRT_2PI - log_cdf)
    return np.asarray(np.maximum(0.5 * g * hazard - log_cdf, 0.0))


def draw_largest(
    mean: FloatArray, std: FloatArray, incumbent: float, n_draws: int, rng: np.random.Generator
) -> FloatArray:
    """Return draws (n_draws,) of the largest of independent normal values, at least the incumbent.

    Args:
        mean: (candidate,).
        std: (candidate,).
        incumbent: The best so far; -inf when there is none.
        n_draws: How many.
        rng: Generator.
    """
    floor = incumbent if np.isfinite(incumbent) else float(mean.max())
    if len(mean) > N_RIVALS:
        keep = np.argpartition(-(mean + 3.0 * std), N_RIVALS)[:N_RIVALS]
        mean, std = mean[keep], std[keep]
    low, high = float((mean - 5.0 * std).max()), float((mean + 8.0 * std).max())
    quartiles = [_quantile(mean, std, math.log(q), low, high) for q in QUARTILES]
    # Gumbel: y = a - b log(-log p).
    first, last = (-math.log(-math.log(q)) for q in (QUARTILES[0], QUARTILES[2]))
    b = (quartiles[2] - quartiles[0]) / (last - first)
    a = quartiles[1] + b * math.log(-math.log(0.5))
    # Strata keep the draws spread however few there are.
    p = (np.arange(n_draws) + rng.uniform(1e-3, 1.0 - 1e-3, n_draws)) / n_draws
    return np.maximum(a - b * np.log(-np.log(p)), floor)


def _quantile(mean: FloatArray, std: FloatArray, log_p: float, low: float, high: float) -> float:
    """Return y with sum of log Phi((y - mean) / std) = log_p, by bisection."""
    for _ in range(40):
        middle = low + 0.5 * (high - low)
        if float(log_ndtr(standardised(middle - mean, std)).sum()) < log_p:
            low = middle
        else:
            high = middle
    return high
