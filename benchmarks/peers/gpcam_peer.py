"""gpCAM: an exact Gaussian process over the coordinates, with its own kernel, noise and times of training."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np

from benchmarks.peers.protocol import Job, best, run

TRAIN_AT = (10, 20, 50, 100, 200)
"""Numbers of data at which `GPOptimizer.optimize` trains by default."""
TRAIN_ITERATIONS = 20
"""Iterations of each of these trainings by default; the first one has those of `train`."""
BATCH = 500


class GpCAM:
    """Exact Gaussian process, expected improvement over the list of candidates."""

    name = "gpcam"
    settings = {
        "input": "coordinates 0..1",
        "kernel": "default",
        "noise": "default",
        "train_at": list(TRAIN_AT),
        "acquisition": "expected improvement",
    }

    def __init__(self, job: Job) -> None:
        """Prepare the coordinates."""
        from gpcam import GPOptimizer

        self.version = version("gpcam")
        self._make = GPOptimizer
        self._job = job
        height, width = job.image.shape[-2:]
        y, x = np.divmod(np.arange(height * width), width)
        self._x = np.stack([(y + 0.5) / height, (x + 0.5) / width], axis=1)
        self._gp = None
        self._n = 0
        np.random.seed(job.seed)

    def _update(self, path: np.ndarray, values: np.ndarray) -> None:
        if self._gp is None:
            self._gp = self._make(self._x[path], np.asarray(values, dtype=float))
            self._gp.train()
        elif path.size > self._n:
            new = path[self._n :]
            self._gp.tell(self._x[new], np.asarray(values[self._n :], dtype=float), append=True)
            if path.size in TRAIN_AT:
                self._gp.train(method="global", max_iter=TRAIN_ITERATIONS)
        self._n = path.size

    def next(self, path: np.ndarray, values: np.ndarray) -> int:
        """Tell the latest value, train when it is time, and return where expected improvement is largest."""
        self._update(path, values)
        named = {"acquisition_function": "expected improvement"}
        score = self._in_parts(lambda x: self._gp.evaluate_acquisition_function(x, **named))
        return best(score, self._job.candidates, path)

    def maps(self, path: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the prediction from all data, the noise included."""
        self._update(path, values)
        mean = self._in_parts(lambda x: self._gp.posterior_mean(x)["m(x)"])
        spread = {"variance_only": True, "add_noise": True}
        variance = self._in_parts(lambda x: self._gp.posterior_covariance(x, **spread)["v(x)"])
        return mean, np.sqrt(np.maximum(variance, 0.0))

    def _in_parts(self, work: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Return the same (pixel,) in parts: in one piece the covariance of all pixels is built for its diagonal."""
        parts = [self._x[i : i + BATCH] for i in range(0, len(self._x), BATCH)]
        return np.concatenate([np.asarray(work(x), dtype=float).ravel() for x in parts])

    def memory(self) -> list[float]:
        """Return the trained hyperparameters."""
        return [] if self._gp is None else [float(h) for h in self._gp.hyperparameters]

    def recall(self, memory: list[float], path: np.ndarray, values: np.ndarray) -> None:
        """Build the same process again; the latest value, which it had not been told, comes with the next choice."""
        if memory:
            self._n = path.size - 1
            data = (self._x[path[: self._n]], np.asarray(values[: self._n], dtype=float))
            self._gp = self._make(*data, init_hyperparameters=np.asarray(memory))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    run(Path(sys.argv[1]), Path(sys.argv[2]), GpCAM)
