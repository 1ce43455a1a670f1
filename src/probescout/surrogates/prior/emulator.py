"""What simulations of some patches say about all the others.

A Gaussian process over the structure of the patches, in place of simulations that nobody has time for. Its
hyperparameters are not chosen but averaged over, on a small grid, by their marginal likelihood (Rasmussen & Williams
2006, eq. 5.8, with a normal-inverse-gamma prior on the scale): a handful of simulations says little about them, and
there is nothing to fit, so that the same evidence always gives the same prior.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Index = NDArray[np.intp]

STRUCTURE = {"pca8": 10.0**0.5, "bank": 2.0}
"""Representations of structure, with the middle of the lengthscales tried."""
PLACE = {"xy": 0.25}
"""What stands in where candidates have no patch."""
LENGTHS = (0.5, 1.0, 2.0)
"""Times the middle one."""
NOISES = (0.003, 0.03, 0.3, 1.5)
"""Variance of what the structure does not explain, over that which it does: the noise of an engine is learnt."""
LEAST_N = 5
"""Simulations below which nothing is said of other patches."""
SCALE_COUNTS = 2.0
"""Pseudo-counts in favour of the spread of the simulated values."""
LEAST_SHARE = 0.02
"""Hyperparameters less likely than that, beside the likeliest, are left out."""
AT_A_TIME = 1 << 22
"""Simulations times candidates that are worked out together."""


@dataclass(frozen=True)
class _Part:
    """One choice of hyperparameters."""

    feature: str
    length: float
    weight: float
    variance: float
    """Of the part that the structure explains."""
    alpha: FloatArray
    """(m,)"""
    root: FloatArray
    """(m, m): its square is the inverse of the matrix of correlations and noise."""
    noise: float
    """Relative to the variance."""


class Emulator:
    """The posterior of one computed quantity over all patches, in SD of the simulated values.

    Example:
        >>> import numpy as np
        >>> bank = np.linspace(0, 9, 30)[:, None].astype(np.float32)
        >>> emulator = Emulator({"bank": bank}, np.arange(0, 30, 3), np.sin(bank[::3, 0]).astype(float))
        >>> mean, variance = emulator.at(np.array([4]))
        >>> bool(abs(mean[0] * emulator.sd + emulator.mean - np.sin(bank[4, 0])) < 0.1)
        True
    """

    def __init__(self, features: Mapping[str, NDArray[np.floating]], index: Index, values: FloatArray) -> None:
        """Learn from simulations.

        Args:
            features: Representations (candidate, dim) by name.
            index: (m,) the candidate at the middle of each simulated patch; a candidate may come again.
            values: (m,) what was computed, any unit, finite.
        """
        self.index = index
        self.mean = float(values.mean())
        self.sd = float(values.std()) or 1.0
        kinds = STRUCTURE if any(name in features for name in STRUCTURE) else PLACE
        self._features = {name: features[name] for name in kinds if name in features}
        y = (values - self.mean) / self.sd
        found = [
            part for name in self._features for factor in LENGTHS for part in self._parts(name, factor * kinds[name], y)
        ]
        logs = np.array([log for log, _ in found])
        share = np.exp(logs - logs.max())
        share[share < LEAST_SHARE] = 0.0
        share /= share.sum()
        self._kept = [
            _Part(p.feature, p.length, float(w), p.variance, p.alpha, p.root, p.noise)
            for w, (_, p) in zip(share, found, strict=True)
            if w > 0.0
        ]

    def _parts(self, feature: str, length: float, y: FloatArray) -> list[tuple[float, _Part]]:
        """Return the log marginal likelihood and the posterior for every noise, from one factorisation."""
        x = self._features[feature][self.index]
        values, vectors = np.linalg.eigh(_correlation(x, x, length))
        turned, m = vectors.T @ y, len(y)
        found = []
        for noise in NOISES:
            d = np.maximum(values, 0.0) + noise
            left = SCALE_COUNTS + float(turned @ (turned / d))
            log = -0.5 * float(np.log(d).sum()) - 0.5 * (m + SCALE_COUNTS) * float(np.log(left))
            variance = left / (m + SCALE_COUNTS)
            root = (vectors / np.sqrt(d)).T
            found.append((log, _Part(feature, length, 0.0, variance, vectors @ (turned / d), root, noise)))
        return found

    @property
    def noise(self) -> float:
        """Variance of a simulated value that its structure does not explain, in squared SD: the engine's noise."""
        return float(sum(p.weight * p.variance * p.noise for p in self._kept))

    def at(self, candidates: Index) -> tuple[FloatArray, FloatArray]:
        """Return mean and noise-free variance (candidate,) in SD of the simulated values.

        Args:
            candidates: (candidate,)
        """
        mean, var = np.empty((2, len(candidates)))
        step = max(AT_A_TIME // len(self.index), 1)
        for start in range(0, len(candidates), step):
            part = slice(start, start + step)
            mean[part], var[part] = self._tile(candidates[part])
        return mean, var

    def _tile(self, candidates: Index) -> tuple[FloatArray, FloatArray]:
        means, variances = np.empty((2, len(self._kept), len(candidates)))
        tables: dict[tuple[str, float], FloatArray] = {}
        for i, p in enumerate(self._kept):
            # Parts that differ in the noise alone share the table.
            key = p.feature, p.length
            if key not in tables:
                tables[key] = self._to(candidates, p)
            known = tables[key]
            means[i] = p.alpha @ known
            variances[i] = p.variance * np.maximum(1.0 - np.square(p.root @ known).sum(axis=0), 0.0)
        weights = np.array([p.weight for p in self._kept])
        mean = weights @ means
        return mean, weights @ (variances + (means - mean) ** 2)

    def covariance(self, a: Index, b: Index) -> FloatArray:
        """Return the noise-free posterior covariance (a, b) between two sets of candidates, within hyperparameters."""
        total = np.zeros((len(a), len(b)))
        for p in self._kept:
            table = self._features[p.feature]
            prior = _correlation(table[a], table[b], p.length)
            total += p.weight * p.variance * (prior - (p.root @ self._to(a, p)).T @ (p.root @ self._to(b, p)))
        return total

    def _to(self, candidates: Index, part: _Part) -> FloatArray:
        """Return the correlation (m, candidate) of the simulated patches with others."""
        table = self._features[part.feature]
        return _correlation(table[self.index], table[candidates], part.length)


def similarity(features: Mapping[str, NDArray[np.floating]], a: Index, b: Index) -> FloatArray:
    """Return how much alike the patches of candidates (a,) and (b,) look (a, b), 0 to 1, by the least lengthscale."""
    kinds = STRUCTURE if any(name in features for name in STRUCTURE) else PLACE
    name = next(name for name in kinds if name in features)
    return _correlation(features[name][a], features[name][b], LENGTHS[0] * kinds[name])


def _correlation(a: NDArray[np.floating], b: NDArray[np.floating], length: float) -> FloatArray:
    """Return Matern-5/2 correlations (a, b) of rows (a, dim) and (b, dim)."""
    scale = np.sqrt(5.0) / length
    u, v = scale * np.asarray(a, dtype=np.float64), scale * np.asarray(b, dtype=np.float64)
    squared = np.square(u).sum(axis=1)[:, None] + np.square(v).sum(axis=1) - 2.0 * u @ v.T
    # Rounding may leave the distance of a point to itself below zero.
    r = np.sqrt(np.maximum(squared, 0.0))
    return np.asarray((1.0 + r + r * r / 3.0) * np.exp(-r))
