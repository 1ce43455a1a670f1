"""Sum over a band."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from probescout.core.errors import InvalidInput, Reason
from probescout.core.spectra import Scalar
from probescout_scalarizers.base import CheckedScalarizer, interval_schema, schema
from probescout_scalarizers.checks import Signal, band, interval, number

BAND_PROPERTIES = {
    "band": interval_schema(
        "Band", "[low, high] in the unit of the axis, both ends included. Null: see low and high.", default=None
    ),
    "low": {
        "title": "Lower end",
        "description": "Lower end of the band in the unit of the axis, instead of band. Null: start of the axis.",
        "type": ["number", "null"],
        "default": None,
    },
    "high": {
        "title": "Upper end",
        "description": "Upper end of the band in the unit of the axis, instead of band. Null: end of the axis.",
        "type": ["number", "null"],
        "default": None,
    },
}


@dataclass(frozen=True, kw_only=True)
class BandScalarizer(CheckedScalarizer):
    """A scalarizer of one band, given as `band` or as `low` and `high`."""

    band: tuple[float, float] | None = None
    """(low, high) in the unit of the axis; None: see `low` and `high`."""
    low: float | None = None
    """Lower end in the unit of the axis; None: start of the axis."""
    high: float | None = None
    """Upper end in the unit of the axis; None: end of the axis."""

    def __post_init__(self) -> None:
        """Check the parameters.

        Raises:
            InvalidInput: PARAM_INVALID.
        """
        super().__post_init__()
        if self.band is not None:
            if self.low is not None or self.high is not None:
                raise InvalidInput(
                    Reason.PARAM_INVALID,
                    f"band {self.band} and low {self.low} or high {self.high} are both given; give one of them",
                    field="params.band",
                )
            object.__setattr__(self, "band", interval(self.band, "band"))
            return
        low = None if self.low is None else number(self.low, "low")
        high = None if self.high is None else number(self.high, "high")
        if low is not None and high is not None:
            interval((low, high), "low")

    @property
    def ends(self) -> tuple[float | None, float | None]:
        """Both ends of the band in the unit of the axis; None: the end of the axis."""
        return self.band if self.band is not None else (self.low, self.high)

    @property
    def field(self) -> str:
        """The parameter to blame when the band does not fit the axis."""
        return "params.low" if self.band is None else "params.band"


@dataclass(frozen=True, kw_only=True)
class BandSum(BandScalarizer):
    """Sum of a spectrum over a band, for example the counts of an X-ray line.

    Value: s * sum(n_i), s = elements in the band / valid ones: masked elements are taken to hold the mean of the
    others; fewer than half valid is refused. Variance of counts: s^2 (N + 1). No background is subtracted: see `edge`.

    Example:
        >>> import numpy as np
        >>> from probescout.core.spectra import Axis, Spectrum, ValueKind
        >>> energy = Axis("channel", np.array([1.0, 1.5, 2.0]), "energy", "keV")
        >>> BandSum(low=1.4, high=2.0)(Spectrum(np.array([5, 3, 4]), ("channel",), (energy,), kind=ValueKind.COUNTS))
        Scalar(value=7.0, variance=8.0, unit='counts')
    """

    name: ClassVar[str] = "band_sum"
    summary: ClassVar[str] = "sum of a spectrum over a band of its axis"
    params_schema: ClassVar = schema("Band sum", BAND_PROPERTIES)

    def reduce(self, signal: Signal) -> Scalar:
        """Return the sum.

        Raises:
            InvalidInput: PARAM_INVALID when the band does not fit the axis; NON_FINITE when too much is masked.
        """
        part = band(signal, *self.ends, field=self.field)
        variance = self.sum_variance(part.values, part.scale, is_counts=signal.is_counts)
        return Scalar(part.scale * float(part.values.sum()), variance, signal.unit)
