"""The posterior of one member over all candidates, kept up to date one measurement at a time.

Rasmussen & Williams 2006, Gaussian Processes for Machine Learning, eqs. 2.23-2.26 (posterior) and 5.10-5.12
(leave-one-out). With K = L L' the rows V = L^-1 k(X, .) and b = L^-1 y give mean = b'V and var = k(., .) - sum V^2; a
new measurement appends one row. We keep L^-1 instead of L, which makes the leave-one-out terms cheap to update too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.linalg import LinAlgError, cholesky, solve_triangular

from probescout.surrogates.members.definition import Hyperparameters

FloatArray = NDArray[np.float64]
CONSTANT_VARIANCE = 1.0
"""Prior variance of the constant mean: without it a planner that seeks large values biases the mean of everything."""
LEAST_VARIANCE = 1e-10
"""Rounding must not leave a variance of zero or below."""
FIRST_ROWS = 16


class IncrementalGP:
    """An exact GP with k = sum_g a_g Matern52_ARD(x_g) + 1 and one noise variance per measurement.

    Everything is in standardised target units. Rows of V are written once and never changed, so views of them taken
    for a belief stay true after later tells.

    Example:
        >>> import numpy as np
        >>> x = np.linspace(0, 1, 5, dtype=np.float32)[:, None]
        >>> gp = IncrementalGP([x], Hyperparameters(((-1.0,),), (0.0,), -2.0))
        >>> gp.tell(2, 1.0)
        >>> int(np.argmax(gp.mean))
        2
    """

    def __init__(
        self, groups: Sequence[NDArray[np.floating]], hyper: Hyperparameters, *, dtype: DTypeLike = np.float32
    ) -> None:
        """Start from the prior.

        Args:
            groups: One array (candidate, dim) per additive term.
            hyper: Its hyperparameters.
            dtype: Of V; float32 halves the memory traffic that dominates a tell.
        """
        self._dtype: np.dtype[Any] = np.dtype(dtype)
        # sqrt(5) of the Matern kernel goes into the coordinates, once.
        self._scaled = [
            np.ascontiguousarray(
                (np.asarray(g, dtype=self._dtype) * (np.sqrt(5.0) / np.exp(np.array(ls)))).T, self._dtype
            )
            for g, ls in zip(groups, hyper.log_lengthscale, strict=True)
        ]
        self._amplitude = np.exp(np.array(hyper.log_amplitude))
        self.noise = float(np.exp(hyper.log_noise))
        """Fitted noise variance, added to what each measurement states."""
        self._prior_var = float(self._amplitude.sum()) + CONSTANT_VARIANCE
        self._n_candidates = self._scaled[0].shape[1]
        self._clear(FIRST_ROWS)

    def _clear(self, capacity: int) -> None:
        self._v = np.empty((capacity, self._n_candidates), dtype=self._dtype)
        self._linv = np.zeros((capacity, capacity))
        self._b = np.empty(capacity)
        self._y = np.empty(capacity)
        self._index = np.empty(capacity, dtype=np.intp)
        self._precision = np.empty(capacity)
        self._alpha = np.empty(capacity)
        self.n = 0
        """Measurements so far."""
        self.mean = np.zeros(self._n_candidates)
        """(candidate,) posterior mean; replaced, never changed in place."""
        self.var = np.full(self._n_candidates, self._prior_var)
        """(candidate,) noise-free posterior variance; replaced, never changed in place."""

    @property
    def rows(self) -> NDArray[np.floating]:
        """V (measurement, candidate)."""
        return self._v[: self.n]

    def kernel_parts(self, j: int) -> NDArray[np.floating]:
        """Return the terms a_g Matern52(x_j, .) summed over groups (candidate,), without the constant."""
        total = np.zeros(self._n_candidates, dtype=self._dtype)
        for scaled, amplitude in zip(self._scaled, self._amplitude, strict=True):
            difference = scaled - scaled[:, j : j + 1]
            squared = np.einsum("dc,dc->c", difference, difference)
            r = np.sqrt(squared)
            squared *= self._dtype.type(1.0 / 3.0)
            squared += r
            squared += self._dtype.type(1.0)
            np.negative(r, out=r)
            np.exp(r, out=r)
            squared *= r
            squared *= self._dtype.type(amplitude)
            total += squared
        return total

    def kernel_row(self, j: int) -> NDArray[np.floating]:
        """Return k(x_j, .) (candidate,), noise-free."""
        row = self.kernel_parts(j)
        row += self._dtype.type(CONSTANT_VARIANCE)
        return row

    def tell(self, j: int, y: float, stated_noise: float = 0.0) -> None:
        """Append a measurement at candidate j; a candidate may be measured again.

        Args:
            j: Candidate.
            y: Standardised value.
            stated_noise: Noise variance that the measurement states, added to the fitted one.
        """
        n = self.n
        if n == len(self._b):
            self._grow()
        row = self.kernel_row(j)
        linv = self._linv[:n, :n]
        l = linv @ row[self._index[:n]].astype(np.float64)  # noqa: E741 (the letter of the formula)
        d = np.sqrt(max(self._prior_var + self.noise + stated_noise - float(l @ l), 0.5 * self.noise))
        v = row
        if n:
            v -= l.astype(self._dtype) @ self._v[:n]
        v /= self._dtype.type(d)
        b = (y - float(l @ self._b[:n])) / d
        new = np.append(-(l @ linv) / d, 1.0 / d)
        self._linv[n, : n + 1] = new
        self._v[n], self._b[n], self._y[n], self._index[n] = v, b, y, j
        self._precision[n], self._alpha[n] = 0.0, 0.0
        self._precision[: n + 1] += new * new
        self._alpha[: n + 1] += new * b
        self.n = n + 1
        self.mean = self.mean + b * v
        self.var = np.maximum(self.var - v * v, LEAST_VARIANCE)

    def rebuild(self, index: NDArray[np.intp], y: FloatArray, stated_noise: FloatArray) -> None:
        """Forget everything, then condition on measurements (n,) in one go.

        Raises:
            LinAlgError: When the kernel matrix is not positive definite; the state before stays.
        """
        n = len(index)
        if n == 0:
            self._clear(FIRST_ROWS)
            return
        rows = np.stack([self.kernel_row(int(j)) for j in index])
        gram = rows[:, index].astype(np.float64)
        factor = cholesky(0.5 * (gram + gram.T) + np.diag(self.noise + stated_noise), lower=True)
        linv = solve_triangular(factor, np.eye(n), lower=True)
        if not np.isfinite(linv).all():
            raise LinAlgError(f"the kernel matrix of {n} measurements has no finite inverse")
        self._clear(max(FIRST_ROWS, 2 * n))
        self.n = n
        self._v[:n] = solve_triangular(
            factor.astype(self._dtype), rows, lower=True, overwrite_b=True, check_finite=False
        )
        self._linv[:n, :n] = linv
        self._b[:n] = linv @ y
        self._y[:n], self._index[:n] = y, index
        self._precision[:n] = np.einsum("ij,ij->j", linv, linv)
        self._alpha[:n] = linv.T @ self._b[:n]
        self.mean = self._b[:n].astype(self._dtype) @ self._v[:n] + np.zeros(self._n_candidates)
        squares = np.einsum("ij,ij->j", self._v[:n], self._v[:n])
        self.var = np.maximum(self._prior_var - squares.astype(np.float64), LEAST_VARIANCE)

    def restandardise(self, y: FloatArray) -> None:
        """Replace the values (n,) and keep the positions and noises, which do not depend on them."""
        n, linv = self.n, self._linv[: self.n, : self.n]
        self._y[:n] = y
        self._b[:n] = linv @ y
        self._alpha[:n] = linv.T @ self._b[:n]
        self.mean = self._b[:n].astype(self._dtype) @ self._v[:n] + np.zeros(self._n_candidates)

    def leave_one_out(self) -> tuple[FloatArray, FloatArray]:
        """Return mean and variance (n,) of each measured value, noise included, given all the others."""
        precision = self._precision[: self.n]
        return self._y[: self.n] - self._alpha[: self.n] / precision, 1.0 / precision

    def fantasies(self, pending: Sequence[int], given: NDArray[np.floating] | None = None) -> NDArray[np.floating]:
        """Return rows (pending, candidate) that pending points would append to V, were they measured at their mean.

        The variance shrinks by the sum of their squares; the mean stays. The state is not touched. (Desautels,
        Krause & Burdick 2014, "Parallelizing exploration-exploitation tradeoffs", hallucinated observations.)

        Args:
            pending: Candidates, in the order of their leases.
            given: Rows (first, candidate) already known for the first ones.
        """
        rows = np.empty((len(pending), self._n_candidates), dtype=self._dtype)
        start = 0 if given is None else len(given)
        if given is not None:
            rows[:start] = given
        real = self._v[: self.n]
        for p in range(start, len(pending)):
            j = pending[p]
            l_real, l_fantasy = real[:, j].copy(), rows[:p, j].copy()
            left = self._prior_var - float(l_real @ l_real) - float(l_fantasy @ l_fantasy)
            d = np.sqrt(max(left, LEAST_VARIANCE) + self.noise)
            row = self.kernel_row(j)
            row -= l_real @ real
            row -= l_fantasy @ rows[:p]
            rows[p] = row / self._dtype.type(d)
        return rows

    def covariance(self, index: NDArray[np.intp], fantasy: NDArray[np.floating] | None = None) -> FloatArray:
        """Return the noise-free posterior covariance (m, m) among candidates `index`.

        Args:
            index: (m,) candidates.
            fantasy: Rows (pending, candidate) of `fantasies`.
        """
        prior = np.full((len(index), len(index)), CONSTANT_VARIANCE)
        for scaled, amplitude in zip(self._scaled, self._amplitude, strict=True):
            x = scaled[:, index].astype(np.float64)
            squared = np.zeros_like(prior)
            for coordinate in x:
                squared += np.subtract.outer(coordinate, coordinate) ** 2
            r = np.sqrt(squared)
            prior += amplitude * (1.0 + r + squared / 3.0) * np.exp(-r)
        for rows in (self._v[: self.n], fantasy):
            if rows is not None and len(rows):
                v = rows[:, index].astype(np.float64)
                prior -= v.T @ v
        return prior

    def correlation(self, j: int) -> FloatArray:
        """Return the prior correlation (candidate,) of candidate j with every candidate, the constant left out."""
        return self.kernel_parts(j).astype(np.float64) / float(self._amplitude.sum())

    def _grow(self) -> None:
        n, capacity = self.n, 2 * len(self._b)
        for name in ("_b", "_y", "_index", "_precision", "_alpha"):
            old = getattr(self, name)
            new = np.empty(capacity, dtype=old.dtype)
            new[:n] = old[:n]
            setattr(self, name, new)
        v = np.empty((capacity, self._n_candidates), dtype=self._dtype)
        v[:n] = self._v[:n]
        linv = np.zeros((capacity, capacity))
        linv[:n, :n] = self._linv[:n, :n]
        self._v, self._linv = v, linv
