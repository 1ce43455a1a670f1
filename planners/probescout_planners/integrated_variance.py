"""Integrated variance."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from probescout.core.ports import Belief, Json
from probescout_planners.subsets import ranked_subset

FloatArray = NDArray[np.float64]


class IntegratedVariance:
    """Prefer the measurement that makes the whole map most certain.

    Cohn 1996, "Neural network exploration using optimal experiment design"; Seo et al. 2000, "Gaussian process
    regression: active data selection and test point rejection" (ALC). A measurement at x lowers the variance at r by
    C(r, x)^2 / (C(x, x) + noise); that is averaged over reference candidates r and, by their weights, over the members.
    Unlike the largest variance it does not care for lonely spots that teach nothing about others.

    The reference is a random part of the available candidates. Of more than `n_candidates`, half are looked at
    by their SD and half at random; the others score -1, below any gain.
    """

    name: ClassVar[str] = "integrated_variance"
    summary: ClassVar[str] = "Map the target: measure what makes the whole map most certain"
    params_schema: ClassVar[Json] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Integrated variance",
        "type": "object",
        "properties": {
            "n_reference": {
                "title": "Reference",
                "description": "Candidates whose variance is averaged (count)",
                "type": "integer",
                "minimum": 1,
                "maximum": 10000,
                "default": 256,
            },
            "n_candidates": {
                "title": "Subset",
                "description": "Candidates that are scored (count)",
                "type": "integer",
                "minimum": 2,
                "maximum": 10000,
                "default": 512,
            },
        },
        "additionalProperties": False,
    }
    needs_model: ClassVar[bool] = True
    is_gain: ClassVar[bool] = True

    def __init__(self, n_reference: int = 256, n_candidates: int = 512) -> None:
        """Set the sizes.

        Args:
            n_reference: Candidates whose variance is averaged.
            n_candidates: Candidates that are scored.
        """
        self.n_reference = int(n_reference)
        self.n_candidates = int(n_candidates)

    def score(self, belief: Belief, rng: np.random.Generator) -> FloatArray:
        """Return the expected fall of the mean variance (candidate,) in squared target units."""
        scores = np.full(len(belief.available), -1.0)
        open_ = np.flatnonzero(belief.available)
        if len(open_) == 0:
            return scores
        reference = open_ if len(open_) <= self.n_reference else rng.choice(open_, self.n_reference, replace=False)
        chosen = ranked_subset(open_, belief.std[open_], self.n_candidates, rng)
        falls = np.einsum("krc,krc->kc", *(2 * [belief.covariance(reference, chosen)])) / len(reference)
        total = np.maximum(belief.member_var[:, chosen], 0.0) + belief.noise_var[chosen]
        with np.errstate(divide="ignore", invalid="ignore"):
            # A candidate without variance or noise teaches nothing.
            gains = np.where(total > 0, falls / total, 0.0)
        scores[chosen] = belief.weights @ gains
        return scores
