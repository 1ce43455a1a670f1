"""Draw docs/pictures/planners.png: what every policy makes of the same belief.

python docs/draw_planners.py
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from probescout.core.registry import PLANNERS, installed
from probescout.testing.fake_belief import FakeBelief, fake_belief, told, with_moments

PICTURE = Path(__file__).resolve().parent / "pictures" / "planners.png"
N = 201
MEASURED = (12, 30, 52, 68, 84, 126, 140, 183)
PARAMS: dict[str, dict[str, Any]] = {
    "target_value": {"value": 0.5},
    "level_set": {"level": 0.5},
    "staged": {"stages": [{"policy": {"name": "max_variance"}, "until": {"n_observed": 5}},
                          {"policy": {"name": "ucb"}}]},
    "thompson": {"n_subset": N},
    "grid": {"budget": 12},
}  # fmt: skip


def truth(x: np.ndarray, phase: float = 0.0) -> np.ndarray:
    """Return a wavy target (n,) at positions (n,)."""
    return np.sin(11.0 * x + phase) * (0.4 + x) + 0.5 * np.cos(25.0 * x)


def learnt(phase: float) -> FakeBelief:
    """Return the exact posterior of a Gaussian process over a line after a few measurements."""
    belief = fake_belief(1, N, n_members=1, lengthscale=0.06)
    belief = with_moments(belief, np.zeros((1, N)), np.ones((1, N)))
    belief = replace(belief, noise_var=np.full(N, 0.01), available=np.ones(N, dtype=bool))
    mean, x = np.zeros(N), belief.positions[:, 1]
    for index in MEASURED:
        total = float(belief.member_var[0, index] + belief.noise_var[index])
        belief = belief.fantasise(index)
        mean = mean + (truth(x[index], phase) - mean[index]) / np.sqrt(total) * belief.rows[-1, 0]
    measured = np.array(MEASURED)
    novelty = belief.member_var[0].copy()
    cost = 0.2 + 4.0 * np.abs(x - 0.1)
    return told(replace(belief, member_mean=mean[None], mean=mean, measured=measured, n_observed=len(MEASURED),
                        novelty=novelty, cost_s=cost, last_position=(0.5, 0.1)))  # fmt: skip


def main() -> None:
    """Draw one panel for the belief and one for each policy."""
    belief = replace(learnt(0.0), further=(learnt(2.0),))
    x, free = belief.positions[:, 1], belief.available
    plugins = [info for info in installed(PLANNERS) if info.distribution == "probescout"]
    figure, axes = plt.subplots(6, 3, figsize=(10, 9), sharex=True, layout="constrained")
    top = axes.flat[0]
    top.fill_between(x, belief.mean - 2 * belief.std, belief.mean + 2 * belief.std, color="0.85", lw=0)
    top.plot(x, belief.mean, color="0.2")
    top.plot(x[belief.measured], belief.values, "o", color="tab:blue", ms=4)
    top.set_title("the belief: mean, 2 SD, measured points", fontsize=8)
    for axis, info in zip(list(axes.flat)[1:], plugins, strict=False):
        scores = info.load()(**PARAMS.get(info.name, {})).score(belief, np.random.default_rng(3))
        shown = np.where(free, scores, np.nan)
        axis.plot(x, shown, color="tab:green", lw=1)
        best = int(np.nanargmax(shown))
        axis.plot(x[best], shown[best], "v", color="tab:red", ms=6)
        axis.set_title(info.name, fontsize=8)
        axis.set_yticks([])
    for axis in list(axes.flat)[1 + len(plugins) :]:
        axis.set_axis_off()
    figure.savefig(PICTURE, dpi=80)


if __name__ == "__main__":
    main()
