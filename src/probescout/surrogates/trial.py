"""All shallow members fitted on one axis, and what each measurement says about the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from probescout.surrogates.doubts import doubted, muted, supported
from probescout.surrogates.members.definition import Hyperparameters, Member, defaults
from probescout.surrogates.members.posterior_mode import Problem, squares_of
from probescout.surrogates.mixture import mixture
from probescout.surrogates.noise import Scale, is_constant, scale_of
from probescout.surrogates.warp import Warp
from probescout.surrogates.weights import log_normal, stack

FloatArray = NDArray[np.float64]

FIRST_EVALUATIONS = 60
WARM_EVALUATIONS = 15
MOST_EXTRA = 1e6
"""Noise of a doubted measurement, squared SD, beside which a variance of one still has ten digits."""


@dataclass(frozen=True)
class Task:
    """What is to be fitted."""

    members: tuple[Member, ...]
    observed: dict[str, NDArray[np.floating]]
    """Feature -> (n, dim)."""
    index: NDArray[np.intp]
    """(n,) candidates."""
    values: FloatArray
    """(n,) target units."""
    variances: FloatArray
    """(n,) squared target units; NaN where unknown."""

    @cached_property
    def squares(self) -> dict[str, FloatArray]:
        """Squared differences by feature: every member and every axis looks at the same ones."""
        return squares_of(self.observed)

    @property
    def dims(self) -> dict[str, int]:
        """Number of dimensions per feature."""
        return {name: array.shape[1] for name, array in self.observed.items()}

    def scale(self, warp: Warp, is_doubted: NDArray[np.bool_]) -> Scale:
        """Return the scale of the measurements that are not doubted.

        Args:
            warp: The bend of the axis.
            is_doubted: (n,) which are doubted.
        """
        is_trusted = ~is_doubted
        if is_constant(self.values[is_trusted]):
            is_trusted[:] = True
        return scale_of(self.values[is_trusted], self.variances[is_trusted], warp)


@dataclass(frozen=True)
class Trial:
    """The members as fitted on one axis."""

    scale: Scale
    y: FloatArray
    """(n,) standardised."""
    stated: FloatArray
    """(n,) stated noise, standardised."""
    extra: FloatArray
    """(n,) noise of doubted measurements, standardised."""
    hyper: dict[str, Hyperparameters]
    objective: dict[str, float]
    """Log posterior per measurement, by member."""
    evidence: float
    """Log density of the values in target units, each given all others, doubted ones left out."""
    is_doubted: NDArray[np.bool_]
    """(n,) which measurements should be doubted, by this fit."""


def attempt(
    task: Task,
    warp: Warp,
    is_doubted: NDArray[np.bool_],
    start: Mapping[str, Hyperparameters],
    n_evaluations: int = WARM_EVALUATIONS,
) -> Trial:
    """Fit all members on one axis.

    Args:
        task: What to fit.
        warp: The bend of the axis.
        is_doubted: (n,) which measurements to fit without.
        start: Where to start, by member; one that is missing starts at the prior modes and gets 60 evaluations.
        n_evaluations: At most so many from a start.
    """
    scale = task.scale(warp, is_doubted)
    y, stated = scale.standardise(task.values), scale.noise(task.values, task.variances)
    extra = muted(y, is_doubted)
    hyper, objective = {}, {}
    for member in task.members:
        problem = Problem(member, task.squares, y, stated, extra)
        is_warm = member.name in start
        first = start[member.name] if is_warm else defaults(member, task.dims)
        found, value = problem.maximise(first, n_evaluations if is_warm else FIRST_EVALUATIONS)
        hyper[member.name], objective[member.name] = found, value
    mean, variance, noise = _left_out(task, hyper, y, stated, extra)
    weights = stack(y, mean, variance, np.ones(len(y)))
    density = logsumexp(log_normal(y, mean, variance), axis=0, b=weights[:, None])
    # What is left out does not depend on its own noise, but is lost in it: the noise of a sentinel value is cut.
    little = np.minimum(extra, MOST_EXTRA)
    if not np.array_equal(little, extra):
        _, variance, noise = _left_out(task, hyper, y, stated, little)
    explained = [
        1.0 - (v - s) / np.exp(hyper[member.name].log_amplitude).sum()
        for member, v, s in zip(task.members, variance, noise, strict=True)
    ]
    informed = weights @ np.array(explained)
    centre, spread = mixture(weights, mean, variance)
    found_doubted = doubted(y - centre, spread - little, informed)
    if is_doubted.any() and found_doubted.any():
        # Doubted ones must not speak against each other unheard: neighbours that agree are a hot spot.
        mean, variance, _ = _left_out(task, hyper, y, stated, np.where(found_doubted, 0.0, extra))
        centre, spread = mixture(weights, mean, variance)
        found_doubted &= ~supported(y - centre, spread, informed)
    jacobian = np.log(warp.slope(task.values) / scale.sd)
    evidence = float((density + jacobian)[~is_doubted].sum())
    return Trial(scale, y, stated, extra, hyper, objective, evidence, found_doubted)


def _left_out(
    task: Task, hyper: dict[str, Hyperparameters], y: FloatArray, stated: FloatArray, extra: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return leave-one-out means and variances and the noise variances, each (member, n)."""
    found = [
        Problem(member, task.squares, y, stated, extra).leave_one_out(hyper[member.name]) for member in task.members
    ]
    mean, variance, noise = np.array(found).swapaxes(0, 1)
    return mean, variance, noise
