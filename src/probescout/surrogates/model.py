"""The members' posteriors under one scale and one set of hyperparameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError

from probescout.core.errors import InvalidInput, Reason
from probescout.surrogates.features import Features
from probescout.surrogates.incremental import IncrementalGP
from probescout.surrogates.members.catalogue import DEEP, shallow_members
from probescout.surrogates.members.definition import Hyperparameters, Member, defaults
from probescout.surrogates.noise import Scale, scale_of

FloatArray = NDArray[np.float64]


@dataclass
class Model:
    """One version of the model; a fit makes a new one, a tell advances this one."""

    features: Features
    members: tuple[Member, ...]
    hyper: Mapping[str, Hyperparameters]
    learnt: Mapping[str, NDArray[np.float32]]
    """Learnt representations (candidate, dim) by name."""
    scale: Scale
    gps: tuple[IncrementalGP, ...]
    measured: NDArray[np.intp]
    """(n,) candidates, in the order told."""
    y: FloatArray
    """(n,) standardised values."""

    def tell(self, index: int, y: float, stated_noise: float) -> None:
        """Append one standardised measurement to every member."""
        for gp in self.gps:
            gp.tell(index, y, stated_noise)
        self.measured = np.append(self.measured, index)
        self.y = np.append(self.y, y)

    def rebuilt(self, index: NDArray[np.intp], values: FloatArray, variances: FloatArray, *, rescale: bool) -> Model:
        """Return a new model conditioned on measurements (n,) in target units; this one stays as it is.

        Args:
            index: Candidates.
            values: Target units.
            variances: Squared target units; NaN where unknown.
            rescale: Whether to take the scale from these values instead of keeping it.

        Raises:
            InvalidInput: FIELD_INVALID when the hyperparameters make a matrix that cannot be factorised.
        """
        scale = scale_of(values, variances) if rescale else self.scale
        fresh = build_model(self.features, scale, self.hyper, self.learnt)
        fresh.measured, fresh.y = index.copy(), scale.standardise(values)
        for member, gp in zip(fresh.members, fresh.gps, strict=True):
            try:
                gp.rebuild(index, fresh.y, scale.noise(variances))
            except LinAlgError as error:
                raise InvalidInput(
                    Reason.FIELD_INVALID,
                    f"member '{member.name}' cannot be conditioned on {len(index)} measurements: {error}; fit again",
                    field=f"members.{member.name}",
                ) from error
        return fresh


def build_model(
    features: Features,
    scale: Scale,
    hyper: Mapping[str, Hyperparameters] | None,
    learnt: Mapping[str, NDArray[np.float32]],
) -> Model:
    """Return a model without measurements.

    Args:
        features: Of all candidates.
        scale: Of the target.
        hyper: By member; None: the prior modes.
        learnt: Learnt representations by name; the deep member takes part when its own is there.
    """
    arrays = {**features.arrays, **learnt}
    members = shallow_members(features.arrays)
    if hyper is None:
        dims = {name: array.shape[1] for name, array in arrays.items()}
        hyper = {member.name: defaults(member, dims) for member in members}
    elif DEEP.name in hyper:
        members = (*members, DEEP)
    gps = tuple(IncrementalGP([arrays[f] for f in m.features], hyper[m.name]) for m in members)
    return Model(features, members, hyper, learnt, scale, gps, np.empty(0, dtype=np.intp), np.empty(0))
