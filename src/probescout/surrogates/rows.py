"""Rows over all points of a field, one a measurement, in blocks: growing must neither copy nor double the memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Rows = NDArray[np.floating]
BLOCK_ROWS = 64


class RowBlocks:
    """A matrix V (row, point) that grows by rows; those that are there are never written again.

    Example:
        >>> import numpy as np
        >>> rows = RowBlocks(3, np.dtype(np.float32))
        >>> rows.append(np.ones((2, 3), dtype=np.float32))
        >>> rows.transposed_times(np.array([[1.0], [2.0]])).tolist()
        [[3.0], [3.0], [3.0]]
    """

    def __init__(self, n_points: int, dtype: np.dtype[Any]) -> None:
        """Start without rows."""
        self.n = 0
        """Rows so far."""
        self._n_points = n_points
        self._dtype = dtype
        self._blocks: list[NDArray[Any]] = []

    def __iter__(self) -> Iterator[Rows]:
        """Yield blocks (some rows, point) of consecutive rows."""
        for start, block in zip(range(0, self.n, BLOCK_ROWS), self._blocks, strict=True):
            yield block[: min(BLOCK_ROWS, self.n - start)]

    def append(self, rows: Rows) -> None:
        """Copy rows (p, point) behind the others, filling the last block first."""
        at = 0
        while at < len(rows):
            used = self.n % BLOCK_ROWS
            if used == 0:
                self._blocks.append(np.empty((BLOCK_ROWS, self._n_points), dtype=self._dtype))
            take = min(BLOCK_ROWS - used, len(rows) - at)
            self._blocks[-1][used : used + take] = rows[at : at + take]
            at, self.n = at + take, self.n + take

    def take_from(self, found: Rows, left: FloatArray) -> None:
        """Subtract left V (p, point), for left (p, row), from what is found."""
        single, start = left.astype(self._dtype), 0
        for block in self:
            found -= single[:, start : start + len(block)] @ block
            start += len(block)

    def transposed_times(self, columns: FloatArray) -> FloatArray:
        """Return V' times columns (row, column) as (point, column)."""
        found, start = np.zeros((self._n_points, columns.shape[1])), 0
        for block in self:
            found += block.T @ columns[start : start + len(block)].astype(self._dtype)
            start += len(block)
        return found
