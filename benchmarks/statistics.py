"""Verdicts of the quality benchmark. NumPy and SciPy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from probescout.suites.statistics import paired_interval

MAX_LOSS_HITS = 3.0
MAX_LOSS_SHARE = 0.10
"""A case may lose this many hits, or this share of them, against its best member chosen in hindsight."""
MAX_RMSE_RATIO = 1.05
COVERAGE_MEAN = (0.93, 0.97)
COVERAGE_CASE = (0.88, 0.99)


def best_member(rows: Mapping[str, Mapping[str, Any]], members: Sequence[str]) -> str:
    """Return the member with most hits on a case, the smaller error deciding a tie.

    Args:
        rows: Arm -> its results on the case.
        members: Arms to choose from.
    """
    return max(members, key=lambda m: (np.mean(rows[m]["top1_found"]), -rows[m]["rmse"]))


def verdict(rows: Mapping[str, Mapping[str, Any]], arm: str, members: Sequence[str]) -> dict[str, Any]:
    """Return how an arm did on one case against its best members, each chosen in hindsight.

    Args:
        rows: Arm -> {"top1_found": hits by seed, "rmse", "coverage95"}.
        arm: The arm.
        members: The members that it is measured against.
    """
    best = best_member(rows, members)
    hits, reference = rows[arm]["top1_found"], rows[best]["top1_found"]
    mean, low, high = paired_interval(hits, reference)
    allowed = max(MAX_LOSS_HITS, MAX_LOSS_SHARE * float(np.mean(reference)))
    lowest = min(rows[m]["rmse"] for m in members)
    ratio = rows[arm]["rmse"] / lowest if lowest > 0 else float("nan")
    return {
        "best_member": best,
        "hits_difference": mean,
        "interval95": [low, high],
        "allowed_loss": allowed,
        "is_no_loss": bool(low >= -allowed) if np.isfinite(low) else None,
        "rmse_ratio": ratio,
        "is_rmse_good": bool(ratio <= MAX_RMSE_RATIO),
        "is_coverage_good": _is_within(rows[arm]["coverage95"], COVERAGE_CASE),
    }


def overall(cases: Mapping[str, Mapping[str, Mapping[str, Any]]], arm: str, members: Sequence[str]) -> dict[str, Any]:
    """Return the means of an arm over all cases beside those of the best single fixed member.

    Args:
        cases: Case -> arm -> results.
        arm: The arm.
        members: The members that it is measured against.
    """
    hits = {a: float(np.mean([np.mean(rows[a]["top1_found"]) for rows in cases.values()])) for a in (arm, *members)}
    rmse = {a: float(np.mean([rows[a]["rmse"] for rows in cases.values()])) for a in (arm, *members)}
    by_hits, by_rmse = max(members, key=lambda m: hits[m]), min(members, key=lambda m: rmse[m])
    coverage = [rows[arm]["coverage95"] for rows in cases.values()]
    return {
        "top1_mean": hits[arm],
        "best_fixed_member_by_top1": by_hits,
        "best_fixed_top1_mean": hits[by_hits],
        "is_top1_above": hits[arm] > hits[by_hits],
        "rmse_mean": rmse[arm],
        "best_fixed_member_by_rmse": by_rmse,
        "best_fixed_rmse_mean": rmse[by_rmse],
        "is_rmse_at_most": rmse[arm] <= rmse[by_rmse],
        "coverage_mean": float(np.mean(coverage)),
        "coverage_range": [float(np.min(coverage)), float(np.max(coverage))],
        "is_coverage_mean_good": _is_within(float(np.mean(coverage)), COVERAGE_MEAN),
    }


def _is_within(value: float, ends: tuple[float, float]) -> bool:
    # Rounded, so that a mean of 0.93 that floats put just below it counts.
    return bool(ends[0] <= round(value, 9) <= ends[1])
