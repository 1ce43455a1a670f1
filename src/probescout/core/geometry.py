"""Fractional (y, x) positions and the only conversions to pixels and metres.

A position is a fraction in [0, 1] of a frame, origin top left; the centre of pixel i of N is (i + 0.5) / N.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, Reason

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Position:
    """A fractional position in a frame."""

    y: float
    """Fraction from the top."""
    x: float
    """Fraction from the left."""

    @property
    def is_inside(self) -> bool:
        """Whether it lies in the frame."""
        return 0.0 <= self.y <= 1.0 and 0.0 <= self.x <= 1.0


def pixel_centers(height: int, width: int, stride: int = 1) -> FloatArray:
    """Return the centres (n, 2) of every stride-th pixel as fractional (y, x), rows first.

    The first kept pixel is stride // 2, so that a coarser set stays centred.
    """
    rows = (np.arange(stride // 2, height, stride) + 0.5) / height
    cols = (np.arange(stride // 2, width, stride) + 0.5) / width
    grid_y, grid_x = np.meshgrid(rows, cols, indexing="ij")
    return np.column_stack([grid_y.ravel(), grid_x.ravel()])


def pixel_of(y: float, x: float, height: int, width: int) -> tuple[int, int]:
    """Return the (row, column) whose pixel contains the position; the far edge belongs to the last pixel."""
    return (
        min(max(int(np.floor(y * height)), 0), height - 1),
        min(max(int(np.floor(x * width)), 0), width - 1),
    )


def window_at(y: float, x: float, height: int, width: int, edge: int) -> tuple[int, int, tuple[float, float]]:
    """Return the top row and left column of a square window of `edge` pixels around (y, x), and where (y, x) is in it.

    At the border of the frame, which holds it whole, the window is moved inward.

    Example:
        >>> window_at(0.5, 0.125, 16, 16, 8)
        (4, 0, (0.5, 0.25))
    """
    top = min(max(round(y * height - edge / 2), 0), height - edge)
    left = min(max(round(x * width - edge / 2), 0), width - edge)
    return top, left, ((y * height - top) / edge, (x * width - left) / edge)


def distance(a: Position, b: Position) -> float:
    """Return the distance between two positions as a fraction of the frame diagonal (unit square)."""
    return float(np.hypot(a.y - b.y, a.x - b.x) / np.sqrt(2.0))


@dataclass(frozen=True)
class Affine:
    """A map of fractional positions between frame revisions."""

    yy: float = 1.0
    yx: float = 0.0
    y0: float = 0.0
    xy: float = 0.0
    xx: float = 1.0
    x0: float = 0.0

    def apply(self, position: Position) -> Position:
        """Return the position in the newer revision."""
        return Position(
            self.yy * position.y + self.yx * position.x + self.y0,
            self.xy * position.y + self.xx * position.x + self.x0,
        )

    def inverse(self) -> Affine:
        """Return the map back.

        Raises:
            InvalidInput: FIELD_INVALID when the map is singular; NON_FINITE.
        """
        numbers = (self.yy, self.yx, self.y0, self.xy, self.xx, self.x0)
        if not all(math.isfinite(v) for v in numbers):
            raise InvalidInput(Reason.NON_FINITE, f"the affine map is {numbers}; give 6 finite numbers", field="affine")
        det = self.yy * self.xx - self.yx * self.xy
        if not (math.isfinite(det) and abs(det) > 1e-9):
            raise InvalidInput(
                Reason.FIELD_INVALID, f"the affine map has determinant {det}; it cannot be undone", field="affine"
            )
        yy, yx, xy, xx = self.xx / det, -self.yx / det, -self.xy / det, self.yy / det
        return Affine(yy, yx, -(yy * self.y0 + yx * self.x0), xy, xx, -(xy * self.y0 + xx * self.x0))

    def after(self, first: Affine) -> Affine:
        """Return the map that does `first`, then this one."""
        return Affine(
            self.yy * first.yy + self.yx * first.xy,
            self.yy * first.yx + self.yx * first.xx,
            self.yy * first.y0 + self.yx * first.x0 + self.y0,
            self.xy * first.yy + self.xx * first.xy,
            self.xy * first.yx + self.xx * first.xx,
            self.xy * first.y0 + self.xx * first.x0 + self.x0,
        )
