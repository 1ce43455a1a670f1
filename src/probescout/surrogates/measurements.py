"""The measurements that a committee was told, in order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, Reason
from probescout.surrogates.scores import Observation

FloatArray = NDArray[np.float64]

LARGEST_VALUE = 1e100
SMALLEST_VALUE = 1e-100
"""Smaller ones are taken as zero: their squares would vanish."""


@dataclass(frozen=True)
class Measurements:
    """Candidates, values and variances."""

    index: NDArray[np.intp]
    """(n,) candidates."""
    values: FloatArray
    """(n,) target units."""
    variances: FloatArray
    """(n,) squared target units; NaN where unknown."""

    @classmethod
    def of(cls, rows: Iterable[Observation]) -> Measurements:
        """Return rows of candidate, value and variance as columns."""
        listed = list(rows)
        return cls(
            np.array([r[0] for r in listed], dtype=np.intp),
            np.array([r[1] for r in listed], dtype=np.float64),
            np.array([r[2] for r in listed], dtype=np.float64),
        )

    def __len__(self) -> int:
        """Return the number of measurements."""
        return len(self.index)

    def rows(self) -> list[Observation]:
        """Return (candidate, value, variance) of each."""
        return list(zip(self.index.tolist(), self.values.tolist(), self.variances.tolist(), strict=True))

    def first(self, n: int) -> Measurements:
        """Return the first n."""
        return Measurements(self.index[:n], self.values[:n], self.variances[:n])

    def and_one(self, row: Observation) -> Measurements:
        """Return these and one more."""
        index, value, variance = row
        return Measurements(
            np.append(self.index, index), np.append(self.values, value), np.append(self.variances, variance)
        )


def checked(index: int, value: float, variance: float, n_candidates: int) -> Observation:
    """Return a measurement that a model may learn from.

    Raises:
        InvalidInput: FIELD_INVALID for an index that is no candidate or a negative variance; NON_FINITE for a value
            that is not finite.
    """
    if not 0 <= index < n_candidates:
        raise InvalidInput(
            Reason.FIELD_INVALID, f"candidate {index} does not exist; there are 0..{n_candidates - 1}", field="index"
        )
    if not abs(value) <= LARGEST_VALUE:
        raise InvalidInput(
            Reason.NON_FINITE,
            f"value {value} is not finite or beyond {LARGEST_VALUE:g}; report the measurement as failed instead",
            field="value",
        )
    if variance < 0 or variance == float("inf"):
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"variance {variance} is not a finite number >= 0; give NaN when it is unknown",
            field="variance",
        )
    # A larger one says no more, and is in the journal already: it must not keep a campaign from being opened.
    variance = LARGEST_VALUE**2 if variance > LARGEST_VALUE**2 else variance
    return (
        int(index),
        0.0 if abs(value) < SMALLEST_VALUE else float(value),
        0.0 if variance < SMALLEST_VALUE**2 else float(variance),
    )
