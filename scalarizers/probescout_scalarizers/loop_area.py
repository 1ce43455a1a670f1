"""Area of a loop."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from probescout.core.errors import InvalidInput, Reason
from probescout.core.spectra import Scalar
from probescout_scalarizers.base import CheckedScalarizer, schema
from probescout_scalarizers.checks import MIN_VALID_FRACTION, FloatArray, Signal, flag, number, whole

MAD_TO_SD = 1.4826
"""Standard deviation of a normal density over its median absolute deviation."""


@dataclass(frozen=True, kw_only=True)
class LoopArea(CheckedScalarizer):
    """Area enclosed by a hysteresis loop, spikes in single samples removed first.

    Samples are in the order in which they were taken; the axis (bias) rises and falls. A Hampel filter (Davies and
    Gather 1993, J. Am. Stat. Assoc. 88, 782; moving form: Pearson 2002, IEEE Trans. Control Syst. Technol. 10, 55)
    replaces a sample by the median of its 2 * half_window + 1 neighbourhood when it is further from it than `threshold`
    robust standard deviations. We differ in one point: the deviation must be large against the local scale and against
    the scale of the whole loop, because a flat branch has a local scale of zero and every sample would be a spike.
    Then the shoelace formula over the closed polygon: |sum(y_i (x_{i-1} - x_{i+1}))| / 2.

    Variance: the formula is linear in y, hence sum((x_{i-1} - x_{i+1})^2 v_i) / 4 with v_i from counts or `noise_sd`.
    Masked samples are left out (the polygon takes the chord); fewer than half valid is refused.

    Example:
        >>> import numpy as np
        >>> from probescout.core.spectra import Axis, Spectrum
        >>> bias = Axis("step", np.array([0.0, 1.0, 1.0, 0.0]), "bias", "V")
        >>> LoopArea()(Spectrum(np.array([0.0, 0.0, 2.0, 2.0]), ("step",), (bias,), "pm"))
        Scalar(value=2.0, variance=nan, unit='pm V')
    """

    name: ClassVar[str] = "loop_area"
    summary: ClassVar[str] = "area of a hysteresis loop, robust to spikes in single samples"
    params_schema: ClassVar = schema(
        "Loop area",
        {
            "log10": {
                "title": "Logarithm",
                "description": "Return the decimal logarithm of the area.",
                "type": "boolean",
                "default": False,
            },
            "threshold": {
                "title": "Spike threshold",
                "description": "Robust standard deviations from the local median above which a sample is a spike. "
                "Null: no filter.",
                "type": ["number", "null"],
                "exclusiveMinimum": 0,
                "default": 5.0,
            },
            "half_window": {
                "title": "Half window",
                "description": "Number of samples on each side that the local median takes in.",
                "type": "integer",
                "minimum": 1,
                "default": 3,
            },
        },
    )

    log10: bool = False
    """Whether to return the decimal logarithm."""
    threshold: float | None = 5.0
    """Robust standard deviations above which a sample is a spike; None: no filter."""
    half_window: int = 3
    """Samples on each side in the local median."""

    def __post_init__(self) -> None:
        """Check the parameters.

        Raises:
            InvalidInput: PARAM_INVALID.
        """
        super().__post_init__()
        flag(self.log10, "log10")
        object.__setattr__(self, "half_window", whole(self.half_window, "half_window", 1))
        if self.threshold is not None and number(self.threshold, "threshold") <= 0:
            raise InvalidInput(
                Reason.PARAM_INVALID,
                f"threshold is {self.threshold!r}; give a positive number, or null for no filter",
                field="params.threshold",
            )

    def reduce(self, signal: Signal) -> Scalar:
        """Return the area, in the unit of the signal times that of the axis.

        Raises:
            InvalidInput: SHAPE_MISMATCH for fewer than 3 samples; NON_FINITE when too much is masked, or the area is
                zero and its logarithm is asked for.
        """
        kept = signal.valid
        if kept.size < 3 or kept.sum() < max(3.0, MIN_VALID_FRACTION * kept.size):
            raise InvalidInput(
                Reason.SHAPE_MISMATCH if kept.size < 3 else Reason.NON_FINITE,
                f"{int(kept.sum())} of {kept.size} samples of the loop are valid; at least half of them and at least "
                "3 are needed",
                field="observation.spectrum.shape" if kept.size < 3 else "observation.mask",
            )
        x, y = signal.axes[0].values[kept], signal.values[kept]
        if self.threshold is not None:
            y = without_spikes(y, self.half_window, self.threshold)
        weights = (np.roll(x, 1) - np.roll(x, -1)) / 2.0
        area = abs(float(np.sum(weights * y)))
        variance = self.sum_variance(y, weights, is_counts=signal.is_counts)
        unit = f"{signal.unit} {signal.axes[0].unit}".strip()
        if not self.log10:
            return Scalar(area, variance, unit)
        if area == 0.0:
            raise InvalidInput(
                Reason.NON_FINITE,
                "the area of the loop is 0 and has no logarithm; report the measurement as failed or use log10=false",
                field="observation.spectrum",
            )
        return Scalar(math.log10(area), variance / area / area / math.log(10.0) ** 2, f"log10({unit})")


def without_spikes(y: FloatArray, half_window: int, threshold: float) -> FloatArray:
    """Return samples (sample,) with spikes replaced by the local median (Hampel filter).

    Args:
        y: (sample,) in the order of time.
        half_window: Samples on each side in the local median; the window is cut at both ends.
        threshold: Robust standard deviations above which a sample is a spike.
    """
    half_window = min(half_window, y.size - 1)  # a window beyond the loop holds nothing more, and costs memory
    padded = np.pad(y, half_window, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half_window + 1)
    center = np.nanmedian(windows, axis=1)
    local = np.nanmedian(np.abs(windows - center[:, None]), axis=1)
    deviation = np.abs(y - center)
    scale = MAD_TO_SD * np.maximum(local, np.median(deviation))
    return np.where(deviation > threshold * scale, center, y)
