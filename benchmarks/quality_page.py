"""The page docs/benchmarks/quality.md from the result of the quality benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.arms import ARMS
from benchmarks.cases import SIMULATED
from benchmarks.markdown import interval, machine, seeds_text, table
from benchmarks.recorded import RECORDED

INTRODUCTION = """# Quality

Written by `make bench-tables` from the result of `make bench-quality`; do not edit. Each case is planned again and
again from {initial}10 random points that all arms of a seed share, up to {budget} points (a quarter of the candidates
where there are fewer than {four}). The planner runs in one process and every fit is waited for, so that the speed of
the machine plays no part. Top 1 %: measured candidates at or above the 99th percentile of the true map. Error: root
mean square over the unmeasured candidates in standard deviations of the map. Coverage: share of unmeasured candidates
inside the 95 % interval. Intervals in brackets: Student's, 95 %, over seeds.

Seeds {seeds}; {n} cases; {machine}; sources {sources}.

Arms: `random` and `grid` have the model of the committee and do not use it to plan. `xy`, `pca8`, `bank`, `bank_xy` and
`deep` are the members alone, by expected improvement. `probescout_ei` is the committee by the same policy,
`probescout_ucb` by the upper confidence bound; it is measured against the members alone by that policy, whose names
end in `_ucb`.
"""


def quality_page(told: Mapping[str, Any]) -> str:
    """Return the page.

    Args:
        told: As `benchmarks.gather.summary` returned, and `machine`.
    """
    cases = told["cases"]
    budget = max(row["budget"] for rows in cases.values() for row in rows.values())
    parts = [
        INTRODUCTION.format(
            initial="" if budget >= 20 else "up to ",
            budget=budget,
            four=4 * budget,
            seeds=seeds_text(told["seeds"]),
            n=len(cases),
            machine=machine(told),
            sources=told["sources"],
        ),
        "## All cases\n\n" + _means(told),
        "![Top 1 % found against points](quality-found.png)\n\n![Coverage of 95 % intervals](quality-coverage.png)\n",
        "## Against the members, each chosen in hindsight\n\n" + _verdicts(told),
        "## What falls short\n\n" + _shortfalls(told),
        "## Top 1 % found, case by case\n\n" + _by_case(cases, "top1_found", 1),
        "## Error, case by case\n\n" + _by_case(cases, "rmse", 3),
        "## Coverage, case by case\n\n" + _by_case(cases, "coverage95", 3),
        "## Controls: shuffled targets\n\n" + _controls(told["controls"]),
        "## Peers\n\n" + _peers(told["peers"]),
    ]
    if told.get("left_out"):
        parts.append("## Cases left out\n\n" + table(["case", "why"], [[n, w] for n, w in told["left_out"].items()]))
    if told.get("not_averaged"):
        why = table(["case", "why"], [[n, w] for n, w in told["not_averaged"].items()])
        parts.append("## Cases that take no part in means and ranks\n\n" + why)
    if told["failures"]:
        failed = table(
            ["case", "arm", "seed", "error"], [[f["case"], f["arm"], f["seed"], f["error"]] for f in told["failures"]]
        )
        parts.append("## Runs that failed\n\n" + failed)
    return "\n".join(parts)


def _order(arms: Any) -> list[str]:
    return sorted(arms, key=lambda a: (list(ARMS).index(a) if a in ARMS else len(ARMS), a))


def _means(told: Mapping[str, Any]) -> str:
    rows = [
        [
            arm,
            m["top1_found"],
            told["mean_rank"].get(arm),
            m["rmse"],
            told["mean_rank_rmse"].get(arm),
            m["coverage95"],
            m["seconds"],
        ]
        for arm, m in ((a, told["means"][a]) for a in _order(told["means"]))
    ]
    head = ["arm", "top 1 % found", "mean rank", "error", "mean rank by error", "coverage", "seconds a run"]
    return table(head, rows, 3)


def _verdicts(told: Mapping[str, Any]) -> str:
    rows = []
    for case, arms in told["verdicts"].items():
        for arm, v in arms.items():
            found = interval(v["hits_difference"], v["interval95"])
            rows.append([case, arm, v["best_member"], found, f"-{v['allowed_loss']:.1f}", v["rmse_ratio"]])
    text = table(
        ["case", "arm", "best member", "top 1 % found more than it", "allowed", "error over the lowest of a member"],
        rows,
    )
    for arm, o in told["overall"].items():
        fixed = {name: o[f"best_fixed_{name}_mean"] for name in ("top1", "rmse")}
        low, high = o["coverage_range"]
        text += (
            f"\n`{arm}`: {o['top1_mean']:.2f} found on average, the best fixed member "
            f"(`{o['best_fixed_member_by_top1']}`) {fixed['top1']:.2f}; error {o['rmse_mean']:.3f}, the best fixed "
            f"member (`{o['best_fixed_member_by_rmse']}`) {fixed['rmse']:.3f}; coverage {o['coverage_mean']:.3f}, by "
            f"case {low:.3f} to {high:.3f}.\n"
        )
    return text


def _shortfalls(told: Mapping[str, Any]) -> str:
    lines = []
    for arm, o in told["overall"].items():
        lines += [] if o["is_top1_above"] else [f"`{arm}` finds no more than the best fixed member on average."]
        lines += [] if o["is_rmse_at_most"] else [f"`{arm}` has a larger error than the best fixed member on average."]
        lines += [] if o["is_coverage_mean_good"] else [f"`{arm}` covers {o['coverage_mean']:.3f} on average."]
    for case, arms in told["verdicts"].items():
        for arm, v in arms.items():
            where = f"`{case}`, `{arm}`:"
            if v["is_no_loss"] is False:
                lost = interval(v["hits_difference"], v["interval95"])
                lines.append(f"{where} a loss of more than {v['allowed_loss']:.1f} is not excluded, {lost}.")
            if not v["is_rmse_good"]:
                lines.append(f"{where} the error is {v['rmse_ratio']:.2f} times that of the best member.")
            if not v["is_coverage_good"]:
                lines.append(f"{where} coverage {told['cases'][case][arm]['coverage95']:.3f}.")
    return "\n".join(f"- {line}" for line in lines) + "\n" if lines else "Nothing.\n"


def _by_case(cases: Mapping[str, Any], name: str, digits: int) -> str:
    arms = _order({arm for rows in cases.values() for arm in rows})
    rows: list[list[Any]] = []
    for case, found in cases.items():
        what = RECORDED[case].what if case in RECORDED else "simulated" if case in SIMULATED else ""
        row: list[Any] = [case, what]
        for arm in arms:
            if arm not in found or found[arm][name] is None:
                row.append(None)
            elif name == "top1_found":
                row.append(interval(found[arm]["top1_interval95"][0], found[arm]["top1_interval95"][1:]))
            else:
                row.append(float(np.mean(found[arm][name])))
        if name == "top1_found":
            row.append(next(iter(found.values()))["top1_total"])
        rows.append(row)
    return table(["case", "target", *arms, *(["of"] if name == "top1_found" else [])], rows, digits)


def _controls(controls: Mapping[str, Any]) -> str:
    rows = []
    for case, arms in controls.items():
        for arm, row in arms.items():
            gain = row.get("gain_over_random")
            told = interval(gain["mean"], gain["interval95"]) if gain else None
            rows.append([case, arm, float(np.mean(row["top1_found"])), told, row["rmse"], row["coverage95"]])
    if not rows:
        return "None were run.\n"
    return (
        "The pixels of the target are permuted, by another permutation for each seed: there is nothing to be found, "
        "and the interval of the gain over random should hold 0. They take no part in means and ranks.\n\n"
        + table(["control", "arm", "top 1 % found", "more than random", "error", "coverage"], rows, 3)
    )


def _peers(peers: Mapping[str, Any] | None) -> str:
    if peers is None:
        return "Left out, or without results on these cases; `make bench-peers` makes them.\n"
    rows = []
    for case, arms in peers["cases"].items():
        for who, row in sorted(arms.items(), key=lambda item: -float(np.mean(item[1]["top1_found"]))):
            found = ", ".join(str(n) for n in row["top1_found"])
            rows.append([case, seeds_text(row["seeds"]), who, found, row["rmse"], row["coverage95"], row["seconds"]])
    missing = f"Not run; a case that lacks a planner takes no part in the ranks: {', '.join(peers['missing'])}.\n\n"
    ranks = [[who, rank, peers["mean_rank_rmse"][who]] for who, rank in sorted(peers["mean_rank"].items(), key=_second)]
    return (
        "Each peer in its own environment with its own defaults (`benchmarks/peers`), on the same initial points, "
        "candidates and budget; the deep-kernel peers see the same patches. Their results are kept in the repository "
        "and their runs shared the processors of their machine with other work: take their seconds as an order of "
        "magnitude.\n\n"
        + table(["case", "seeds", "planner", "top 1 % found", "error", "coverage", "seconds a run"], rows, 3)
        + "\n"
        + (missing if peers["missing"] else "")
        + table(["planner", "mean rank by top 1 % found", "mean rank by error"], ranks)
        + "\nEach of ours among the peers alone, mean ranks by top 1 % found and by error:\n\n"
        + table(["planner", "by top 1 % found", "by error"], _among(peers["among_peers"]))
    )


def _among(found: Mapping[str, Any]) -> list[list[Any]]:
    return [[arm, ranks["mean_rank"][arm], ranks["mean_rank_rmse"][arm]] for arm, ranks in found.items()]


def _second(item: tuple[str, Any]) -> float:
    return float("inf") if item[1] is None else float(item[1])
