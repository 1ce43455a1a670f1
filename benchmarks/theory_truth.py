"""The cheap truth of the theory benchmark: a frame of 300 places whose target is partly a function of structure.

target = function of the structure + a smooth function of the place, and noise. Theory computes another function of the
structure, which is or is not that of the target: the kinds of theory. NumPy and SciPy only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from probescout.surrogates.features import Features

FloatArray = NDArray[np.float64]

HEIGHT, WIDTH = 15, 20
N_STRUCTURE = 3
NOISE_SD = 0.1
"""Of a measurement, in SD of the target."""
THEORY_NOISE_SD = 0.1
"""What a simulation does not reproduce, in SD of the theory."""
WAVES = 60
"""Random waves of which a function of structure is made."""


@dataclass(frozen=True)
class Truth:
    """One simulated sample."""

    features: Features
    target: FloatArray
    """(candidate,) standardised."""
    structural: FloatArray
    """(candidate,) the part of it that follows from structure, standardised."""


def make_truth(rng: np.random.Generator) -> Truth:
    """Draw a sample."""
    bank = np.stack([_smooth(rng, 1.0) for _ in range(N_STRUCTURE)], axis=1)
    structural = function_of(bank, rng)
    target = standard(structural + 0.5 * _smooth(rng, 3.0))
    rows, cols = np.indices((HEIGHT, WIDTH)).reshape(2, -1)
    positions = np.column_stack([(rows + 0.5) / HEIGHT, (cols + 0.5) / WIDTH])
    xy = np.column_stack([rows, cols]) / WIDTH
    arrays = {"xy": xy.astype(np.float32), "bank": np.ascontiguousarray(2.0 * bank, dtype=np.float32)}
    return Truth(Features(arrays, positions, (HEIGHT, WIDTH)), target, structural)


def function_of(bank: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return a random smooth function (candidate,) of structures (candidate, dim), standardised."""
    waves = rng.normal(size=(bank.shape[1], WAVES)) / 1.2
    return standard(np.cos(bank @ waves + rng.uniform(0.0, 2.0 * np.pi, WAVES)) @ rng.normal(size=WAVES))


def _smooth(rng: np.random.Generator, sigma: float) -> FloatArray:
    return standard(gaussian_filter(rng.normal(size=(HEIGHT, WIDTH)), sigma).ravel())


def standard(values: FloatArray) -> FloatArray:
    """Return values with mean 0 and SD 1."""
    return np.asarray((values - values.mean()) / values.std())


# ---------------------------------------------------------------- kinds of theory


@dataclass(frozen=True)
class Kind:
    """How theory relates to the target, and how its jobs behave."""

    values: Callable[[Any, np.random.Generator], FloatArray]
    """What a simulation of each patch (candidate,) would give, any unit; NaN for one that fails."""
    steps: int = 2
    """Measurements made while one job runs."""
    failing: float = 0.0
    """Share of the jobs that fail."""
    lying: float = 0.0
    """Share of those that succeed with a wild number."""


def _right(truth: Truth, rng: np.random.Generator) -> FloatArray:
    return 7.0 + 0.8 * _noisy(truth.structural, rng)


def _biased(truth: Truth, rng: np.random.Generator) -> FloatArray:
    bank = truth.features.arrays["bank"].astype(np.float64) / 2.0
    return _noisy(3.0 + 0.5 * truth.structural + 0.4 * function_of(bank, rng) + 0.3 * truth.structural**2, rng)


def _unrelated(truth: Truth, rng: np.random.Generator) -> FloatArray:
    bank = truth.features.arrays["bank"].astype(np.float64) / 2.0
    return _noisy(function_of(bank, rng), rng)


def _reversed(truth: Truth, rng: np.random.Generator) -> FloatArray:
    return _noisy(-truth.structural, rng)


def _local(truth: Truth, rng: np.random.Generator) -> FloatArray:
    return np.where(truth.features.positions[:, 1] < 0.5, _noisy(truth.structural, rng), _unrelated(truth, rng))


def _noisy(values: FloatArray, rng: np.random.Generator) -> FloatArray:
    return values + THEORY_NOISE_SD * values.std() * rng.normal(size=len(values))


KINDS = {
    "right": Kind(_right),
    "biased": Kind(_biased),
    "unrelated": Kind(_unrelated),
    "reversed": Kind(_reversed),
    "local": Kind(_local),
    "late": Kind(_right, steps=18),
    "failing": Kind(_right, steps=4, failing=0.6, lying=0.1),
}
"""The kinds of theory that a campaign must live with; only the first has to help."""
