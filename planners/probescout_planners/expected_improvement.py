"""Expected improvement."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from probescout.core.ports import Belief, Json
from probescout.surrogates.improvement import (
    VANISHED,
    expected_improvement,
    log_expected_improvement,
    log_mixture,
    ranked_below,
)
from probescout_planners.subsets import known_measured, root

FloatArray = NDArray[np.float64]

N_RIVALS = 8
"""Measured points that may turn out to be the best, sampled together."""
N_SCREENED = 512
"""Candidates for which the noisy form is worked out."""


class ExpectedImprovement:
    """Prefer where the target is expected to exceed the best so far by most.

    Jones, Schonlau & Welch 1998, "Efficient global optimization", eq. 15, with the largest predicted mean over the
    measured points as incumbent, for a normal with the mean of the committee and the members' own variances averaged by
    their weights: what members merely disagree about is no chance of a gain (0011). With `spread` set to `mixture` each
    member's improvement is averaged by the weights, the exact expectation over the mixture.

    With `noisy` the incumbent is not taken as known: Letham et al. 2019, "Constrained Bayesian optimization with noisy
    experiments", eq. 2. The noise-free values of the 8 best measured points are drawn together, the posterior is
    conditioned on each draw, and the improvement over the draw's own best is averaged. We draw antithetic normal pairs
    where they use a quasi-random sequence, and work it out for the 512 best by the plain form only.
    """

    name: ClassVar[str] = "expected_improvement"
    summary: ClassVar[str] = "Find the largest values: expected gain over the best so far"
    params_schema: ClassVar[Json] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Expected improvement",
        "type": "object",
        "properties": {
            "xi": {
                "title": "Least gain",
                "description": "Only what exceeds the best so far by more than this counts, in target units; larger "
                "explores more",
                "type": "number",
                "minimum": 0,
                "maximum": 1e100,
                "default": 0.0,
            },
            "spread": {
                "title": "Spread",
                "description": "The members' own variances averaged by their weights, or the whole mixture, in which "
                "a member of little weight that is far off can decide",
                "type": "string",
                "enum": ["members", "mixture"],
                "default": "members",
            },
            "noisy": {
                "title": "Noisy incumbent",
                "description": "Average over what the best so far may really be, instead of taking its mean (boolean)",
                "type": "boolean",
                "default": False,
            },
            "n_draws": {
                "title": "Draws",
                "description": "Draws of the measured points with a noisy incumbent (count)",
                "type": "integer",
                "minimum": 2,
                "maximum": 4096,
                "default": 8,
            },
        },
        "additionalProperties": False,
    }
    needs_model: ClassVar[bool] = True
    is_gain: ClassVar[bool] = True
    is_split: bool = True

    def __init__(self, xi: float = 0.0, noisy: bool = False, n_draws: int = 8, spread: str = "members") -> None:
        """Set what counts as an improvement.

        Args:
            xi: Least gain that counts, in target units.
            noisy: Whether the incumbent is integrated out.
            n_draws: Draws of the measured points with `noisy`; rounded up to an even number.
            spread: Whose variance: of the `members`, averaged, or of the `mixture`.
        """
        self.xi = float(xi)
        self.noisy = bool(noisy)
        # What the measured points may turn out to be moves the score too.
        self.is_split = not self.noisy
        self.n_draws = int(n_draws)
        self.spread = spread

    def score(self, belief: Belief, rng: np.random.Generator) -> FloatArray:
        """Return the expected improvement (candidate,) in target units.

        Before any measurement there is nothing to improve on and the SD is returned. Where the improvement is too small
        for a floating-point number at every available candidate, numbers below 1e-290 in the right order are.
        """
        if not np.isfinite(belief.incumbent):
            return np.array(belief.std, dtype=np.float64)
        rivals = self._rivals(belief)
        if len(rivals):
            logs = self._noisy(belief, rng, rivals)
            improvement = np.exp(np.minimum(logs, 700.0))
        else:
            weights, mean, var = self._normals(belief)
            improvement = weights @ expected_improvement(mean - self._level(belief), np.sqrt(var))
        if not belief.available.any() or improvement[belief.available].max() > VANISHED:
            return np.asarray(improvement)
        return ranked_below(VANISHED, logs if len(rivals) else self._plain(belief))

    def log_score(self, belief: Belief, rng: np.random.Generator) -> FloatArray:
        """Return the logarithm of the expected improvement (candidate,), however small it is."""
        if not np.isfinite(belief.incumbent):
            return np.asarray(np.log(np.maximum(belief.std, VANISHED)))
        rivals = self._rivals(belief)
        return self._noisy(belief, rng, rivals) if len(rivals) else self._plain(belief)

    def _rivals(self, belief: Belief) -> NDArray[np.intp]:
        return known_measured(belief, N_RIVALS) if self.noisy else np.empty(0, dtype=np.intp)

    def _pooled(self, weights: FloatArray, of_members: FloatArray) -> FloatArray:
        """Return what holds for each normal (normal, ...) of what holds for each member (member, ...)."""
        return np.tensordot(weights[None], of_members, axes=1) if self.spread == "members" else of_members

    def _normals(self, belief: Belief) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the weights (normal,), means and variances (normal, candidate) of what is planned with."""
        w = belief.weights
        weights = np.ones(1) if self.spread == "members" else w
        return weights, self._pooled(w, belief.member_mean), self._pooled(w, np.maximum(belief.member_var, 0.0))

    def _level(self, belief: Belief) -> float:
        return belief.incumbent + self.xi

    def _plain(self, belief: Belief) -> FloatArray:
        weights, mean, var = self._normals(belief)
        return log_mixture(weights, log_expected_improvement(mean - self._level(belief), np.sqrt(var)))

    def _noisy(self, belief: Belief, rng: np.random.Generator, rivals: NDArray[np.intp]) -> FloatArray:
        """Return the logarithm of the noisy form for the best by the plain one; the others stay below all of them."""
        found = self._plain(belief)
        open_ = np.flatnonzero(belief.available)
        if len(open_) == 0:
            return found
        chosen = open_[np.argsort(-found[open_], kind="stable")[:N_SCREENED]]
        half = rng.standard_normal(((self.n_draws + 1) // 2, len(rivals)))
        draws = np.concatenate([half, -half])
        weights, mean, var = self._normals(belief)
        between = self._pooled(belief.weights, belief.covariance(rivals, rivals))
        across = self._pooled(belief.weights, belief.covariance(rivals, chosen))
        logs = []
        for k in range(len(weights)):
            factor = root(between[k])
            # A root with a zero diagonal (no uncertainty) cannot be solved with; there is nothing to condition on then.
            safe = factor + np.diag(np.where(np.diag(factor) > 0, 0.0, 1.0))
            slope = solve_triangular(safe, across[k], lower=True, check_finite=False)
            best = (mean[k, rivals] + draws @ factor.T).max(axis=1)
            gain = mean[k, chosen] + draws @ slope - best[:, None] - self.xi
            left = np.sqrt(np.maximum(var[k, chosen] - np.einsum("oc,oc->c", slope, slope), 0.0))
            logs.append(log_expected_improvement(gain, np.broadcast_to(left, gain.shape)))
        noisy = log_mixture(np.repeat(weights / len(draws), len(draws)), np.concatenate(logs))
        found += min(0.0, float((noisy - found[chosen]).min()))
        found[chosen] = noisy
        return found
