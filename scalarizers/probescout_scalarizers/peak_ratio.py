"""Ratio of two bands."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from probescout.core.errors import InvalidInput, Reason
from probescout.core.spectra import Scalar
from probescout_scalarizers.base import CheckedScalarizer, interval_schema, schema
from probescout_scalarizers.checks import Signal, band, flag, interval

LN10 = math.log(10.0)


@dataclass(frozen=True, kw_only=True)
class PeakRatio(CheckedScalarizer):
    """Ratio of the sums over two bands, or its decimal logarithm.

    With A and B the sums over the bands a and b, each scaled for masked elements as in `band_sum`:

    - counts: A / (B + 1), finite at B = 0 and nearly unbiased, because the mean of 1 / (B + 1) over Poisson draws of
      mean b is (1 - exp(-b)) / b (Chapman 1952, Ann. Inst. Stat. Math. 4, 45); variance
      R1^2 (1 / (A + 1) + 1 / (B + 1)) with R1 = (A + 1) / (B + 1), the first-order one with one added count in each.
    - counts, log10: log10((A + 1/2) / (B + 1/2)), variance (1 / (A + 1/2) + 1 / (B + 1/2)) / ln(10)^2 (Haldane 1956,
      Ann. Hum. Genet. 20, 309, for the log of a ratio of counts). Better behaved when counts are few.
    - otherwise A / B and its first-order variance from `noise_sd`; B = 0 is refused, and for log10 A / B <= 0 too.

    Bands may overlap (a line over the whole spectrum): the covariance of the shared elements is taken off the variance.

    Example:
        >>> import numpy as np
        >>> from probescout.core.spectra import Spectrum
        >>> PeakRatio(a=[0, 1], b=[2, 3])(Spectrum(np.array([3.0, 5.0, 1.0, 1.0]), ("channel",))).value
        4.0
    """

    name: ClassVar[str] = "peak_ratio"
    summary: ClassVar[str] = "ratio of the sums over two bands"
    params_schema: ClassVar = schema(
        "Peak ratio",
        {
            "a": interval_schema("Numerator", "Band [low, high] in the unit of the axis.", examples=[[1.65, 1.83]]),
            "b": interval_schema("Denominator", "Band [low, high] in the unit of the axis.", examples=[[0.45, 0.6]]),
            "log10": {
                "title": "Logarithm",
                "description": "Return the decimal logarithm of the ratio.",
                "type": "boolean",
                "default": False,
            },
        },
        required=("a", "b"),
    )

    a: tuple[float, float]
    """(low, high) of the numerator, in the unit of the axis."""
    b: tuple[float, float]
    """(low, high) of the denominator, in the unit of the axis."""
    log10: bool = False
    """Whether to return the decimal logarithm."""

    def __post_init__(self) -> None:
        """Check the parameters.

        Raises:
            InvalidInput: PARAM_INVALID.
        """
        super().__post_init__()
        object.__setattr__(self, "a", interval(self.a, "a"))
        object.__setattr__(self, "b", interval(self.b, "b"))
        flag(self.log10, "log10")

    def reduce(self, signal: Signal) -> Scalar:
        """Return the ratio.

        Raises:
            InvalidInput: PARAM_INVALID when a band does not fit the axis; NON_FINITE when too much of it is masked or
                the ratio does not exist.
        """
        part_a = band(signal, *self.a, field="params.a")
        part_b = band(signal, *self.b, field="params.b")
        shared = part_a.values[(part_a.x >= self.b[0]) & (part_a.x <= self.b[1])]
        sum_a, sum_b = float(part_a.values.sum()), float(part_b.values.sum())
        scale = part_a.scale / part_b.scale
        if signal.is_counts:
            return self._of_counts(max(sum_a, 0.0), max(sum_b, 0.0), float(np.maximum(shared, 0.0).sum()), scale)
        var = math.nan if self.noise_sd is None else self.noise_sd**2
        ratio = self._ratio(sum_a, sum_b, scale)
        n_a, n_b, n_both = part_a.x.size, part_b.x.size, shared.size
        variance = var * (scale**2 * n_a + ratio**2 * n_b - 2.0 * scale * ratio * n_both) / sum_b / sum_b
        if self.log10:
            return Scalar(math.log10(ratio), variance / ratio / ratio / LN10**2, "log10")
        return Scalar(ratio, variance, "")

    def _of_counts(self, a: float, b: float, shared: float, scale: float) -> Scalar:
        pseudo = 0.5 if self.log10 else 1.0
        a1, b1 = a + pseudo, b + pseudo
        relative = 1.0 / a1 + 1.0 / b1 - 2.0 * min(shared, a, b) / a1 / b1
        if self.log10:
            return Scalar(math.log10(scale * a1 / b1), relative / LN10**2, "log10")
        return Scalar(scale * a / b1, (scale * a1 / b1) ** 2 * relative, "")

    def _ratio(self, a: float, b: float, scale: float) -> float:
        ratio = scale * a / b if b != 0.0 else math.inf
        if not math.isfinite(ratio) or (self.log10 and ratio <= 0.0):
            raise InvalidInput(
                Reason.NON_FINITE,
                f"the sums over a and b are {a:g} and {b:g}; their ratio{' has no logarithm' if self.log10 else ''} "
                "cannot be used: choose a band b that is never empty, or subtract the offset first",
                field="observation.spectrum",
            )
        return ratio
