"""Search for one value of the target."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from probescout.core.ports import Belief, Json
from probescout.surrogates.improvement import (
    LOG_SQRT_2PI,
    VANISHED,
    exceedance,
    expected_improvement,
    log_mixture,
    ranked_below,
    standardised,
)
from probescout_planners.subsets import fitted_values

FloatArray = NDArray[np.float64]


class TargetValue:
    """Prefer where the target may come closest to a wanted value: a composition, a band gap, a working point.

    Without a tolerance: how much closer than the closest so far the target is expected to be, E[max(d - |f - t|, 0)]
    with d the least distance of a measured point's mean. As (d - |u|)+ = (u + d)+ - 2 u+ + (u - d)+ this is a
    difference of expected improvements (Jones et al. 1998), exact over the mixture. With a tolerance: P(|f - t| <= it).
    """

    name: ClassVar[str] = "target_value"
    summary: ClassVar[str] = "Find a wanted value: measure where the target may come closest to it"
    params_schema: ClassVar[Json] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Target value",
        "type": "object",
        "properties": {
            "value": {
                "title": "Wanted value",
                "description": "In target units",
                "type": "number",
                "minimum": -1e100,
                "maximum": 1e100,
            },
            "tolerance": {
                "title": "Tolerance",
                "description": "Half width of the range that is good enough, in target units; null: as close as can be",
                "type": ["number", "null"],
                "exclusiveMinimum": 0,
                "maximum": 1e100,
                "default": None,
            },
        },
        "required": ["value"],
        "additionalProperties": False,
    }
    needs_model: ClassVar[bool] = True
    is_gain: ClassVar[bool] = True
    is_split: bool = True

    def __init__(self, value: float, tolerance: float | None = None) -> None:
        """Set what is wanted.

        Args:
            value: Target units.
            tolerance: Half width of the range that is good enough; None: as close as can be.
        """
        self.value = float(value)
        self.tolerance = None if tolerance is None else float(tolerance)
        # Closer than the closest so far: what is believed of all measured points has a say.
        self.is_split = tolerance is not None

    def score(self, belief: Belief, rng: np.random.Generator) -> FloatArray:
        """Return expected gain in closeness (target units) or probability (candidate,).

        Where that vanishes at every available candidate, next to nothing is returned, in the order of the density at
        the wanted value; before any measurement, minus the expected distance.
        """
        offset, std = belief.member_mean - self.value, np.sqrt(np.maximum(belief.member_var, 0.0))
        if self.tolerance is not None:
            scores = belief.weights @ _within(offset, std, self.tolerance)
        elif belief.n_observed == 0 or not len(belief.values):
            distance = expected_improvement(offset, std) + expected_improvement(-offset, std)
            return np.asarray(-(belief.weights @ distance))
        else:
            least = float(np.abs(fitted_values(belief) - self.value).min())
            scores = belief.weights @ _closer(offset, std, least)
        # The difference of three terms loses its digits long before it underflows.
        floor = VANISHED if self.tolerance is not None else 1e-13 * float(std[:, belief.available].max(initial=0.0))
        if not belief.available.any() or scores[belief.available].max() > floor:
            return np.asarray(scores)
        u = np.clip(standardised(offset, std), -1e100, 1e100)
        density = -0.5 * u * u - LOG_SQRT_2PI - np.log(np.maximum(std, 1e-300))
        return ranked_below(floor, log_mixture(belief.weights, density))


def _closer(offset: FloatArray, std: FloatArray, least: float) -> FloatArray:
    """Return E[max(least - |offset + std * N(0, 1)|, 0)]."""
    # By symmetry the lower side, where the three terms are small and their difference keeps its digits.
    low = -np.abs(offset)
    terms = (
        expected_improvement(low + least, std)
        - 2.0 * expected_improvement(low, std)
        + expected_improvement(low - least, std)
    )
    return np.clip(terms, 0.0, least)


def _within(offset: FloatArray, std: FloatArray, tolerance: float) -> FloatArray:
    """Return P(|offset + std * N(0, 1)| <= tolerance), accurate in both tails."""
    low = -np.abs(offset)
    return np.asarray(exceedance(low + tolerance, std) - exceedance(low - tolerance, std))
