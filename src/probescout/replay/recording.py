"""A recorded experiment: a structural image with a signal, or a ready scalar, at every pixel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, NotFound, Reason
from probescout.core.spectra import Axis, Scalar, Spectrum, ValueKind


class ArrayOnDisk(Protocol):
    """What is needed of an array that may still lie in a file: a NumPy array has it all."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each dimension."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of an element."""

    def __getitem__(self, key: Any) -> Any:
        """Read a part, by integers, slices and ...; the whole with [...]."""


@dataclass(frozen=True)
class Recording:
    """An experiment recorded at every pixel of one frame, ready to be replayed.

    Example:
        >>> import numpy as np
        >>> recording = Recording(image=np.eye(2), spectrum=np.ones((2, 2, 3)), spectrum_dims=("channel",))
        >>> recording.spectrum_at(0, 1).values.tolist()
        [1.0, 1.0, 1.0]
    """

    image: NDArray[np.generic]
    """(y, x) or (channel, y, x), in `image_unit`; NaN where nothing was recorded."""
    spectrum: ArrayOnDisk | None = None
    """(y, x, *spectrum_dims), in `spectrum_unit`; read from the file when it is indexed. None: only scalar maps."""
    spectrum_dims: tuple[str, ...] = ()
    """Names of the dimensions of the signal at one pixel, for example ("channel",) or ("ky", "kx")."""
    axes: tuple[Axis, ...] = ()
    """Physical axes of the signal; a dimension without one is a bare index."""
    targets: Mapping[str, NDArray[np.floating[Any]]] = field(default_factory=dict)
    """Ready scalar maps (y, x) by name, each in its unit of `target_units`."""
    mask: NDArray[np.bool_] | None = None
    """(y, x), true where the experiment recorded something; None: everywhere."""
    y_m: NDArray[np.float64] | None = None
    """(y,) coordinate of the rows in metres; None when unknown."""
    x_m: NDArray[np.float64] | None = None
    """(x,) coordinate of the columns in metres; None when unknown."""
    image_unit: str = ""
    image_name: str = ""
    """What the image shows, for example "HAADF"."""
    spectrum_unit: str = ""
    spectrum_kind: ValueKind = ValueKind.UNKNOWN
    target_units: Mapping[str, str] = field(default_factory=dict)
    attrs: Mapping[str, Any] = field(default_factory=dict)
    """Provenance, licence, rotation and whatever else the file says about itself."""

    def __post_init__(self) -> None:
        """Check that all arrays lie on the pixels of the image.

        Raises:
            InvalidInput: SHAPE_MISMATCH, DTYPE_MISMATCH or FIELD_MISSING, with the array in `field`.
        """
        if self.image.ndim not in (2, 3) or 0 in self.image.shape:
            raise InvalidInput(
                Reason.SHAPE_MISMATCH,
                f"the image has shape {self.image.shape}; it must be (y, x) or (channel, y, x) and not empty",
                field="image",
            )
        _check_real(self.image.dtype, "image")
        if self.spectrum is None and not self.targets:
            raise InvalidInput(
                Reason.FIELD_MISSING,
                "there is neither a 'spectrum' (y, x, channel) nor a scalar map (y, x) beside the image; "
                "nothing could be measured: add one of them",
                field="spectrum",
            )
        self._check_spectrum()
        for name, values in self.targets.items():
            _check_real(values.dtype, name)
            self._check_shape(name, values.shape, self.shape)
        if self.mask is not None:
            self._check_shape("mask", self.mask.shape, self.shape)
        for name, coordinate, length in (("y", self.y_m, self.shape[0]), ("x", self.x_m, self.shape[1])):
            if coordinate is not None:
                self._check_shape(name, coordinate.shape, (length,))

    def _check_spectrum(self) -> None:
        if self.spectrum is None:
            return
        _check_real(self.spectrum.dtype, "spectrum")
        self._check_shape("spectrum", self.spectrum.shape[:2], self.shape)
        if not self.spectrum_dims or len(self.spectrum.shape) != 2 + len(self.spectrum_dims):
            raise InvalidInput(
                Reason.SHAPE_MISMATCH,
                f"the spectrum has shape {self.spectrum.shape}, which must be (y, x) and one length for each of "
                f"the dimensions {self.spectrum_dims}; name every dimension after y and x",
                field="spectrum",
            )
        lengths = dict(zip(self.spectrum_dims, self.spectrum.shape[2:], strict=True))
        for axis in self.axes:
            if axis.dim not in lengths:
                raise InvalidInput(
                    Reason.AXIS_MISMATCH,
                    f"axis '{axis.dim}' is not a dimension of the spectrum, which has {self.spectrum_dims}",
                    field="spectrum",
                )
            self._check_shape(axis.dim, axis.values.shape, (lengths[axis.dim],))

    @staticmethod
    def _check_shape(name: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
        if shape != expected:
            raise InvalidInput(
                Reason.SHAPE_MISMATCH,
                f"'{name}' has shape {shape} where {expected} is needed; crop or resample it onto the pixels of "
                "the image",
                field=name,
            )

    @classmethod
    def load(cls, path: str | Path) -> Recording:
        """Open a recording in the neutral format: an xarray Dataset in NetCDF or Zarr.

        The file needs `image` (y, x), and `spectrum` (y, x, channel) or a scalar map (y, x); all attributes may be
        missing. The spectrum stays in the file until it is indexed.

        Raises:
            InvalidInput: FILE_UNREADABLE, FIELD_MISSING, SHAPE_MISMATCH or DTYPE_MISMATCH.
            MissingExtra: For a Zarr store where zarr is not installed.
        """
        from probescout.replay.neutral import load_recording

        return load_recording(Path(path))

    def save(self, path: str | Path) -> None:
        """Write the neutral format: a Zarr store when the name ends in .zarr, else NetCDF; chunked and compressed.

        Raises:
            InvalidInput: FILE_UNREADABLE when the file cannot be written.
            MissingExtra: For a Zarr store where zarr is not installed.
        """
        from probescout.replay.neutral import save_recording

        save_recording(self, Path(path))

    def loaded(self) -> Recording:
        """Return the same recording with its spectrum in memory."""
        if self.spectrum is None or isinstance(self.spectrum, np.ndarray):
            return self
        return replace(self, spectrum=np.asarray(self.spectrum[...]))

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return (int(self.image.shape[-2]), int(self.image.shape[-1]))

    @property
    def pixel_size_m(self) -> float | None:
        """Edge of a pixel in metres (geometric mean of both edges where they differ); None when unknown."""
        steps = [abs(float(np.median(np.diff(c)))) for c in (self.y_m, self.x_m) if c is not None and c.size > 1]
        if not steps or min(steps) <= 0.0 or not np.isfinite(steps).all():
            return None
        return float(np.sqrt(steps[0] * steps[-1]))

    @property
    def recorded(self) -> NDArray[np.bool_]:
        """Array (y, x), true where the experiment recorded something."""
        return np.ones(self.shape, dtype=bool) if self.mask is None else self.mask

    def spectrum_at(self, row: int, column: int) -> Spectrum:
        """Return the signal of one pixel; its mask excludes elements that are not finite.

        Raises:
            NotFound: FIELD_MISSING when the recording holds only scalar maps.
        """
        if self.spectrum is None:
            raise NotFound(
                Reason.FIELD_MISSING,
                f"this recording has no spectrum; choose one of its scalar maps: {', '.join(self.targets)}",
                field="spectrum",
            )
        values = np.array(self.spectrum[row, column])
        # A sweep that the instrument broke off ends in NaN; what came before is a measurement.
        is_finite = np.isfinite(values)
        mask = None if is_finite.all() else is_finite
        return Spectrum(values, self.spectrum_dims, self.axes, self.spectrum_unit, self.spectrum_kind, mask)

    def target_map(self, name: str) -> NDArray[np.floating[Any]]:
        """Return a scalar map (y, x).

        Raises:
            NotFound: FIELD_MISSING when there is none of that name.
        """
        if name not in self.targets:
            known = ", ".join(self.targets) or "none; use its spectrum with a scalarizer"
            raise NotFound(
                Reason.FIELD_MISSING,
                f"this recording has no scalar map named '{name}'; it has: {known}",
                field="target",
            )
        return self.targets[name]

    def target_at(self, name: str, row: int, column: int) -> Scalar:
        """Return a ready scalar of one pixel; its variance is not known.

        Raises:
            NotFound: FIELD_MISSING when there is no map of that name.
        """
        return Scalar(float(self.target_map(name)[row, column]), float("nan"), self.target_units.get(name, ""))


def _check_real(dtype: np.dtype[Any], name: str) -> None:
    if dtype.kind not in "biuf":
        raise InvalidInput(
            Reason.DTYPE_MISMATCH,
            f"'{name}' has elements of type {dtype}; they must be integers or real floats: store the magnitude or "
            "another real quantity",
            field=name,
        )
