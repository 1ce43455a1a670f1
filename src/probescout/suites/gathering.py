"""Turns finished runs into one comparison: means with intervals, gains over a baseline, ranks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from probescout.suites.running import Task
from probescout.suites.spec import SuiteFile
from probescout.suites.statistics import mean_interval, mean_ranks, paired_interval

METRICS = ("top1_found", "best_fraction", "rmse", "coverage95", "seconds")
"""What is averaged over seeds."""
Row = dict[str, Any]


def summary(
    file: SuiteFile, tasks: Sequence[Task], found: Mapping[str, Row], failures: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return everything that a suite found.

    Intervals are Student's over seeds, 95 %; a gain is that of the differences between runs of the same seed.

    Args:
        file: The suite.
        tasks: Its runs.
        found: Key -> result, of those that are done.
        failures: Those without a result.
    """
    runs: dict[str, dict[str, dict[int, Row]]] = {case.name: {} for case in file.cases}
    for task in tasks:
        if task.key in found:
            runs[task.case.name].setdefault(task.arm, {})[task.seed] = found[task.key]
    cases = {name: _case(file, arms) for name, arms in runs.items()}
    means = {name: {arm: row["means"] for arm, row in rows.items()} for name, rows in cases.items()}
    by_name = {
        metric: {case: {arm: m[metric]["mean"] for arm, m in rows.items()} for case, rows in means.items() if rows}
        for metric in METRICS
    }
    return {
        "suite": file.suite.name,
        "digest": file.digest,
        "reference": reference_of(file),
        "seeds": list(file.suite.seeds),
        "arms": [arm.name for arm in file.all_arms],
        "cases": cases,
        "mean_rank": mean_ranks(by_name["top1_found"], is_larger_better=True),
        "mean_rank_rmse": mean_ranks(by_name["rmse"], is_larger_better=False),
        "code": sorted({task.code for task in tasks}),
        "failures": list(failures),
    }


def reference_of(file: SuiteFile) -> str:
    """Return the arm that gains are measured from: random, else the grid, else the first."""
    names = [arm.name for arm in file.all_arms]
    return next((name for name in ("random", "grid") if name in names), names[0])


def _case(file: SuiteFile, arms: Mapping[str, Mapping[int, Row]]) -> dict[str, Row]:
    """Return arm -> what it did, over the seeds that every arm of the case has finished."""
    wanted = [arm.name for arm in file.all_arms]
    shared = [s for s in file.suite.seeds if all(s in arms.get(name, {}) for name in wanted)]
    if not shared:
        return {}
    reference = [arms[reference_of(file)][s] for s in shared]
    return {name: _row([arms[name][s] for s in shared], reference, shared) for name in wanted}


def _row(runs: Sequence[Row], reference: Sequence[Row], seeds: Sequence[int]) -> Row:
    gain = paired_interval(_values(runs, "top1_found"), _values(reference, "top1_found"))
    return {
        "seeds": list(seeds),
        "budget": runs[0]["budget"],
        "n_candidates": runs[0]["n_candidates"],
        "top1_total": runs[0]["top1_total"],
        "means": {metric: _interval(mean_interval(_values(runs, metric))) for metric in METRICS},
        "by_seed": {metric: [run[metric] for run in runs] for metric in METRICS},
        "points_to_95": [run["points_to_95"] for run in runs],
        "gain": _interval(gain),
        "curve": _curve(runs),
    }


def _values(runs: Sequence[Row], metric: str) -> list[float]:
    return [math.nan if run[metric] is None else float(run[metric]) for run in runs]


def _interval(found: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip(("mean", "low", "high"), found, strict=True))


def _curve(runs: Sequence[Row]) -> dict[str, list[float]]:
    """Return pixels of the top 1 % found after each step: mean and ends of its interval over seeds."""
    n = min(len(run["top_curve"]) for run in runs)
    points = np.array([[mean_interval([run["top_curve"][i] for run in runs])] for i in range(n)], dtype=float)
    return {name: points[:, 0, k].round(3).tolist() for k, name in enumerate(("mean", "low", "high"))}
