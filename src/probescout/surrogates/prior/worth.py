"""Which patch deserves a simulation next.

The first simulations go to patches that are measured already: without them nobody knows whether theory and target have
anything to do with each other. Later ones go where knowing the theory would take the most doubt from the candidates
that the planner may choose next: the expected drop in the variance of the model, in the spirit of the knowledge
gradient for two information sources (Poloczek, Wang & Frazier 2017, "Multi-information source optimization").
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probescout.surrogates.prior.gate import Verdict
from probescout.surrogates.prior.theory import Theory

FloatArray = NDArray[np.float64]
Index = NDArray[np.intp]

N_CALIBRATING = 8
"""Simulations of measured patches before any other."""
MOST_UNHEARD = 24
"""Simulations after which a theory that has never earned a say gets no more by itself."""
N_TOP = 32
"""Candidates that the planner may choose next."""
N_POOL = 256
"""Patches that are considered."""


@dataclass(frozen=True)
class Wish:
    """A patch that deserves a simulation."""

    candidate: int
    gain: float
    """Expected drop in the variance of the top candidates, in squared SD of the target; NaN while calibrating."""
    reason: str
    """For a person."""


def next_patch(
    theory: Theory | None,
    verdict: Verdict,
    slopes: FloatArray,
    scores: FloatArray,
    measured: Index,
    asked: Collection[int],
    rng: np.random.Generator,
) -> Wish | None:
    """Return the patch that deserves a simulation most; None when none does.

    Args:
        theory: What simulations say so far; None before the first.
        verdict: What that has earned.
        slopes: (engine,) mean slopes, standardised target per SD of the simulated values.
        scores: (candidate,) of the policy, -inf where nothing may be proposed.
        measured: (n,) candidates measured so far, in order.
        asked: Candidates whose patches are simulated, or are being simulated.
        rng: Draws the patches that are considered.
    """
    known = [c for c in dict.fromkeys(measured.tolist()) if c not in asked]
    n_measured_asked = len(set(measured.tolist()) & set(asked))
    if n_measured_asked < N_CALIBRATING and known:
        return Wish(known[0], float("nan"), f"calibration {n_measured_asked + 1} of {N_CALIBRATING}: it is measured")
    if theory is None or verdict.weight == 0.0:
        # Newly measured patches decide whether it ever gets a say; a theory that fails them, or gives no numbers, must
        # not eat the budget.
        if len(asked) >= MOST_UNHEARD or not known:
            return None
        return Wish(known[-1], float("nan"), "theory has no say yet: it is measured")
    return _most_telling(theory, verdict.weight, slopes, scores, asked, rng)


def _most_telling(
    theory: Theory,
    weight: float,
    slopes: FloatArray,
    scores: FloatArray,
    asked: Collection[int],
    rng: np.random.Generator,
) -> Wish | None:
    free = np.flatnonzero(np.isfinite(scores))
    if not len(free):
        return None
    top = free[np.argsort(-scores[free], kind="stable")[:N_TOP]]
    others = rng.choice(free, min(N_POOL, len(free)), replace=False)
    pool = np.array([c for c in dict.fromkeys([*top.tolist(), *others.tolist()]) if c not in asked], dtype=np.intp)
    if not len(pool):
        return None
    gain = np.zeros(len(pool))
    for engine, slope in zip(theory.engines, slopes, strict=True):
        emulator = theory.emulator(engine)
        shared = emulator.covariance(pool, top)
        own = emulator.at(pool)[1] + emulator.noise
        gain += slope**2 * (shared**2 / np.maximum(own, 1e-9)[:, None]).mean(axis=1)
    best = int(np.argmax(gain))
    return Wish(int(pool[best]), weight * float(gain[best]), f"it tells most of the {len(top)} best candidates")
