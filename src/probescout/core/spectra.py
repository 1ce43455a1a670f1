"""Signals as measured and the scalars made of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, Reason

LARGEST_VALUE = 1e100
"""Largest magnitude of a target value; the square of a larger one is no finite number."""


class ValueKind(StrEnum):
    """What the numbers of a signal are; decides the noise model."""

    UNKNOWN = "unknown"
    COUNTS = "counts"
    CONTINUOUS = "continuous"


@dataclass(frozen=True)
class Axis:
    """The physical coordinate of one dimension of a signal."""

    dim: str
    """Name of the dimension that it describes, for example "channel"."""
    values: NDArray[np.float64]
    """(n,) coordinate of each element, in `unit`."""
    quantity: str = ""
    """What it is, for example "energy" or "bias"."""
    unit: str = ""
    """Unit of `values`, for example "keV" or "V"; empty for a bare index."""

    def window(self, low: float, high: float, *, field: str = "params") -> NDArray[np.intp]:
        """Return the indices (m,) of elements with low <= coordinate <= high.

        Raises:
            InvalidInput: PARAM_INVALID when low > high or the window holds no element.
        """
        if not low <= high:
            raise InvalidInput(
                Reason.PARAM_INVALID, f"window {low:g}:{high:g} {self.unit} is reversed; give low <= high", field=field
            )
        index = np.flatnonzero((self.values >= low) & (self.values <= high))
        if index.size == 0:
            raise InvalidInput(
                Reason.PARAM_INVALID,
                f"window {low:g}:{high:g} {self.unit} holds no element of axis '{self.dim}', which spans "
                f"{self.values.min():g}:{self.values.max():g} {self.unit}; choose a window inside it",
                field=field,
            )
        return index


@dataclass(frozen=True)
class Spectrum:
    """One raw signal measured at one position: a spectrum, a loop, a diffraction pattern."""

    values: NDArray[np.generic]
    """Array with one axis per name in `dims`, in `unit`."""
    dims: tuple[str, ...]
    """Names of the axes of `values`, for example ("channel",) or ("ky", "kx")."""
    axes: tuple[Axis, ...] = ()
    """Physical axes; a dimension without one is indexed by 0, 1, 2 ..."""
    unit: str = ""
    """Unit of `values`."""
    kind: ValueKind = ValueKind.UNKNOWN
    """Whether the values are counts."""
    mask: NDArray[np.bool_] | None = None
    """As `values`: true where an element is valid; None: all are."""

    def axis(self, dim: str) -> Axis:
        """Return the physical axis of a dimension, or its index when it has none.

        Raises:
            InvalidInput: AXIS_MISMATCH when the signal has no such dimension.
        """
        if dim not in self.dims:
            raise InvalidInput(
                Reason.AXIS_MISMATCH,
                f"the signal has dimensions {self.dims}, not '{dim}'",
                field="observation.spectrum.dims",
            )
        for axis in self.axes:
            if axis.dim == dim:
                return axis
        return Axis(dim, np.arange(self.values.shape[self.dims.index(dim)], dtype=np.float64))

    def only_axis(self) -> Axis:
        """Return the axis of a one-dimensional signal.

        Raises:
            InvalidInput: SHAPE_MISMATCH when the signal does not have exactly one dimension.
        """
        if self.values.ndim != 1:
            raise InvalidInput(
                Reason.SHAPE_MISMATCH,
                f"a signal with one dimension is needed, this one has {self.values.ndim} {self.dims}",
                field="observation.spectrum.shape",
            )
        return self.axis(self.dims[0])


@dataclass(frozen=True)
class Scalar:
    """A target value with its measurement variance."""

    value: float
    """In `unit`."""
    variance: float
    """Variance of the measurement noise of `value`, in `unit` squared; NaN when unknown."""
    unit: str = ""
    """Unit of `value`."""
