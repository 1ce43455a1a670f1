"""Means with intervals over seeds, paired differences, and ranks. NumPy and SciPy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import rankdata, t


def paired_interval(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """Return mean, lower and upper end of the interval of the mean of a - b over paired runs.

    Student's interval on the differences (Student 1908, Biometrika 6, 1); the ends are NaN for fewer than two pairs.

    Args:
        a: (pair,) values of one arm.
        b: (pair,) values of the other, from the same seeds in the same order.
        level: Of the interval.
    """
    difference = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    n, mean = difference.size, float(difference.mean())
    if n < 2:
        return mean, float("nan"), float("nan")
    half = float(t.ppf(0.5 + level / 2.0, n - 1) * difference.std(ddof=1) / np.sqrt(n))
    return mean, mean - half, mean + half


def mean_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """Return mean, lower and upper end of its interval over seeds."""
    return paired_interval(values, [0.0] * len(values), level)


def mean_ranks(table: Mapping[str, Mapping[str, float]], *, is_larger_better: bool) -> dict[str, float]:
    """Return the mean over cases of the rank of each arm, 1 the best, ties sharing the mean of their ranks.

    Args:
        table: Case -> arm -> value; cases that lack an arm of the first one, or its value, are left out.
        is_larger_better: Whether the largest value has rank 1.
    """
    arms = sorted({arm for row in table.values() for arm in row})
    full = [row for row in table.values() if all(np.isfinite(row.get(a, np.nan)) for a in arms)]
    if not full:
        return dict.fromkeys(arms, float("nan"))
    values = np.array([[row[a] for a in arms] for row in full])
    ranks = rankdata(-values if is_larger_better else values, axis=1)
    return {a: float(r) for a, r in zip(arms, ranks.mean(axis=0), strict=True)}
