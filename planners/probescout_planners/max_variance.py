"""Uncertainty sampling."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from probescout.core.ports import Belief, Json

FloatArray = NDArray[np.float64]


class MaxVariance:
    """Prefer where the committee knows least, to map the target everywhere.

    Seo et al. 2000, "Gaussian process regression: active data selection and test point rejection" (ALM), with the SD of
    the mixture, which also grows where the members disagree.
    """

    name: ClassVar[str] = "max_variance"
    summary: ClassVar[str] = "Map the target: measure where the model is least certain"
    params_schema: ClassVar[Json] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Largest variance",
        "type": "object",
        "properties": {},
        "additionalProperties": False,
    }
    needs_model: ClassVar[bool] = True
    is_gain: ClassVar[bool] = True
    is_split: ClassVar[bool] = True

    def score(self, belief: Belief, rng: np.random.Generator) -> FloatArray:
        """Return the SD (candidate,) in target units."""
        return np.array(belief.std, dtype=np.float64)
