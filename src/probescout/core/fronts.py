"""The best compromises between several targets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from probescout.core.observations import Observation
from probescout.core.state import Campaign

FloatArray = NDArray[np.float64]


def nondominated(values: FloatArray) -> NDArray[np.intp]:
    """Return the rows that no other row beats: as large everywhere and larger somewhere.

    Rows are visited from the largest first value on, so that none is beaten by a later one; equal rows all stay.

    Args:
        values: (n, target), larger is better.

    Returns:
        (kept,) row numbers, largest first target first.
    """
    order = np.lexsort(-values.T[::-1])
    kept: list[int] = []
    front = np.empty((0, values.shape[1]))
    for row in order:
        at_least = (front >= values[row]).all(axis=1)
        if not (at_least & (front > values[row]).any(axis=1)).any():
            kept.append(int(row))
            front = np.vstack([front, values[row]])
    return np.array(kept, dtype=np.intp)


def pareto_front(state: Campaign) -> tuple[tuple[Observation, ...], int]:
    """Return the observations that no other beats in all targets, and how many have all targets.

    Measured values are compared as they are: near ties within the noise are not told apart.

    Args:
        state: The campaign; with a single target its front is the best observation.
    """
    n = len(state.spec.objectives)
    complete = [o for o in state.observations.values() if o.is_taught and all(o.is_taught_further(i) for i in range(n))]
    if not complete:
        return (), 0
    signs = [-1.0 if state.spec.is_minimizing else 1.0]
    signs += [-1.0 if objective.is_minimizing else 1.0 for objective in state.spec.objectives]
    values = np.array([[o.target, *(score.value for score in o.further[:n])] for o in complete])
    return tuple(complete[row] for row in nondominated(values * signs)), len(complete)
