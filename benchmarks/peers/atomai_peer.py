"""AtomAI's deep-kernel loop: a new network and Gaussian process from scratch at every step.

The recipe of the published experiments with it: 8 x 8 patches, its default network (MLP 1000-500-50-2), precision
(double) and rate of Adam (0.01), 100 cycles, expected improvement with xi 0.02. Its `predict` gives the variance of the
expectation; the fitted noise is added for the interval of a measurement.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.protocol import Job, Unit, best, patches, run

CYCLES = 100
XI = 0.02


class AtomAI:
    """A deep kernel learned anew at every step."""

    name = "atomai"
    settings = {
        "patch": 8,
        "network": "1000-500-50-2",
        "precision": "double",
        "cycles": CYCLES,
        "lr": 0.01,
        "acquisition": "EI",
        "xi": XI,
    }

    def __init__(self, job: Job) -> None:
        """Prepare the patches."""
        import torch

        torch.set_num_threads(1)
        keep = import_torchvision()
        import atomai

        self._keep = keep
        self._model = atomai.models.dklGPR
        self.version = atomai.__version__
        self._job = job
        self._patches = patches(job.image)

    def _fit(self, path: np.ndarray, values: np.ndarray) -> Any:
        model = self._model(self._patches.shape[1], embedim=2, seed=self._job.seed)
        # It prints its loss every ten cycles.
        with contextlib.redirect_stdout(io.StringIO()):
            model.fit(self._patches[path], Unit(values).down(values), training_cycles=CYCLES)
        return model

    def _predict(self, model: Any) -> tuple[np.ndarray, np.ndarray]:
        mean, variance = model.predict(self._patches, batch_size=len(self._patches))
        return mean.astype(float), np.maximum(variance.astype(float), 0.0)

    def next(self, path: np.ndarray, values: np.ndarray) -> int:
        """Fit, predict, and return where expected improvement is largest."""
        mean, variance = self._predict(self._fit(path, values))
        std = np.sqrt(variance)
        gain = mean - Unit(values).down(values).max() - XI
        z = gain / np.maximum(std, 1e-12)
        cumulative = 0.5 * (1.0 + np.vectorize(math.erf)(z / math.sqrt(2.0)))
        score = gain * cumulative + std * np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)
        return best(score, self._job.candidates, path)

    def maps(self, path: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the prediction of one more fit."""
        model = self._fit(path, values)
        mean, variance = self._predict(model)
        noise = float(model.likelihood.noise.detach().mean())
        return Unit(values).up(mean, np.sqrt(variance + noise))

    def memory(self) -> list[float]:
        """Nothing is kept from step to step."""
        return []

    def recall(self, memory: list[float], path: np.ndarray, values: np.ndarray) -> None:
        """Nothing is kept from step to step."""


def import_torchvision() -> Any:
    """Import torchvision, which AtomAI needs for image networks only, whatever torch it was built for.

    A torchvision built for CUDA beside the CPU build of torch cannot load its operators and then refuses to be imported
    because two of them are missing; declaring these is enough. Returns what must be kept alive.
    """
    import torch

    try:
        import torchvision
    except RuntimeError:
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision

        return library, torchvision
    return torchvision


def time_steps(job_path: Path, n_steps: int) -> dict[str, list[float]]:
    """Return the wall and processor seconds of single steps after the initial points of a job, the first left out."""
    job = Job.load(job_path)
    peer = AtomAI(job)
    told: dict[str, list[float]] = {"wall_s": [], "cpu_s": []}
    for _ in range(n_steps + 1):
        wall, cpu = time.perf_counter(), time.process_time()
        peer.next(job.initial, job.values[job.initial])
        told["wall_s"].append(round(time.perf_counter() - wall, 4))
        told["cpu_s"].append(round(time.process_time() - cpu, 4))
    return {name: seconds[1:] for name, seconds in told.items()}


if __name__ == "__main__":
    # AtomAI and what it imports warn of their own deprecations at every step.
    warnings.simplefilter("ignore")
    if sys.argv[1] == "--time":
        print(json.dumps(time_steps(Path(sys.argv[2]), int(sys.argv[3]))))
    else:
        run(Path(sys.argv[1]), Path(sys.argv[2]), AtomAI)
