"""Percentiles and growth exponents of timed Steps. NumPy only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.latency_client import WARM_UP, Step

BIN = 25
"""Observations over which the median is taken before a power law is fitted."""
LAST = 50
"""So many Steps at the end are what a campaign of that many observations costs; those before are cheaper."""
GROWTH_FROM = 100
"""Observations below which constant costs hide the growth."""


def figures(steps: Sequence[Step]) -> dict[str, Any]:
    """Return the figures of a campaign, times in ms; null where there is nothing to take them of.

    Args:
        steps: All Steps in order; those of the warm-up are left out.
    """
    timed = [s for s in steps if s.n >= WARM_UP]
    quiet, beside = [s for s in timed if not s.is_beside_fit], [s for s in timed if s.is_beside_fit]
    return {
        **_percentiles("step_ms", [s.seconds for s in timed]),
        **_percentiles("step_less_commit_ms", [s.seconds - s.commit_s for s in timed]),
        **_percentiles("commit_ms", [s.commit_s for s in timed]),
        **_percentiles("last_step_ms", [s.seconds for s in timed[-LAST:]]),
        **_percentiles("last_step_less_commit_ms", [s.seconds - s.commit_s for s in timed[-LAST:]]),
        **_percentiles("step_ms_beside_fit", [s.seconds for s in beside]),
        **_percentiles("step_ms_no_fit", [s.seconds for s in quiet]),
        "n_beside_fit": len(beside),
        "n_no_fit": len(quiet),
        "p99_ratio_beside_fit": _ratio([s.seconds for s in beside], [s.seconds for s in quiet]),
        "first_step_ms": round(1e3 * steps[0].seconds, 2),
        "sources": dict(Counter(s.source for s in steps)),
        "n_degraded": sum(s.is_degraded for s in timed),
    }


def _percentiles(name: str, seconds: Sequence[float]) -> dict[str, float | None]:
    if not seconds:
        return {f"{name}_p50": None, f"{name}_p99": None}
    p50, p99 = np.percentile(1e3 * np.asarray(seconds), [50.0, 99.0])
    return {f"{name}_p50": round(float(p50), 2), f"{name}_p99": round(float(p99), 2)}


def _ratio(a: Sequence[float], b: Sequence[float]) -> float | None:
    if len(a) < 10 or len(b) < 10:
        return None
    return round(float(np.percentile(a, 99.0) / np.percentile(b, 99.0)), 2)


def exponent(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Return b of y = a x^b by least squares on logarithms; None for fewer than two points."""
    if len(x) < 2:
        return None
    slope = np.polynomial.polynomial.polyfit(np.log(np.asarray(x)), np.log(np.asarray(y)), 1)[1]
    return round(float(slope), 3)


def growth_in_observations(steps: Sequence[Step]) -> dict[str, Any]:
    """Return the median Step time less commits (ms) by number of observations, and its exponent from 100 on.

    Steps beside a fit are left out: the fit's own cost is another matter.
    """
    n = np.array([s.n for s in steps])
    ms = np.array([1e3 * (s.seconds - s.commit_s) for s in steps])
    usable = np.array([s.n >= WARM_UP and not s.is_beside_fit for s in steps])
    centres, medians = [], []
    for low in range(0, int(n.max()) + 1, BIN):
        inside = usable & (n >= low) & (n < low + BIN)
        if inside.sum() >= 5:
            centres.append(float(np.mean(n[inside])))
            medians.append(round(float(np.median(ms[inside])), 3))
    late = [i for i, c in enumerate(centres) if c >= GROWTH_FROM]
    found = exponent([centres[i] for i in late], [medians[i] for i in late])
    return {"observations": [round(c, 1) for c in centres], "step_less_commit_ms": medians, "exponent": found}
