"""Probability of improvement."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from probescout.core.ports import Belief, Json
from probescout.surrogates.improvement import VANISHED, exceedance, log_exceedance, log_mixture, ranked_below

FloatArray = NDArray[np.float64]


class ProbabilityOfImprovement:
    """Prefer where the target most probably exceeds the best so far, by however little.

    Kushner 1964, "A new method of locating the maximum point of an arbitrary multipeak curve in the presence of noise".
    It asks only whether, not by how much, and so stays near the best point unless `xi` demands a gain.
    """

    name: ClassVar[str] = "probability_of_improvement"
    summary: ClassVar[str] = "Find larger values one sure step at a time: chance to exceed the best so far"
    params_schema: ClassVar[Json] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Probability of improvement",
        "type": "object",
        "properties": {
            "xi": {
                "title": "Least gain",
                "description": "Only what exceeds the best so far by more than this counts, in target units; larger "
                "explores more",
                "type": "number",
                "minimum": 0,
                "maximum": 1e100,
                "default": 0.0,
            }
        },
        "additionalProperties": False,
    }
    needs_model: ClassVar[bool] = True
    is_gain: ClassVar[bool] = True
    is_split: ClassVar[bool] = True

    def __init__(self, xi: float = 0.0) -> None:
        """Set what counts as an improvement.

        Args:
            xi: Least gain that counts, in target units.
        """
        self.xi = float(xi)

    def score(self, belief: Belief, rng: np.random.Generator) -> FloatArray:
        """Return the probability (candidate,) under the mixture.

        Before any measurement the SD is returned; where the probability is too small for a floating-point number at
        every available candidate, numbers below 1e-290 in the right order are.
        """
        if not np.isfinite(belief.incumbent):
            return np.array(belief.std, dtype=np.float64)
        gain, std = self._gains(belief)
        probability = belief.weights @ exceedance(gain, std)
        if not belief.available.any() or probability[belief.available].max() > VANISHED:
            return np.asarray(probability)
        return ranked_below(VANISHED, log_mixture(belief.weights, log_exceedance(gain, std)))

    def log_score(self, belief: Belief, rng: np.random.Generator) -> FloatArray:
        """Return the logarithm of the probability (candidate,), however small it is."""
        if not np.isfinite(belief.incumbent):
            return np.asarray(np.log(np.maximum(belief.std, VANISHED)))
        return log_mixture(belief.weights, log_exceedance(*self._gains(belief)))

    def _gains(self, belief: Belief) -> tuple[FloatArray, FloatArray]:
        std = np.sqrt(np.maximum(belief.member_var, 0.0))
        return belief.member_mean - (belief.incumbent + self.xi), std
