"""A member that also knows what theory says: its target may be a multiple of the theory, plus what it was before.

k = k_member + b^2 t(x) t(x'), with the theory t known and a slope b that has a zero-mean normal prior (Kennedy &
O'Hagan 2000, "Predicting the output from a complex computer code when fast approximations are available", eq. 2, with
a discrepancy at every level; the basis-function form is Rasmussen & Williams 2006, eqs. 2.41-2.42). Nothing of the
member itself changes: with A = L^-1 t(X) the slope has variance P = (A'A + 1 / s^2)^-1 and mean P A'b, and the part of
the theory that the measurements do not tell already is r(x) = t(x) - V(x)'A.

What theory explains, the member need not: the scale of what is left is taken anew (normal-inverse-gamma, as a ratio to
the scale without theory).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.linalg import cholesky

from probescout.surrogates.incremental import LEAST_VARIANCE, IncrementalGP
from probescout.surrogates.kernel import Kernel, Points

FloatArray = NDArray[np.float64]

SLOPE_VARIANCE = 1.0
"""Prior variance of the slope, in SD of the target per SD of the simulated values."""
SCALE_COUNTS = 6.0
"""Pseudo-counts against the belief that theory has explained the rest."""


@dataclass(frozen=True)
class InformedPoints(Points):
    """Points that also carry what theory adds there."""

    basis: FloatArray
    """(engine, point): the part of the theory that the measurements do not tell, times a root of the slopes' P."""

    def __getitem__(self, index: NDArray[np.intp] | slice) -> InformedPoints:
        """Return some of the points."""
        some = Points(self.groups, self.norms)[index]
        return InformedPoints(some.groups, some.norms, np.ascontiguousarray(self.basis[:, index]))

    def and_then(self, others: Points) -> InformedPoints:
        """Return these points followed by others, which must be informed too."""
        assert isinstance(others, InformedPoints)
        both = Points(self.groups, self.norms).and_then(others)
        return InformedPoints(both.groups, both.norms, np.concatenate([self.basis, others.basis], axis=1))


class InformedKernel:
    """The kernel of a member with the slopes' share, after which only the measurements remain to be conditioned on."""

    def __init__(self, kernel: Kernel, scale: float) -> None:
        """Wrap a member's kernel.

        Args:
            kernel: The member's.
            scale: Of the variance that is left beside the theory.
        """
        self._kernel = kernel
        self._scale = scale
        self.amplitude = scale * kernel.amplitude

    def variance_at(self, points: Points) -> FloatArray:
        """Return the variance (point,) before the measurements are conditioned on."""
        assert isinstance(points, InformedPoints)
        return np.asarray(self._scale * (self._kernel.variance_at(points) + np.square(points.basis).sum(axis=0)))

    def between(self, a: Points, b: Points, dtype: Any = np.float64) -> NDArray[np.floating]:
        """Return the kernel (a, b), noise-free; arguments as of `Kernel.varying`."""
        assert isinstance(a, InformedPoints) and isinstance(b, InformedPoints)
        found = self._kernel.between(a, b, dtype)
        found += (a.basis.T @ b.basis).astype(dtype, copy=False)
        found *= np.dtype(dtype).type(self._scale)
        return found


class InformedGP:
    """The posterior of one member and the theory; offers what `IncrementalGP` offers to a belief."""

    def __init__(self, gp: IncrementalGP, field: FloatArray, doubt: FloatArray, measured: FloatArray) -> None:
        """Learn the slopes.

        Args:
            gp: The member, not told anything while this is used.
            field: Theory (point, engine) over its field, in SD of the simulated values.
            doubt: Variance (point, engine) of that.
            measured: Theory (n, engine) where the measurements were made.
        """
        self._gp = gp
        n_engines = field.shape[1]
        self._known = gp.whitened(measured)
        b = gp.innovations
        precision = self._known.T @ self._known + np.eye(n_engines) / SLOPE_VARIANCE
        covariance = np.linalg.inv(precision)
        pull = self._known.T @ b
        self.slope = covariance @ pull
        """(engine,) mean, standardised target per SD of the simulated values."""
        explained = float(pull @ self.slope)
        self.scale = (SCALE_COUNTS + float(b @ b) - explained) / (SCALE_COUNTS + float(b @ b))
        """What is left of the member's variance."""
        self.slope_sd = np.sqrt(self.scale * np.diag(covariance))
        """(engine,)"""
        self._root = cholesky(covariance, lower=True)
        self._pull = pull
        rest = field - gp.explained(self._known)
        self.field = InformedPoints(gp.field.groups, gp.field.norms, np.ascontiguousarray((rest @ self._root).T))
        self.kernel = InformedKernel(gp.kernel, self.scale)
        self.mean = gp.mean + rest @ self.slope
        """(point,)"""
        self.var = self._variance(gp.var, self.field.basis, doubt)
        """(point,) noise-free."""
        self.n, self.trust = gp.n, gp.trust
        self.noise = gp.noise

    def _variance(self, var: FloatArray, basis: FloatArray, doubt: FloatArray) -> FloatArray:
        """Return noise-free variances (point,).

        Args:
            var: The member's (point,).
            basis: As of `InformedPoints`.
            doubt: Variance (point, engine) of the theory; where the member knows the target it does not matter.
        """
        unknown = np.minimum(var / self._gp.kernel.variance, 1.0)
        own = doubt @ (self.slope**2 + self.slope_sd**2)
        found = self.scale * (var + np.square(basis).sum(axis=0)) + unknown * own
        return np.asarray(np.maximum(found, LEAST_VARIANCE))

    def points(self, points: Points, theory: FloatArray, doubt: FloatArray) -> TheoryPoints:
        """Return points with what theory adds there.

        Args:
            points: As the member sees them.
            theory: (point, engine).
            doubt: (point, engine).
        """
        rest = theory - self._gp.solved(points).T @ self._known
        return TheoryPoints(points.groups, points.norms, np.ascontiguousarray((rest @ self._root).T), rest, doubt)

    @property
    def constant_variance(self) -> float:
        """What is still unknown of the constant mean."""
        return self.scale * self._gp.constant_variance

    @property
    def measured_noise(self) -> FloatArray:
        """Return the noise variance (n,) of each measurement."""
        return self._gp.measured_noise

    def _left(self) -> tuple[FloatArray, FloatArray]:
        """Return K^-1 y and the diagonal of K^-1 (n,), theory included and the scale left out."""
        alpha, precision = self._gp.alpha_and_precision()
        g = self._gp.unwhitened(self._known)
        return alpha - g @ self.slope, precision - np.square(g @ self._root).sum(axis=1)

    def leave_one_out(self) -> tuple[FloatArray, FloatArray]:
        """Return mean and variance (n,) of each measured value, noise included, given all the others."""
        alpha, precision = self._left()
        return self._gp.targets - alpha / precision, self.scale / precision

    def at_measured(self) -> tuple[FloatArray, FloatArray]:
        """Return mean and noise-free variance (n,) where the measurements were made."""
        alpha, precision = self._left()
        noise = self._gp.measured_noise
        var = self.scale * (noise - noise * noise * precision)
        return self._gp.targets - noise * alpha, np.maximum(var, LEAST_VARIANCE)

    def at(self, points: Points) -> tuple[FloatArray, FloatArray]:
        """Return mean and noise-free variance (point,) of points that `points` made."""
        assert isinstance(points, TheoryPoints)
        mean, var = self._gp.at(points)
        return mean + points.rest @ self.slope, self._variance(var, points.basis, points.doubt)

    def solved(self, points: Points, dtype: DTypeLike = np.float64) -> NDArray[np.floating]:
        """Return what the rows of V (n, point) would hold for points."""
        found = self._gp.solved(points, dtype)
        return found * found.dtype.type(np.sqrt(self.scale))

    def row_blocks(self) -> Iterator[NDArray[np.floating]]:
        """Yield V (measurement, point) in blocks of consecutive rows."""
        for block in self._gp.row_blocks():
            yield block * block.dtype.type(np.sqrt(self.scale))

    def block_dtype(self, n_entries: int) -> np.dtype[Any]:
        """Return the precision of a covariance block."""
        return self._gp.block_dtype(n_entries)

    def correlation(self, point: Points) -> FloatArray:
        """Return the prior correlation (n,) of a point with every measurement, constant and theory left out."""
        return self._gp.correlation(point)


@dataclass(frozen=True)
class TheoryPoints(InformedPoints):
    """Points at which mean and variance can be told, too."""

    rest: FloatArray
    """(point, engine): the part of the theory that the measurements do not tell."""
    doubt: FloatArray
    """(point, engine) variance of the theory."""
