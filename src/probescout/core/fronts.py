"""The best compromises between several targets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from probescout.core.observations import Observation
from probescout.core.state import Campaign

FloatArray = NDArray[np.float64]

BLOCK = 256
"""Rows compared with the front at once."""


def nondominated(values: FloatArray) -> NDArray[np.intp]:
    """Return the rows that no other row beats: as large everywhere and larger somewhere.

    Equal rows do not beat each other: where one stays, all do. Sorted once for two targets (Kung, Luccio & Preparata
    1975, "On finding the maxima of a set of vectors"); with more each row is compared with the front before it.

    Args:
        values: (n, target), larger is better.

    Returns:
        (kept,) row numbers, largest first target first.
    """
    if not len(values):
        return np.empty(0, dtype=np.intp)
    different, place = np.unique(values, axis=0, return_inverse=True)
    # From the largest first value down no row is beaten by a later one, nor by its first value.
    stays = _unbeaten(different[::-1, 1:])[::-1]
    kept = np.flatnonzero(stays[place.reshape(-1)])
    return np.asarray(kept[np.lexsort(-values[kept].T[::-1])])


def _unbeaten(rest: FloatArray) -> NDArray[np.bool_]:
    """Return (n,) which rows no earlier one is as large as in every column of `rest` (n, target - 1)."""
    n, n_columns = rest.shape
    if n_columns == 0:
        return np.asarray(np.arange(n) == 0)
    if n_columns == 1:
        best = np.maximum.accumulate(rest[:, 0])
        return np.asarray(np.concatenate([[True], rest[1:, 0] > best[:-1]]))
    stays = np.ones(n, dtype=bool)
    front = np.empty((0, n_columns))
    for start in range(0, n, BLOCK):
        block = rest[start : start + BLOCK]
        open_ = np.flatnonzero(~_covered(block, front).any(axis=1))
        among = np.tril(_covered(block[open_], block[open_]), -1).any(axis=1)
        new = open_[~among]
        stays[start : start + BLOCK] = False
        stays[start + new] = True
        front = np.concatenate([front, block[new]])
    return stays


def _covered(rows: FloatArray, by: FloatArray) -> NDArray[np.bool_]:
    """Return (rows, by) where a row of `by` is as large in every column."""
    found = np.ones((len(rows), len(by)), dtype=bool)
    for column in range(rows.shape[1]):
        found &= by[None, :, column] >= rows[:, None, column]
    return found


def pareto_front(state: Campaign) -> tuple[tuple[Observation, ...], int]:
    """Return the observations that no other beats in all targets, and how many have all targets.

    Measured values are compared as they are, whatever their noise; of exact ties in all targets all stay.

    Args:
        state: The campaign; with a single target its front is the best observation, or all that share its value.
    """
    n = len(state.spec.objectives)
    complete = [o for o in state.observations.values() if o.is_taught and all(o.is_taught_further(i) for i in range(n))]
    if not complete:
        return (), 0
    signs = [-1.0 if state.spec.is_minimizing else 1.0]
    signs += [-1.0 if objective.is_minimizing else 1.0 for objective in state.spec.objectives]
    values = np.array([[o.target, *(score.value for score in o.further[:n])] for o in complete])
    return tuple(complete[row] for row in nondominated(values * signs)), len(complete)
