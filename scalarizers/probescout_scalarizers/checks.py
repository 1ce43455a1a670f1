"""Checks that every scalarizer makes before it computes: shape, axis, unit, mask, finiteness, windows."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, Reason
from probescout.core.spectra import Axis, Spectrum, ValueKind

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

MIN_VALID_FRACTION = 0.5
"""A window with fewer valid elements than this fraction is refused instead of scaled up."""


@dataclass(frozen=True)
class Signal:
    """A checked signal in double precision."""

    values: FloatArray
    """Array with one axis per dimension, in `unit`; zero where not valid."""
    valid: BoolArray
    """As `values`: true where an element may be used."""
    axes: tuple[Axis, ...]
    """One axis per dimension, in order."""
    unit: str
    """Unit of `values`; "counts" when the signal holds counts and names no unit."""
    is_counts: bool
    """Whether Poisson statistics hold."""


@dataclass(frozen=True)
class Band:
    """The valid elements of a one-dimensional signal inside a window."""

    x: FloatArray
    """(element,) coordinates in the unit of the axis."""
    values: FloatArray
    """(element,) in the unit of the signal."""
    n_elements: int
    """Number of elements in the window, valid or not."""

    @property
    def scale(self) -> float:
        """Factor that makes up for masked elements: all elements over valid ones."""
        return self.n_elements / self.x.size


def same_unit(a: str, b: str) -> bool:
    """Return whether two unit names are the same, the two code points of the micro sign being one."""
    return unicodedata.normalize("NFKC", a).strip() == unicodedata.normalize("NFKC", b).strip()


def read(spectrum: Spectrum, n_dims: int, axis_unit: str | None) -> Signal:
    """Check a signal and return it in double precision.

    Args:
        spectrum: The raw signal.
        n_dims: Number of dimensions that the scalarizer takes.
        axis_unit: Unit that the axes must have; None: any.

    Raises:
        InvalidInput: SHAPE_MISMATCH for a wrong number of dimensions, an empty signal or a mask of another shape;
            DTYPE_MISMATCH for values that are not real numbers; AXIS_MISMATCH for an axis of another length or with
            non-finite coordinates; AXIS_UNIT_MISMATCH for an axis in another unit; NON_FINITE for non-finite valid
            elements or when no element is valid.
    """
    raw = np.asarray(spectrum.values)
    _check_shape(raw, spectrum, n_dims)
    if raw.dtype.kind not in "buif":
        raise InvalidInput(
            Reason.DTYPE_MISMATCH,
            f"the signal has dtype {raw.dtype}; real numbers are needed: send the modulus, or a real or imaginary part",
            field="observation.spectrum.dtype",
        )
    axes = tuple(_checked_axis(spectrum, i, axis_unit) for i in range(n_dims))
    valid = np.ones(raw.shape, dtype=bool) if spectrum.mask is None else np.asarray(spectrum.mask, dtype=bool)
    values = raw.astype(np.float64)
    bad = valid & ~np.isfinite(values)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise InvalidInput(
            Reason.NON_FINITE,
            f"{int(bad.sum())} of {bad.size} elements are not finite, the first at index {where}; mask them or "
            "measure again",
            field="observation.spectrum",
        )
    if not valid.any():
        raise InvalidInput(
            Reason.NON_FINITE,
            f"all {valid.size} elements of the signal are masked; report the measurement as failed",
            field="observation.mask",
        )
    is_counts = spectrum.kind == ValueKind.COUNTS
    unit = spectrum.unit or ("counts" if is_counts else "")
    return Signal(np.where(valid, values, 0.0), valid, axes, unit, is_counts)


def _check_shape(raw: NDArray[Any], spectrum: Spectrum, n_dims: int) -> None:
    if raw.ndim != n_dims or len(spectrum.dims) != n_dims:
        raise InvalidInput(
            Reason.SHAPE_MISMATCH,
            f"a signal with {n_dims} dimension{'s' if n_dims > 1 else ''} is needed, this one has shape {raw.shape} "
            f"and dimensions {spectrum.dims}; choose another scalarizer or send another signal",
            field="observation.spectrum.shape",
        )
    if raw.size == 0:
        raise InvalidInput(
            Reason.SHAPE_MISMATCH,
            f"the signal is empty (shape {raw.shape}); at least one element is needed",
            field="observation.spectrum.shape",
        )
    if spectrum.mask is not None and np.shape(spectrum.mask) != raw.shape:
        raise InvalidInput(
            Reason.SHAPE_MISMATCH,
            f"the mask has shape {np.shape(spectrum.mask)}, the signal {raw.shape}; they must be equal",
            field="observation.mask.shape",
        )


def _checked_axis(spectrum: Spectrum, i: int, axis_unit: str | None) -> Axis:
    axis = spectrum.axis(spectrum.dims[i])
    coordinates = np.asarray(axis.values)
    length = np.shape(spectrum.values)[i]
    if coordinates.shape != (length,):
        raise InvalidInput(
            Reason.AXIS_MISMATCH,
            f"axis '{axis.dim}' has shape {coordinates.shape}, the signal has {length} elements along it",
            field="observation.axes.values",
        )
    if coordinates.dtype.kind not in "buif" or not np.isfinite(coordinates.astype(np.float64)).all():
        raise InvalidInput(
            Reason.AXIS_MISMATCH,
            f"axis '{axis.dim}' has coordinates that are not finite numbers; send calibrated coordinates, or no axis",
            field="observation.axes.values",
        )
    if axis_unit is not None and not same_unit(axis.unit, axis_unit):
        raise InvalidInput(
            Reason.AXIS_UNIT_MISMATCH,
            f"axis '{axis.dim}' is in '{axis.unit}', the scalarizer's parameters are in '{axis_unit}'; convert the "
            "axis, or the parameters",
            field="observation.axes.unit",
        )
    return Axis(axis.dim, coordinates.astype(np.float64), axis.quantity, axis.unit)


def band(signal: Signal, low: float | None, high: float | None, *, field: str) -> Band:
    """Return the valid elements with low <= coordinate <= high.

    A window may reach past the end of the axis by at most one step: more than that is nearly always a window in
    another unit, and the part outside would be missing from the result without a word.

    Args:
        signal: One-dimensional.
        low: Lower end in the unit of the axis; None: the start of the axis.
        high: Upper end; None: the end of the axis.
        field: Parameter to blame.

    Raises:
        InvalidInput: PARAM_INVALID when the window holds no element or reaches outside the axis; NON_FINITE when
            fewer than half of its elements are valid.
    """
    axis = signal.axes[0]
    first, last = float(axis.values.min()), float(axis.values.max())
    low = first if low is None else low
    high = last if high is None else high
    step = float(np.median(np.abs(np.diff(axis.values)))) if axis.values.size > 1 else 0.0
    # 0.01 * 655 may lie a rounding error above 6.55: an end that names an element includes it.
    rounding = 1e-6 * step
    index = axis.window(low - rounding, high + rounding, field=field)
    if low < first - step or high > last + step:
        raise InvalidInput(
            Reason.PARAM_INVALID,
            f"window {low:g}:{high:g} {axis.unit} reaches outside axis '{axis.dim}', which spans {first:g}:{last:g} "
            f"{axis.unit}; choose a window inside it",
            field=field,
        )
    kept = index[signal.valid[index]]
    if kept.size == 0 or kept.size < MIN_VALID_FRACTION * index.size:
        raise InvalidInput(
            Reason.NON_FINITE,
            f"only {kept.size} of {index.size} elements in {low:g}:{high:g} {axis.unit} are valid, at least half are "
            "needed; widen the window or report the measurement as failed",
            field="observation.mask",
        )
    return Band(axis.values[kept], signal.values[kept], int(index.size))


def number(value: Any, name: str) -> float:
    """Return a parameter as a finite float.

    Raises:
        InvalidInput: PARAM_INVALID when it is not a finite number.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise InvalidInput(Reason.PARAM_INVALID, f"{name} is {value!r}; give a number", field=f"params.{name}")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf  # a whole number beyond the range of doubles, refused below
    if not math.isfinite(result):
        raise InvalidInput(Reason.PARAM_INVALID, f"{name} is {value!r}; give a finite number", field=f"params.{name}")
    return result


def interval(value: Any, name: str) -> tuple[float, float]:
    """Return a [low, high] parameter as two finite floats.

    Raises:
        InvalidInput: PARAM_INVALID when it is not two finite numbers with low <= high.
    """
    if isinstance(value, str) or not isinstance(value, (Sequence, np.ndarray)) or len(value) != 2:
        raise InvalidInput(
            Reason.PARAM_INVALID,
            f"{name} is {value!r}; give [low, high], for example [1.65, 1.83]",
            field=f"params.{name}",
        )
    low, high = number(value[0], name), number(value[1], name)
    if low > high:
        raise InvalidInput(
            Reason.PARAM_INVALID, f"{name} is {low:g}:{high:g}, reversed; give low <= high", field=f"params.{name}"
        )
    return low, high


def flag(value: Any, name: str) -> bool:
    """Return a parameter that must be true or false.

    Raises:
        InvalidInput: PARAM_INVALID when it is neither.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise InvalidInput(Reason.PARAM_INVALID, f"{name} is {value!r}; give true or false", field=f"params.{name}")
    return bool(value)


def whole(value: Any, name: str, low: int | None = None) -> int:
    """Return a parameter that must be a whole number.

    Raises:
        InvalidInput: PARAM_INVALID when it is not one, or below `low`.
    """
    result = number(value, name)
    if not result.is_integer() or (low is not None and result < low):
        limit = "" if low is None else f" of at least {low}"
        raise InvalidInput(
            Reason.PARAM_INVALID, f"{name} is {value!r}; give a whole number{limit}", field=f"params.{name}"
        )
    return int(result)


def choice(value: Any, name: str, allowed: Sequence[str]) -> str:
    """Return a parameter that must be one of some words.

    Raises:
        InvalidInput: PARAM_INVALID when it is not one of them.
    """
    if value not in allowed:
        raise InvalidInput(
            Reason.PARAM_INVALID, f"{name} is {value!r}; choose one of {', '.join(allowed)}", field=f"params.{name}"
        )
    return str(value)
