"""The scale of the target, and what a stated measurement variance means on it.

Stated variances are claims about single values. A claim that grows with the value (counts) is moved to where the value
was more likely to lie, or lucky counts would seem less certain than unlucky ones; a claim far beyond the spread of all
values is cut; and how far the claims are to be believed at all is fitted (`Hyperparameters.log_stated`). What noise to
expect where nothing was measured yet follows the predicted value by a line through the stated variances.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.surrogates.warp import STRAIGHT, Warp

FloatArray = NDArray[np.float64]

CONSTANT = 1e-9
"""A spread below this fraction of the values is rounding, not signal."""
USUAL = 3.0
"""Within so many SD of the mean a claim of more noise than the spread of all values is cut at that spread."""
LEAST_COUNT_VARIANCE = 0.1
"""In counts: a Poisson rate seen as zero may well be this."""


@dataclass(frozen=True)
class Scale:
    """How target units map to standardised ones; frozen between refits.

    The axis is bent first; `mean` and `sd` are those of the bent values. What is about variances is in target units.
    """

    mean: float = 0.0
    sd: float = 1.0
    """Never zero: see `scale_of`."""
    typical_variance: float = 0.0
    """Mean stated variance in squared target units, less `count_variance`; 0 when none is stated."""
    variance_slope: float = 0.0
    """Increase of the stated variance per target unit: 1 for counts, 0 where it does not depend on the value."""
    variance_limits: tuple[float, float] = (0.0, 0.0)
    """Least and largest stated variance, less `count_variance`."""
    is_constant: bool = True
    """Whether all values were the same, so that `sd` is a guess."""
    count_variance: float = 0.0
    """What a stated variance of counts holds beyond that of the counts themselves; 0 for anything else."""
    typical_value: float = 0.0
    """Mean value where a variance is stated, target units."""
    noise_share: float = 0.0
    """Share of the spread of the values that the stated variances claim, at most 1."""
    warp: Warp = STRAIGHT

    def standardise(self, values: FloatArray) -> FloatArray:
        """Return values (n,) in standardised units."""
        return (self.warp.forward(values) - self.mean) / self.sd

    def moments(self, mean: FloatArray, var: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return mean and variance in target units of normals in standardised units (any shape)."""
        return self.warp.moments(self.mean + self.sd * mean, self.sd * self.sd * var)

    def covariance(
        self, blocks: FloatArray, mean_a: FloatArray, var_a: FloatArray, mean_b: FloatArray, var_b: FloatArray
    ) -> FloatArray:
        """Return covariances (member, a, b) in target units, from standardised ones and the moments that go with them.

        Args:
            blocks: (member, a, b) covariances.
            mean_a: (member, a) of the rows.
            var_a: (member, a) of the rows.
            mean_b: (member, b) of the columns.
            var_b: (member, b) of the columns.
        """
        square = self.sd * self.sd
        bent_a, bent_b = self.mean + self.sd * mean_a, self.mean + self.sd * mean_b
        return self.warp.covariance(square * blocks, bent_a, square * var_a, bent_b, square * var_b)

    def slope(self, points: FloatArray) -> FloatArray:
        """Return standardised units per target unit at standardised points (any shape)."""
        return np.asarray(self.warp.slope(self.restored(points)) / self.sd)

    @property
    def target_sd(self) -> float:
        """Target units per standardised unit, at the mean."""
        return float(1.0 / self.slope(np.zeros(())))

    def restored(self, points: FloatArray) -> FloatArray:
        """Return the target values of standardised ones (any shape), as they are: not the mean of a distribution."""
        return self.warp.inverse(self.mean + self.sd * points)

    def noise(self, values: FloatArray, variances: FloatArray) -> FloatArray:
        """Return the stated part of the noise variances (n,) in standardised units; NaN (unknown) gives 0.

        Args:
            values: Measured, target units.
            variances: Stated, squared target units.
        """
        shrunk = values + self.noise_share * (self.typical_value - values)
        moved = variances + self.variance_slope * (shrunk - values) - self.count_variance
        low, high = self.variance_limits
        moved = np.clip(moved, np.minimum(variances, low), np.maximum(variances, high))
        claimed = moved * (self.warp.slope(shrunk) / self.sd) ** 2
        most = np.maximum(1.0, (self.standardise(values) / USUAL) ** 2)
        return np.where(np.isnan(variances), 0.0, np.minimum(claimed, most))

    def expected_noise(self, mean: FloatArray) -> FloatArray:
        """Return the stated noise variance to expect where the target is predicted, all in standardised units.

        Args:
            mean: Predicted mean (any shape).
        """
        if self.variance_limits[1] == 0.0:
            return np.zeros_like(mean)
        value = self.restored(mean)
        # As far as the values are noise, so is where the prediction lies among them.
        variance = self.typical_variance + self.variance_slope * (1.0 - self.noise_share) * (value - self.typical_value)
        limited = np.clip(variance, *self.variance_limits)
        return np.asarray(np.minimum(limited * self.slope(mean) ** 2, 1.0))

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers."""
        return {
            "mean": self.mean,
            "sd": self.sd,
            "typical_variance": self.typical_variance,
            "variance_slope": self.variance_slope,
            "variance_limits": list(self.variance_limits),
            "is_constant": self.is_constant,
            "count_variance": self.count_variance,
            "typical_value": self.typical_value,
            "noise_share": self.noise_share,
            "warp": self.warp.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Scale:
        """Read what `to_json` wrote; what journals of the first version lack gets its neutral value.

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
            float(data.get("count_variance", 0.0)),
            float(data.get("typical_value", data["mean"])),
            float(data.get("noise_share", 0.0)),
            Warp.from_json(data["warp"]) if "warp" in data else STRAIGHT,
        )


def is_constant(values: FloatArray) -> bool:
    """Return whether values (n,) hold no signal: fewer than two, or all the same but for rounding."""
    if len(values) < 2:
        return True
    return bool(np.ptp(values) <= CONSTANT * np.abs(values).max())


def scale_of(values: FloatArray, variances: FloatArray, warp: Warp = STRAIGHT) -> Scale:
    """Return the scale of measured values.

    Values that are all the same do not say how far the next may lie. Rather than a spread of zero, which would make
    the model certain, the scale is then the measurement noise, else the size of the value, else one.

    Args:
        values: (n,) target units.
        variances: (n,) squared target units; NaN where unknown.
        warp: How to bend the axis first; not where all values are the same.
    """
    if len(values) == 0:
        return Scale()
    is_known = ~np.isnan(variances)
    known, where = variances[is_known], values[is_known]
    typical, limits = (
        (float(known.mean()), (float(known.min()), float(known.max()))) if len(known) else (0.0, (0.0, 0.0))
    )
    mean = float(values.mean())
    if is_constant(values):
        sd = max(math.sqrt(typical), abs(mean))
        return Scale(mean, sd if sd > 0.0 else 1.0, typical, 0.0, limits, True, typical_value=mean)
    middle = float(where.mean()) if len(where) else mean
    deviation = where - middle
    square = float((deviation**2).sum())
    slope = float((deviation * (known - typical)).sum()) / square if square > 0.0 else 0.0
    count = _count_variance(where, known, middle, typical, slope)
    if count:
        limits = (max(limits[0] - count, LEAST_COUNT_VARIANCE * count), limits[1] - count)
    typical -= count
    bent = warp.forward(values)
    return Scale(
        float(bent.mean()),
        float(bent.std()),
        typical,
        slope,
        limits,
        False,
        count,
        middle,
        min(max(typical, 0.0) / float(values.var()), 1.0),
        warp,
    )


def _count_variance(values: FloatArray, variances: FloatArray, middle: float, typical: float, slope: float) -> float:
    """Return what stated variances hold beyond those of counts, squared target units; 0 when these are no counts.

    With s target units per count, a value of N counts states s^2 (N + 1), the variance of the rate that N leaves
    possible: a line of slope s through s^2 at zero. The variance of a count itself, given its rate, is s^2 N.

    Args:
        values: (n,) where a variance is stated, target units.
        variances: (n,) stated.
        middle: Mean of the values.
        typical: Mean of the variances.
        slope: Of the line through the variances.
    """
    unit = slope * slope
    if slope <= 0.0 or abs(typical - slope * middle - unit) > 0.05 * unit:
        return 0.0
    residual = variances - typical - slope * (values - middle)
    return unit if float(np.abs(residual).max()) <= 0.05 * unit else 0.0
