"""GPax's viDKL loop as in its README: a new network at every step, 100 steps of Adam at 0.05, UCB.

Some initialisations end in a constant prediction. Each step has a key of its own, so that a bad one is not repeated,
and where the score is flat the next point is drawn at random; how often is told with the result (`flat_steps`).
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.protocol import Job, Unit, best, patches, run

STEPS = 100
STEP_SIZE = 0.05
BETA = 0.25
BATCH = 1000
FLAT = 1e-6
"""Scores, of targets scaled to 0..1, that spread no more than this say nothing."""


class GPax:
    """A deep kernel with priors, learned anew at every step."""

    name = "gpax"

    def __init__(self, job: Job) -> None:
        """Prepare the patches."""
        import gpax

        self._gpax = gpax
        self._n_flat = 0
        self.version = gpax.__version__
        self._job = job
        self._patches = patches(job.image)

    @property
    def settings(self) -> dict[str, Any]:
        """The recipe, and how often it came to nothing."""
        return {
            "patch": 8,
            "network": "64-64-2",
            "steps": STEPS,
            "step_size": STEP_SIZE,
            "acquisition": "UCB",
            "beta": BETA,
            "flat_steps": self._n_flat,
        }

    def _fit(self, path: np.ndarray, values: np.ndarray) -> tuple[Any, Any]:
        fitting, predicting = self._gpax.utils.get_keys(1000 * self._job.seed + path.size)
        model = self._gpax.viDKL(self._patches.shape[1], z_dim=2, kernel="RBF")
        y = Unit(values).down(values)
        with contextlib.redirect_stdout(io.StringIO()):
            model.fit(fitting, self._patches[path], y, STEPS, STEP_SIZE, print_summary=False, progress_bar=False)
        return model, predicting

    def _predict(self, path: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and variance (pixel,), the noise included as is its default."""
        model, key = self._fit(path, values)
        # In one piece it builds the whole covariance; in parts the diagonal is the same.
        mean, variance = model.predict_in_batches(key, self._patches, batch_size=BATCH)
        return np.asarray(mean, dtype=float), np.maximum(np.asarray(variance, dtype=float), 0.0)

    def next(self, path: np.ndarray, values: np.ndarray) -> int:
        """Fit, predict, and return where the upper confidence bound is largest."""
        mean, variance = self._predict(path, values)
        score = mean + np.sqrt(BETA * variance)
        if not np.ptp(score) > FLAT:
            self._n_flat += 1
            score = np.random.default_rng([self._job.seed, path.size]).random(score.size)
        return best(score, self._job.candidates, path)

    def maps(self, path: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the prediction of one more fit."""
        mean, variance = self._predict(path, values)
        return Unit(values).up(mean, np.sqrt(variance))

    def memory(self) -> list[float]:
        """Return how often the score was flat."""
        return [float(self._n_flat)]

    def recall(self, memory: list[float], path: np.ndarray, values: np.ndarray) -> None:
        """Go on counting."""
        self._n_flat = int(memory[0])


if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    warnings.simplefilter("ignore")
    run(Path(sys.argv[1]), Path(sys.argv[2]), GPax)
