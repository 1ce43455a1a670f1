"""Position of a peak on its axis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from probescout.core.errors import InvalidInput, Reason
from probescout.core.spectra import Scalar
from probescout_scalarizers.band_sum import BAND_PROPERTIES, BandScalarizer
from probescout_scalarizers.base import schema
from probescout_scalarizers.checks import Band, FloatArray, Signal, band, choice, whole

METHODS = ("centroid", "parabola")


@dataclass(frozen=True, kw_only=True)
class PeakPosition(BandScalarizer):
    """Position of a peak: centroid of a band, or vertex of a fitted parabola.

    - centroid: c = sum(x n) / N over the band. Variance of counts: (sum(n (x - c)^2) + u) / N^2, where u is the
      variance of a flat band: one added count, so that one count alone does not seem exact. Any background draws c
      to the middle of the band: choose a narrow band.
    - parabola: vertex x_v = -b / (2 a) of the least-squares parabola a x^2 + b x + c, over the whole band (the contact
      potential of a KPFM bias sweep: a minimum or a maximum) or, with `half_width`, over that many elements on both
      sides of the largest one (a resonance). Variance: first-order propagation of the covariance of a and b; elements
      have variance n + 1 (counts), `noise_sd`^2, or else that of the residuals.

    Where nothing fixes the position (no counts at all, a flat parabola, a vertex outside the band) the answer is
    "somewhere in the band": its middle, with the variance of a uniform density, width^2 / 12, which is also the
    largest variance that is ever given for counts and parabolas. Masked elements are left out.

    Example:
        >>> import numpy as np
        >>> from probescout.core.spectra import Axis, Spectrum
        >>> bias = np.linspace(-1.0, 1.0, 21)
        >>> sweep = Spectrum(-3.0 * (bias - 0.25) ** 2, ("bias",), (Axis("bias", bias, "bias", "V"),), "Hz")
        >>> round(PeakPosition(method="parabola")(sweep).value, 9)
        0.25
    """

    name: ClassVar[str] = "peak_position"
    summary: ClassVar[str] = "position of a peak: centroid of a band, or vertex of a fitted parabola"
    params_schema: ClassVar = schema(
        "Peak position",
        {
            **BAND_PROPERTIES,
            "method": {
                "title": "Method",
                "description": "centroid of the band, or vertex of the least-squares parabola.",
                "enum": list(METHODS),
                "default": "centroid",
            },
            "half_width": {
                "title": "Half width",
                "description": "parabola only: elements fitted on each side of the largest. Null: the whole band.",
                "type": ["integer", "null"],
                "minimum": 1,
                "default": None,
            },
        },
    )

    method: str = "centroid"
    """"centroid" or "parabola"."""
    half_width: int | None = None
    """Elements fitted on each side of the largest; None: the whole band."""

    def __post_init__(self) -> None:
        """Check the parameters.

        Raises:
            InvalidInput: PARAM_INVALID.
        """
        super().__post_init__()
        choice(self.method, "method", METHODS)
        if self.half_width is not None:
            object.__setattr__(self, "half_width", whole(self.half_width, "half_width", 1))
            if self.method != "parabola":
                raise InvalidInput(
                    Reason.PARAM_INVALID,
                    f"half_width {self.half_width} is for method parabola, method is {self.method}; leave it out",
                    field="params.half_width",
                )

    def reduce(self, signal: Signal) -> Scalar:
        """Return the position, in the unit of the axis.

        Raises:
            InvalidInput: PARAM_INVALID when the band does not fit the axis; NON_FINITE when too much is masked or a
                signal that is not counts has no positive sum (centroid).
        """
        part = band(signal, *self.ends, field=self.field)
        find = self._centroid if self.method == "centroid" else self._vertex
        value, variance = find(part, signal.is_counts)
        return Scalar(value, variance, signal.axes[0].unit)

    def _centroid(self, part: Band, is_counts: bool) -> tuple[float, float]:
        n = np.maximum(part.values, 0.0) if is_counts else part.values
        total = float(n.sum())
        if total <= 0.0:
            if is_counts:
                return somewhere(part.x)
            raise InvalidInput(
                Reason.NON_FINITE,
                f"the sum over the band is {total:g}; a centroid needs a positive one: subtract the offset first, or "
                "use method parabola",
                field="observation.spectrum",
            )
        value = float(np.sum(part.x * (n / total)))
        squared = (part.x - value) ** 2
        if is_counts:
            _, flat = somewhere(part.x)
            return value, min((float(np.sum(n * squared)) + flat) / total / total, flat)
        if self.noise_sd is None:
            return value, math.nan
        return value, float(squared.sum()) * (self.noise_sd / total) ** 2

    def _vertex(self, part: Band, is_counts: bool) -> tuple[float, float]:
        x, y = part.x, part.values
        if self.half_width is not None:
            top = int(np.argmax(y))
            kept = slice(max(top - self.half_width, 0), top + self.half_width + 1)
            x, y = x[kept], y[kept]
        middle, flat = somewhere(x)
        half = float(np.ptp(x)) / 2.0
        if np.unique(x).size < 3:
            raise InvalidInput(
                Reason.PARAM_INVALID,
                f"the parabola has {np.unique(x).size} coordinates to fit; give a band with at least 3 valid elements",
                field=self.field,
            )
        # Centred and scaled to -1 .. 1: a parabola far from the origin is badly conditioned.
        u = (x - middle) / half
        fitted = fit_parabola(u, y, self._element_variance(y, is_counts))
        if fitted is None:
            return middle, flat
        vertex, variance = fitted
        if abs(vertex) > 1.0:
            return middle, flat
        return middle + half * vertex, variance if math.isnan(variance) else min(half**2 * variance, flat)

    def _element_variance(self, y: FloatArray, is_counts: bool) -> FloatArray | None:
        if is_counts:
            return np.maximum(y, 0.0) + 1.0
        return None if self.noise_sd is None else np.full(y.shape, self.noise_sd**2)


def somewhere(x: FloatArray) -> tuple[float, float]:
    """Return middle and variance of the uniform density over the range of coordinates (element,)."""
    low, high = float(x.min()), float(x.max())
    # One element alone has no range; its variance must still not be zero, and one unit is as good as any.
    width = (high - low) * x.size / (x.size - 1) if x.size > 1 and high > low else 1.0
    return low + (high - low) / 2.0, width**2 / 12.0


def fit_parabola(u: FloatArray, y: FloatArray, variance: FloatArray | None) -> tuple[float, float] | None:
    """Return vertex and variance of the least-squares parabola, or None when it is flat.

    Args:
        u: (element,) coordinates between -1 and 1.
        y: (element,) values.
        variance: (element,) variance of each; None: taken from the residuals, NaN when fewer than two are to spare.
    """
    design = np.column_stack([u * u, u, np.ones_like(u)])
    scale = float(np.abs(y).max())
    if scale == 0.0 or not math.isfinite(scale):
        return None
    y = y / scale  # keeps the normal equations in range whatever the unit
    inverse = np.linalg.pinv(design)
    a, b, c = (float(v) for v in inverse @ y)
    # Curvature within rounding of zero: its vertex would be an accident of the last bit.
    if abs(a) <= 1e-10:
        return None
    vertex = -b / (2.0 * a)
    if variance is None:
        spare = u.size - 3
        residual = y - design @ np.array([a, b, c])
        each = np.full(y.shape, float(residual @ residual) / spare) if spare > 1 else np.full(y.shape, math.nan)
        # An exact fit says nothing about the noise.
        each = np.where(each > 1e-24, each, math.nan)
    else:
        each = variance / scale / scale
    gradient = np.array([b / (2.0 * a * a), -1.0 / (2.0 * a), 0.0]) @ inverse
    return vertex, float(np.sum(gradient**2 * each))
