"""A recorded experiment that behaves like an instrument."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, Reason
from probescout.core.geometry import pixel_of
from probescout.core.ports import Measurement, Overview
from probescout.replay.recording import Recording


class RecordedMicroscope:
    """Replays a recording: a probe position gives what was measured in the pixel that contains it.

    Example:
        >>> import numpy as np
        >>> recording = Recording(image=np.eye(2), spectrum=np.ones((2, 2, 3)), spectrum_dims=("channel",))
        >>> RecordedMicroscope(recording).measure(0.1, 0.9).x
        0.75
    """

    def __init__(
        self,
        recording: Recording,
        *,
        target: str | None = None,
        name: str = "recorded",
        dwell_s: float = 0.0,
        dose_per_probe: float = 0.0,
        latency_s: float = 0.0,
        failure_rate: float = 0.0,
        seed: int = 0,
        wait: Callable[[float], Any] = time.sleep,
    ) -> None:
        """Stand in for the instrument that made the recording.

        Args:
            recording: What was measured.
            target: Name of the scalar map that measurements return; None: the spectrum, or the only map there is.
            name: Name of the instrument.
            dwell_s: Reported with every measurement.
            dose_per_probe: Reported with every measurement, in the campaign's dose unit.
            latency_s: Real time that every measurement takes.
            failure_rate: Share of the measurements that fail, drawn from `seed`.
            seed: Of the failures.
            wait: Lets `latency_s` pass.

        Raises:
            InvalidInput: FIELD_INVALID for a rate outside 0 to 1 or a negative time; FIELD_MISSING when several maps
                are there and none was chosen.
            NotFound: FIELD_MISSING when there is no map named `target`.
        """
        if not 0.0 <= failure_rate <= 1.0:
            raise InvalidInput(
                Reason.FIELD_INVALID, f"failure_rate is {failure_rate:g}; give 0 to 1", field="failure_rate"
            )
        for label, value in (("latency_s", latency_s), ("dwell_s", dwell_s), ("dose_per_probe", dose_per_probe)):
            if not (value >= 0.0 and np.isfinite(value)):
                raise InvalidInput(Reason.FIELD_INVALID, f"{label} is {value:g}; give 0 or more", field=label)
        self.name = name
        self.recording = recording
        self.target = _chosen_target(recording, target)
        self._dwell_s = dwell_s
        self._dose = dose_per_probe
        self._latency_s = latency_s
        self._failure_rate = failure_rate
        self._rng = np.random.default_rng(seed)
        self._wait = wait
        self.is_parked = False

    @classmethod
    def open(cls, path: str | Path, **options: Any) -> RecordedMicroscope:
        """Load a file of the neutral format and replay it; options as in the constructor.

        Raises:
            InvalidInput: As `Recording.load` and the constructor.
            NotFound: FIELD_MISSING when there is no map named `target`.
            MissingExtra: For a Zarr store where zarr is not installed.
        """
        return cls(Recording.load(path), **options)

    def overview(self) -> Overview:
        """Return the recorded image; pixels without a value take the median, and the mask excludes unrecorded ones."""
        recording = self.recording
        return Overview(
            image=_without_holes(recording.image, recording.recorded),
            pixel_size_m=recording.pixel_size_m,
            unit=recording.image_unit,
            mask=recording.mask,
            name=recording.image_name,
        )

    def measure(self, y: float, x: float) -> Measurement:
        """Return what was recorded in the pixel that contains (y, x), at the centre of that pixel.

        Raises:
            InvalidInput: FIELD_INVALID for a position outside the frame.
        """
        if not (0.0 <= y <= 1.0 and 0.0 <= x <= 1.0):
            raise InvalidInput(
                Reason.FIELD_INVALID,
                f"position (y, x) = ({y:g}, {x:g}) is outside the frame; give fractions from 0 to 1",
                field="position",
            )
        self.is_parked = False
        if self._latency_s > 0.0:
            self._wait(self._latency_s)
        height, width = self.recording.shape
        row, column = pixel_of(y, x, height, width)
        at_y, at_x = (row + 0.5) / height, (column + 0.5) / width
        if self._rng.random() < self._failure_rate:
            return self._failed(at_y, at_x, "injected failure of the recorded instrument")
        if not self.recording.recorded[row, column]:
            return self._failed(at_y, at_x, f"pixel (row {row}, column {column}) was not recorded")
        if self.target is not None:
            scalar = self.recording.target_at(self.target, row, column)
            if not np.isfinite(scalar.value):
                return self._failed(at_y, at_x, f"'{self.target}' has no value at row {row}, column {column}")
            return Measurement(at_y, at_x, scalar=scalar, dwell_s=self._dwell_s, dose=self._dose)
        spectrum = self.recording.spectrum_at(row, column)
        if not np.isfinite(spectrum.values).any():
            return self._failed(at_y, at_x, f"the spectrum at row {row}, column {column} holds no finite value")
        return Measurement(at_y, at_x, spectrum=spectrum, dwell_s=self._dwell_s, dose=self._dose)

    def park(self) -> None:
        """Remember that the beam is blanked; a recording takes no harm either way."""
        self.is_parked = True

    def _failed(self, y: float, x: float, why: str) -> Measurement:
        return Measurement(y, x, dwell_s=self._dwell_s, dose=self._dose, error=why)


def _chosen_target(recording: Recording, target: str | None) -> str | None:
    if target is not None:
        recording.target_map(target)
        return target
    if recording.spectrum is not None:
        return None
    if "target" in recording.targets:
        return "target"
    if len(recording.targets) == 1:
        return next(iter(recording.targets))
    raise InvalidInput(
        Reason.FIELD_MISSING,
        f"the recording has no spectrum and several scalar maps: {', '.join(recording.targets)}; choose one as target",
        field="target",
    )


def _without_holes(image: NDArray[np.generic], recorded: NDArray[np.bool_]) -> NDArray[np.generic]:
    """Return `image` (y, x) or (channel, y, x) with the median of each plane where it has no finite value.

    One NaN would spread through every feature of its neighbourhood.
    """
    if image.dtype.kind != "f" or np.isfinite(image).all():
        return image
    filled = np.array(image)
    for plane in filled.reshape(-1, *image.shape[-2:]):
        hole = ~np.isfinite(plane)
        known = plane[~hole & recorded] if (~hole & recorded).any() else plane[~hole]
        plane[hole] = np.median(known) if known.size else 0.0
    return filled
