"""What a person looks at after an experiment: a picture and a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, Reason
from probescout.core.ports import FloatArray
from probescout.replay.experiment import PLANNER, Experiment, Run
from probescout.replay.metrics import best_curve, is_top, top_curve

if TYPE_CHECKING:
    from rich.table import Table

COLORS = {"planner": "#0072B2", "random": "#D55E00", "grid": "#595959"}
"""Colours that colour-blind people tell apart (Okabe & Ito 2008, "Color universal design"); the lines differ too."""
HIT = "#FF2D2D"
"""Rim of a point that belongs to the top 1 %; its shape tells it too."""
DASHES = {"planner": "-", "random": "--", "grid": ":"}
_LENGTHS = ((1e-3, "mm"), (1e-6, "µm"), (1e-9, "nm"), (1e-12, "pm"))


def save_picture(experiment: Experiment, path: Path) -> Path:
    """Draw paths, maps and learning curves into a PNG file; return its path.

    Raises:
        InvalidInput: FILE_UNREADABLE when it cannot be written.
    """
    figure = draw(experiment)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="png")
    except OSError as error:
        raise InvalidInput(
            Reason.FILE_UNREADABLE, f"{path} cannot be written ({error}); choose another --out", field="out"
        ) from error
    return path


def draw(experiment: Experiment) -> Figure:
    """Return the figure: overview with the path of each arm, true and predicted maps, curves over all seeds."""
    case, plan = experiment.case, experiment.plan
    height, width = case.truth.shape
    panel = 4.2 * float(np.clip(height / width, 0.6, 1.6))
    figure = Figure(figsize=(14.5, 2 * panel + 4.8), layout="constrained", dpi=110)
    figure.suptitle(
        f"{case.name}: {_target(experiment)}; {plan.budget} of {case.n_candidates} pixels measured "
        f"({plan.n_initial} random first); pictures of seed {plan.seeds[0]}, curves of {_seeds(experiment)}",
        fontsize=12,
    )
    parts: Any = figure.subfigures(3, 1, height_ratios=[panel, panel, 3.8])
    paths, maps, curves = parts
    name = experiment.overview.name or "overview image"
    paths.suptitle(f"Measured points on {name}; red diamond: pixel of the top 1 %", fontsize=11)
    for axes, arm in zip(paths.subplots(1, len(plan.arms), squeeze=False)[0], plan.arms, strict=True):
        _draw_path(figure, axes, experiment, experiment.of(arm)[0])
    _draw_maps(figure, maps.subplots(1, 3), experiment)
    left, right = curves.subplots(1, 2)
    _draw_curves(left, experiment, is_best=True)
    _draw_curves(right, experiment, is_best=False)
    return figure


def _target(experiment: Experiment) -> str:
    case = experiment.case
    params = ", ".join(f"{key} {value}" for key, value in case.params.items() if key != "axis_unit")
    unit = case.params.get("axis_unit", "")
    inside = f"{params} {unit}".strip() if params else ""
    return case.scalarizer + (f" ({inside})" if inside else "") + (f" in {case.unit}" if case.unit else "")


def _seeds(experiment: Experiment) -> str:
    n = len(experiment.plan.seeds)
    return "1 seed" if n == 1 else f"{n} seeds (line: mean, band: range)"


def _frame(experiment: Experiment) -> tuple[tuple[float, float, float, float], str]:
    """Return the extent of the frame (left, right, bottom, top), and its unit."""
    height, width = experiment.case.truth.shape
    size = experiment.overview.pixel_size_m
    if size is None:
        return (0.0, width, height, 0.0), "px"
    scale, unit = next(((s, u) for s, u in _LENGTHS if size * max(height, width) >= s), _LENGTHS[-1])
    return (0.0, width * size / scale, height * size / scale, 0.0), unit


def _show(axes: Any, experiment: Experiment, values: NDArray[Any], title: str, **style: Any) -> Any:
    extent, unit = _frame(experiment)
    shown = axes.imshow(values, extent=extent, interpolation="nearest", **style)
    axes.set(title=title, xlabel=f"x ({unit})", ylabel=f"y ({unit})")
    return shown


def _draw_path(figure: Figure, axes: Any, experiment: Experiment, run: Run) -> None:
    image = np.asarray(experiment.overview.image, dtype=float)
    image = image if image.ndim == 2 else image[0]
    low, high = np.percentile(image[np.isfinite(image)], [1.0, 99.0])
    title = f"{run.arm}: {run.scores.top1_found} of {run.scores.top1_total} pixels of the top 1 %"
    _show(axes, experiment, image, title, cmap="gray", vmin=low, vmax=high)
    (_, right, bottom, _), _ = _frame(experiment)
    y, x = run.y * bottom, run.x * right
    axes.plot(x, y, color="white", lw=0.5, alpha=0.35)
    order = np.arange(1, y.size + 1)
    hit = _is_hit(experiment, run)
    for which, style in ((~hit, {"marker": "o", "edgecolors": "white"}), (hit, {"marker": "D", "edgecolors": HIT})):
        dots = axes.scatter(
            x[which], y[which], c=order[which], cmap="viridis", vmin=1, vmax=y.size, s=34, linewidths=1.2, **style
        )
    axes.set(xlim=(0.0, right), ylim=(bottom, 0.0))
    figure.colorbar(dots, ax=axes, label="order of measurement", shrink=0.9)


def _is_hit(experiment: Experiment, run: Run) -> NDArray[np.bool_]:
    top = is_top(experiment.case.truth.ravel(), experiment.case.candidates.ravel())
    return np.asarray((run.path >= 0) & top[run.path], dtype=bool)


def _draw_maps(figure: Figure, axes: Any, experiment: Experiment) -> None:
    case, run = experiment.case, experiment.of(PLANNER)[0]
    known = case.truth[np.isfinite(case.truth)]
    # The very top is what is looked for: only the lower end is clipped.
    low, high = np.percentile(known, [1.0, 99.8])
    style: dict[str, Any] = {"cmap": "viridis", "vmin": float(low), "vmax": float(high)}
    doubt: dict[str, Any] = {"cmap": "cividis"}
    label = f"target ({case.unit})" if case.unit else "target"
    kind = "recorded" if case.is_truth_noisy else "noise-free"
    inside = np.where(case.candidates, 1.0, np.nan)
    panels = (
        (case.truth, f"true target ({kind})", style, label),
        (run.maps["mean"] * inside, f"predicted by the planner after {run.path.size} points", style, label),
        (run.maps["std"] * inside, "uncertainty of the prediction", doubt, f"SD of the {label}"),
    )
    for ax, (values, title, look, text) in zip(axes, panels, strict=True):
        figure.colorbar(_show(ax, experiment, values, title, **look), ax=ax, label=text, shrink=0.9)


def _draw_curves(axes: Any, experiment: Experiment, *, is_best: bool) -> None:
    case, plan = experiment.case, experiment.plan
    for arm in plan.arms:
        curves = _curves(experiment, arm, is_best=is_best)
        points = np.arange(1, curves.shape[1] + 1)
        middle = curves.mean(axis=0)
        axes.plot(points, middle, DASHES[arm], color=COLORS[arm], lw=2.0, label=arm)
        axes.fill_between(points, curves.min(axis=0), curves.max(axis=0), color=COLORS[arm], alpha=0.15, lw=0)
    axes.axvline(plan.n_initial, color="0.7", lw=0.8)
    axes.annotate(
        "same random points", (plan.n_initial, 0.02), xycoords=("data", "axes fraction"), fontsize=8, rotation=90,
        ha="right", va="bottom", color="0.4",
    )  # fmt: skip
    axes.set(xlabel="points measured", xlim=(1, plan.budget))
    axes.grid(alpha=0.25)
    if is_best:
        axes.axhline(0.95, color="0.5", lw=0.8, ls=(0, (1, 2)))
        axes.set(title="Best value found so far", ylabel="best so far, fraction of (max - median)")
        axes.legend()
    else:
        total = int(is_top(case.truth.ravel(), case.candidates.ravel()).sum())
        axes.set(title=f"Pixels of the top 1 % found ({total} exist)", ylabel="pixels of the top 1 % measured")
        axes.legend()


def _curves(experiment: Experiment, arm: str, *, is_best: bool) -> FloatArray:
    """Return the curve of every seed (seed, step), as long as the shortest run."""
    curve = best_curve if is_best else top_curve
    truth, candidates = experiment.case.truth.ravel(), experiment.case.candidates.ravel()
    rows = [curve(truth, candidates, run.path) for run in experiment.of(arm)]
    n = min(row.size for row in rows)
    return np.array([row[:n] for row in rows], dtype=float)


def table(experiment: Experiment) -> Table:
    """Return the comparison of the arms, means over the seeds."""
    from rich.table import Table

    plan = experiment.plan
    total = experiment.runs[0].scores.top1_total
    seeds = f"seed {plan.seeds[0]}" if len(plan.seeds) == 1 else f"mean of {len(plan.seeds)} seeds"
    built = Table(title=f"{experiment.case.name}: {plan.budget} of {experiment.case.n_candidates} points, {seeds}")
    built.add_column("", min_width=34)
    for arm in plan.arms:
        built.add_column(arm, justify="right", style="bold" if arm == PLANNER else "")
    needed = (_needed(experiment.of(arm), plan.budget) for arm in plan.arms)
    built.add_row("points needed to find 95 % of the best", *needed)
    rows = (
        ("best found, fraction of (max - median)", "best_fraction", "{:.3f}"),
        (f"pixels of the top 1 % found, of {total}", "top1_found", "{:.1f}"),
        ("error of the predicted map, SD of the map", "rmse", "{:.2f}"),
        ("truth inside the 95 % interval", "coverage95", "{:.1%}"),
        ("step round trip, median ms", "step_ms_p50", "{:.1f}"),
        ("step round trip, 99th percentile ms", "step_ms_p99", "{:.0f}"),
    )
    for title, name, form in rows:
        built.add_row(title, *(_mean([getattr(r.scores, name) for r in experiment.of(a)], form) for a in plan.arms))
    return built


def _needed(runs: list[Run], budget: int) -> str:
    counts = [run.scores.points_to_95 for run in runs]
    words = [f"> {budget}" if n is None else str(n) for n in counts]
    return ", ".join(words) if any(counts) else words[0]


def _mean(values: list[float], form: str) -> str:
    known = [v for v in values if np.isfinite(v)]
    return form.format(float(np.mean(known))) if known else "-"
