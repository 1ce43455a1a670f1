"""Measuring at random."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from probescout.core.ports import Belief, Json

FloatArray = NDArray[np.float64]


class Random:
    """Prefer nothing: the baseline that any policy must beat."""

    name: ClassVar[str] = "random"
    summary: ClassVar[str] = "Measure anywhere with equal chance; the baseline"
    params_schema: ClassVar[Json] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Random",
        "type": "object",
        "properties": {},
        "additionalProperties": False,
    }
    needs_model: ClassVar[bool] = False

    def score(self, belief: Belief, rng: np.random.Generator) -> FloatArray:
        """Return uniform random scores (candidate,)."""
        return rng.random(len(belief.available))
