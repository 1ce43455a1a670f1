"""Plots of benchmark results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter

from benchmarks.arms import SINGLE
from benchmarks.statistics import COVERAGE_CASE

STYLES = {
    "random": ("0.6", ":"),
    "grid": ("0.6", "--"),
    "best member": ("C0", "-"),
    "probescout_ei": ("C3", "-"),
    "probescout_ucb": ("C1", "-"),
}


def plot_found(told: Mapping[str, Any], path: Path) -> None:
    """Draw the share of the top 1 % found against points, one panel a case, means over seeds."""
    cases = told["cases"]
    n_columns = min(4, len(cases))
    n_rows = -(-len(cases) // n_columns)
    figure, axes = plt.subplots(n_rows, n_columns, figsize=(3.2 * n_columns, 2.4 * n_rows), squeeze=False)
    for panel in axes.flat[len(cases) :]:
        panel.axis("off")
    for panel, (name, rows) in zip(axes.flat, cases.items(), strict=False):
        members = [arm for arm in rows if arm in SINGLE]
        shown = {arm: rows[arm] for arm in STYLES if arm in rows}
        if members:
            shown["best member"] = rows[max(members, key=lambda arm: float(np.mean(rows[arm]["top1_found"])))]
        for arm, row in shown.items():
            curve = np.asarray(row["top_curve_mean"]) / row["top1_total"]
            color, line = STYLES[arm]
            panel.plot(np.arange(1, curve.size + 1), curve, color=color, linestyle=line, label=arm, linewidth=1.2)
        panel.set_title(name, fontsize=8)
        panel.tick_params(labelsize=7)
        panel.set_ylim(0.0, None)
    axes[0, 0].legend(fontsize=6)
    figure.supxlabel("points measured", fontsize=8)
    figure.supylabel("share of the top 1 % found", fontsize=8)
    _save(figure, path)


def plot_coverage(told: Mapping[str, Any], path: Path) -> None:
    """Draw the coverage of 95 % intervals by case, seeds as dots and their mean as a line."""
    cases = list(told["cases"])
    figure, panel = plt.subplots(figsize=(7.0, 0.28 * len(cases) + 1.2))
    panel.axvspan(*COVERAGE_CASE, color="0.93")
    panel.axvline(0.95, color="0.5", linewidth=0.8)
    for shift, arm in ((-0.15, "probescout_ei"), (0.15, "probescout_ucb")):
        color = STYLES[arm][0]
        for i, name in enumerate(cases):
            row = told["cases"][name].get(arm)
            if row is None:
                continue
            seeds = row["coverage95_by_seed"]
            panel.plot(seeds, np.full(len(seeds), i + shift), ".", color=color, markersize=3, alpha=0.6)
            panel.plot([row["coverage95"]] * 2, [i + shift - 0.12, i + shift + 0.12], color=color, linewidth=2)
        panel.plot([], [], color=color, label=arm)
    panel.set_yticks(range(len(cases)), cases, fontsize=7)
    panel.invert_yaxis()
    panel.set_xlabel("coverage of the 95 % interval over unmeasured candidates", fontsize=8)
    panel.legend(fontsize=7, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, frameon=False)
    _save(figure, path)


def plot_growth(told: Mapping[str, Any], path: Path) -> None:
    """Draw Step time less commits against candidates and against observations, both axes logarithmic."""
    figure, axes = plt.subplots(1, 2, figsize=(8.0, 3.2))
    for panel, what in zip(axes, ("candidates", "observations"), strict=True):
        found = told["growth"][what]
        if not found:
            panel.axis("off")
            continue
        at = f" at {found['candidates']:,} candidates" if what == "observations" else ""
        panel.loglog(found[what], found["step_less_commit_ms"], "o-", color="C3", markersize=3)
        panel.set_xlabel(f"{what}{at}")
        panel.set_ylabel("Step less commits, ms (median)")
        panel.set_title(f"exponent {found['exponent']}", fontsize=9)
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if axis is panel.yaxis or at else (1.0,)))
            axis.set_major_formatter("{x:,.0f}")
            axis.set_minor_formatter(NullFormatter())
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
