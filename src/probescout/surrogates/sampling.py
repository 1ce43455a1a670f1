"""Which measurements a fit looks at when there are more than it needs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from probescout.surrogates.measurements import Measurements

MOST_FITTED = 600
"""Measurements that hyperparameters are fitted on: the time of a fit grows with the third power."""


def fitted_on(data: Measurements, seed: int, most: int = MOST_FITTED) -> NDArray[np.intp]:
    """Return which measurements (m,) to fit on, in the order told: all, or a sample spread over the values.

    Half of the sample is drawn one by one out of equal ranges of rank, so that rare values are seen; the other half at


    Args:
        data: All measurements.
        seed: Of the draw.
        most: Measurements at most.
    """
    n = len(data)
    if n <= most:
        return np.arange(n)
    rng = np.random.default_rng([seed, n])
    order = np.argsort(data.values, kind="stable")
    edges = np.linspace(0, n, most // 2 + 1).astype(np.intp)
    spread = order[rng.integers(edges[:-1], edges[1:])]
    rest = np.setdiff1d(np.arange(n), spread)
    return np.sort(np.concatenate([spread, rng.choice(rest, most - len(spread), replace=False)]))
