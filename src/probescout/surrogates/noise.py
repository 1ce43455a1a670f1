"""The scale of the target, and what a stated measurement variance means on it.

Each measurement is trusted as far as it states, beside a noise fitted to all. What noise to expect where nothing was
measured yet follows the predicted value, by a line through the stated variances: for counts it grows with them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

CONSTANT = 1e-9
"""A spread below this fraction of the values is rounding, not signal."""
MOST_NOISE = 1e4
"""Stated variances are cut here, in standardised units: such a point says nothing, and more would only lose digits."""


@dataclass(frozen=True)
class Scale:
    """How target units map to standardised ones; frozen between refits."""

    mean: float = 0.0
    sd: float = 1.0
    """Never zero: see `scale_of`."""
    typical_variance: float = 0.0
    """Mean stated variance in squared target units; 0 when none is stated."""
    variance_slope: float = 0.0
    """Increase of the stated variance per target unit: 1 for counts, 0 where it does not depend on the value."""
    variance_limits: tuple[float, float] = (0.0, 0.0)
    """Least and largest stated variance."""
    is_constant: bool = True
    """Whether all values were the same, so that `sd` is a guess."""

    def standardise(self, values: FloatArray) -> FloatArray:
        """Return values (n,) in standardised units."""
        return (values - self.mean) / self.sd

    def noise(self, variances: FloatArray) -> FloatArray:
        """Return the stated part of the noise variances (n,) in standardised units; NaN (unknown) gives 0."""
        return np.where(np.isnan(variances), 0.0, np.minimum(variances / (self.sd * self.sd), MOST_NOISE))

    def expected_noise(self, mean: FloatArray) -> FloatArray:
        """Return the stated noise variance to expect where the target is predicted, all in standardised units.

        Args:
            mean: Predicted mean (any shape).
        """
        variance = self.typical_variance + self.variance_slope * self.sd * mean
        limited = np.clip(variance, *self.variance_limits)
        return np.asarray(np.minimum(limited / (self.sd * self.sd), MOST_NOISE))

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers."""
        return {
            "mean": self.mean,
            "sd": self.sd,
            "typical_variance": self.typical_variance,
            "variance_slope": self.variance_slope,
            "variance_limits": list(self.variance_limits),
            "is_constant": self.is_constant,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Scale:
        """Read what `to_json` wrote.

        Raises:
            KeyError: When a number is missing.
            TypeError: When something is no number.
            ValueError: When something is no number.
        """
        low, high = data["variance_limits"]
        return cls(
            float(data["mean"]),
            float(data["sd"]),
            float(data["typical_variance"]),
            float(data["variance_slope"]),
            (float(low), float(high)),
            bool(data["is_constant"]),
        )


def is_constant(values: FloatArray) -> bool:
    """Return whether values (n,) hold no signal: fewer than two, or all the same but for rounding."""
    if len(values) < 2:
        return True
    return bool(np.ptp(values) <= CONSTANT * np.abs(values).max())


def scale_of(values: FloatArray, variances: FloatArray) -> Scale:
    """Return the scale of measured values.

    Values that are all the same do not say how far the next may lie. Rather than a spread of zero, which would make
    the model certain, the scale is then the measurement noise, else the size of the value, else one.

    Args:
        values: (n,) target units.
        variances: (n,) squared target units; NaN where unknown.
    """
    if len(values) == 0:
        return Scale()
    is_known = ~np.isnan(variances)
    known = variances[is_known]
    typical, limits = (
        (float(known.mean()), (float(known.min()), float(known.max()))) if len(known) else (0.0, (0.0, 0.0))
    )
    mean = float(values.mean())
    if is_constant(values):
        sd = max(math.sqrt(typical), abs(mean))
        return Scale(mean, sd if sd > 0.0 else 1.0, typical, 0.0, limits, True)
    deviation = values[is_known] - mean
    square = float((deviation**2).sum())
    slope = float((deviation * (known - typical)).sum()) / square if square > 0.0 else 0.0
    return Scale(mean, float(values.std()), typical, slope, limits, False)
