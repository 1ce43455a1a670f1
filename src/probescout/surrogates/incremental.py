"""The posterior of one member over a field of points, kept up to date one measurement at a time.

Rasmussen & Williams 2006, Gaussian Processes for Machine Learning, eqs. 2.23-2.26 (posterior) and 5.10-5.12
(leave-one-out). With K = L L' the rows V = L^-1 k(X, .) and b = L^-1 y give mean = b'V and var = k(., .) - sum V^2; new
measurements append rows. We keep L^-1 instead of L, which makes the leave-one-out terms cheap to update too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.linalg import LinAlgError, cholesky, solve_triangular

from probescout.surrogates.kernel import Kernel, Points
from probescout.surrogates.members.definition import Hyperparameters
from probescout.surrogates.rows import RowBlocks, Rows

FloatArray = NDArray[np.float64]
LEAST_VARIANCE = 1e-10
"""Rounding must not leave a variance of zero or below."""
FIRST_ROWS = 32
MANY_POINTS = 64
AT_A_TIME = 1 << 22
"""Measurements times points that are worked out together: bounds the memory of a whole frame's posterior."""
LARGE_BLOCK = 1 << 16
"""Entries of a covariance block beyond which it is formed in the precision of V."""


@dataclass(frozen=True)
class _Ahead:
    """What a measurement at some points appends, worked out before its value and noise are known."""

    n: int
    """Measurements known at the time."""
    points: Points
    left: FloatArray
    """L^-1 k(X, points), transposed (p, n)."""
    rows: Rows
    """k(points, field) less what is known (p, point)."""


class IncrementalGP:
    """An exact GP with k = sum_g a_g Matern52_ARD(x_g) + 1 and one noise variance per measurement.

    Everything is in standardised target units. What was measured need not be in the field. Rows of V are written once,
    and `mean` and `var` are replaced, so that what was taken of them for a belief stays true after later tells.

    Example:
        >>> import numpy as np
        >>> x = np.linspace(0, 1, 5)[:, None]
        >>> gp = IncrementalGP([x], Hyperparameters(((-1.0,),), (0.0,), -2.0))
        >>> gp.tell([x[2]], 1.0)
        >>> int(np.argmax(gp.mean))
        2
    """

    def __init__(
        self, groups: Sequence[NDArray[np.floating]], hyper: Hyperparameters, *, dtype: DTypeLike = np.float32
    ) -> None:
        """Start from the prior.

        Args:
            groups: One array (point, dim) per additive term: the field.
            hyper: Hyperparameters.
            dtype: Of V; float32 halves the memory traffic that dominates a tell.
        """
        self._dtype: np.dtype[Any] = np.dtype(dtype)
        self.kernel = Kernel(hyper)
        self.field = self.kernel.points(groups)
        self.noise = float(np.exp(hyper.log_noise))
        """Fitted noise variance, added to what each measurement states."""
        self.trust = float(np.exp(hyper.log_stated))
        """Factor on the noise variances that the measurements state."""
        self.n = 0
        """Measurements so far."""
        self._constant_known = 0.0
        self.mean = np.zeros(len(self.field))
        """(point,) posterior mean over the field."""
        self.var = np.full(len(self.field), self.kernel.variance)
        """(point,) noise-free posterior variance over the field."""
        self._x: list[FloatArray] = [np.empty((len(g), FIRST_ROWS)) for g in self.field.groups]
        self._norms = [np.empty(FIRST_ROWS) for _ in self.field.groups]
        self._v = RowBlocks(len(self.field), self._dtype)
        self._linv = np.zeros((FIRST_ROWS, FIRST_ROWS))
        self._columns = {name: np.zeros(FIRST_ROWS) for name in ("b", "y", "noise", "precision", "alpha")}
        self._prepared: _Ahead | None = None

    def _held(self, name: str) -> FloatArray:
        return self._columns[name][: self.n]

    @property
    def measured(self) -> Points:
        """The inputs of the measurements, in the order told."""
        return Points(tuple(x[:, : self.n] for x in self._x), tuple(s[: self.n] for s in self._norms))

    # Learning

    def tell(self, x: Sequence[NDArray[np.floating]], y: float, stated_noise: float = 0.0) -> None:
        """Append a measurement; a point may be measured again.

        Args:
            x: One array (dim,) per additive term.
            y: Standardised value.
            stated_noise: Noise variance that the measurement states, added to the fitted one.
        """
        self.extend([np.asarray(g)[None] for g in x], np.array([y]), np.array([stated_noise]))

    def prepare(self, x: Sequence[NDArray[np.floating]]) -> None:
        """Work out whatever the next `tell` of a point does that needs neither value nor noise: nearly everything.

        Args:
            x: One array (dim,) per additive term.
        """
        self._prepared = self._ahead([np.asarray(g)[None] for g in x])

    def extend(
        self,
        x: Sequence[NDArray[np.floating]],
        y: FloatArray,
        stated_noise: FloatArray,
        extra_noise: FloatArray | float = 0.0,
    ) -> None:
        """Append measurements (p,) in one go; the same as one by one, but for rounding.

        Args:
            x: One array (p, dim) per additive term.
            y: Standardised values.
            stated_noise: Noise variances that the measurements state.
            extra_noise: Noise variances beyond these, where a measurement is doubted.

        Raises:
            LinAlgError: When the kernel matrix is not positive definite; the state before stays.
        """
        n, p = self.n, len(y)
        ahead = self._taken(x) or self._ahead(x)
        points, left = ahead.points, ahead.left
        noise = self.noise + self.trust * stated_noise + extra_noise
        linv = self._linv[:n, :n]
        # One point is as like itself as can be: no kernel is needed to know it.
        prior = self.kernel.between(points, points) if p > 1 else np.full((1, 1), self.kernel.variance)
        schur = prior + np.diag(noise) - left @ left.T
        factor, inverse = _factor(schur, self.noise)
        new = np.hstack([-(inverse @ left) @ linv, inverse])
        if not np.isfinite(new).all():
            raise LinAlgError(f"the kernel matrix of {n + p} measurements has no finite inverse")
        rows = self._scaled(ahead.rows, factor)
        b = inverse @ (y - left @ self._held("b"))
        self._append(points, new, rows, b, y, noise)

    def _ahead(self, x: Sequence[NDArray[np.floating]]) -> _Ahead:
        points, linv = self.kernel.points(x), self._linv[: self.n, : self.n]
        left = self.kernel.between(points, self.measured) @ linv.T
        rows = self.kernel.between(points, self.field, self._dtype)
        self._v.take_from(rows, left)
        return _Ahead(self.n, points, left, rows)

    def _taken(self, x: Sequence[NDArray[np.floating]]) -> _Ahead | None:
        """Return what was prepared, once, if it is of these points and nothing was learnt since."""
        ahead, self._prepared = self._prepared, None
        if ahead is None or ahead.n != self.n or len(x[0]) != len(ahead.points):
            return None
        points = self.kernel.points(x)
        is_same = all(np.array_equal(a, b) for a, b in zip(points.groups, ahead.points.groups, strict=True))
        return ahead if is_same else None

    def _scaled(self, rows: Rows, factor: FloatArray) -> Rows:
        """Return the rows (p, point) that new measurements append to V; those given are overwritten."""
        if len(rows) == 1:
            rows /= self._dtype.type(factor[0, 0])
            return rows
        return np.asarray(
            solve_triangular(factor.astype(self._dtype), rows, lower=True, overwrite_b=True, check_finite=False)
        )

    def _append(
        self, points: Points, new: FloatArray, rows: Rows, b: FloatArray, y: FloatArray, noise: FloatArray
    ) -> None:
        n, end = self.n, self.n + len(y)
        self._reserve(end)
        self._linv[n:end, :end] = new
        self._constant_known += float((new.sum(axis=1) ** 2).sum())
        for own, group in zip(self._x, points.groups, strict=True):
            own[:, n:end] = group
        for own_norm, norm in zip(self._norms, points.norms, strict=True):
            own_norm[n:end] = norm
        for name, values in (("b", b), ("y", y), ("noise", noise)):
            self._columns[name][n:end] = values
        self._columns["precision"][:end] += np.einsum("ij,ij->j", new, new)
        self._columns["alpha"][:end] += b @ new
        self._v.append(rows)
        self.n = end
        if len(y) == 1:
            row = rows[0]
            self.mean = self.mean + b[0] * row
            self.var = np.maximum(self.var - row * row, LEAST_VARIANCE)
        else:
            self.mean = self.mean + b.astype(self._dtype) @ rows
            self.var = np.maximum(self.var - np.einsum("ij,ij->j", rows, rows), LEAST_VARIANCE)

    def _reserve(self, n: int) -> None:
        old = len(self._linv)
        if n <= old:
            return
        # By half, not twice: L^-1 grows with the square.
        capacity = max(n, old + old // 2)
        linv = np.zeros((capacity, capacity))
        linv[:old, :old] = self._linv
        self._linv = linv
        more = capacity - old
        self._x = [np.concatenate([x, np.empty((len(x), more))], axis=1) for x in self._x]
        self._norms = [np.concatenate([s, np.empty(more)]) for s in self._norms]
        self._columns = {name: np.concatenate([c, np.zeros(more)]) for name, c in self._columns.items()}

    def row_blocks(self) -> Iterator[Rows]:
        """Yield V (measurement, point) in blocks of consecutive rows."""
        return iter(self._v)

    # What further terms of the mean are made of

    @property
    def innovations(self) -> FloatArray:
        """Return L^-1 y (n,): the error of each one-step-ahead prediction over its SD."""
        return self._held("b")

    @property
    def step_sd(self) -> FloatArray:
        """Return the SD (n,) of each one-step-ahead prediction, noise included: the diagonal of L."""
        return np.asarray(1.0 / np.diag(self._linv[: self.n, : self.n]))

    @property
    def targets(self) -> FloatArray:
        """Return the standardised values (n,)."""
        return self._held("y")

    def whitened(self, columns: FloatArray) -> FloatArray:
        """Return L^-1 times columns (n, column)."""
        return np.asarray(self._linv[: self.n, : self.n] @ columns)

    def unwhitened(self, columns: FloatArray) -> FloatArray:
        """Return L'^-1 times columns (n, column)."""
        return np.asarray(self._linv[: self.n, : self.n].T @ columns)

    def explained(self, whitened: FloatArray) -> FloatArray:
        """Return V' times whitened columns (n, column) as (point, column): their posterior mean over the field."""
        return self._v.transposed_times(whitened)

    def alpha_and_precision(self) -> tuple[FloatArray, FloatArray]:
        """Return K^-1 y and the diagonal of K^-1, each (n,)."""
        return self._held("alpha"), self._held("precision")

    # Answers

    def at_measured(self) -> tuple[FloatArray, FloatArray]:
        """Return mean and noise-free variance (n,) where the measurements were made.

        With S the noise variances: mean = y - S K^-1 y and var = s - s^2 diag(K^-1), which cost nothing here.
        """
        noise = self._held("noise")
        mean = self._held("y") - noise * self._held("alpha")
        return mean, np.maximum(noise - noise * noise * self._held("precision"), LEAST_VARIANCE)

    @property
    def measured_noise(self) -> FloatArray:
        """Return the noise variance (n,) of each measurement: fitted, stated and doubted."""
        return self._held("noise")

    def leave_one_out(self) -> tuple[FloatArray, FloatArray]:
        """Return mean and variance (n,) of each measured value, noise included, given all the others."""
        precision = self._held("precision")
        return self._held("y") - self._held("alpha") / precision, 1.0 / precision

    def at(self, points: Points) -> tuple[FloatArray, FloatArray]:
        """Return mean and noise-free variance (point,) of any points."""
        if not self.n:
            return np.zeros(len(points)), np.full(len(points), self.kernel.variance)
        # Few points are not worth another copy of L^-1.
        dtype = self._dtype if len(points) >= MANY_POINTS else np.dtype(np.float64)
        alpha, linv = (a.astype(dtype, copy=False) for a in (self._held("alpha"), self._linv[: self.n, : self.n]))
        mean, spread = np.empty((2, len(points)))
        step = max(AT_A_TIME // self.n, MANY_POINTS)
        for start in range(0, len(points), step):
            part = slice(start, start + step)
            known = self.kernel.between(self.measured, points[part] if step < len(points) else points, dtype)
            v = linv @ known
            mean[part], spread[part] = alpha @ known, np.einsum("ij,ij->j", v, v)
        return mean, np.maximum(self.kernel.variance - spread, LEAST_VARIANCE)

    def solved(self, points: Points, dtype: DTypeLike = np.float64) -> NDArray[np.floating]:
        """Return L^-1 k(X, points) (n, point): what V would hold for them."""
        linv = self._linv[: self.n, : self.n].astype(dtype, copy=False)
        return np.asarray(linv @ self.kernel.between(self.measured, points, dtype))

    def block_dtype(self, n_entries: int) -> np.dtype[Any]:
        """Return the precision of a covariance block: large ones are for averages, and single is enough."""
        return np.dtype(np.float64) if n_entries <= LARGE_BLOCK else self._dtype

    def covariance(self, a: Points, b: Points) -> FloatArray:
        """Return the noise-free posterior covariance (a, b) between two sets of points."""
        dtype = self.block_dtype(len(a) * len(b))
        found = self.kernel.between(a, b, dtype)
        found -= self.solved(a, dtype).T @ self.solved(b, dtype)
        return found.astype(np.float64)

    def correlation(self, point: Points) -> FloatArray:
        """Return the prior correlation (n,) of a point with every measurement, the constant left out."""
        return np.asarray(self.kernel.varying(point, self.measured)[0] / self.kernel.amplitude, dtype=np.float64)

    @property
    def constant_variance(self) -> float:
        """What is still unknown of the constant mean: the variance left far from everything, less the amplitude."""
        return max(self.kernel.variance - self.kernel.amplitude - self._constant_known, 0.0)


def _factor(schur: FloatArray, noise: float) -> tuple[FloatArray, FloatArray]:
    """Return the lower Cholesky factor (p, p) of what is left of the covariance of new measurements, and its inverse.

    Raises:
        LinAlgError: When it is not positive definite.
    """
    if len(schur) == 1:
        # A single one is at least as uncertain as its noise; half of it guards against rounding alone.
        factor = np.sqrt(np.maximum(schur, 0.5 * noise))
        return factor, 1.0 / factor
    factor = cholesky(0.5 * (schur + schur.T), lower=True)
    return factor, solve_triangular(factor, np.eye(len(factor)), lower=True)
