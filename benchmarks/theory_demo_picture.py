"""The picture of the demonstration of theory in the loop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

if TYPE_CHECKING:
    from benchmarks.theory_demo import Sample, Trace

COLORS = {"right": "C2", "shuffled": "C3"}


def draw(truth: Sample, traces: Sequence[Trace], path: Path) -> None:
    """Draw the specimen with the probes, what the theory says against what was measured, and its weight."""
    figure, axes = plt.subplots(1, 3, figsize=(13.0, 4.2), layout="constrained")
    _specimen(axes[0], truth, traces[0])
    for trace in traces:
        _numbers(axes[1], truth, trace)
        axes[2].step(np.arange(1, len(trace.weights) + 1), trace.weights, where="post", color=COLORS[trace.name])
        axes[2].plot([], [], color=COLORS[trace.name], label=f"{trace.name} energies")
    axes[1].set(xlabel="energy of formation by xTB (eV)", ylabel="measured line (counts)", title="Places with both")
    axes[2].set(xlabel="probes", ylabel="weight of theory", ylim=(-0.02, 1.0), title="What theory has earned")
    axes[2].legend(fontsize=8)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _specimen(panel: plt.Axes, truth: Sample, trace: Trace) -> None:
    side = truth.specimen.image.shape[0]
    panel.imshow(truth.specimen.image, cmap="gray")
    places = truth.specimen.positions * side - 0.5
    panel.scatter(places[:, 1], places[:, 0], s=6, color="0.6", marker="s", linewidths=0)
    probed = places[trace.candidates]
    shown = panel.scatter(probed[:, 1], probed[:, 0], c=trace.values, s=34, cmap="viridis", edgecolors="white")
    simulated = np.array([job.position for job in trace.jobs if job.state == "succeeded"]).reshape(-1, 2) * side - 0.5
    panel.scatter(simulated[:, 1], simulated[:, 0], s=90, facecolors="none", edgecolors="C1", linewidths=1.2)
    panel.figure.colorbar(shown, ax=panel, label="line (counts)", shrink=0.8)
    panel.set(xticks=[], yticks=[], title="Probes; simulated: orange")


def _numbers(panel: plt.Axes, truth: Sample, trace: Trace) -> None:
    measured = dict(zip(trace.candidates, trace.values, strict=True))
    pairs = []
    for job in trace.jobs:
        if job.state != "succeeded" or job.position is None:
            continue
        place = int(np.linalg.norm(truth.specimen.positions - job.position, axis=1).argmin())
        if place in measured:
            pairs.append((job.results["formation_energy"].value, measured[place]))
    if pairs:
        panel.scatter(*np.array(pairs).T, s=18, color=COLORS[trace.name], label=trace.name)
        panel.legend(fontsize=8)
