"""Which candidates are kept up to date at every tell, and which are looked at more closely when it matters.

A small frame is kept whole. Of a large one a spread sample is kept; around the best of it the exact posterior of every
pixel is asked for (`near`), so that a planner goes from coarse to fine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

Index = NDArray[np.intp]

MOST_CANDIDATES = 32_768
"""Kept at most: a tell takes about 1 ms per member then."""
MOST_BYTES = 160 << 20
"""Of all rows V of all members; twice as many exist while one version of the model replaces another."""
LEAST_CANDIDATES = 1_024


@dataclass(frozen=True)
class Field:
    """The candidates whose posterior is kept up to date."""

    candidates: Index
    """(point,) sorted."""
    n_candidates: int
    """Of the whole frame."""

    @property
    def is_whole(self) -> bool:
        """Whether every candidate is kept."""
        return len(self.candidates) == self.n_candidates

    def __len__(self) -> int:
        """Return the number of candidates kept."""
        return len(self.candidates)

    def places(self, candidates: Index) -> Index:
        """Return where candidates (m,) stand in the field; -1 for one that is not kept."""
        if self.is_whole:
            return candidates
        at = np.minimum(np.searchsorted(self.candidates, candidates), len(self.candidates) - 1)
        return np.where(self.candidates[at] == candidates, at, -1)


def limit(n: int, n_members: int) -> int:
    """Return how many candidates to keep.

    Args:
        n: Measurements.
        n_members: Members of the committee.
    """
    most = MOST_CANDIDATES
    # In steps of two, so that the committees of several targets nearly always keep the same.
    while most > LEAST_CANDIDATES and 4 * n * n_members * most > MOST_BYTES:
        most //= 2
    return most


def draw(
    n_candidates: int, shape: tuple[int, int] | None, allowed: NDArray[np.bool_] | None, most: int, seed: list[int]
) -> Field:
    """Return a field of at most `most` candidates, out of those allowed.

    On a grid one candidate is drawn at random out of each cell of a coarser grid: evenly spread, but without a pattern
    that could beat against the rows of an atomic lattice.

    Args:
        n_candidates: Of the frame.
        shape: (height, width) of their grid; None: they form none, and are drawn at random.
        allowed: (candidate,) where a suggestion may be made; None: everywhere.
        most: Candidates at most.
        seed: Of the draw.
    """
    if n_candidates <= most:
        return Field(np.arange(n_candidates), n_candidates)
    pool = np.arange(n_candidates) if allowed is None or allowed.all() else np.flatnonzero(allowed)
    if len(pool) == 0:
        pool = np.arange(n_candidates)
    if len(pool) <= most:
        return Field(pool, n_candidates)
    rng = np.random.default_rng(seed)
    if shape is None:
        return Field(np.sort(rng.choice(pool, most, replace=False)), n_candidates)
    shuffled = rng.permutation(pool)
    return Field(np.sort(_one_of_each_cell(shuffled, shape, most, len(pool))), n_candidates)


def _one_of_each_cell(shuffled: Index, shape: tuple[int, int], most: int, n_pool: int) -> Index:
    """Return the last candidate of each cell, with cells as small as `most` allows."""
    height, width = shape
    rows, cols = shuffled // width, shuffled % width
    n_cells = most * (height * width) / n_pool
    while True:
        n_rows = int(np.clip(round(np.sqrt(n_cells * height / width)), 1, height))
        n_cols = int(np.clip(n_cells // n_rows, 1, width))
        cell = (rows * n_rows // height) * n_cols + cols * n_cols // width
        last = np.full(n_rows * n_cols, -1, dtype=np.intp)
        last[cell] = shuffled
        found = last[last >= 0]
        if len(found) <= most:
            return found
        # Many cells are only partly allowed: take somewhat larger ones.
        n_cells *= 0.9 * most / len(found)


def spacing(shape: tuple[int, int], n_allowed: int, n_kept: int) -> int:
    """Return the distance in pixels between neighbours of a field, rounded up.

    Args:
        shape: (height, width) of the grid.
        n_allowed: Candidates that the field was drawn from.
        n_kept: Candidates in the field.
    """
    return int(np.ceil(np.sqrt(max(n_allowed, 1) / max(n_kept, 1)))) if n_kept else max(shape)


def near(centres: Index, shape: tuple[int, int], reach: int, free: NDArray[np.bool_], most: int) -> Index:
    """Return the free candidates (m,) of square windows around centres, those of the first centres first.

    Args:
        centres: (centre,) candidates, best first.
        shape: (height, width) of the grid of candidates.
        reach: Pixels to each side.
        free: (candidate,) where a suggestion may be made.
        most: Candidates at most.
    """
    height, width = shape
    side = np.arange(-reach, reach + 1)
    rows = (centres // width)[:, None, None] + side[:, None]
    cols = (centres % width)[:, None, None] + side
    rows, cols = np.broadcast_arrays(rows, cols)
    is_inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
    found = rows[is_inside] * width + cols[is_inside]
    found = found[free[found]]
    _, first = np.unique(found, return_index=True)
    return found[np.sort(first)][:most]


def nearest(field: Field, positions: NDArray[np.float64], shape: tuple[int, int] | None) -> Index:
    """Return where the nearest candidate of a field stands in it, for each candidate (candidate,).

    Args:
        field: The candidates kept.
        positions: (candidate, dim) fractional.
        shape: (height, width) of the grid of candidates; None: they form none.
    """
    if field.is_whole:
        return field.candidates
    if shape is None:
        return np.asarray(cKDTree(positions[field.candidates]).query(positions)[1], dtype=np.intp)
    is_kept = np.zeros(field.n_candidates, dtype=bool)
    is_kept[field.candidates] = True
    rows, cols = ndimage.distance_transform_edt(~is_kept.reshape(shape), return_distances=False, return_indices=True)
    return field.places(np.asarray(rows * shape[1] + cols, dtype=np.intp).ravel())
