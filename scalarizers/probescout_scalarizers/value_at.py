"""The value of one element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from probescout.core.errors import InvalidInput, Reason
from probescout.core.spectra import Scalar
from probescout_scalarizers.base import CheckedScalarizer, schema
from probescout_scalarizers.checks import Signal, number, whole


@dataclass(frozen=True, kw_only=True)
class ValueAt(CheckedScalarizer):
    """Value of one element, by coordinate or by channel.

    Value: n[channel], or n at the coordinate nearest to `at` (the first of equally near ones: a loop passes each bias
    twice; use `channel` for the other branch). A masked element is refused. Variance of counts: n + 1.

    Example:
        >>> import numpy as np
        >>> from probescout.core.spectra import Spectrum
        >>> ValueAt(channel=-1)(Spectrum(np.array([0.1, 0.2, 0.4]), ("bias",), unit="nA")).value
        0.4
    """

    name: ClassVar[str] = "value_at"
    summary: ClassVar[str] = "value of one element, by coordinate or channel (default: the last)"
    params_schema: ClassVar = schema(
        "Value at a channel",
        {
            "at": {
                "title": "Coordinate",
                "description": "Coordinate in the unit of the axis; the nearest element is taken. Null: see channel.",
                "type": ["number", "null"],
                "default": None,
            },
            "channel": {
                "title": "Channel",
                "description": "Index of the element from 0; negative from the end. Null: the last, or see at.",
                "type": ["integer", "null"],
                "default": None,
            },
        },
    )

    at: float | None = None
    """Coordinate in the unit of the axis."""
    channel: int | None = None
    """Index of the element, negative from the end; None: the last one, unless `at` is given."""

    def __post_init__(self) -> None:
        """Check the parameters.

        Raises:
            InvalidInput: PARAM_INVALID.
        """
        super().__post_init__()
        if self.at is not None:
            number(self.at, "at")
            if self.channel is not None:
                raise InvalidInput(
                    Reason.PARAM_INVALID,
                    f"at {self.at:g} and channel {self.channel} are both given; give one of them",
                    field="params.at",
                )
        if self.channel is not None:
            object.__setattr__(self, "channel", whole(self.channel, "channel"))

    def reduce(self, signal: Signal) -> Scalar:
        """Return the value.

        Raises:
            InvalidInput: PARAM_INVALID when the element does not exist; NON_FINITE when it is masked.
        """
        index = self._index(signal)
        if not signal.valid[index]:
            raise InvalidInput(
                Reason.NON_FINITE,
                f"element {index} is masked; choose another channel or report the measurement as failed",
                field="observation.mask",
            )
        value = signal.values[index]
        variance = self.sum_variance(np.array([value]), is_counts=signal.is_counts)
        return Scalar(float(value), variance, signal.unit)

    def _index(self, signal: Signal) -> int:
        axis = signal.axes[0]
        n = axis.values.size
        if self.at is None:
            channel = -1 if self.channel is None else self.channel
            if not -n <= channel < n:
                raise InvalidInput(
                    Reason.PARAM_INVALID,
                    f"channel {channel} does not exist; the signal has {n}: choose {-n} to {n - 1}",
                    field="params.channel",
                )
            return channel % n
        step = float(np.median(np.abs(np.diff(axis.values)))) if n > 1 else 0.0
        low, high = float(axis.values.min()), float(axis.values.max())
        if not low - step / 2 <= self.at <= high + step / 2:
            raise InvalidInput(
                Reason.PARAM_INVALID,
                f"{self.at:g} {axis.unit} lies outside axis '{axis.dim}', which spans {low:g}:{high:g} {axis.unit}",
                field="params.at",
            )
        return int(np.argmin(np.abs(axis.values - self.at)))
