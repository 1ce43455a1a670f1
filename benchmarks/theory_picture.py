"""Draw docs/pictures/theory-atomistic.png: a specimen of the theory benchmark, its theory and target.

python -m benchmarks.theory_picture [--seed 0]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from benchmarks.structure_images import SIDE
from benchmarks.theory_atomistic import AtomisticTruth, make_truth
from benchmarks.theory_specimen import PIXEL

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "theory-atomistic.png"
EDGE = SIDE * PIXEL
"""Of the image, angstrom."""


def draw(truth: AtomisticTruth, path: Path) -> None:
    """Draw the image with its candidates, the energies that were found, and the target."""
    figure, panels = plt.subplots(1, 3, figsize=(11, 3.7), layout="constrained")
    y, x = (truth.specimen.positions * EDGE).T
    panels[0].plot(x, y, "+", color="tab:red", ms=4, mew=0.7)
    panels[0].set_title("image and candidates", fontsize=9)
    failed = np.isnan(truth.energies)
    shown = panels[1].scatter(x, y, c=truth.energies, s=32, cmap="viridis", edgecolors="0.3", linewidths=0.3)
    panels[1].plot(x[failed], y[failed], "x", color="tab:red", ms=5)
    figure.colorbar(shown, ax=panels[1], shrink=0.8)
    panels[1].set_title("energy of what is found (eV), x: refused", fontsize=9)
    shown = panels[2].scatter(x, y, c=truth.target, s=32, cmap="viridis", edgecolors="0.3", linewidths=0.3)
    figure.colorbar(shown, ax=panels[2], shrink=0.8)
    panels[2].set_title("target (SD)", fontsize=9)
    # One silicon is four carbon atoms bright, and would leave all others dark.
    bright = float(np.percentile(truth.specimen.image, 99.5))
    for panel in panels:
        panel.imshow(
            truth.specimen.image,
            cmap="gray",
            vmax=bright,
            extent=(0, EDGE, EDGE, 0),
            alpha=1.0 if panel is panels[0] else 0.4,
        )
        panel.tick_params(labelsize=7)
    panels[0].set_xlabel("angstrom", fontsize=8)
    figure.savefig(path, dpi=70)
    plt.close(figure)


def main() -> None:
    """Draw a seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    draw(make_truth(parser.parse_args().seed), PICTURE)


if __name__ == "__main__":
    main()
