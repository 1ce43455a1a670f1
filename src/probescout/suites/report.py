"""What a person looks at after a suite: tables on the terminal, a CSV file, a picture."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from probescout.core.errors import Reason, Unavailable
from probescout.store import durable
from probescout.suites.gathering import METRICS

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

COLORS = ("#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
"""Colours that colour-blind people tell apart (Okabe & Ito 2008, "Color universal design")."""
BASELINE_LOOKS = {"random": ("#D55E00", "--"), "grid": ("#595959", ":")}
COLUMNS = 3
"""Of panels in the picture."""


def tables(told: Mapping[str, Any]) -> list[Table]:
    """Return a table for each case, and one of the mean ranks."""
    return [*(_of_case(told, case, rows) for case, rows in told["cases"].items() if rows), _of_ranks(told)]


def _of_case(told: Mapping[str, Any], case: str, rows: Mapping[str, Any]) -> Table:
    from rich.table import Table

    first = next(iter(rows.values()))
    built = Table(
        title=f"{case}: {first['budget']} of {first['n_candidates']} points, {len(first['seeds'])} seeds, mean "
        "[95 % interval]",
        title_justify="left",
    )
    built.add_column("", no_wrap=True)
    gain = f"gain over {told['reference']}"
    for head in (f"top 1 % found, of {first['top1_total']}", gain, "best found", "map error", "95 % covers"):
        built.add_column(head, justify="right")
    for arm, row in rows.items():
        means = row["means"]
        built.add_row(
            arm,
            _ends(means["top1_found"], 1),
            "-" if arm == told["reference"] else _ends(row["gain"], 1),
            f"{means['best_fraction']['mean']:.3f}",
            _ends(means["rmse"], 2),
            f"{means['coverage95']['mean']:.1%}",
        )
    return built


def _of_ranks(told: Mapping[str, Any]) -> Table:
    from rich.table import Table

    built = Table(title="mean rank over cases, 1 the best", title_justify="left")
    for head in ("", "top 1 % found", "map error"):
        built.add_column(head, justify="right" if head else "left")
    for arm in sorted(told["mean_rank"], key=lambda a: (told["mean_rank"][a], a)):
        built.add_row(arm, f"{told['mean_rank'][arm]:.2f}", f"{told['mean_rank_rmse'].get(arm, math.nan):.2f}")
    return built


def _ends(value: Mapping[str, float], digits: int) -> str:
    text = f"{value['mean']:.{digits}f}"
    if math.isfinite(value["low"]):
        text += f" [{value['low']:.{digits}f}, {value['high']:.{digits}f}]"
    return text


def csv_text(told: Mapping[str, Any]) -> str:
    """Return one row for each case and arm; what is not known is empty."""
    out = io.StringIO()
    ends = ("mean", "low", "high")
    head = ["case", "arm", "n_seeds", "budget", "n_candidates", "top1_total"]
    head += [f"{metric}_{end}" for metric in METRICS for end in ends]
    head += [f"gain_over_{told['reference']}_{end}" for end in ends] + ["mean_rank", "mean_rank_rmse"]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    for case, rows in told["cases"].items():
        for arm, row in rows.items():
            cells = [case, arm, len(row["seeds"]), row["budget"], row["n_candidates"], row["top1_total"]]
            numbers = [row["means"][metric][end] for metric in METRICS for end in ends]
            numbers += [row["gain"][end] for end in ends]
            numbers += [told["mean_rank"].get(arm, math.nan), told["mean_rank_rmse"].get(arm, math.nan)]
            writer.writerow([*cells, *(f"{n:.6g}" if math.isfinite(n) else "" for n in numbers)])
    return out.getvalue()


def draw(told: Mapping[str, Any]) -> Figure:
    """Return the figure: pixels of the top 1 % found by points measured, a panel a case; lines mean, bands interval."""
    from matplotlib.figure import Figure

    cases = {name: rows for name, rows in told["cases"].items() if rows}
    n_columns = min(COLUMNS, max(1, len(cases)))
    n_rows = max(1, math.ceil(len(cases) / n_columns))
    figure = Figure(figsize=(4.8 * n_columns, 3.6 * n_rows + 0.8), layout="constrained", dpi=110)
    figure.suptitle(f"{told['suite']}: pixels of the top 1 % found, mean and 95 % interval over seeds", fontsize=12)
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for axes, (name, rows) in zip(panels, cases.items(), strict=False):
        for arm, row in rows.items():
            color, dash = _look(arm, told["arms"])
            points = np.arange(1, len(row["curve"]["mean"]) + 1)
            axes.plot(points, row["curve"]["mean"], dash, color=color, lw=1.8, label=arm)
            if len(row["seeds"]) > 1:
                axes.fill_between(points, row["curve"]["low"], row["curve"]["high"], color=color, alpha=0.15, lw=0)
        total = next(iter(rows.values()))["top1_total"]
        axes.set(title=f"{name} ({total} exist)", xlabel="points measured", ylabel="found")
        axes.grid(alpha=0.25)
    for axes in panels[len(cases) :]:
        axes.set_visible(False)
    if cases:
        panels[0].legend(fontsize=8)
    return figure


def _look(arm: str, arms: list[str]) -> tuple[str, str]:
    """Return colour and dash of an arm; more arms than colours differ by dash."""
    if arm in BASELINE_LOOKS:
        return BASELINE_LOOKS[arm]
    i = [a for a in arms if a not in BASELINE_LOOKS].index(arm)
    return COLORS[i % len(COLORS)], ("-", "-.")[(i // len(COLORS)) % 2]


def save(folder: Path, texts: Mapping[str, str], figure: Figure) -> list[Path]:
    """Write texts by file name, and the picture; return the paths.

    Raises:
        Unavailable: STORE_UNAVAILABLE when the disk refuses.
    """
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    files = {**{name: text.encode() for name, text in texts.items()}, "curves.png": drawn.getvalue()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            durable.write(folder / name, data, scratch=folder / f".{name}.part")
    except OSError as error:
        raise Unavailable(
            Reason.STORE_UNAVAILABLE, f"{folder} cannot be written ({error}); make room, then run again"
        ) from error
    return [folder / name for name in files]
