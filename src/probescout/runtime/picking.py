"""Turns a policy's scores into picks: checked, tie-broken, and with some kept apart for later."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, Reason
from probescout.core.ports import Planner, present
from probescout.surrogates.belief import CommitteeBelief

N_SPARES = 8
"""Positions kept ready for when a later answer would be late."""
SPARE_GAP = 0.03
"""Least distance between them, as a fraction of the frame."""


def scored(
    policy: Planner, belief: CommitteeBelief, free: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the policy's scores (candidate,), -inf where none may be proposed.

    Raises:
        InvalidInput: PLUGIN_BROKEN when the policy raises, or its scores are of no use.
    """
    try:
        scores = np.asarray(policy.score(belief, rng), dtype=np.float64)
    except Exception as error:
        raise broken(policy, f"raised {error!r}") from error
    if scores.shape != free.shape:
        raise broken(policy, f"returned scores of shape {scores.shape} for {free.size} candidates")
    scores = np.where(free & np.isfinite(scores), scores, -np.inf)
    if not np.isfinite(scores).any():
        raise broken(policy, "gave no finite score to any free candidate")
    return scores


def broken(policy: Planner, what: str) -> InvalidInput:
    """Return the error of a policy that did what it must not."""
    return InvalidInput(
        Reason.PLUGIN_BROKEN, f"planner '{policy.name}' {what}; choose another policy", field="spec.policy"
    )


def answering(policy: Planner, belief: CommitteeBelief) -> Planner:
    """Return the policy that answers for a belief: of one that delegates, the one that it hands over to.

    Raises:
        InvalidInput: PLUGIN_BROKEN when the policy raises.
    """
    try:
        return present(policy, belief)
    except Exception as error:
        raise broken(policy, f"raised {error!r} when asked who answers") from error


def chooser_of(policy: Planner) -> str:
    """Return the name of the policy that made the last scores: one that delegates says whose they are."""
    return str(getattr(policy, "chosen_by", "")) or policy.name


def within(positions: NDArray[np.float64], y: float, x: float, reach: float) -> NDArray[np.bool_]:
    """Return (candidate,) whether each position (candidate, 2) lies within a fraction of the frame diagonal."""
    gaps = np.hypot(positions[:, 0] - y, positions[:, 1] - x) / np.sqrt(2.0)
    return np.asarray(gaps <= reach, dtype=bool)


def best_of(scores: NDArray[np.float64], rng: np.random.Generator) -> int:
    """Return the index of the largest score; ties are broken at random, lest the top left corner win them all."""
    best = np.flatnonzero(scores == scores.max())
    return int(best[0] if best.size == 1 else rng.choice(best))


def spares_of(scores: NDArray[np.float64], free: NDArray[np.bool_], positions: NDArray[np.float64]) -> list[int]:
    """Return good free candidates that keep apart, for answers that must not wait."""
    if not free.any():
        return []
    n = min(256, scores.size)
    top = np.argpartition(-scores, n - 1)[:n]
    left = top[np.argsort(-scores[top])]
    left = left[free[left] & np.isfinite(scores[left])]
    kept: list[int] = []
    while left.size and len(kept) < N_SPARES:
        kept.append(int(left[0]))
        gaps = positions[left] - positions[kept[-1]]
        left = left[np.hypot(gaps[:, 0], gaps[:, 1]) > SPARE_GAP]
    return kept
