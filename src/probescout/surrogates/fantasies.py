"""Pending points: leased, not measured yet, and conditioned on as if measured at their mean.

The variance shrinks and the mean stays (Desautels, Krause & Burdick 2014, "Parallelizing exploration-exploitation
tradeoffs", hallucinated observations).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probescout.surrogates.incremental import LEAST_VARIANCE, IncrementalGP
from probescout.surrogates.kernel import Points

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Fantasies:
    """What pending points would append to one member, in the order of their leases."""

    gp: IncrementalGP
    points: Points
    """The pending points."""
    solved: FloatArray
    """(n, pending): V at the pending points."""
    factor: FloatArray
    """(pending, pending): lower factor of their covariance given the measurements, noise included."""
    rows: NDArray[np.floating]
    """(pending, field): rows that they would append to V."""

    @classmethod
    def none(cls, gp: IncrementalGP) -> Fantasies:
        """Return those of a member without pending points; valid until its next tell."""
        points = gp.field[:0]
        return cls(gp, points, np.empty((gp.n, 0)), np.empty((0, 0)), np.empty((0, len(gp.field)), dtype=np.float32))

    def first(self, n: int) -> Fantasies:
        """Return the first n of them."""
        if n == len(self.points):
            return self
        return Fantasies(self.gp, self.points[:n], self.solved[:, :n], self.factor[:n, :n], np.asarray(self.rows[:n]))

    def and_one(self, point: Points, noise: float) -> Fantasies:
        """Return them with one more pending point.

        Args:
            point: The point.
            noise: Variance of the noise with which it is expected to be measured.
        """
        gp = self.gp
        solved = gp.solved(point)[:, 0]
        left = self.at(point)[:, 0]
        remaining = float(gp.kernel.variance_at(point)[0]) - float(solved @ solved) - float(left @ left)
        d = np.sqrt(max(remaining, LEAST_VARIANCE) + noise)
        row = gp.kernel.between(point, gp.field, self.rows.dtype)[0]
        start = 0
        for block in gp.row_blocks():
            row -= solved[start : start + len(block)].astype(row.dtype) @ block
            start += len(block)
        row -= left.astype(row.dtype) @ self.rows
        p = len(self.points)
        factor = np.zeros((p + 1, p + 1))
        factor[:p, :p], factor[p, :p], factor[p, p] = self.factor, left, d
        return Fantasies(
            gp,
            self.points.and_then(point),
            np.column_stack([self.solved, solved]),
            factor,
            np.vstack([self.rows, row / row.dtype.type(d)]),
        )

    def at(self, points: Points, solved: NDArray[np.floating] | None = None) -> FloatArray:
        """Return the rows (pending, point) at any points.

        Args:
            points: Where.
            solved: V (n, point) there, if known.
        """
        if not len(self.points):
            return np.empty((0, len(points)))
        there = self.gp.solved(points) if solved is None else solved
        prior = self.gp.kernel.between(self.points, points) - self.solved.T @ there
        return np.linalg.solve(self.factor, prior)

    def covariance(self, a: Points, b: Points) -> FloatArray:
        """Return the noise-free covariance (a, b) given measurements and pending points."""
        dtype = self.gp.block_dtype(len(a) * len(b))
        at_a, at_b = self.gp.solved(a, dtype), self.gp.solved(b, dtype)
        found = self.gp.kernel.between(a, b, dtype)
        found -= at_a.T @ at_b
        return found - self.at(a, at_a).T @ self.at(b, at_b)
