"""Percentiles of Steps and Suggests with and without bad executors, and their ratios with intervals. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

NONE = "none"
"""The arm that all others are compared with."""
HEARD = "heard"
"""Without executors, but with a model that knows what a flood has left: what flooding alone is compared with."""
BOUNDS = {"p50": 1.2, "p99": 2.0}
N_RESAMPLED = 500


@dataclass(frozen=True)
class Timed:
    """One call at the client."""

    call: str
    """"step" or "suggest"."""
    block: int
    """Calls of all arms of the same block were made one shortly after the other."""
    seconds: float
    commit_s: float
    """Of it, synced commits."""
    is_degraded: bool = False


def arm_figures(calls: Sequence[Timed]) -> dict[str, Any]:
    """Return the percentiles of one arm in ms, and how many calls of each kind there were."""
    told: dict[str, Any] = {}
    for call in ("step", "suggest"):
        own = [c for c in calls if c.call == call]
        for name, seconds in (
            (f"{call}_ms", [c.seconds for c in own]),
            (f"{call}_less_commit_ms", [c.seconds - c.commit_s for c in own]),
        ):
            p50, p99 = np.percentile(1e3 * np.array(seconds), [50.0, 99.0])
            told |= {f"{name}_p50": round(float(p50), 2), f"{name}_p99": round(float(p99), 2)}
    told["n"] = sum(c.call == "step" for c in calls)
    told["n_degraded"] = sum(c.is_degraded for c in calls)
    return told


def ratios(
    arms: Mapping[str, Sequence[Timed]], call: str, rng: np.random.Generator, base: str = NONE
) -> dict[str, dict[str, float | list[float]]]:
    """Return, for every arm but the base, p50 and p99 over those of the base, with 95 % intervals.

    The intervals are of the bootstrap over blocks (Efron 1979), since neighbouring calls are alike.
    """
    blocks = sorted({c.block for c in arms[base]})
    times = {
        arm: [[c.seconds for c in cs if c.call == call and c.block == b] for b in blocks] for arm, cs in arms.items()
    }
    drawn = [np.arange(len(blocks)), *rng.integers(0, len(blocks), (N_RESAMPLED, len(blocks)))]
    found = {arm: np.array([_percentiles(rows, draw) for draw in drawn]) for arm, rows in times.items()}
    told: dict[str, dict[str, float | list[float]]] = {}
    for arm in arms:
        if arm == base:
            continue
        quotient = found[arm] / found[base]
        low, high = np.percentile(quotient[1:], [2.5, 97.5], axis=0)
        told[arm] = {}
        for j, name in enumerate(BOUNDS):
            told[arm][name] = round(float(quotient[0, j]), 3)
            told[arm][f"{name}_interval95"] = [round(float(low[j]), 3), round(float(high[j]), 3)]
    return told


def _percentiles(rows: Sequence[Sequence[float]], draw: np.ndarray) -> list[float]:
    together = np.concatenate([rows[i] for i in draw])
    return [float(p) for p in np.percentile(together, [50.0, 99.0])]


def is_met(told: Mapping[str, Mapping[str, float | list[float]]]) -> bool:
    """Return whether every ratio is within its bound."""
    return all(row[name] <= bound for row in told.values() for name, bound in BOUNDS.items())  # type: ignore[operator]
