"""A regular grid, visited so that it fills the field evenly however early it is stopped."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from probescout.core.ports import Belief, Json

FloatArray = NDArray[np.float64]

GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


class Grid:
    """Prefer the next node of a regular grid; it looks at positions only, never at values.

    First come the nodes of a coarse grid (every 2^k-th row and column), then those between them, so that any first part
    is spread over the whole field. After the last node the remaining candidates follow in a spread-out order too.
    """

    name: ClassVar[str] = "grid"
    summary: ClassVar[str] = "Measure on a regular grid sized to the budget; needs no model"
    params_schema: ClassVar[Json] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Regular grid",
        "type": "object",
        "properties": {
            "budget": {
                "title": "Nodes",
                "description": "Number of measurements that the grid is sized for (count)",
                "type": "integer",
                "minimum": 1,
                "maximum": 1_000_000,
                "default": 100,
            }
        },
        "additionalProperties": False,
    }
    needs_model: ClassVar[bool] = False

    def __init__(self, budget: int = 100) -> None:
        """Set the size of the grid.

        Args:
            budget: Number of measurements that it is sized for.
        """
        self.budget = int(budget)
        self._positions: FloatArray | None = None
        self._order: FloatArray = np.empty(0)

    def score(self, belief: Belief, rng: np.random.Generator) -> FloatArray:
        """Return scores (candidate,): larger for earlier nodes, below zero for candidates that are no node."""
        if self._positions is None or not np.array_equal(self._positions, belief.positions):
            self._order = grid_order(belief.positions, belief.shape, self.budget)
            self._positions = belief.positions
        return self._order.copy()


def grid_order(positions: FloatArray, shape: tuple[int, int] | None, budget: int) -> FloatArray:
    """Return scores (candidate,) that visit the candidates nearest to the nodes of a regular grid first.

    Args:
        positions: (candidate, dim) fractional.
        shape: (height, width) in pixels, which gives the aspect ratio; None: square.
        budget: Least number of nodes.
    """
    n, n_dims = positions.shape
    scores = -np.mod(np.arange(1, n + 1) * GOLDEN, 1.0) - 1e-9
    low, high = positions.min(axis=0), positions.max(axis=0)
    extent = (high - low) * (np.array(shape) if shape is not None and n_dims == 2 else 1.0)
    counts = _counts(extent, min(budget, n))
    axes = [a + (np.arange(c) + 0.5) / c * (b - a) for a, b, c in zip(low, high, counts, strict=True)]
    nodes = np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], axis=1)
    _, nearest = cKDTree(positions).query(nodes)
    visit = _coarse_first(counts)
    # Written last to first: where two nodes share a candidate the earlier visit stands.
    scores[nearest[visit[::-1]]] = np.arange(1, len(nodes) + 1, dtype=np.float64)
    return scores


def _counts(extent: FloatArray, budget: int) -> list[int]:
    """Return nodes per axis, about square cells, in all at least `budget`; one along an axis without extent."""
    wide = extent > 0
    counts = np.ones(len(extent), dtype=int)
    if not wide.any():
        return counts.tolist()
    density = (budget / float(np.prod(extent[wide]))) ** (1.0 / int(wide.sum()))
    counts[wide] = np.maximum(np.floor(extent[wide] * density), 1).astype(int)
    while int(np.prod(counts)) < budget:
        cell = np.where(wide, extent / counts, -1.0)
        counts[int(np.argmax(cell))] += 1
    return [int(c) for c in counts]


def _coarse_first(counts: list[int]) -> NDArray[np.intp]:
    """Return the nodes of a grid in the order of their bit-reversed Morton codes: even rows and columns first."""
    indices = np.meshgrid(*(np.arange(c) for c in counts), indexing="ij")
    code = np.zeros(int(np.prod(counts)), dtype=np.float64)
    for bit in range(max(counts).bit_length()):
        for index in indices:
            code = 2.0 * code + ((index.ravel() >> bit) & 1)
    return np.argsort(code, kind="stable")
