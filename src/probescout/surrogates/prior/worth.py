"""Which patch deserves a simulation next.

The first simulations go to patches that are measured already: without them nobody knows whether theory and target have
anything to do with each other. Later ones go where knowing the theory would take the most doubt from the candidates
that the planner may choose next: the expected drop in the variance of the model, in the spirit of the knowledge
gradient for two information sources (Poloczek, Wang & Frazier 2017, "Multi-information source optimization"), times the
chance that the simulation gives a number. The same engine takes about as long for every patch, so that to divide by the
seconds would change nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probescout.surrogates.prior.emulator import similarity
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


LEAST_CHANCE = 0.5
"""Measured patches that look more hopeless than that are simulated last."""


@dataclass(frozen=True)
class Wish:
    """A patch that deserves a simulation."""

    candidate: int
    gain: float
    """Expected drop in the variance of the top candidates, in squared SD of the target; NaN while calibrating."""
    reason: str
    """For a person."""


@dataclass(frozen=True)
class Tried:
    """What simulations were asked for, and which of them gave numbers."""

    asked: Collection[int]
    """Candidates whose patches are simulated, or are being simulated."""
    failed: Collection[int]
    """Those whose simulation gave no number."""

    def chance(self, features: Mapping[str, NDArray[np.floating]], candidates: Index) -> FloatArray:
        """Return how likely a simulation of each candidate (n,) gives a number, by those of patches that look alike.

        One success is taken for granted before the first, so that a single failure condemns nothing but its like.
        """
        failed = np.array(sorted(self.failed), dtype=np.intp)
        if not len(failed):
            return np.ones(len(candidates))
        rest = np.array(sorted(set(self.asked) - set(self.failed)), dtype=np.intp)
        sound = 1.0 + similarity(features, candidates, rest).sum(axis=1)
        return np.asarray(sound / (sound + similarity(features, candidates, failed).sum(axis=1)))


def next_patch(
    theory: Theory | None,
    verdict: Verdict,
    slopes: FloatArray,
    scores: FloatArray,
    measured: Index,
    tried: Tried,
    features: Mapping[str, NDArray[np.floating]],
    rng: np.random.Generator,
) -> Wish | None:
    """Return the patch that deserves a simulation most; None when none does.

    Args:
        theory: What simulations say so far; None before the first.
        verdict: What that has earned.
        slopes: (engine,) mean slopes, standardised target per SD of the simulated values.
        scores: (candidate,) of the policy, -inf where nothing may be proposed.
        measured: (n,) candidates measured so far, in order.
        tried: What was asked for so far.
        features: Representations (candidate, dim) by name.
        rng: Draws the patches that are considered.
    """
    n_calibrated = len(set(measured.tolist()) & set(tried.asked))
    if n_calibrated < N_CALIBRATING:
        known = _likely_first(measured, tried, features)
        if known:
            return Wish(known[0], float("nan"), f"calibration {n_calibrated + 1} of {N_CALIBRATING}: it is measured")
    if theory is None or verdict.weight == 0.0:
        # Newly measured patches decide whether it ever gets a say; a theory that fails them, or gives no numbers, must
        # not eat the budget.
        known = _likely_first(measured[::-1], tried, features)
        if len(tried.asked) >= MOST_UNHEARD or not known:
            return None
        return Wish(known[0], float("nan"), "theory has no say yet: it is measured")
    return _most_telling(theory, verdict.weight, slopes, scores, tried, features, rng)


def _likely_first(measured: Index, tried: Tried, features: Mapping[str, NDArray[np.floating]]) -> list[int]:
    """Return measured candidates not yet asked for, in the order given, those that may well fail at the end."""
    known = [c for c in dict.fromkeys(measured.tolist()) if c not in tried.asked]
    chance = tried.chance(features, np.array(known, dtype=np.intp))
    return [c for c, p in zip(known, chance, strict=True) if p >= LEAST_CHANCE] + [
        c for c, p in zip(known, chance, strict=True) if p < LEAST_CHANCE
    ]


def _most_telling(
    theory: Theory,
    weight: float,
    slopes: FloatArray,
    scores: FloatArray,
    tried: Tried,
    features: Mapping[str, NDArray[np.floating]],
    rng: np.random.Generator,
) -> Wish | None:
    free = np.flatnonzero(np.isfinite(scores))
    if not len(free):
        return None
    top = free[np.argsort(-scores[free], kind="stable")[:N_TOP]]
    others = rng.choice(free, min(N_POOL, len(free)), replace=False)
    pool = np.array(
        [c for c in dict.fromkeys([*top.tolist(), *others.tolist()]) if c not in tried.asked], dtype=np.intp
    )
    if not len(pool):
        return None
    gain = np.zeros(len(pool))
    for engine, slope in zip(theory.engines, slopes, strict=True):
        emulator = theory.emulator(engine)
        shared = emulator.covariance(pool, top)
        own = emulator.at(pool)[1] + emulator.noise
        gain += slope**2 * (shared**2 / np.maximum(own, 1e-9)[:, None]).mean(axis=1)
    gain *= tried.chance(features, pool)
    best = int(np.argmax(gain))
    return Wish(int(pool[best]), weight * float(gain[best]), f"it tells most of the {len(top)} best candidates")
