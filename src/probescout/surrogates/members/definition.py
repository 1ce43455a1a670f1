"""What makes a member: groups of features with priors on the logarithms of its hyperparameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, Reason

FloatArray = NDArray[np.float64]

BOX = 4.0
"""Hyperparameters stay within so many prior SD; without it L-BFGS overflowed."""
LOG_NOISE = (-2.0, 1.5)
"""Prior mean and SD of the log noise variance, in standardised units."""
LOG_STATED = (0.0, 1.0)
"""Prior mean and SD of the log factor on the noise variances that the measurements state."""


@dataclass(frozen=True)
class Group:
    """One additive term of a kernel: an ARD Matern-5/2 on one representation."""

    feature: str
    """Name in `Features.arrays`, or of an embedding that the fit returns."""
    log_lengthscale: tuple[float, float]
    """Prior mean and SD, in units of the feature."""
    log_amplitude: tuple[float, float]
    """Prior mean and SD of the log variance, in standardised units."""


@dataclass(frozen=True)
class Member:
    """One GP of the committee: k = sum_g a_g Matern52_ARD(x_g) + 1, and noise."""

    name: str
    groups: tuple[Group, ...]
    is_deep: bool = False
    """Whether a representation is learnt from the measured values, so that leave-one-out flatters it."""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the representations, in order."""
        return tuple(group.feature for group in self.groups)


@dataclass(frozen=True)
class Hyperparameters:
    """What a fit finds for one member, in standardised target units."""

    log_lengthscale: tuple[tuple[float, ...], ...]
    """One tuple per group, one entry per dimension."""
    log_amplitude: tuple[float, ...]
    """One per group: log variance."""
    log_noise: float
    """Log noise variance beyond what the measurements state."""
    log_stated: float = 0.0
    """Log factor on the noise variances that the measurements state."""

    def to_json(self) -> dict[str, Any]:
        """Return lists and numbers only."""
        return {
            "log_lengthscale": [list(group) for group in self.log_lengthscale],
            "log_amplitude": list(self.log_amplitude),
            "log_noise": self.log_noise,
            "log_stated": self.log_stated,
        }


def defaults(member: Member, dims: Mapping[str, int]) -> Hyperparameters:
    """Return the prior modes, with which a member answers before its first fit.

    Args:
        member: The member.
        dims: Number of dimensions per feature.
    """
    return Hyperparameters(
        tuple((group.log_lengthscale[0],) * dims[group.feature] for group in member.groups),
        tuple(group.log_amplitude[0] for group in member.groups),
        LOG_NOISE[0],
    )


def read_hyperparameters(member: Member, dims: Mapping[str, int], data: Mapping[str, Any]) -> Hyperparameters:
    """Check what a fit or a journal says about a member.

    Raises:
        InvalidInput: SHAPE_MISMATCH when the numbers are not those of this member; NON_FINITE when one is not finite;
            FIELD_INVALID when one is outside the prior's box.
    """
    field = f"members.{member.name}"
    try:
        found = Hyperparameters(
            tuple(tuple(float(v) for v in group) for group in data["log_lengthscale"]),
            tuple(float(v) for v in data["log_amplitude"]),
            float(data["log_noise"]),
            # Journals of the first version believed every claim.
            float(data.get("log_stated", 0.0)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(
            Reason.FIELD_INVALID, f"hyperparameters of member '{member.name}' are unreadable: {error!r}", field=field
        ) from error
    lengths = tuple(len(group) for group in found.log_lengthscale)
    wanted = tuple(dims[group.feature] for group in member.groups)
    if lengths != wanted or len(found.log_amplitude) != len(wanted):
        raise InvalidInput(
            Reason.SHAPE_MISMATCH,
            f"member '{member.name}' has {lengths} lengthscales and {len(found.log_amplitude)} amplitudes; "
            f"its groups {member.features} need {wanted} and {len(wanted)}",
            field=field,
        )
    _check_box(member, found, field)
    return found


def _check_box(member: Member, found: Hyperparameters, field: str) -> None:
    checks = [(np.array([found.log_noise]), LOG_NOISE), (np.array([found.log_stated]), LOG_STATED)]
    for group, lengthscale, amplitude in zip(member.groups, found.log_lengthscale, found.log_amplitude, strict=True):
        checks += [(np.array(lengthscale), group.log_lengthscale), (np.array([amplitude]), group.log_amplitude)]
    for values, (mean, sd) in checks:
        if not np.isfinite(values).all():
            raise InvalidInput(
                Reason.NON_FINITE, f"a hyperparameter of member '{member.name}' is not finite; fit again", field=field
            )
        low, high = mean - BOX * sd - 1e-6, mean + BOX * sd + 1e-6
        if ((values < low) | (values > high)).any():
            raise InvalidInput(
                Reason.FIELD_INVALID,
                f"a log hyperparameter of member '{member.name}' is {values.tolist()}; allowed is {low:.3g} to "
                f"{high:.3g}; fit again",
                field=field,
            )
