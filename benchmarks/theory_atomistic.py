"""The atomistic truth of the theory benchmark: images of defective graphene, with energies by xTB of what is found.

target = a bent function of the local energy of formation + a smooth function of the place, and noise. The local energy
is that of all true defects, each weighed by its distance: a probe of some width sees them all, where a simulation holds
one. Theory is the energy of the structure that the patch-to-structure code found in the patch of a candidate; a refused
patch is a job that fails.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from benchmarks import theory_truth
from benchmarks.structure_images import SIDE
from benchmarks.theory_campaign import begin, regret
from benchmarks.theory_energies import CACHE, energies_of
from benchmarks.theory_specimen import PIXEL, Specimen, make_specimen
from benchmarks.theory_truth import Truth, function_of
from probescout.surrogates.features import Features, compute_features

FloatArray = NDArray[np.float64]

PROBE = 4.0
"""SD of the weight of a defect over its distance from the place that is measured, angstrom."""
SATURATION_EV = 8.0
"""Local energy, about that of a vacancy, beyond which the target hardly grows."""
SMOOTH = 12.0
"""SD of the blur of what does not follow from structure, angstrom."""
BACKGROUND = 0.5
"""SD of what does not follow from structure, relative to what does."""


@dataclass(frozen=True)
class AtomisticTruth(Truth):
    """One simulated specimen."""

    energies: FloatArray
    """(candidate,) eV, of what is found in the patch; NaN for a job that fails."""
    n_structures: int
    """Different structures that were found."""
    specimen: Specimen
    """What lies under the beam."""


def make_truth(seed: int, cache: Path = CACHE) -> AtomisticTruth:
    """Draw a specimen and calculate what is found in it, and what is there.

    Args:
        seed: Of all.
        cache: Directory of the energies that are known.

    Raises:
        RuntimeError: As true_energy.
    """
    rng = np.random.default_rng([seed, 10])
    specimen = make_specimen(rng)
    energies = energies_of(specimen, cache)
    structural, target = target_of(specimen, energies.true, rng)
    every = compute_features(specimen.image)
    arrays = {name: np.ascontiguousarray(a[specimen.candidates]) for name, a in every.arrays.items()}
    features = Features(arrays, every.positions[specimen.candidates])
    return AtomisticTruth(features, target, structural, energies.found, energies.n_structures, specimen)


def target_of(specimen: Specimen, true: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Return the part of the target that follows from structure, and the target (candidate,), both standardised.

    Args:
        specimen: What lies under the beam.
        true: (defect,) energies of what is there, eV.
        rng: Of what does not follow from structure.
    """
    structural = theory_truth.standard(np.tanh(_weights(specimen) @ true / SATURATION_EV))
    smooth = gaussian_filter(rng.normal(size=(SIDE, SIDE)), SMOOTH / PIXEL).ravel()[specimen.candidates]
    return structural, theory_truth.standard(structural + BACKGROUND * theory_truth.standard(smooth))


def _weights(specimen: Specimen) -> FloatArray:
    """Return what each defect counts at each candidate: (candidate, defect)."""
    px = specimen.positions * SIDE - 0.5
    away = PIXEL * np.linalg.norm(px[:, None] - specimen.defects_px[None], axis=2)
    return np.asarray(np.exp(-0.5 * (away / PROBE) ** 2))


def _right(truth: AtomisticTruth, rng: np.random.Generator) -> FloatArray:
    return truth.energies


def _biased(truth: AtomisticTruth, rng: np.random.Generator) -> FloatArray:
    energies = truth.energies
    spread = float(np.nanstd(energies))
    bank = truth.features.arrays["bank"].astype(np.float64) / 2.0
    bent = ((energies - np.nanmean(energies)) / spread) ** 2
    return 3.0 + 0.5 * energies + spread * (0.4 * function_of(bank, rng) + 0.3 * bent)


def _unrelated(truth: AtomisticTruth, rng: np.random.Generator) -> FloatArray:
    return rng.permutation(truth.energies)


def _reversed(truth: AtomisticTruth, rng: np.random.Generator) -> FloatArray:
    return -truth.energies


def _local(truth: AtomisticTruth, rng: np.random.Generator) -> FloatArray:
    return np.where(truth.features.positions[:, 1] < 0.5, truth.energies, _unrelated(truth, rng))


_VALUES = {"biased": _biased, "unrelated": _unrelated, "reversed": _reversed, "local": _local}
KINDS = {name: replace(kind, values=_VALUES.get(name, _right)) for name, kind in theory_truth.KINDS.items()}
"""As of the cheap truth, but of energies, without noise put on: what simulations do not reproduce is in them."""


def one_seed(seed: int, cache: Path = CACHE) -> dict[str, Any]:
    """Return the regret without theory ("none") and with each kind of it, and "energies", what theory is like."""
    truth = make_truth(seed, cache)
    start = begin(truth, seed)
    kinds = {name: regret(start, seed, kind) for name, kind in KINDS.items()}
    known = np.isfinite(truth.energies)
    energies = {
        "candidates": len(known),
        "structures": truth.n_structures,
        "failed_share": float(1.0 - known.mean()),
        "correlation_with_target": float(np.corrcoef(truth.energies[known], truth.target[known])[0, 1]),
    }
    return {"none": regret(start, seed, None), **kinds, "energies": energies}
