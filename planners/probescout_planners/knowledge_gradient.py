"""Knowledge gradient."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from probescout.core.ports import Belief, Json
from probescout.surrogates.improvement import expected_improvement
from probescout_planners.subsets import known_measured, mixture_covariance, promising, ranked_subset

FloatArray = NDArray[np.float64]


class KnowledgeGradient:
    """Prefer the measurement after which the best predicted place is expected to be better than it is now.

    Frazier, Powell & Dayanik 2009, "The knowledge-gradient policy for correlated normal beliefs", eqs. 11-13, exact
    over a reference set: the candidates and measured points that may be best. Unlike expected improvement it values
    a measurement for what it teaches about other places, and knows that a noisy value is not to be taken at
    its word. The mixture is taken as one normal distribution with its mean and covariance, so that a measurement also
    teaches which member is right.

    Of more than `n_candidates`, those with the largest mean + 2 SD are looked at, a quarter at random; the others score
    -1, below any gain.
    """

    name: ClassVar[str] = "knowledge_gradient"
    summary: ClassVar[str] = "Find the largest value by what a measurement teaches about all places"
    params_schema: ClassVar[Json] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Knowledge gradient",
        "type": "object",
        "properties": {
            "n_reference": {
                "title": "Reference",
                "description": "Places that may turn out to be the best (count)",
                "type": "integer",
                "minimum": 2,
                "maximum": 1000,
                "default": 48,
            },
            "n_candidates": {
                "title": "Subset",
                "description": "Candidates that are scored (count)",
                "type": "integer",
                "minimum": 2,
                "maximum": 10000,
                "default": 256,
            },
        },
        "additionalProperties": False,
    }
    needs_model: ClassVar[bool] = True
    is_gain: ClassVar[bool] = True

    def __init__(self, n_reference: int = 48, n_candidates: int = 256) -> None:
        """Set the sizes.

        Args:
            n_reference: Places that may turn out to be the best.
            n_candidates: Candidates that are scored.
        """
        self.n_reference = int(n_reference)
        self.n_candidates = int(n_candidates)

    def score(self, belief: Belief, rng: np.random.Generator) -> FloatArray:
        """Return the expected gain (candidate,) of the largest predicted mean, in target units."""
        scores = np.full(len(belief.available), -1.0)
        chosen = promising(belief, self.n_candidates, rng, share=0.75)
        if len(chosen) == 0:
            return scores
        places = np.union1d(np.flatnonzero(belief.available), known_measured(belief, self.n_reference))
        bound = belief.mean[places] + 2.0 * belief.std[places]
        reference = ranked_subset(places, bound, self.n_reference, rng, share=1.0)
        total = np.maximum(belief.std[chosen] ** 2 + belief.noise_var[chosen], 0.0)
        slopes = mixture_covariance(belief, chosen, reference)
        with np.errstate(divide="ignore", invalid="ignore"):
            # A candidate without variance or noise teaches nothing.
            slopes = np.where(total[:, None] > 0, slopes / np.sqrt(total)[:, None], 0.0)
        scores[chosen] = expected_largest_gain(belief.mean[reference], slopes)
        return scores


def expected_largest_gain(offsets: FloatArray, slopes: FloatArray) -> FloatArray:
    """Return E[max_a (offsets_a + slopes_a Z)] - max_a offsets_a (candidate,) for Z ~ N(0, 1), exactly.

    Frazier et al. 2009, algorithm 1: only the lines of the upper envelope count, and each breakpoint between two of
    them at c adds (difference of slopes) * E[max(Z - |c|, 0)]. The envelopes of all candidates are built side by side.

    Args:
        offsets: (a,).
        slopes: (candidate, a).
    """
    n, m = slopes.shape
    if m < 2:
        return np.zeros(n)
    # Rising slopes; of parallel lines the highest comes last and covers the others.
    order = np.lexsort((np.broadcast_to(offsets, slopes.shape), slopes), axis=1)
    b = np.take_along_axis(slopes, order, axis=1)
    a = offsets[order]
    rows = np.arange(n)
    stack, since, depth = np.zeros((n, m), dtype=np.intp), np.full((n, m), -np.inf), np.zeros(n, dtype=np.intp)
    for j in range(1, m):
        left = rows
        starts = np.empty(n)
        while len(left):
            top = stack[left, depth[left]]
            c = _crossing(a[left, top], b[left, top], a[left, j], b[left, j])
            # A line that is overtaken before it began is never the highest; the first one began at -inf.
            is_covered = c <= since[left, depth[left]]
            starts[left] = c
            depth[left[is_covered]] -= 1
            left = left[is_covered & (depth[left] >= 0)]
        depth += 1
        stack[rows, depth] = j
        since[rows, depth] = np.where(depth == 0, -np.inf, starts)
    gains = np.zeros(n)
    for k in range(1, int(depth.max()) + 1):
        at = rows[depth >= k]
        difference = b[at, stack[at, k]] - b[at, stack[at, k - 1]]
        gains[at] += difference * expected_improvement(-np.abs(since[at, k]), np.ones(len(at)))
    return gains


def _crossing(a: FloatArray, b: FloatArray, new_a: FloatArray, new_b: FloatArray) -> FloatArray:
    """Return where a line with a slope at least as large overtakes another; -inf for parallel ones."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        c = (a - new_a) / (new_b - b)
    return np.where(new_b > b, c, -np.inf)
