"""The theory of one campaign: all evidence that is applied, as columns of numbers over the candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, Reason
from probescout.surrogates.prior.emulator import LEAST_N, Emulator

FloatArray = NDArray[np.float64]
Index = NDArray[np.intp]

MOST_ENGINES = 4
MOST_RESULTS = 256
"""Latest results of an engine that count."""
SPARE_UP_TO = 24
"""Results up to which every new one is learnt at once; then those of every tenth part more are learnt together."""


@dataclass(frozen=True)
class Result:
    """One number that a simulation gave."""

    candidate: int
    """At the middle of the simulated patch."""
    value: float
    engine: str
    """Engine and quantity: numbers of one kind."""


class Theory:
    """What simulations say about every candidate.

    Example:
        >>> import numpy as np
        >>> bank = np.linspace(0, 9, 30)[:, None].astype(np.float32)
        >>> results = [Result(i, float(i), "xtb") for i in range(0, 30, 4)]
        >>> Theory({"bank": bank}, results).engines
        ('xtb',)
    """

    def __init__(self, features: Mapping[str, NDArray[np.floating]], results: Sequence[Result]) -> None:
        """Learn from evidence; the same evidence in the same order gives the same theory.

        Args:
            features: Representations (candidate, dim) by name.
            results: In the order in which they were applied.

        Raises:
            InvalidInput: FIELD_INVALID for a result of a candidate that is none; NON_FINITE for a value that is not
                finite.
        """
        self.results = tuple(results)
        n_candidates = len(next(iter(features.values())))
        _check(self.results, n_candidates)
        self._emulators: dict[str, Emulator] = {}
        for engine in sorted({r.engine for r in self.results}):
            own = [r for r in self.results if r.engine == engine]
            own = own[: _learnt(len(own))][-MOST_RESULTS:]
            values = np.array([r.value for r in own])
            if len(own) >= LEAST_N and values.std() > 0.0:
                index = np.array([r.candidate for r in own], dtype=np.intp)
                self._emulators[engine] = Emulator(features, index, values)

    @property
    def engines(self) -> tuple[str, ...]:
        """Names of those that say something, at most 4, in alphabetical order."""
        return tuple(self._emulators)[:MOST_ENGINES]

    def emulator(self, engine: str) -> Emulator:
        """Return what one engine says."""
        return self._emulators[engine]

    def at(self, candidates: Index) -> tuple[FloatArray, FloatArray]:
        """Return mean and variance (candidate, engine), in SD of the simulated values."""
        found = [self._emulators[engine].at(candidates) for engine in self.engines]
        mean, var = np.array(found).reshape(len(found), 2, len(candidates)).swapaxes(0, 1)
        return np.ascontiguousarray(mean.T), np.ascontiguousarray(var.T)


def _learnt(n: int) -> int:
    """Return how many of n results are learnt: a flood of them must not be learnt one by one."""
    known = min(n, SPARE_UP_TO)
    while known + max(known // 10, 1) <= n:
        known += max(known // 10, 1)
    return known


def _check(results: Sequence[Result], n_candidates: int) -> None:
    for i, r in enumerate(results):
        if not 0 <= r.candidate < n_candidates:
            raise InvalidInput(
                Reason.FIELD_INVALID,
                f"evidence {i} is of candidate {r.candidate}; the frame has 0 to {n_candidates - 1}",
                field=f"evidence[{i}].candidate",
            )
        if not np.isfinite(r.value):
            raise InvalidInput(
                Reason.NON_FINITE,
                f"evidence {i} of '{r.engine}' is {r.value}; only finite numbers inform a model",
                field=f"evidence[{i}].value",
            )
