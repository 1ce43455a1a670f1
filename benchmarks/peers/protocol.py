"""What a peer is given and what it hands back. NumPy only: it runs in the environment of the peer.

A job is an .npz file: the image, the value that a measurement of each pixel gives, the pixels that may be proposed, the
first pixels, a seed and a budget. A peer proposes a pixel at a time and is told its value; at the end it predicts every
pixel. It sees values only of pixels that it measured. The scores are computed by whoever started it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

PATCH = 8
"""Edge of a patch in pixels, the same for every peer that looks at patches."""
SAVE_EVERY = 5
"""Steps between two checkpoints."""


@dataclass(frozen=True)
class Job:
    """One run of a peer."""

    image: np.ndarray
    """(y, x) or (channel, y, x)."""
    values: np.ndarray
    """(pixel,) value that a measurement gives, NaN where there is none."""
    candidates: np.ndarray
    """(pixel,) whether it may be proposed."""
    initial: np.ndarray
    """(n_initial,) first pixels."""
    seed: int
    budget: int
    """Measurements of the run, the initial ones included."""

    @classmethod
    def load(cls, path: Path) -> Job:
        """Read a job."""
        with np.load(path, allow_pickle=False) as z:
            arrays = {name: z[name] for name in ("image", "values", "candidates", "initial")}
            return cls(**arrays, seed=int(z["seed"]), budget=int(z["budget"]))

    def save(self, path: Path) -> None:
        """Write it."""
        whole(path, lambda part: np.savez(part, **vars(self)))


class Peer(Protocol):
    """A planner under test."""

    name: str
    version: str
    settings: dict[str, Any]

    def next(self, path: np.ndarray, values: np.ndarray) -> int:
        """Return the pixel to measure next.

        Args:
            path: (n,) pixels measured so far.
            values: (n,) their values.
        """

    def maps(self, path: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation (pixel,) with which a measurement would scatter about it."""

    def memory(self) -> list[float]:
        """Return what the next step needs besides the data."""

    def recall(self, memory: list[float], path: np.ndarray, values: np.ndarray) -> None:
        """Go on from there."""


def run(job_path: Path, result_path: Path, make: Callable[[Job], Peer]) -> None:
    """Carry out a job, from its checkpoint if there is one; the result is an .npz file.

    The result holds path (step,), mean and std (pixel,), seconds and cpu_seconds (step,) of each choice, and `about`.
    """
    job = Job.load(job_path)
    peer = make(job)
    checkpoint = result_path.with_suffix(".part.json")
    state: dict[str, list[float]] = {"path": job.initial.tolist(), "seconds": [], "cpu_seconds": [], "memory": []}
    if checkpoint.exists():
        state = json.loads(checkpoint.read_text(encoding="ascii"))
        done = np.asarray(state["path"], dtype=np.int64)
        peer.recall(state["memory"], done, job.values[done])
    while len(state["path"]) < job.budget:
        done = np.asarray(state["path"], dtype=np.int64)
        wall, cpu = time.perf_counter(), time.process_time()
        chosen = peer.next(done, job.values[done])
        state["seconds"].append(time.perf_counter() - wall)
        state["cpu_seconds"].append(time.process_time() - cpu)
        if not job.candidates[chosen] or chosen in state["path"]:
            raise RuntimeError(f"{peer.name} proposed pixel {chosen}, which is measured or forbidden")
        state["path"].append(int(chosen))
        if len(state["path"]) % SAVE_EVERY == 0:
            text = json.dumps({**state, "memory": peer.memory()})
            whole(checkpoint, lambda part, text=text: part.write(text.encode("ascii")))
    done = np.asarray(state["path"], dtype=np.int64)
    mean, std = peer.maps(done, job.values[done])
    about = json.dumps({"peer": peer.name, "version": peer.version, "settings": peer.settings})
    arrays = {"path": done, "mean": mean, "std": std, "seconds": state["seconds"], "cpu_seconds": state["cpu_seconds"]}
    whole(result_path, lambda part: np.savez(part, about=np.array(about), **arrays))
    checkpoint.unlink(missing_ok=True)


def whole(path: Path, write: Callable[[Any], Any]) -> None:
    """Write a file that appears under its name only once it is complete."""
    part = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    with part.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def patches(image: np.ndarray, edge: int = PATCH) -> np.ndarray:
    """Return the window around each pixel, reflected at the border, flattened, min-max scaled over all windows.

    Args:
        image: (y, x) or (channel, y, x).
        edge: Of the window, pixels.

    Returns:
        (pixel, channel * edge * edge), 0 to 1.
    """
    planes = np.asarray(image, dtype=np.float64)
    planes = planes[None] if planes.ndim == 2 else planes
    before = edge // 2
    padded = np.pad(planes, ((0, 0), (before, edge - 1 - before), (before, edge - 1 - before)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (edge, edge), axis=(1, 2))
    flat = windows.transpose(1, 2, 0, 3, 4).reshape(planes.shape[1] * planes.shape[2], -1)
    low, high = flat.min(), flat.max()
    return (flat - low) / (high - low if high > low else 1.0)


class Unit:
    """Values scaled to 0..1 by the measured ones, as the examples of the deep-kernel peers do."""

    def __init__(self, values: np.ndarray) -> None:
        """Learn the scale of values (n,)."""
        self._low = float(values.min())
        self._span = float(values.max() - values.min()) or 1.0

    def down(self, values: np.ndarray) -> np.ndarray:
        """Return scaled values."""
        return (values - self._low) / self._span

    def up(self, mean: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return a prediction in the unit of the target."""
        return mean * self._span + self._low, std * self._span


def best(score: np.ndarray, candidates: np.ndarray, path: np.ndarray) -> int:
    """Return the free candidate with the largest score (pixel,); one without a score comes last."""
    free = candidates.copy()
    free[path] = False
    return int(np.argmax(np.where(free, np.nan_to_num(score, nan=-1e300, neginf=-1e300), -np.inf)))
