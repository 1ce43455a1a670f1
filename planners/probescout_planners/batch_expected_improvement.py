"""Expected improvement of several points together."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from probescout.core.ports import Belief, Json
from probescout_planners.expected_improvement import ExpectedImprovement
from probescout_planners.subsets import known_measured, ranked_subset, root

FloatArray = NDArray[np.float64]
Index = NDArray[np.intp]

N_RIVALS = 16
"""Measured points that may turn out to be the best."""
N_PASSES = 4


class BatchExpectedImprovement:
    """Choose several points that together promise the largest improvement, for scans that visit many at once.

    Ginsbourger, Le Riche & Carraro 2010, "Kriging is well-suited to parallelize optimization" (multi-points EI), by
    Monte Carlo with common random numbers as in Balandat et al. 2020, "BoTorch", qNoisyExpectedImprovement: joint
    draws from each member, in proportion to its weight, over a subset of candidates and the best measured points,
    whose draw is the incumbent. The batch grows greedily (within 1 - 1/e of the best: the gain is submodular) and
    single points are then exchanged while that helps. Scores of single points are the expected improvement
    over the mixture.
    """

    name: ClassVar[str] = "batch_expected_improvement"
    summary: ClassVar[str] = "Find the largest values with a batch of points that are best together"
    params_schema: ClassVar[Json] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Joint expected improvement",
        "type": "object",
        "properties": {
            "n_subset": {
                "title": "Subset",
                "description": "Candidates that are looked at together (count)",
                "type": "integer",
                "minimum": 2,
                "maximum": 2000,
                "default": 256,
            },
            "n_draws": {
                "title": "Draws",
                "description": "Joint draws from the posterior (count)",
                "type": "integer",
                "minimum": 8,
                "maximum": 65536,
                "default": 512,
            },
        },
        "additionalProperties": False,
    }
    needs_model: ClassVar[bool] = True
    is_gain: ClassVar[bool] = True

    def __init__(self, n_subset: int = 256, n_draws: int = 512) -> None:
        """Set the sizes.

        Args:
            n_subset: Candidates that are looked at together.
            n_draws: Joint draws from the posterior.
        """
        self.n_subset = int(n_subset)
        self.n_draws = int(n_draws)
        self._single = ExpectedImprovement(spread="mixture")

    def score(self, belief: Belief, rng: np.random.Generator) -> FloatArray:
        """Return the expected improvement (candidate,) of single points, over the mixture."""
        return self._single.score(belief, rng)

    def log_score(self, belief: Belief, rng: np.random.Generator) -> FloatArray:
        """Return its logarithm (candidate,)."""
        return self._single.log_score(belief, rng)

    def score_batch(self, belief: Belief, rng: np.random.Generator, count: int) -> Index:
        """Return up to `count` different available candidates, best first.

        Args:
            belief: The belief.
            rng: Generator.
            count: Points wanted; fewer are returned only when fewer are available.
        """
        open_ = np.flatnonzero(belief.available)
        count = min(count, len(open_))
        if count < 1:
            return np.empty(0, dtype=np.intp)
        single = self._single.score(belief, rng)[open_]
        subset = ranked_subset(open_, single, max(self.n_subset, count), rng, share=0.75)
        gains = joint_gains(belief, subset, self.n_draws, rng)
        if gains.max() <= 0.0:
            # No draw improves on the best so far: what is left is the order of the single points.
            return np.asarray(open_[np.argsort(-single, kind="stable")[:count]])
        tie = np.argsort(np.argsort(single[np.searchsorted(open_, subset)], kind="stable"), kind="stable")
        return np.asarray(subset[best_set(gains, count, tie.astype(np.float64))])


def joint_gains(belief: Belief, subset: Index, n_draws: int, rng: np.random.Generator) -> FloatArray:
    """Return improvements (draw, m) over the draw's own incumbent, from joint draws at candidates `subset` (m,)."""
    rivals = known_measured(belief, N_RIVALS)
    rivals = rivals[~np.isin(rivals, subset)]
    both = np.concatenate([subset, rivals])
    covariance = belief.covariance(both, both)
    found = []
    # Systematic allocation: each member draws in proportion to its weight, to the nearest whole number.
    ends = np.round(np.cumsum(belief.weights) * n_draws).astype(int)
    for k, n in enumerate(np.diff(ends, prepend=0)):
        if n == 0:
            continue
        draws = belief.member_mean[k, both] + rng.standard_normal((n, len(both))) @ root(covariance[k]).T
        if len(rivals):
            best = draws[:, len(subset) :].max(axis=1, keepdims=True)
        else:
            best = np.full((n, 1), belief.incumbent if np.isfinite(belief.incumbent) else belief.mean[subset].min())
        found.append(np.maximum(draws[:, : len(subset)] - best, 0.0))
    return np.concatenate(found)


def best_set(gains: FloatArray, count: int, tie: FloatArray) -> Index:
    """Return `count` columns whose largest gain per draw is largest on average: greedy, then exchanges.

    Args:
        gains: (draw, m), >= 0.
        count: Columns wanted, at most m.
        tie: (m,) preference among columns that add nothing.
    """
    chosen: list[int] = []
    best = np.zeros(len(gains))
    for _ in range(count):
        chosen.append(_best_addition(gains, best, chosen, tie))
        best = np.maximum(best, gains[:, chosen[-1]])
    for _ in range(N_PASSES):
        before = list(chosen)
        for i in range(count):
            others = chosen[:i] + chosen[i + 1 :]
            rest = gains[:, others].max(axis=1, initial=0.0)
            j = _best_addition(gains, rest, others, tie)
            if np.maximum(rest, gains[:, j]).mean() > np.maximum(rest, gains[:, chosen[i]]).mean():
                chosen[i] = j
        if chosen == before:
            break
    return np.array(chosen, dtype=np.intp)


def _best_addition(gains: FloatArray, best: FloatArray, chosen: list[int], tie: FloatArray) -> int:
    added = np.maximum(gains - best[:, None], 0.0).mean(axis=0)
    added[chosen] = -1.0
    return int(np.lexsort((tie, added))[-1])
