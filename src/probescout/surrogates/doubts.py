"""Measurements that the others contradict: each gets a noise of its own, so that one bad spectrum cannot bend the map.

A large value alone is no reason for doubt: it may be the hot spot that is looked for. Doubted is what lies far from
what the others say there, provided that they say something: a planner that follows a large value measures its
neighbours first, and those decide. Large outliers hide each other in the noise that they make a fit believe in, so
fits start without the farthest ones and let them in again unless they are contradicted (Atkinson & Riani 2000,
"Robust Diagnostic Regression Analysis", the forward search). What is doubted is kept, with so much noise that it has
next to no say, and judged again at every fit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

FAR = 4.0
"""Leave-one-out errors beyond so many SD are doubted."""
LEAST_INFORMED = 0.3
"""Share of the prior variance that the other measurements must explain at the place of a doubted one."""
MUTED = 100.0
"""A doubted measurement gets this times its square as noise variance: it pulls a tenth of an SD."""
GROSS = 25.0
"""Values so many robust SD from the median are left out at first; the defects of real lattices reach 20."""
IQR_OF_NORMAL = 1.349
"""Interquartile range of a normal, in SD."""
SURE = 0.8
"""Where measurements beyond doubt explain this share, two outliers that happen to agree do not outvote them."""
LEAST_N = 10
"""Below this number of measurements nothing is doubted."""


@dataclass(frozen=True)
class Doubts:
    """Further noise variances of single measurements, in standardised units."""

    extra: Mapping[tuple[int, float], float] = field(default_factory=dict)
    """By candidate and value, so that they stay with a measurement when others are retracted."""

    def of(self, index: NDArray[np.intp], values: FloatArray) -> FloatArray:
        """Return the further noise variance (n,) of measurements.

        Args:
            index: (n,) candidates.
            values: (n,) target units.
        """
        if not self.extra:
            return np.zeros(len(index))
        pairs = zip(index.tolist(), values.tolist(), strict=True)
        return np.array([self.extra.get(pair, 0.0) for pair in pairs], dtype=np.float64)

    def and_those_of(self, others: Doubts, known: Collection[tuple[int, float]]) -> Doubts:
        """Return these, and others about measurements (candidate, value) that are not among those known here."""
        return Doubts({**{at: extra for at, extra in others.extra.items() if at not in known}, **self.extra})

    def to_json(self) -> list[list[float]]:
        """Return [candidate, value, variance] of each."""
        return [[index, value, variance] for (index, value), variance in self.extra.items()]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> Doubts:
        """Read what `to_json` wrote.

        Raises:
            TypeError: When something is no number.
            ValueError: When something is no number, or a variance is negative or not finite.
        """
        extra = {}
        for index, value, variance in data:
            if not 0.0 <= float(variance) < float("inf"):
                raise ValueError(f"a doubted measurement has noise variance {variance!r}; it must be finite and >= 0")
            extra[int(index), float(value)] = float(variance)
        return cls(extra)


NO_DOUBTS = Doubts()


def suspicious(values: FloatArray) -> NDArray[np.bool_]:
    """Return which values (n,) lie so far out that a fit should start without them."""
    if len(values) < LEAST_N:
        return np.zeros(len(values), dtype=np.bool_)
    low, middle, high = np.percentile(values, [25, 50, 75])
    # Where most values are the same, as in counts that are mostly zero, nothing says what is far.
    if not high > low:
        return np.zeros(len(values), dtype=np.bool_)
    return np.asarray(np.abs(values - middle) > GROSS * (high - low) / IQR_OF_NORMAL)


def muted(y: FloatArray, is_doubted: NDArray[np.bool_]) -> FloatArray:
    """Return the further noise variance (n,) of measurements, 0 where they are not doubted.

    Args:
        y: (n,) standardised values.
        is_doubted: (n,) which are doubted.
    """
    return np.where(is_doubted, MUTED * (1.0 + y * y), 0.0)


def doubted(error: FloatArray, variance: FloatArray, informed: FloatArray) -> NDArray[np.bool_]:
    """Return which measurements (n,) the others contradict.

    Args:
        error: (n,) leave-one-out errors.
        variance: (n,) their predicted variances, the noise of an ordinary measurement included.
        informed: (n,) share of the prior variance that the other measurements explain there.
    """
    if len(error) < LEAST_N:
        return np.zeros(len(error), dtype=np.bool_)
    return np.asarray((error**2 > FAR**2 * variance) & (informed >= LEAST_INFORMED))


def supported(error: FloatArray, variance: FloatArray, informed: FloatArray) -> NDArray[np.bool_]:
    """Return which doubted measurements (n,) the other doubted ones confirm.

    Args:
        error: (n,) leave-one-out errors when none is doubted.
        variance: (n,) their predicted variances.
        informed: (n,) share of the prior variance that the measurements beyond doubt explain there.
    """
    return np.asarray((error**2 <= FAR**2 * variance) & (informed < SURE))
