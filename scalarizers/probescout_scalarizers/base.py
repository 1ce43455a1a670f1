"""What the scalarizers of this package share: common parameters, the noise model, the order of the checks.

A stranger's scalarizer needs none of this; the protocol is `probescout.core.ports.Scalarizer`.

Noise model. Counts are Poisson: a sum of N counts has variance N + 1. The estimate is never zero: an empty band is one
draw from a rate that may well be 1, not a proof of zero, and a variance of zero would make the model believe it
without limit. N + 1 is the posterior variance of a Poisson rate under a flat prior, and the variance used by
Mighell 1999 (ApJ 518, 380, chi-square-gamma). The added count is one per sum, not one per element. For other signals
the variance follows from `noise_sd` when it is given and is NaN (unknown; the model then learns it) when it is not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from probescout.core.errors import InvalidInput, Reason
from probescout.core.spectra import Scalar, Spectrum
from probescout_scalarizers.checks import FloatArray, Signal, number, read

DRAFT = "https://json-schema.org/draft/2020-12/schema"

COMMON: Mapping[str, Any] = MappingProxyType(
    {
        "axis_unit": {
            "title": "Axis unit",
            "description": "Unit of the parameters; a signal whose axis is in another unit is refused. Null: any.",
            "type": ["string", "null"],
            "default": None,
        },
        "noise_sd": {
            "title": "Noise of one element",
            "description": "Standard deviation of one element, in the unit of the signal, for signals that are not "
            "counts; counts are Poisson. Null: unknown.",
            "type": ["number", "null"],
            "exclusiveMinimum": 0,
            "default": None,
        },
    }
)


def interval_schema(title: str, description: str, **more: Any) -> dict[str, Any]:
    """Return the schema of a [low, high] parameter."""
    kind: Any = ["array", "null"] if "default" in more and more["default"] is None else "array"
    items = {"type": "number"}
    return {
        "title": title,
        "description": description,
        "type": kind,
        "items": items,
        "minItems": 2,
        "maxItems": 2,
        **more,
    }


def schema(title: str, properties: Mapping[str, Any], required: tuple[str, ...] = ()) -> Mapping[str, Any]:
    """Return the JSON Schema of a scalarizer: its own properties and the common ones."""
    return {
        "$schema": DRAFT,
        "title": title,
        "type": "object",
        "properties": {**properties, **COMMON},
        "required": list(required),
        "additionalProperties": False,
    }


@dataclass(frozen=True, kw_only=True)
class CheckedScalarizer(ABC):
    """Checks the signal, computes, checks the result."""

    name: ClassVar[str]
    summary: ClassVar[str]
    params_schema: ClassVar[Mapping[str, Any]]
    n_dims: ClassVar[int] = 1

    axis_unit: str | None = None
    """Unit of the axes and of window parameters; None: any."""
    noise_sd: float | None = None
    """Standard deviation of one element when the signal is not counts, in its unit; None: unknown."""

    def __post_init__(self) -> None:
        """Check the parameters.

        Raises:
            InvalidInput: PARAM_INVALID.
        """
        if self.axis_unit is not None and not isinstance(self.axis_unit, str):
            raise InvalidInput(
                Reason.PARAM_INVALID,
                f"axis_unit is {self.axis_unit!r}; give the name of a unit, for example 'keV'",
                field="params.axis_unit",
            )
        if self.noise_sd is not None and number(self.noise_sd, "noise_sd") <= 0:
            raise InvalidInput(
                Reason.PARAM_INVALID,
                f"noise_sd is {self.noise_sd!r}; give a positive number, or leave it out when unknown",
                field="params.noise_sd",
            )

    def __call__(self, spectrum: Spectrum) -> Scalar:
        """Return the target value of a signal, with variance and unit.

        Raises:
            InvalidInput: AXIS_MISMATCH, AXIS_UNIT_MISMATCH, DTYPE_MISMATCH, SHAPE_MISMATCH, PARAM_INVALID or
                NON_FINITE when the signal is not one that it can take.
        """
        signal = read(spectrum, self.n_dims, self.axis_unit)
        # Values near the end of the double range overflow; the check below turns that into a refusal.
        with np.errstate(all="ignore"):
            result = self.reduce(signal)
        if not np.isfinite(result.value) or np.isinf(result.variance):
            raise InvalidInput(
                Reason.NON_FINITE,
                f"{self.name} gives {result.value!r} with variance {result.variance!r}; the values of the signal are "
                "beyond what a double holds: rescale them",
                field="observation.spectrum",
            )
        return Scalar(float(result.value), float(result.variance), result.unit)

    @abstractmethod
    def reduce(self, signal: Signal) -> Scalar:
        """Return the target value of a checked signal.

        Raises:
            InvalidInput: PARAM_INVALID or NON_FINITE.
        """

    def sum_variance(self, values: FloatArray, weights: FloatArray | float = 1.0, *, is_counts: bool) -> float:
        """Return the variance of the weighted sum of independent elements.

        Args:
            values: (element,) the elements, in the unit of the signal.
            weights: (element,) or one for all.
            is_counts: Whether they are Poisson counts; else `noise_sd` holds for each.

        Returns:
            Sum of w^2 n, plus the mean of w^2 for one added count, for counts; NaN when the noise is unknown. Negative
            "counts" (dark-subtracted) count as none here.
        """
        squared = np.broadcast_to(np.square(weights), values.shape)
        if is_counts:
            return float(np.sum(squared * np.maximum(values, 0.0)) + np.mean(squared))
        if self.noise_sd is None:
            return float("nan")
        return float(np.sum(squared) * self.noise_sd**2)
