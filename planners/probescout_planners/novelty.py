"""Curiosity."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from probescout.core.ports import Belief, Json

FloatArray = NDArray[np.float64]


class Novelty:
    """Prefer patches unlike any that was measured: find rare structures, or feed a later theory calculation.

    Novelty is the share of the prior variance that no measured patch explains, 0..1; it knows where measurements lie
    and nothing of their values (Lehman & Stanley 2011, "Abandoning objectives", novelty search, with the kernel's
    notion of likeness). With a `value_weight` above zero the predicted mean, in SDs of the predicted map, is added.
    Where the belief says nothing about novelty, the SD over the largest SD stands in.
    """

    name: ClassVar[str] = "novelty"
    summary: ClassVar[str] = "Be curious: measure patches that are unlike all measured ones"
    params_schema: ClassVar[Json] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Novelty",
        "type": "object",
        "properties": {
            "value_weight": {
                "title": "Weight of the value",
                "description": "Novelty given up for one SD of the predicted map (no unit); 0: novelty alone",
                "type": "number",
                "minimum": 0,
                "maximum": 100,
                "default": 0.0,
            }
        },
        "additionalProperties": False,
    }
    needs_model: ClassVar[bool] = True

    def __init__(self, value_weight: float = 0.0) -> None:
        """Set the weight.

        Args:
            value_weight: Novelty given up for one SD of the predicted map.
        """
        self.value_weight = float(value_weight)

    def score(self, belief: Belief, rng: np.random.Generator) -> FloatArray:
        """Return novelty plus weighted value (candidate,), no unit."""
        scores = np.array(belief.novelty, dtype=np.float64)
        open_ = belief.available
        if not open_.any():
            return scores
        if not (scores[open_] > 0).any():
            scores = belief.std / max(float(belief.std[open_].max()), 1e-300)
        if self.value_weight > 0:
            spread = float(belief.mean[open_].std())
            centred = belief.mean - float(belief.mean[open_].mean())
            scores = scores + self.value_weight * (centred / spread if spread > 0 else np.zeros_like(centred))
        return np.asarray(scores)
