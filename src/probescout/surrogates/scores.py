"""Predictions scored before the value was known, one row per measurement."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probescout.surrogates.weights import point_weights

FloatArray = NDArray[np.float64]
Observation = tuple[int, float, float]
"""Candidate, value, variance (NaN: unknown)."""

WINDOW = 60
LEAST_ALARM_N = 20
LEAST_COVERAGE = 0.8
Z95 = 1.959963984540054
Z50 = 0.6744897501960817
N_PIT_BINS = 10


@dataclass(frozen=True)
class Calibration:
    """How well the latest predictions covered what was then measured."""

    n: int
    """Predictions scored, at most the latest 60."""
    coverage95: float
    """Share of them inside their 95 % interval; NaN when n is 0."""
    mean_z2: float
    """Mean squared standardised error; 1 is ideal, NaN when n is 0."""
    is_alarmed: bool
    """Whether the intervals cover too little, or a deep member was shut off for misbehaving.

    Too little is below 80 % of at least 20 predictions, also when each counts by how rare values like the predicted one
    are among those scored: a planner asks where the model is most hopeful, and is disappointed there by an honest one.
    """
    pit_counts: tuple[int, ...] = ()
    """Predictions by the probability that they gave to values below the measured one, in 10 equal bins."""
    pit_ks: float = float("nan")
    """Kolmogorov-Smirnov distance of these probabilities from an even spread; NaN when n is 0."""
    is_deep_shut_off: bool = False
    """Whether a deep member is out of use until it earns its weight back."""
    coverage50: float = float("nan")
    """Share of predictions inside their 50 % interval; NaN when n is 0."""


@dataclass(frozen=True)
class Score:
    """One prediction against one value; NaN where nothing was predicted."""

    z: float = float("nan")
    """Error of the committee over its reported, calibrated SD."""
    log_shallow: float = float("nan")
    """Log density of the shallow mixture."""
    log_deep: float = float("nan")
    """Log density of the deep member."""
    deep_z: float = float("nan")
    """Standardised error of the deep member."""
    pit: float = float("nan")
    """Probability that the reported distribution gave to values below the measured one."""
    mean: float = float("nan")
    """Predicted mean, target units; on a bent axis that of the axis, which is the median."""


NO_SCORE = Score()


def calibration_of(scores: Sequence[Score], field_mean: FloatArray, *, is_deep_alarmed: bool) -> Calibration:
    """Return the calibration over the latest scores.

    Args:
        scores: One per measurement.
        field_mean: (candidate,) predicted mean as in the scores, over an even sample of the candidates.
        is_deep_alarmed: Whether a deep member was shut off.
    """
    latest = [s for s in scores if s.z == s.z][-WINDOW:]
    if not latest:
        return Calibration(0, float("nan"), float("nan"), is_deep_alarmed, is_deep_shut_off=is_deep_alarmed)
    z, pit, mean = np.array([(s.z, s.pit, s.mean) for s in latest]).T
    is_inside = np.abs(z) <= Z95
    is_low = len(z) >= LEAST_ALARM_N and float(is_inside.mean()) < LEAST_COVERAGE
    if is_low and not np.isnan(mean).any():
        is_low = float(np.average(is_inside, weights=point_weights(field_mean, mean))) < LEAST_COVERAGE
    pit = np.sort(pit[~np.isnan(pit)])
    return Calibration(
        len(z),
        float(is_inside.mean()),
        float((z * z).mean()),
        is_low or is_deep_alarmed,
        tuple(
            np.bincount(np.minimum((N_PIT_BINS * pit).astype(np.intp), N_PIT_BINS - 1), minlength=N_PIT_BINS).tolist()
        ),
        _distance_from_even(pit),
        is_deep_alarmed,
        float((np.abs(z) <= Z50).mean()),
    )


def _distance_from_even(pit: FloatArray) -> float:
    """Return the Kolmogorov-Smirnov distance of sorted probabilities (n,) from an even spread; NaN for none."""
    n = len(pit)
    if n == 0:
        return float("nan")
    above, below = np.arange(1, n + 1) / n - pit, pit - np.arange(n) / n
    return float(max(above.max(), below.max()))


def deep_scores(scores: Sequence[Score]) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return log density of the shallow mixture and of the deep member, its errors and the committee's, each (n,)."""
    scored = [(s.log_shallow, s.log_deep, s.deep_z, s.z) for s in scores if s.log_deep == s.log_deep]
    table = np.array(scored, dtype=np.float64).reshape(-1, 4)
    return table[:, 0], table[:, 1], table[:, 2], table[:, 3]


def carry_over(old: Sequence[Observation], scores: Sequence[Score], new: Sequence[Observation]) -> list[Score]:
    """Return the scores of new observations: an unchanged one keeps its own, a changed value was never predicted."""
    known: dict[tuple[int, float, str], list[Score]] = defaultdict(list)
    for (index, value, variance), score in zip(old, scores, strict=True):
        known[index, value, repr(variance)].append(score)
    found = []
    for index, value, variance in new:
        stock = known[index, value, repr(variance)]
        found.append(stock.pop(0) if stock else NO_SCORE)
    return found
