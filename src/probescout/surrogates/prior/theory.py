"""The theory of one campaign: all evidence that is applied, as columns of numbers over the candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, Reason
from probescout.core.theory import LARGEST
from probescout.surrogates.prior.emulator import LEAST_N, Emulator

FloatArray = NDArray[np.float64]
Index = NDArray[np.intp]

MOST_ENGINES = 4
MOST_RESULTS = 256
"""Latest results of an engine that count."""
SPARE_UP_TO = 24
"""Results up to which every new one is learnt at once; then those of every tenth part more are learnt together."""
LEAST_SPREAD = 1e-9
"""Of the values, relative to their size."""
MOST_SD = 4.0
"""Of the middle half, from the median: values farther out are moved in."""
IQR_OF_NORMAL = 1.349


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

    def __init__(
        self, features: Mapping[str, NDArray[np.floating]], results: Sequence[Result], before: Theory | None = None
    ) -> None:
        """Learn from evidence; the same evidence in the same order gives the same theory.

        Args:
            features: Representations (candidate, dim) by name.
            results: In the order in which they were applied.
            before: What was known of the same features; what has not changed is taken from there.

        Raises:
            InvalidInput: FIELD_INVALID for a result of a candidate that is none; NON_FINITE for a value that is not
                finite.
        """
        self.results = tuple(results)
        n_candidates = len(next(iter(features.values())))
        _check(self.results, n_candidates)
        self.learnt: dict[str, tuple[Result, ...]] = {}
        """By engine, what its emulator has learnt."""
        self.found: dict[str, Emulator] = {}
        """By engine, what says something."""
        # Those whose first result came first: later ones must not push them out.
        for engine in list(dict.fromkeys(r.engine for r in self.results))[:MOST_ENGINES]:
            own = [r for r in self.results if r.engine == engine]
            learnt = tuple(own[: _learnt(len(own))][-MOST_RESULTS:])
            if before is not None and before.learnt.get(engine) == learnt:
                found = before.found.get(engine)
            else:
                found = _emulator(features, learnt)
            self.learnt[engine] = learnt
            if found is not None:
                self.found[engine] = found

    @property
    def emulators(self) -> tuple[Emulator, ...]:
        """The emulators: where these are the same, all that is said is the same."""
        return tuple(self.found.values())

    @property
    def engines(self) -> tuple[str, ...]:
        """Names of those that say something, at most 4, in the order of their first results."""
        return tuple(self.found)

    @property
    def n_learnt(self) -> int:
        """Results that the emulators have learnt."""
        return sum(len(self.learnt[engine]) for engine in self.found)

    def emulator(self, engine: str) -> Emulator:
        """Return what one engine says."""
        return self.found[engine]

    def at(self, candidates: Index) -> tuple[FloatArray, FloatArray]:
        """Return mean and variance (candidate, engine), in SD of the simulated values."""
        found = [self.found[engine].at(candidates) for engine in self.engines]
        mean, var = np.array(found).reshape(len(found), 2, len(candidates)).swapaxes(0, 1)
        return np.ascontiguousarray(mean.T), np.ascontiguousarray(var.T)


def _emulator(features: Mapping[str, NDArray[np.floating]], learnt: Sequence[Result]) -> Emulator | None:
    """Return what results say of other patches; None when they are too few, or all the same."""
    if len(learnt) < LEAST_N:
        return None
    values = _tamed(np.array([r.value for r in learnt]))
    # Equal values may differ by rounding.
    if float(np.ptp(values)) <= LEAST_SPREAD * float(np.abs(values).max()):
        return None
    return Emulator(features, np.array([r.candidate for r in learnt], dtype=np.intp), values)


def _tamed(values: FloatArray) -> FloatArray:
    """Return values (m,) with those that lie far out moved in: one wild number must not set the scale of the others."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    if not high > low:
        return values
    reach = MOST_SD * (high - low) / IQR_OF_NORMAL
    return np.clip(values, middle - reach, middle + reach)


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
        if not abs(r.value) <= LARGEST:
            raise InvalidInput(
                Reason.NON_FINITE,
                f"evidence {i} of '{r.engine}' is {r.value}; only finite numbers up to {LARGEST:g} inform a model",
                field=f"evidence[{i}].value",
            )
