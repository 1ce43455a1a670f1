"""The kernel of a member between any two sets of points, fast enough for every candidate of a frame at every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.surrogates.members.definition import Hyperparameters

FloatArray = NDArray[np.float64]
CONSTANT_VARIANCE = 1.0
"""Prior variance of the constant mean: without it a planner that seeks large values biases the mean of everything."""

PIECE = 1 << 16
"""Entries of the kernel that are worked on at a time."""


@dataclass(frozen=True)
class Points:
    """Points as one kernel sees them: divided by its lengthscales, in double precision."""

    groups: tuple[FloatArray, ...]
    """(dim, point), C-contiguous, one per additive term."""
    norms: tuple[FloatArray, ...]
    """(point,) squared length of each, one per additive term."""

    def __len__(self) -> int:
        """Return the number of points."""
        return int(self.groups[0].shape[1])

    def __getitem__(self, index: NDArray[np.intp] | slice) -> Points:
        """Return some of the points."""
        return Points(
            tuple(np.ascontiguousarray(g[:, index]) for g in self.groups), tuple(n[index] for n in self.norms)
        )

    def and_then(self, others: Points) -> Points:
        """Return these points followed by others."""
        pairs = zip(self.groups, others.groups, strict=True)
        return Points(
            tuple(np.concatenate(pair, axis=1) for pair in pairs),
            tuple(np.concatenate(pair) for pair in zip(self.norms, others.norms, strict=True)),
        )


class Kernel:
    """k = sum_g a_g Matern52_ARD(x_g) + 1, Rasmussen & Williams 2006, eq. 4.17.

    Squared distances are taken as |a|^2 + |b|^2 - 2 a'b in double precision: one matrix product instead of a pass per
    dimension, and its cancellation (1e-16 of the squared lengths) is far below the single precision that follows.

    Example:
        >>> import numpy as np
        >>> kernel = Kernel(Hyperparameters(((0.0,),), (0.0,), -2.0))
        >>> points = kernel.points([np.array([[0.0], [9.0]])])
        >>> kernel.between(points, points).round(2).tolist()
        [[2.0, 1.0], [1.0, 2.0]]
    """

    def __init__(self, hyper: Hyperparameters) -> None:
        """Take lengthscales and amplitudes."""
        self._scales = [np.sqrt(5.0) / np.exp(np.array(ls)) for ls in hyper.log_lengthscale]
        self.amplitudes = np.exp(np.array(hyper.log_amplitude))
        """(group,) variance of each term."""
        self.amplitude = float(self.amplitudes.sum())
        """Variance of all terms, the constant left out."""
        self.variance = self.amplitude + CONSTANT_VARIANCE
        """Prior variance of every point."""

    def points(self, rows: Sequence[NDArray[np.floating]]) -> Points:
        """Scale points, given one array (point, dim) per additive term."""
        groups = tuple(
            np.ascontiguousarray((np.asarray(r, dtype=np.float64) * scale).T)
            for r, scale in zip(rows, self._scales, strict=True)
        )
        return Points(groups, tuple(np.einsum("dp,dp->p", g, g) for g in groups))

    def variance_at(self, points: Points) -> FloatArray:
        """Return the prior variance (point,) of points."""
        return np.full(len(points), self.variance)

    def varying(self, a: Points, b: Points, dtype: Any = np.float64) -> NDArray[np.floating]:
        """Return the kernel (a, b) without its constant.

        Args:
            a: Points of the rows; few.
            b: Points of the columns.
            dtype: Of the result; single precision is exact to 1e-7 and half the work.
        """
        out = np.empty((len(a), len(b)), dtype=dtype)
        # In pieces that stay in the cache of a core: it is a dozen passes over the same numbers.
        step = max(PIECE // max(len(a), 1), 64)
        for start in range(0, len(b), step):
            part = slice(start, start + step)
            self._fill(a, b, part, out[:, part])
        return out

    def _fill(self, a: Points, b: Points, part: slice, out: NDArray[np.floating]) -> None:
        for g, amplitude in enumerate(self.amplitudes):
            squared = (-2.0 * a.groups[g].T) @ b.groups[g][:, part]
            squared += b.norms[g][part]
            squared += a.norms[g][:, None]
            # Rounding may leave the distance of a point to itself below zero.
            np.maximum(squared, 0.0, out=squared)
            term = _matern52(squared.astype(out.dtype, copy=False), float(amplitude))
            if g:
                out += term
            else:
                out[...] = term

    def between(self, a: Points, b: Points, dtype: Any = np.float64) -> NDArray[np.floating]:
        """Return the kernel (a, b), noise-free; arguments as of `varying`."""
        found = self.varying(a, b, dtype)
        found += np.dtype(dtype).type(CONSTANT_VARIANCE)
        return found


def _matern52(squared: NDArray[Any], amplitude: float) -> NDArray[Any]:
    """Return a (1 + r + r^2 / 3) exp(-r) from r^2, which is overwritten."""
    r = np.sqrt(squared)
    squared *= 1.0 / 3.0
    squared += r
    squared += 1.0
    np.negative(r, out=r)
    np.exp(r, out=r)
    squared *= r
    squared *= amplitude
    return squared
