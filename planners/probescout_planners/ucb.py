"""Upper confidence bound."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from probescout.core.ports import Belief, Json

FloatArray = NDArray[np.float64]


class UpperConfidenceBound:
    """Prefer where the target could plausibly be largest: mean + beta * SD of the mixture.

    Srinivas et al. 2010, "Gaussian process optimization in the bandit setting", with a constant beta on the SD.
    """

    name: ClassVar[str] = "ucb"
    summary: ClassVar[str] = "Find many large values: optimistic estimate, mean + beta * SD"
    params_schema: ClassVar[Json] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Upper confidence bound",
        "type": "object",
        "properties": {
            "beta": {
                "title": "Optimism",
                "description": "SDs added to the mean; larger explores more (no unit)",
                "type": "number",
                "minimum": 0,
                "maximum": 100,
                "default": 2.0,
            }
        },
        "additionalProperties": False,
    }
    needs_model: ClassVar[bool] = True

    def __init__(self, beta: float = 2.0) -> None:
        """Set the optimism.

        Args:
            beta: SDs added to the mean.
        """
        self.beta = float(beta)

    def score(self, belief: Belief, rng: np.random.Generator) -> FloatArray:
        """Return the bound (candidate,) in target units."""
        return np.asarray(belief.mean + self.beta * belief.std, dtype=np.float64)
