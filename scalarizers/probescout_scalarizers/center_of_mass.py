"""Centre of mass of a diffraction pattern."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from probescout.core.errors import InvalidInput, Reason
from probescout.core.spectra import Scalar
from probescout_scalarizers.base import CheckedScalarizer, interval_schema, schema
from probescout_scalarizers.checks import MIN_VALID_FRACTION, FloatArray, Signal, choice, number, same_unit

COMPONENTS = ("magnitude", "angle", "first", "second")


@dataclass(frozen=True, kw_only=True)
class CenterOfMass(CheckedScalarizer):
    """Shift of the centre of mass of a diffraction pattern: magnitude, angle, or one component.

    Elements at or below `threshold` count as zero, the others in full. c = sum(k n) / N over the pattern (Mueller et
    al. 2014, Nat. Commun. 5, 5653); the shift is d = c - center, along the first (row) and second (column) dimension.

    - magnitude: |d|, in the unit of the axes. Noise makes small shifts look larger: the mean square is |d|^2 + tr(C).
    - angle: atan2(d_first, d_second) in degrees, (-180, 180], from the second axis towards the first. With rows that
      grow downwards a positive angle is clockwise on the screen. It jumps at 180 degrees: for a map that crosses the
      jump plan for "first" or "second" instead.
    - first, second: the component along that dimension.

    Variance of counts: covariance C = (sum(n (k - c)(k - c)^T) + U) / N^2, U the covariance of an even pattern (one
    added count, so that one count alone does not seem exact), then first-order propagation; the angle's is at most
    that of a uniform angle. A pattern without a count above the threshold has its centre "anywhere": the middle of the
    pattern, with C = U. Masked elements (a beam stop) are left out; fewer than half valid is refused.

    Example:
        >>> import numpy as np
        >>> from probescout.core.spectra import Spectrum
        >>> pattern = np.zeros((5, 5))
        >>> pattern[2, 4] = 7.0
        >>> CenterOfMass()(Spectrum(pattern, ("ky", "kx"))).value
        2.0
    """

    name: ClassVar[str] = "center_of_mass"
    summary: ClassVar[str] = "shift of the centre of mass of a diffraction pattern: magnitude, angle or component"
    n_dims: ClassVar[int] = 2
    params_schema: ClassVar = schema(
        "Centre of mass",
        {
            "component": {
                "title": "Component",
                "description": "magnitude (unit of the axes), angle (degrees), first or second dimension (unit of the "
                "axes).",
                "enum": list(COMPONENTS),
                "default": "magnitude",
            },
            "threshold": {
                "title": "Background threshold",
                "description": "Elements at or below this value count as zero, in the unit of the signal.",
                "type": "number",
                "minimum": 0,
                "default": 0.0,
            },
            "center": interval_schema(
                "Centre",
                "Undeflected position [first, second] in the unit of the axes. Null: the middle of the pattern.",
                default=None,
            ),
        },
    )

    component: str = "magnitude"
    """"magnitude", "angle", "first" or "second"."""
    threshold: float = 0.0
    """Elements at or below it count as zero, in the unit of the signal."""
    center: tuple[float, float] | None = None
    """(first, second) undeflected position in the unit of the axes; None: the middle of the pattern."""

    def __post_init__(self) -> None:
        """Check the parameters.

        Raises:
            InvalidInput: PARAM_INVALID.
        """
        super().__post_init__()
        choice(self.component, "component", COMPONENTS)
        if number(self.threshold, "threshold") < 0:
            raise InvalidInput(
                Reason.PARAM_INVALID,
                f"threshold is {self.threshold!r}; give 0 or more: negative mass has no centre",
                field="params.threshold",
            )
        if self.center is not None:
            if isinstance(self.center, str) or not hasattr(self.center, "__len__") or len(self.center) != 2:
                raise InvalidInput(
                    Reason.PARAM_INVALID, f"center is {self.center!r}; give [first, second]", field="params.center"
                )
            object.__setattr__(self, "center", tuple(number(v, "center") for v in self.center))

    def reduce(self, signal: Signal) -> Scalar:
        """Return the chosen component of the shift.

        Raises:
            InvalidInput: AXIS_UNIT_MISMATCH when the two axes differ in unit; NON_FINITE when too much is masked, or
                a pattern that is not counts has nothing above the threshold.
        """
        first, second = signal.axes
        if not same_unit(first.unit, second.unit):
            raise InvalidInput(
                Reason.AXIS_UNIT_MISMATCH,
                f"axis '{first.dim}' is in '{first.unit}', axis '{second.dim}' in '{second.unit}'; a shift needs one "
                "unit for both",
                field="observation.axes.unit",
            )
        if signal.valid.sum() < MIN_VALID_FRACTION * signal.valid.size:
            raise InvalidInput(
                Reason.NON_FINITE,
                f"only {int(signal.valid.sum())} of {signal.valid.size} elements of the pattern are valid, at least "
                "half are needed; report the measurement as failed",
                field="observation.mask",
            )
        shift, covariance = self._shift(signal)
        value, variance = self._component(shift, covariance)
        return Scalar(value, variance, "deg" if self.component == "angle" else first.unit)

    def _shift(self, signal: Signal) -> tuple[FloatArray, FloatArray]:
        """Return the shift (2,) and its covariance (2, 2), in the unit of the axes."""
        axes = [axis.values for axis in signal.axes]
        middle = np.array([(k.min() + k.max()) / 2.0 for k in axes])
        # The variance of n equally wide pixels side by side is width^2 / 12, never zero even for one pixel.
        even = np.diag([pixel_range(k) ** 2 / 12.0 for k in axes])
        origin = middle if self.center is None else np.asarray(self.center)
        n = np.where(signal.valid & (signal.values > self.threshold), signal.values, 0.0)
        total = float(n.sum())
        if total <= 0.0:
            if signal.is_counts:
                return middle - origin, even
            raise InvalidInput(
                Reason.NON_FINITE,
                f"no element of the pattern is above the threshold {self.threshold:g}; lower params.threshold or "
                "report the measurement as failed",
                field="observation.spectrum",
            )
        weight = n / total
        marginals = (weight.sum(axis=1), weight.sum(axis=0))
        center = np.array([float(k @ w) for k, w in zip(axes, marginals, strict=True)])
        dy, dx = axes[0] - center[0], axes[1] - center[1]
        if signal.is_counts:
            cross = float(dy @ weight @ dx)
            spread = np.array([[dy**2 @ marginals[0], cross], [cross, dx**2 @ marginals[1]]])
            return center - origin, np.asarray(spread / total + even / total**2)
        if self.noise_sd is None:
            return center - origin, np.full((2, 2), math.nan)
        used = (n > 0.0).astype(np.float64)
        cross = float(dy @ used @ dx)
        spread = np.array([[dy**2 @ used.sum(axis=1), cross], [cross, dx**2 @ used.sum(axis=0)]])
        return center - origin, np.asarray(spread * (self.noise_sd / total) ** 2)

    def _component(self, shift: FloatArray, covariance: FloatArray) -> tuple[float, float]:
        if self.component in ("first", "second"):
            i = ("first", "second").index(self.component)
            return float(shift[i]), float(covariance[i, i])
        size = float(np.hypot(*shift))
        # No direction to project on: take the mean over all directions.
        unknown = float(np.trace(covariance)) / 2.0
        along = shift / size if size > 0.0 else shift
        if self.component == "magnitude":
            return size, float(along @ covariance @ along) if size > 0.0 else unknown
        across = np.array([along[1], -along[0]])
        variance = float(across @ covariance @ across) / size / size if size > 0.0 else math.inf
        if not math.isnan(unknown):
            variance = min(variance, math.pi**2 / 3.0)
        else:
            variance = math.nan
        return math.degrees(math.atan2(shift[0], shift[1])), variance * math.degrees(1.0) ** 2


def pixel_range(coordinates: FloatArray) -> float:
    """Return the width that equally wide pixels at these coordinates (n,) cover; 1 for one pixel."""
    n = coordinates.size
    width = float(np.ptp(coordinates)) * n / (n - 1) if n > 1 else 0.0
    return width if width > 0.0 else 1.0
