"""How good a run was, judged with the true map after the run is over. NumPy only.

Everywhere: `truth` (pixel,) is the true target with NaN where there is none, `candidates` (pixel,) tells which pixels
may be proposed, and `path` (step,) holds the pixel measured at each step, -1 where the attempt gave no data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.integer]

TOP_PERCENTILE = 99.0
NEARLY_BEST = 0.95
"""A best fraction from which the optimum counts as found."""
Z95 = 1.96
"""Half width of the central 95 % interval of a normal law, in standard deviations."""


@dataclass(frozen=True)
class Scores:
    """What one run achieved."""

    best_fraction: float
    """(best measured - median) / (max - median) of the true map; NaN when the map is constant."""
    top1_found: int
    """Measured candidates at or above the 99th percentile of the true map."""
    top1_total: int
    """All candidates at or above it."""
    rmse: float
    """Root mean square of (predicted mean - truth) over unmeasured candidates, in standard deviations of the map."""
    coverage95: float
    """Share of unmeasured candidates whose true value lies within mean +- 1.96 predictive standard deviations."""
    step_ms_p50: float
    """Median wall time of the Step round trip at the client, in ms."""
    step_ms_p99: float
    """99th percentile of it."""
    points_to_95: int | None
    """Measurements until the best fraction reached 0.95; None: never."""


def judge(
    truth: FloatArray, candidates: BoolArray, path: IntArray, mean: FloatArray, std: FloatArray, step_ms: FloatArray
) -> Scores:
    """Return the scores of a run.

    Args:
        truth: (pixel,) true target.
        candidates: (pixel,) which may be proposed.
        path: (step,) measured pixels in order.
        mean: (pixel,) predicted target at the end of the run, in the unit of `truth`.
        std: (pixel,) standard deviation with which a measurement there is expected to scatter about `mean`.
        step_ms: (step,) wall time of each round trip, ms.
    """
    curve = best_curve(truth, candidates, path)
    top = is_top(truth, candidates)
    rmse, coverage95 = prediction_scores(truth, candidates, path, mean, std)
    reached = np.flatnonzero(curve >= NEARLY_BEST)
    p50, p99 = np.percentile(step_ms, [50.0, 99.0]) if step_ms.size else (np.nan, np.nan)
    return Scores(
        best_fraction=float(curve[-1]) if curve.size else float("nan"),
        top1_found=int(top_curve(truth, candidates, path)[-1]) if path.size else 0,
        top1_total=int(top.sum()),
        rmse=rmse,
        coverage95=coverage95,
        step_ms_p50=float(p50),
        step_ms_p99=float(p99),
        points_to_95=int(reached[0]) + 1 if reached.size else None,
    )


def best_curve(truth: FloatArray, candidates: BoolArray, path: IntArray) -> FloatArray:
    """Return the best fraction (step,) after each step; NaN before the first value and for a constant map."""
    known = truth[candidates & np.isfinite(truth)]
    if not known.size or known.max() <= np.median(known):
        return np.full(path.size, np.nan)
    values = np.where(path >= 0, truth[path], np.nan)
    best = np.maximum.accumulate(np.where(np.isfinite(values), values, -np.inf))
    median = np.median(known)
    return np.where(np.isfinite(best), (best - median) / (known.max() - median), np.nan)


def is_top(truth: FloatArray, candidates: BoolArray) -> BoolArray:
    """Return which candidates (pixel,) are at or above the 99th percentile of the true map over all candidates."""
    known = candidates & np.isfinite(truth)
    if not known.any():
        return known
    with np.errstate(invalid="ignore"):
        return known & (truth >= np.percentile(truth[known], TOP_PERCENTILE))


def top_curve(truth: FloatArray, candidates: BoolArray, path: IntArray) -> NDArray[np.int64]:
    """Return how many different top candidates were measured after each step (step,)."""
    top = is_top(truth, candidates)
    is_new = np.zeros(path.size, dtype=bool)
    _, first = np.unique(path, return_index=True)
    is_new[first] = True
    return np.cumsum(is_new & (path >= 0) & top[path])


def prediction_scores(
    truth: FloatArray, candidates: BoolArray, path: IntArray, mean: FloatArray, std: FloatArray
) -> tuple[float, float]:
    """Return (rmse in standard deviations of the map, coverage of the 95 % interval) over unmeasured candidates.

    Both are NaN when nothing is left unmeasured or no prediction is there.
    """
    known = candidates & np.isfinite(truth)
    rest = known & np.isfinite(mean) & np.isfinite(std)
    rest[path[path >= 0]] = False
    spread = truth[known].std() if known.any() else 0.0
    if not rest.any() or spread <= 0.0:
        return float("nan"), float("nan")
    error = mean[rest] - truth[rest]
    return float(np.sqrt(np.mean(error**2)) / spread), float(np.mean(np.abs(error) <= Z95 * std[rest]))
