"""Thompson sampling."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from probescout.core.ports import Belief, Json
from probescout_planners.subsets import promising

FloatArray = NDArray[np.float64]


class Thompson:
    """Prefer where one function drawn from the posterior is largest; randomises, so batches spread by themselves.

    Thompson 1933; Kandasamy et al. 2018, "Parallelised Bayesian optimisation via Thompson sampling". A joint draw costs
    the cube of its size, so it covers a subset: half the most promising candidates by mean + 2 SD, half at random.
    """

    name: ClassVar[str] = "thompson"
    summary: ClassVar[str] = "Find large values with built-in variety: maximise one draw from the posterior"
    params_schema: ClassVar[Json] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Thompson sampling",
        "type": "object",
        "properties": {
            "n_subset": {
                "title": "Subset",
                "description": "Candidates in one joint draw (count)",
                "type": "integer",
                "minimum": 2,
                "maximum": 2000,
                "default": 400,
            }
        },
        "additionalProperties": False,
    }
    needs_model: ClassVar[bool] = True

    def __init__(self, n_subset: int = 400) -> None:
        """Set the size of the draw.

        Args:
            n_subset: Candidates in one joint draw.
        """
        self.n_subset = int(n_subset)

    def score(self, belief: Belief, rng: np.random.Generator) -> FloatArray:
        """Return the draw (candidate,) in target units; candidates outside the subset score below all inside."""
        scores = np.zeros(len(belief.available))
        open_ = promising(belief, self.n_subset, rng)
        if len(open_) == 0:
            return scores
        draw = belief.sample(rng, open_)
        low = float(draw.min())
        scores[:] = low - 1.0 - abs(low)
        scores[open_] = draw
        return scores
