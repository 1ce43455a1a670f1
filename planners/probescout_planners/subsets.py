"""Which candidates a costly policy looks at, and what it needs to know of them together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cholesky

from probescout.core.ports import Belief

FloatArray = NDArray[np.float64]
Index = NDArray[np.intp]


def promising(belief: Belief, n: int, rng: np.random.Generator, *, share: float = 0.5) -> Index:
    """Return up to `n` available candidates in ascending order: the best by mean + 2 SD, the rest at random.

    Args:
        belief: The belief.
        n: Most candidates.
        rng: Chooses the rest.
        share: Part of them taken by rank.
    """
    open_ = np.flatnonzero(belief.available)
    return ranked_subset(open_, belief.mean[open_] + 2.0 * belief.std[open_], n, rng, share=share)


def ranked_subset(open_: Index, rank: FloatArray, n: int, rng: np.random.Generator, *, share: float = 0.5) -> Index:
    """Return up to `n` of the candidates `open_` (m,), ascending: the largest of rank (m,) and a few at random."""
    if len(open_) <= n:
        return open_
    n_best = min(max(round(share * n), 0), n)
    order = np.argsort(-rank, kind="stable")
    others = rng.choice(order[n_best:], n - n_best, replace=False)
    return np.asarray(open_[np.sort(np.concatenate([order[:n_best], others]))])


def known_measured(belief: Belief, n: int) -> Index:
    """Return up to `n` different measured candidates of this belief, the largest mean + 2 SD first."""
    measured = np.unique(belief.measured)
    measured = measured[measured >= 0]
    bound = belief.mean[measured] + 2.0 * belief.std[measured]
    is_known = np.isfinite(bound)
    measured, bound = measured[is_known], bound[is_known]
    return np.asarray(measured[np.argsort(-bound, kind="stable")[:n]])


def fitted_values(belief: Belief) -> FloatArray:
    """Return (n,) what the model believes at the measured points, the measured value where it cannot say."""
    found = np.array(belief.values, dtype=np.float64)
    is_here = belief.measured >= 0
    means = belief.mean[belief.measured[is_here]]
    found[is_here] = np.where(np.isfinite(means), means, found[is_here])
    return found


def mixture_covariance(belief: Belief, index_a: Index, index_b: Index) -> FloatArray:
    """Return the covariance (a, b) of the mixture: sum of w_k (C_k + (m_k - m)(m_k - m)')."""
    within = np.einsum("k,kab->ab", belief.weights, belief.covariance(index_a, index_b))
    deviation = belief.member_mean - belief.mean
    return np.asarray(within + (belief.weights[:, None] * deviation[:, index_a]).T @ deviation[:, index_b])


def root(covariance: FloatArray) -> FloatArray:
    """Return a lower root of a covariance (m, m) that rounding may have made indefinite."""
    size = float(np.diag(covariance).max(initial=0.0))
    if size <= 0.0:
        return np.zeros_like(covariance)
    # Brought to unit size first: the squares of tiny target units would underflow.
    scaled, jitter = covariance / size, 1e-10
    while jitter <= 1e-2:
        try:
            return np.asarray(np.sqrt(size) * cholesky(scaled + jitter * np.eye(len(scaled)), lower=True))
        except LinAlgError:
            jitter *= 10.0
    return np.diag(np.sqrt(np.maximum(np.diag(covariance), 0.0)))
