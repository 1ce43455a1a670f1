"""Atoms calibrated to angstrom."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, Reason
from probescout.core.units import metres_per
from probescout_theory.atoms import Atoms

FloatArray = NDArray[np.float64]

ANGSTROM_PER_METRE = 1e10


@dataclass(frozen=True)
class Columns:
    """Atomic columns of a patch: x to the right, y up, the origin in the middle of the patch."""

    xy: FloatArray
    """(column, xy), angstrom."""
    xy_sd: FloatArray
    """(column,) standard deviation of one coordinate, angstrom; NaN where unknown."""
    intensity: FloatArray
    """(column,) any unit; NaN where unknown."""
    intensity_sd: FloatArray
    """(column,) unit of `intensity`; NaN where unknown."""
    confidence: FloatArray
    """(column,) 0..1."""
    labels: tuple[str, ...] | None
    """(column,) declared formulas; None: unknown."""
    half_size: tuple[float, float]
    """Half the width and half the height of the patch, angstrom."""

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        return len(self.xy)

    def to_edge(self, xy: FloatArray) -> FloatArray:
        """Return the distance (place,) to the nearest edge of the patch, angstrom, negative outside.

        Args:
            xy: (place, xy), angstrom.
        """
        return np.asarray((np.array(self.half_size) - np.abs(xy)).min(axis=-1), dtype=np.float64)


def pixel_angstrom(size: float, unit: str) -> float:
    """Return the edge of a pixel in angstrom from a frame's calibration.

    Raises:
        InvalidInput: FIELD_INVALID for a size that is not above zero, or a unit that is no length known here.
    """
    metres = metres_per(unit)
    if metres is None:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"pixels are in '{unit}'; structures need a length: calibrate the frame in nm, angstrom or pm",
            field="frame.pixel_size.unit",
        )
    if not (math.isfinite(size) and size > 0):
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"the frame's pixel size is {size} {unit}; calibrate the frame before asking for structures",
            field="frame.pixel_size",
        )
    return size * metres * ANGSTROM_PER_METRE


def calibrate(atoms: Atoms, angstrom_per_pixel: float, *, min_confidence: float = 0.5) -> Columns:
    """Return atoms in angstrom.

    Args:
        atoms: Found or given.
        angstrom_per_pixel: Edge of a pixel.
        min_confidence: Atoms below are left out.
    """
    kept = atoms.confidence >= min_confidence
    height, width = atoms.shape
    middle = np.array([(height - 1) / 2.0, (width - 1) / 2.0])
    yx = (atoms.positions_px[kept] - middle) * angstrom_per_pixel
    labels = None if atoms.labels is None else tuple(n for n, k in zip(atoms.labels, kept, strict=True) if k)
    return Columns(
        # Rows run downwards: turning y keeps a right-handed frame, so that no structure becomes its mirror image.
        np.column_stack([yx[:, 1], -yx[:, 0]]),
        atoms.position_sd_px[kept] * angstrom_per_pixel,
        atoms.intensity[kept],
        atoms.intensity_sd[kept],
        atoms.confidence[kept],
        labels,
        (width * angstrom_per_pixel / 2.0, height * angstrom_per_pixel / 2.0),
    )


def place_angstrom(y: float, x: float, shape: tuple[int, int], angstrom_per_pixel: float) -> tuple[float, float]:
    """Return a fractional (y, x) place of a patch as (x, y), angstrom from its middle, y up.

    Args:
        y: Fraction from the top.
        x: Fraction from the left.
        shape: (height, width) of the patch in pixels.
        angstrom_per_pixel: Edge of a pixel.
    """
    return (x - 0.5) * shape[1] * angstrom_per_pixel, (0.5 - y) * shape[0] * angstrom_per_pixel
