"""The members' posteriors under one scale and one set of hyperparameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError

from probescout.core.errors import InvalidInput, Reason
from probescout.surrogates.doubts import NO_DOUBTS, Doubts
from probescout.surrogates.features import Features
from probescout.surrogates.field import Field
from probescout.surrogates.incremental import IncrementalGP
from probescout.surrogates.kernel import Points
from probescout.surrogates.measurements import Measurements
from probescout.surrogates.members.catalogue import LEARNT, answering_members
from probescout.surrogates.members.definition import Hyperparameters, Member, defaults
from probescout.surrogates.noise import Scale

FloatArray = NDArray[np.float64]
Index = NDArray[np.intp]

BITE_WORK = 12_000_000
"""Size of a bite, in entries of V that are read or written: about 5 ms on a core of 2024."""
KERNEL_WORK = 60
"""What one entry of the kernel costs, in the same unit."""
LEAST_BITE_ROWS = 4
"""Every bite reads the whole of V: 4 rows at once take twice as long as 1, not four times."""
MOST_BITE_ROWS = 32


@dataclass
class Model:
    """One version of the model; a fit makes a new one, a tell advances this one."""

    features: Features
    field: Field
    """The candidates that are kept up to date."""
    members: tuple[Member, ...]
    hyper: Mapping[str, Hyperparameters]
    learnt: Mapping[str, NDArray[np.float32]]
    """Learnt representations (candidate, dim) by name, and the weights of their networks."""
    scale: Scale
    gps: tuple[IncrementalGP, ...]
    chosen: tuple[str, ...] = ()
    """Names of the members that may take part; none: all."""
    doubts: Doubts = NO_DOUBTS
    """Measurements that the others contradict."""
    measured: Index = dataclasses.field(default_factory=lambda: np.empty(0, dtype=np.intp))
    """(n,) candidates, in the order told."""
    values: FloatArray = dataclasses.field(default_factory=lambda: np.empty(0))
    """(n,) values, target units."""
    y: FloatArray = dataclasses.field(default_factory=lambda: np.empty(0))
    """(n,) standardised values."""
    extra: FloatArray = dataclasses.field(default_factory=lambda: np.empty(0))
    """(n,) noise variance of doubted measurements, standardised; 0 where nothing is doubted."""
    edges: list[int] = dataclasses.field(default_factory=list)
    """Measurements known after each block that was learnt in one go; those after the last were learnt one by one."""

    def rows(self, member: Member, candidates: Index) -> list[NDArray[np.floating]]:
        """Return what a member sees of candidates (m,), one array (m, dim) per additive term."""
        return [(self.learnt[f] if f in self.learnt else self.features.arrays[f])[candidates] for f in member.features]

    def points(self, k: int, candidates: Index) -> Points:
        """Return candidates (m,) as member k sees them."""
        return self.gps[k].kernel.points(self.rows(self.members[k], candidates))

    def tell(self, index: int, value: float, variance: float) -> None:
        """Append one measurement to every member.

        Args:
            index: Candidate.
            value: Target units.
            variance: Stated, squared target units; NaN when unknown.
        """
        y = float(self.scale.standardise(np.array(value)))
        stated_noise = float(self.scale.noise(np.array(value), np.array(variance)))
        for k, gp in enumerate(self.gps):
            gp.tell(self._seen(k, index), y, stated_noise)
        self.measured = np.append(self.measured, index)
        self.values = np.append(self.values, value)
        self.y = np.append(self.y, y)
        self.extra = np.append(self.extra, 0.0)

    def prepare(self, index: int) -> None:
        """Have each member work out what it can of the next measurement, if it comes from that candidate.

        A `tell` there is then short and comes to the same, to the bit; elsewhere nothing is gained or lost.
        """
        for k, gp in enumerate(self.gps):
            gp.prepare(self._seen(k, index))

    def _seen(self, k: int, index: int) -> list[NDArray[np.floating]]:
        return [rows[0] for rows in self.rows(self.members[k], np.array([index]))]

    def learn(self, data: Measurements, ends: Sequence[int] = ()) -> None:
        """Learn all measurements beyond those known already, in blocks.

        Args:
            data: All measurements, target units, those known first.
            ends: Where each block ends; those of `bite_rows` after the last.

        Raises:
            InvalidInput: FIELD_INVALID when the hyperparameters make a matrix that cannot be factorised.
        """
        for end in ends:
            self._learn_block(data, end)
        while len(self.y) < len(data):
            self._learn_block(data, min(len(self.y) + self.bite_rows(), len(data)))

    def _learn_block(self, data: Measurements, end: int) -> None:
        for k in range(len(self.members)):
            self.learn_one(k, data, end)
        self.close_block(data, end)

    def learn_one(self, k: int, data: Measurements, end: int) -> None:
        """Teach member k the measurements up to `end`; `close_block` follows when all members have learnt them.

        Raises:
            InvalidInput: As `learn`.
        """
        part = slice(len(self.y), end)
        index, values = data.index[part], data.values[part]
        stated, extra = self.scale.noise(values, data.variances[part]), self.doubts.of(index, values)
        try:
            self.gps[k].extend(self.rows(self.members[k], index), self.scale.standardise(values), stated, extra)
        except LinAlgError as error:
            name = self.members[k].name
            raise InvalidInput(
                Reason.FIELD_INVALID,
                f"member '{name}' cannot be conditioned on {len(data)} measurements: {error}; fit again",
                field=f"members.{name}",
            ) from error

    def close_block(self, data: Measurements, end: int) -> None:
        """Note that all members have learnt the measurements up to `end`."""
        self.measured = data.index[:end].copy()
        self.values = data.values[:end].copy()
        self.y = self.scale.standardise(self.values)
        self.extra = self.doubts.of(data.index[:end], data.values[:end])
        self.edges.append(end)

    def bite_rows(self) -> int:
        """Return how many measurements to learn in one go, so that it takes a member some milliseconds."""
        n = len(self.y)
        per_row = len(self.field) * (n + KERNEL_WORK) + 2 * n * n
        return int(np.clip(BITE_WORK // per_row, LEAST_BITE_ROWS, MOST_BITE_ROWS))

    def moments(self, candidates: Index) -> tuple[FloatArray, FloatArray]:
        """Return means and noise-free variances (member, m) of any candidates (m,), uncorrected."""
        mean, var = np.empty((len(self.gps), len(candidates))), np.empty((len(self.gps), len(candidates)))
        places = self.field.places(candidates)
        kept = places >= 0
        for k, gp in enumerate(self.gps):
            mean[k, kept], var[k, kept] = gp.mean[places[kept]], gp.var[places[kept]]
            if not kept.all():
                mean[k, ~kept], var[k, ~kept] = gp.at(self.points(k, candidates[~kept]))
        return mean, var


def build_model(
    features: Features,
    where: Field,
    scale: Scale,
    hyper: Mapping[str, Hyperparameters] | None,
    learnt: Mapping[str, NDArray[np.float32]],
    chosen: tuple[str, ...] = (),
    doubts: Doubts = NO_DOUBTS,
) -> Model:
    """Return a model without measurements.

    Args:
        features: Of all candidates.
        where: The candidates to keep up to date.
        scale: Of the target.
        hyper: By member; None: the prior modes.
        learnt: Learnt representations by name; the deep member takes part when its own is there.
        chosen: Names of the members that may take part; none: all.
        doubts: Measurements that the others contradict.

    Raises:
        InvalidInput: FIELD_INVALID when none of those chosen can be built from the features.
    """
    arrays = {**features.arrays, **learnt}
    has_deep = hyper is not None and any(member.name in hyper for member in LEARNT)
    members = answering_members(features.arrays, chosen, has_deep=has_deep)
    if hyper is None:
        dims = {name: array.shape[1] for name, array in arrays.items()}
        hyper = {member.name: defaults(member, dims) for member in members}
    at = slice(None) if where.is_whole else where.candidates
    gps = tuple(IncrementalGP([arrays[f][at] for f in m.features], hyper[m.name]) for m in members)
    return Model(features, where, members, hyper, learnt, scale, gps, chosen, doubts)
