"""Largest value of a band."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from probescout.core.errors import InvalidInput, Reason
from probescout.core.spectra import Scalar
from probescout_scalarizers.band_sum import BAND_PROPERTIES, BandScalarizer
from probescout_scalarizers.base import schema
from probescout_scalarizers.checks import Signal, band, whole


@dataclass(frozen=True, kw_only=True)
class BandMaximum(BandScalarizer):
    """Largest value in a band, or largest mean of neighbouring elements.

    Value: the largest mean of `width` successive valid elements. Variance of counts: (N + 1) / width^2 with N the sum
    of those elements. Where a band of m elements is flat, the largest of them lies above the true value by about
    sqrt(2 ln m) standard deviations; a larger `width` lowers that. Masked elements are left out; fewer than half valid
    is refused.

    Example:
        >>> import numpy as np
        >>> from probescout.core.spectra import Spectrum
        >>> BandMaximum()(Spectrum(np.array([1.0, 4.0, 2.0]), ("channel",), unit="V")).value
        4.0
    """

    name: ClassVar[str] = "band_maximum"
    summary: ClassVar[str] = "largest value of a spectrum in a band of its axis"
    params_schema: ClassVar = schema(
        "Band maximum",
        {
            **BAND_PROPERTIES,
            "width": {
                "title": "Width",
                "description": "Number of successive elements that are averaged before the largest is taken.",
                "type": "integer",
                "minimum": 1,
                "default": 1,
            },
        },
    )

    width: int = 1
    """Number of successive elements that are averaged."""

    def __post_init__(self) -> None:
        """Check the parameters.

        Raises:
            InvalidInput: PARAM_INVALID.
        """
        super().__post_init__()
        object.__setattr__(self, "width", whole(self.width, "width", 1))

    def reduce(self, signal: Signal) -> Scalar:
        """Return the largest value.

        Raises:
            InvalidInput: PARAM_INVALID when the band does not fit the axis or is narrower than `width`; NON_FINITE
                when too much is masked.
        """
        part = band(signal, *self.ends, field=self.field)
        if part.x.size < self.width:
            raise InvalidInput(
                Reason.PARAM_INVALID,
                f"the band holds {part.x.size} valid elements, width is {self.width}; choose a smaller width",
                field="params.width",
            )
        windows = np.lib.stride_tricks.sliding_window_view(part.values, self.width)
        best = windows[int(np.argmax(windows.mean(axis=1)))]
        variance = self.sum_variance(best, 1.0 / self.width, is_counts=signal.is_counts)
        return Scalar(float(best.mean()), variance, signal.unit)
