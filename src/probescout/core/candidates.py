"""The finite set of positions that suggestions come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probescout.core.geometry import pixel_centers

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class CandidateSet:
    """Candidate positions of one frame, by index.

    Pixels are computed, not stored: a set of a million costs nothing until its positions are asked for.
    """

    n: int
    """Number of candidates."""
    height: int = 0
    """Pixels along y of the frame; 0 when the client gave the positions."""
    width: int = 0
    stride: int = 1
    given: FloatArray | None = None
    """(n, 2) fractional positions given by the client."""

    @classmethod
    def pixels(cls, height: int, width: int, stride: int = 1) -> CandidateSet:
        """Return the centres of every stride-th pixel, rows first."""
        rows, cols = _kept(height, stride), _kept(width, stride)
        return cls(rows * cols, height, width, stride)

    @classmethod
    def of_positions(cls, positions: FloatArray) -> CandidateSet:
        """Return a set of given fractional positions (n, 2)."""
        return cls(len(positions), given=positions)

    @property
    def shape(self) -> tuple[int, int] | None:
        """(rows, columns) of the kept pixels; None for given positions."""
        if self.given is not None:
            return None
        return _kept(self.height, self.stride), _kept(self.width, self.stride)

    def positions(self) -> FloatArray:
        """Return all fractional positions (n, 2) as (y, x)."""
        if self.given is not None:
            return self.given
        return pixel_centers(self.height, self.width, self.stride)

    def position(self, index: int) -> tuple[float, float]:
        """Return the fractional (y, x) of one candidate."""
        if self.given is not None:
            y, x = self.given[index]
            return float(y), float(x)
        row, col = divmod(index, _kept(self.width, self.stride))
        start = self.stride // 2
        return (
            (start + row * self.stride + 0.5) / self.height,
            (start + col * self.stride + 0.5) / self.width,
        )

    def nearest(self, y: float, x: float) -> int:
        """Return the index of the candidate nearest to a fractional position."""
        if self.given is not None:
            return int(np.argmin((self.given[:, 0] - y) ** 2 + (self.given[:, 1] - x) ** 2))
        rows, cols = _kept(self.height, self.stride), _kept(self.width, self.stride)
        row = _nearest(y * self.height, self.stride, rows)
        col = _nearest(x * self.width, self.stride, cols)
        return row * cols + col


def _kept(n: int, stride: int) -> int:
    return len(range(stride // 2, n, stride))


def _nearest(at: float, stride: int, n: int) -> int:
    # Round half towards the pixel that contains the position: pixel i covers [i, i + 1).
    index = int(np.floor((at - stride // 2 - 0.5) / stride + 0.5))
    return min(max(index, 0), n - 1)
