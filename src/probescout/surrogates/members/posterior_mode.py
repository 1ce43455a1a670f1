"""Where the posterior density of a member's hyperparameters is largest, with its gradient in closed form.

The model is that of `members.gp`: Rasmussen & Williams 2006, Gaussian Processes for Machine Learning, eqs. 2.30 and
5.9, plus normal priors on the logarithms. Written out it takes a tenth of the time of automatic differentiation, most
of which is spent on bookkeeping for matrices this small. What the first group sees may change with the fit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.optimize import minimize

from probescout.surrogates.kernel import CONSTANT_VARIANCE
from probescout.surrogates.members.definition import BOX, LOG_NOISE, LOG_STATED, Hyperparameters, Member

FloatArray = NDArray[np.float64]

BAD_POINT = 1e10
"""Returned to the line search where the kernel matrix cannot be factorised: it then steps back."""
LOG_2PI = math.log(2.0 * math.pi)


class Problem:
    """One member on one set of measurements."""

    def __init__(
        self,
        member: Member,
        squares: Mapping[str, FloatArray],
        y: FloatArray,
        stated_noise: FloatArray,
        extra_noise: FloatArray | float = 0.0,
    ) -> None:
        """Work out what does not change with the hyperparameters.

        Args:
            member: The member.
            squares: Feature -> squared differences, of `squares_of`.
            y: (measurement,) standardised.
            stated_noise: (measurement,) variances that the measurements state, believed as far as is fitted.
            extra_noise: (measurement,) variances beyond that.
        """
        self.extra = extra_noise
        self.y, self.stated = y, stated_noise
        self._squares = [squares[f] for f in member.features]
        priors = []
        for group, own in zip(member.groups, self._squares, strict=True):
            priors += [group.log_lengthscale] * len(own) + [group.log_amplitude]
        self.mean, self.sd = np.array([*priors, LOG_NOISE, LOG_STATED]).T
        self.bounds = [(m - BOX * s, m + BOX * s) for m, s in zip(self.mean, self.sd, strict=True)]
        if not (stated_noise > 0.0).any():
            # Nothing is stated, so nothing says how far to believe it.
            self.bounds[-1] = (LOG_STATED[0], LOG_STATED[0])

    def pack(self, hyper: Hyperparameters) -> FloatArray:
        """Return hyperparameters in one array, within the bounds."""
        pairs = zip(hyper.log_lengthscale, hyper.log_amplitude, strict=True)
        flat = [v for lengthscale, amplitude in pairs for v in (*lengthscale, amplitude)]
        return self.clipped(np.array([*flat, hyper.log_noise, hyper.log_stated]))

    def clipped(self, theta: FloatArray) -> FloatArray:
        """Return an array with every entry within its bounds."""
        return np.clip(theta, *np.array(self.bounds).T)

    def unpack(self, theta: FloatArray) -> Hyperparameters:
        """Return the hyperparameters of an array."""
        numbers, at = theta.tolist(), 0
        lengthscales, amplitudes = [], []
        for squares in self._squares:
            end = at + len(squares)
            lengthscales.append(tuple(numbers[at:end]))
            amplitudes.append(numbers[end])
            at = end + 1
        return Hyperparameters(tuple(lengthscales), tuple(amplitudes), numbers[at], numbers[at + 1])

    def kernel(self, theta: FloatArray) -> tuple[FloatArray, list[tuple[FloatArray, FloatArray, FloatArray]]]:
        """Return the kernel matrix (n * n,) with noise, and per group what its derivatives need.

        The latter are the inverse squared lengthscales (dim,), the term itself (n * n,) and what times a scaled square
        gives the derivative of the term by the log lengthscale: a (1 + r) exp(-r) / 3 (n * n,).
        """
        n = len(self.y)
        total = np.full(n * n, CONSTANT_VARIANCE)
        parts, at = [], 0
        for squares in self._squares:
            end = at + len(squares)
            inverse = np.exp(-2.0 * theta[at:end])
            squared = inverse @ squares
            r = np.sqrt(squared)
            decay = np.exp(theta[end] - r)
            r += 1.0
            bend = r * decay
            term = bend + squared * decay / 3.0
            total += term
            parts.append((inverse, term, bend / 3.0))
            at = end + 1
        total[:: n + 1] += np.exp(theta[at]) + np.exp(theta[at + 1]) * self.stated + self.extra
        return total, parts

    def loss(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Return the negative log posterior per measurement and its gradient."""
        found = self._evaluate(theta)
        return found[:2] if found is not None else (BAD_POINT, np.zeros_like(theta))

    def loss_at(self, theta: FloatArray, x: FloatArray) -> tuple[float, FloatArray, FloatArray] | None:
        """Return the same for other inputs of the first group, which are kept, and the gradient by these inputs.

        Args:
            theta: As `pack` returns.
            x: (measurement, dim).

        Returns:
            The loss, its gradient by theta, and (measurement, dim) by the inputs; None where it is not finite.
        """
        self._squares[0] = _squares(x)
        found = self._evaluate(theta)
        if found is None:
            return None
        value, gradient, weight, (inverse, _, bend) = found
        # Of the term by a scaled square: -bend / 2; of the square by an input: 10 times the difference.
        pull = (weight * bend).reshape(len(x), len(x))
        return value, gradient, -10.0 * inverse * (x * pull.sum(axis=1)[:, None] - pull @ x) / len(x)

    def _evaluate(self, theta: FloatArray) -> tuple[float, FloatArray, FloatArray, tuple[FloatArray, ...]] | None:
        """Return loss, gradient, how it weighs entries of the matrix (n * n,), and the part of the first group."""
        n = len(self.y)
        total, parts = self.kernel(theta)
        factor, info = dpotrf(total.reshape(n, n), lower=1, clean=1)
        if info != 0:
            return None
        inverse = np.tril(dpotri(factor, lower=1)[0])
        inverse += np.tril(inverse, -1).T
        alpha = inverse @ self.y
        value = 0.5 * float(self.y @ alpha) + float(np.log(np.diag(factor)).sum()) + 0.5 * n * LOG_2PI
        weight = 0.5 * (inverse - np.outer(alpha, alpha)).ravel()
        gradient, at = np.empty_like(theta), 0
        for squares, (scale, term, bend) in zip(self._squares, parts, strict=True):
            end = at + len(squares)
            gradient[at:end] = scale * (squares @ (weight * bend))
            gradient[end] = weight @ term
            at = end + 1
        diagonal = weight[:: n + 1]
        gradient[at] = np.exp(theta[at]) * diagonal.sum()
        gradient[at + 1] = np.exp(theta[at + 1]) * (diagonal @ self.stated)
        z = (theta - self.mean) / self.sd
        value += float(0.5 * z @ z + np.log(self.sd).sum()) + 0.5 * len(z) * LOG_2PI
        gradient += z / self.sd
        if not (math.isfinite(value) and np.isfinite(gradient).all()):
            return None
        return value / n, gradient / n, weight, parts[0]

    def maximise(self, start: Hyperparameters, n_evaluations: int) -> tuple[Hyperparameters, float]:
        """Return the hyperparameters that L-BFGS reaches within its box, and the log posterior per measurement.

        Args:
            start: Where to start.
            n_evaluations: At most so many.
        """
        result = minimize(
            self.loss,
            self.pack(start),
            jac=True,
            method="L-BFGS-B",
            bounds=self.bounds,
            options={"maxfun": n_evaluations},
        )
        return self.unpack(result.x), -float(result.fun)

    def leave_one_out(self, hyper: Hyperparameters) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return mean and variance (n,) of each value given all the others, and its noise variance (n,).

        Rasmussen & Williams 2006, eqs. 5.10-5.12; the variance includes the noise.

        Raises:
            LinAlgError: When the kernel matrix is not positive definite.
        """
        n, theta = len(self.y), self.pack(hyper)
        total, _ = self.kernel(theta)
        inverse = np.linalg.inv(total.reshape(n, n))
        precision = np.diag(inverse)
        noise = np.exp(theta[-2]) + np.exp(theta[-1]) * self.stated + self.extra
        return self.y - (inverse @ self.y) / precision, 1.0 / precision, noise


def squares_of(observed: Mapping[str, NDArray[np.floating]]) -> dict[str, FloatArray]:
    """Return 5 (x_id - x_jd)^2 as feature -> (dim, n * n), from feature -> inputs (n, dim)."""
    return {name: _squares(x) for name, x in observed.items()}


def _squares(x: NDArray[np.floating]) -> FloatArray:
    columns = np.asarray(x, dtype=np.float64).T
    difference = columns[:, :, None] - columns[:, None, :]
    return np.asarray((5.0 * difference * difference).reshape(len(columns), -1))
