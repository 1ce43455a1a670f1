"""Turns finished runs into the one JSON object of the quality benchmark."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.arms import SINGLE, rivals
from benchmarks.cases import PEER_CASES
from benchmarks.peers.environments import ENVIRONMENTS
from benchmarks.peers.results import PEER_SEEDS, RESULTS, read_results
from benchmarks.runs import Results, Task
from benchmarks.statistics import overall, verdict
from probescout.suites.statistics import mean_interval, mean_ranks, paired_interval

MOST_TOP_SHARE = 0.05
"""Of the candidates, that may tie as the largest percent."""

Row = dict[str, Any]
Rows = dict[str, Row]
"""Arm -> what it did on a case."""


def summary(
    tasks: Sequence[Task],
    results: Results,
    failures: list[dict[str, Any]],
    seeds: Sequence[int],
    *,
    with_peers: bool,
    peers_folder: Path = RESULTS,
) -> dict[str, Any]:
    """Return everything that was found; not-a-number becomes null.

    Args:
        tasks: The runs that were asked for.
        results: Where they are.
        failures: Runs without a result.
        seeds: The seeds of the means; runs on other seeds only serve the comparison with the peers.
        with_peers: Whether to add that comparison.
        peers_folder: Where the results of the peers are.
    """
    found = {task: result for task in tasks if (result := results.find(task)) is not None}
    cases, controls = _tables(found, seeds, is_control=False), _tables(found, seeds, is_control=True)
    # A case that lacks an arm because its runs failed cannot be averaged with the others.
    arms = {arm for rows in cases.values() for arm in rows}
    odd = {name: why for name, rows in cases.items() if (why := _oddity(rows))}
    whole = {name: rows for name, rows in cases.items() if set(rows) == arms and name not in odd}
    told = {
        "cases": cases,
        **_ranks(whole),
        "means": {arm: _mean(whole, arm) for arm in sorted(arms)} if whole else {},
        **_against_members(whole),
        "controls": _controls(controls),
        "peers": _peers(found, peers_folder) if with_peers else None,
        "seeds": list(seeds),
        "sources": results.sources,
        "failures": failures,
        "not_averaged": odd,
    }
    plain: dict[str, Any] = _plain(told)
    return plain


def _tables(found: Mapping[Task, Row], seeds: Sequence[int], *, is_control: bool) -> dict[str, Rows]:
    """Return case -> arm -> results, over the seeds that every arm of the case has finished."""
    cases: dict[str, dict[str, dict[int, Row]]] = {}
    for task, result in found.items():
        if task.case.is_control == is_control and task.seed in seeds:
            cases.setdefault(task.case.name, {}).setdefault(task.arm, {})[task.seed] = result
    tables = {}
    for name, arms in cases.items():
        shared = [s for s in seeds if all(s in runs for runs in arms.values())]
        if shared:
            tables[name] = {arm: _row([runs[s] for s in shared], shared) for arm, runs in arms.items()}
    return tables


def _row(runs: Sequence[Row], seeds: Sequence[int]) -> Row:
    """Return the results of one arm on one case, means over seeds except where the name says otherwise."""
    rmse = [r["rmse"] for r in runs]
    row = {
        "top1_found": [int(r["top1_found"]) for r in runs],
        "top1_total": int(runs[0]["top1_total"]),
        "top1_interval95": list(mean_interval([r["top1_found"] for r in runs])),
        "rmse": float(np.mean(rmse)),
        "rmse_by_seed": rmse,
        "coverage95": float(np.mean([r["coverage95"] for r in runs])),
        "coverage95_by_seed": [r["coverage95"] for r in runs],
        "seconds": float(np.mean([r["seconds"] for r in runs])),
        "seeds": list(seeds),
        "budget": runs[0]["budget"],
        "n_candidates": runs[0].get("n_candidates"),
    }
    if "top_curve" in runs[0]:
        row["top_curve_mean"] = np.mean([r["top_curve"] for r in runs], axis=0).round(3).tolist()
        row["points_to_95"] = [r["points_to_95"] for r in runs]
    return row


def _oddity(rows: Rows) -> str:
    """Return why a case takes no part in means and ranks; empty: it does."""
    row = next(iter(rows.values()))
    if not all(math.isfinite(r["rmse"]) for r in rows.values()):
        return "its error is not a number: the map is constant"
    n = row["n_candidates"]
    if n and row["top1_total"] > max(MOST_TOP_SHARE * n, 2):
        return f"{row['top1_total']} of its {n} candidates tie as the largest 1 %: finding them is no achievement"
    return ""


def _values(cases: Mapping[str, Rows], name: str) -> dict[str, dict[str, float]]:
    return {case: {arm: float(np.mean(row[name])) for arm, row in rows.items()} for case, rows in cases.items()}


def _mean(cases: Mapping[str, Rows], arm: str) -> dict[str, float]:
    return {
        name: float(np.mean([np.mean(rows[arm][name]) for rows in cases.values()]))
        for name in ("top1_found", "rmse", "coverage95", "seconds")
    }


def _against_members(cases: Mapping[str, Rows]) -> dict[str, Any]:
    """Return how the committee compares with its members alone, over all cases and case by case."""
    arms = sorted({arm for rows in cases.values() for arm in rows})
    ours = [a for a in arms if a not in SINGLE and a not in ("random", "grid") and rivals(a, arms)]
    return {
        "overall": {a: overall(cases, a, rivals(a, arms)) for a in ours},
        "verdicts": {
            name: {a: verdict(rows, a, rivals(a, arms)) for a in ours} for name, rows in cases.items() if ours
        },
    }


def _controls(cases: Mapping[str, Rows]) -> dict[str, Any]:
    """Return the controls, with the interval of each arm's gain over random, which must hold 0."""
    told: dict[str, Any] = {}
    for name, rows in cases.items():
        told[name] = {arm: dict(row) for arm, row in rows.items()}
        for arm, row in told[name].items():
            if arm != "random" and "random" in rows:
                mean, low, high = paired_interval(row["top1_found"], rows["random"]["top1_found"])
                row["gain_over_random"] = {"mean": mean, "interval95": [low, high]}
    return told


def _peers(found: Mapping[Task, Row], folder: Path) -> dict[str, Any] | None:
    """Return our arms and the peers on the cases and seeds that both have; None where there are none."""
    cases: dict[str, Rows] = {}
    peers: set[str] = set()
    budgets = {task.budget for task in found}
    for name in dict.fromkeys(task.case.name for task in found if task.case.outside is None):
        theirs = [r for budget in budgets for r in read_results(name, budget, folder)]
        ours = {(t.arm, t.seed): r for t, r in found.items() if t.case.name == name}
        runs: dict[str, dict[int, Row]] = {}
        for r in theirs:
            peers.add(r["peer"])
            runs.setdefault(r["peer"], {})[r["seed"]] = r
        for (arm, seed), r in ours.items():
            if any(seed in by_seed for by_seed in runs.values()) and arm not in SINGLE:
                runs.setdefault(arm, {})[seed] = r
        shared = sorted(set.intersection(*(set(by_seed) for by_seed in runs.values()))) if theirs and ours else []
        if shared:
            cases[name] = {who: _row([by_seed[s] for s in shared], shared) for who, by_seed in runs.items()}
    if not cases:
        return None
    planners = {who for rows in cases.values() for who in rows}
    chosen = [name for name in PEER_CASES if any(task.case.name == name for task in found)]
    expected = [(who, name, seed) for who in ENVIRONMENTS for name in chosen for seed in PEER_SEEDS]
    done = {
        (r["peer"], r["case"], r["seed"]) for name in chosen for b in budgets for r in read_results(name, b, folder)
    }
    return {
        "cases": cases,
        **_ranks(cases),
        # Random and grid points serve the error of the map and find nothing; each of ours stands among the peers alone.
        "among_peers": {
            arm: _ranks({name: {w: r for w, r in rows.items() if w in {arm, *peers}} for name, rows in cases.items()})
            for arm in sorted(planners - peers)
        },
        # A case that lacks a planner takes no part in the ranks.
        "missing": [f"{who} on {name}, seed {seed}" for who, name, seed in expected if (who, name, seed) not in done],
    }


def _ranks(cases: Mapping[str, Rows]) -> dict[str, Any]:
    return {
        "mean_rank": mean_ranks(_values(cases, "top1_found"), is_larger_better=True),
        "mean_rank_rmse": mean_ranks(_values(cases, "rmse"), is_larger_better=False),
    }


def _plain(value: Any) -> Any:
    """Return JSON values; what is not finite becomes null, because JSON has no other word for it."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
