"""What a planner sees of the committee."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cholesky

from probescout.core.ports import Calibrated
from probescout.surrogates.fantasies import Fantasies
from probescout.surrogates.incremental import LEAST_VARIANCE, IncrementalGP
from probescout.surrogates.mixture import mixture
from probescout.surrogates.model import Model

if TYPE_CHECKING:
    from probescout.surrogates.assessment import Assessment

FloatArray = NDArray[np.float64]
Index = NDArray[np.intp]
MOMENTS = ("member_mean", "member_var", "_mixed", "mean", "std", "noise_var")
A = TypeVar("A", bound=NDArray[Any])


@dataclass(frozen=True)
class Posterior:
    """What the committee reports about every candidate, in target units."""

    mean: FloatArray
    """(candidate,)"""
    std: FloatArray
    """(candidate,) calibrated SD of the noise-free target."""
    predictive_std: FloatArray
    """(candidate,) calibrated SD of the next measured value, measurement noise included."""
    novelty: FloatArray
    """(candidate,) 0..1, how unlike everything measured; see `Assessment.novelty`."""


@dataclass(frozen=True, eq=False)
class CommitteeBelief:
    """The posterior over candidates with pending points conditioned on; implements `core.ports.Belief`.

    Of a large frame only some candidates are seen: `candidates` says which; everything else here is in their order.
    Each array is worked out when first asked for, and cannot be written. Valid until the next tell.
    """

    model: Model = field(repr=False)
    assessment: Assessment = field(repr=False)
    fantasies: tuple[Fantasies, ...] = field(repr=False)
    """Of the pending points, one per member."""
    candidates: Index
    """(candidate,) which of the frame's candidates these are."""
    n_field: int
    """So many of them, the first, are the model's field."""
    available: NDArray[np.bool_]
    n_budget: int | None = None
    cost_s: FloatArray | None = None
    last_position: tuple[float, float] | None = None
    calibration: Calibrated | None = None
    further: tuple[CommitteeBelief, ...] = ()
    """Beliefs about further targets, over the same candidates."""
    is_certain: bool = False
    """Whether the mean is taken for the truth: what a policy then says owes nothing to uncertainty."""

    def __post_init__(self) -> None:
        """Lock what was given: a policy is a stranger."""
        object.__setattr__(self, "available", _locked(self.available.view()))
        if self.cost_s is not None:
            object.__setattr__(self, "cost_s", _locked(self.cost_s.view()))

    @cached_property
    def is_whole(self) -> bool:
        """Whether these are all candidates of the frame, in order."""
        n = self.model.features.n_candidates
        return self.n_field == n or (len(self.candidates) == n and bool((np.diff(self.candidates) > 0).all()))

    @property
    def objectives(self) -> tuple[CommitteeBelief, ...]:
        """Return one belief per target, this one first."""
        return (self, *self.further)

    @cached_property
    def positions(self) -> FloatArray:
        """Return (candidate, dim) fractional."""
        positions = self.model.features.positions
        return _locked(positions.view() if self.is_whole else positions[self.candidates])

    @property
    def shape(self) -> tuple[int, int] | None:
        """Return (height, width) when the candidates are all pixels of one frame."""
        return self.model.features.shape if self.is_whole else None

    @property
    def weights(self) -> FloatArray:
        """Return (member,), which sum to 1."""
        return _locked(self.assessment.weights.view())

    @property
    def gps(self) -> tuple[IncrementalGP, ...]:
        """The members' posteriors, standardised and without pending points."""
        return self.model.gps

    @property
    def scale(self) -> float:
        """Target units per standardised unit, at the centre of the values."""
        return self.model.scale.target_sd

    @cached_property
    def _moments(self) -> tuple[FloatArray, FloatArray]:
        """Means and variances (member, candidate), standardised, pending points left out."""
        rest = self.candidates[self.n_field :]
        mean, var = np.empty((2, len(self.model.gps), len(self.candidates)))
        for k, gp in enumerate(self.model.gps):
            if self.n_field:
                mean[k, : self.n_field], var[k, : self.n_field] = gp.mean, gp.var
            if len(rest):
                mean[k, self.n_field :], var[k, self.n_field :] = gp.at(self.model.points(k, rest))
        return mean, var

    @cached_property
    def member_mean(self) -> FloatArray:
        """Return (member, candidate)."""
        # Pending points leave the mean as it is, so the variance is here the one without them.
        mean = self.model.scale.moments(*self._moments)[0]
        if self.is_certain:
            mean = np.broadcast_to(self.assessment.weights @ mean, mean.shape)
        return _locked(mean)

    @cached_property
    def member_var(self) -> FloatArray:
        """Return (member, candidate), noise-free."""
        if self.is_certain:
            return _locked(np.full_like(self._moments[1], LEAST_VARIANCE * self.scale**2))
        return _locked(self.model.scale.moments(self._moments[0], self._var)[1])

    @cached_property
    def _var(self) -> FloatArray:
        """Variances (member, candidate), standardised, pending points conditioned on."""
        var = self._moments[1]
        if len(self.fantasies[0].points):
            var = var.copy()
            rest = self.candidates[self.n_field :]
            for k, fantasy in enumerate(self.fantasies):
                if self.n_field:
                    var[k, : self.n_field] -= np.einsum("pc,pc->c", fantasy.rows, fantasy.rows)
                if len(rest):
                    rows = fantasy.at(self.model.points(k, rest))
                    var[k, self.n_field :] -= np.einsum("pc,pc->c", rows, rows)
            np.maximum(var, LEAST_VARIANCE, out=var)
        return var

    @cached_property
    def _mixed(self) -> tuple[FloatArray, FloatArray]:
        return mixture(self.assessment.weights, self.member_mean, self.member_var)

    @cached_property
    def mean(self) -> FloatArray:
        """Return (candidate,) mean of the mixture."""
        return _locked(self._mixed[0])

    @cached_property
    def std(self) -> FloatArray:
        """Return (candidate,) SD of the mixture."""
        return _locked(np.sqrt(self._mixed[1]))

    @cached_property
    def noise_var(self) -> FloatArray:
        """Return (candidate,) expected variance of the noise of the next measurement."""
        centre, scale = self.assessment.weights @ self._moments[0], self.model.scale
        return _locked(self.assessment.expected_noise(scale, centre) / scale.slope(centre) ** 2)

    @cached_property
    def novelty(self) -> FloatArray:
        """Return (candidate,) 0..1; see `Assessment.novelty`."""
        return _locked(self.assessment.novelty(self._moments[1]))

    @cached_property
    def incumbent(self) -> float:
        """Return the largest mixture mean over measured candidates; -inf when none is measured."""
        if not self.n_observed:
            return float("-inf")
        if self.is_whole:
            return float(self.mean[self.model.measured].max())
        known = np.array([gp.at_measured() for gp in self.model.gps]).swapaxes(0, 1)
        return float((self.assessment.weights @ self.model.scale.moments(*known)[0]).max())

    @property
    def n_observed(self) -> int:
        """Return the number of measurements learnt."""
        return len(self.model.measured)

    @cached_property
    def measured(self) -> Index:
        """Return (n,) where the measured candidates stand among these; -1 where they do not."""
        if self.is_whole:
            return _locked(self.model.measured.copy())
        order = np.argsort(self.candidates, kind="stable")
        at = np.searchsorted(self.candidates, self.model.measured, sorter=order)
        at = order[np.minimum(at, len(order) - 1)]
        return _locked(np.where(self.candidates[at] == self.model.measured, at, -1))

    @cached_property
    def values(self) -> FloatArray:
        """Return (n,) measured values."""
        return _locked(self.model.values.copy())

    def sample(self, rng: np.random.Generator, index: NDArray[np.intp]) -> FloatArray:
        """Draw one joint sample (m,) of the noise-free target at candidates `index` (m,).

        A member is drawn by its weight, then a function from it: exactly a draw from the mixture.
        """
        index = np.asarray(index, dtype=np.intp)
        k = int(rng.choice(len(self.weights), p=self.weights))
        points = self.model.points(k, self.candidates[index])
        draw = _root(self.fantasies[k].covariance(points, points)) @ rng.standard_normal(len(index))
        return np.asarray(self.model.scale.restored(self._moments[0][k, index] + draw))

    def covariance(self, index_a: NDArray[np.intp], index_b: NDArray[np.intp]) -> FloatArray:
        """Return each member's posterior covariance (member, a, b) of the noise-free target between two sets."""
        a = self.candidates[np.asarray(index_a, dtype=np.intp)]
        b = self.candidates[np.asarray(index_b, dtype=np.intp)]
        blocks = [f.covariance(self.model.points(k, a), self.model.points(k, b)) for k, f in enumerate(self.fantasies)]
        mean, var = self._moments[0], self._var
        return self.model.scale.covariance(
            np.stack(blocks), mean[:, index_a], var[:, index_a], mean[:, index_b], var[:, index_b]
        )

    def over(self, available: NDArray[np.bool_]) -> CommitteeBelief:
        """Return the same belief with other candidates (candidate,) that a suggestion may be made of."""
        return self._passed_on(replace(self, available=available), *MOMENTS)

    def only(self, index: int) -> CommitteeBelief:
        """Return what is believed of one of the candidates."""
        at = np.array([index])
        found = replace(
            self,
            candidates=self.candidates[at],
            n_field=0,
            available=self.available[at],
            cost_s=self.cost_s[at] if self.cost_s is not None else None,
            further=tuple(other.only(index) for other in self.further),
        )
        mean, var = self._moments
        found.__dict__["_moments"] = mean[:, at], var[:, at]
        found.__dict__["incumbent"] = self.incumbent
        return found

    def certain(self) -> CommitteeBelief:
        """Return the belief of one who takes the mean for the truth, for every objective."""
        found = replace(self, is_certain=True, further=tuple(other.certain() for other in self.further))
        return self._passed_on(found)

    def fantasise(self, index: int) -> CommitteeBelief:
        """Return the belief with one more pending candidate, for every objective; see `core.ports.Belief`."""
        available = self.available.copy()
        available[index] = False
        at = self.candidates[[index]]
        noise = self.assessment.member_noise(self.model.scale, self._moments[0][:, [index]])
        fantasies = tuple(f.and_one(self.model.points(k, at), float(noise[k, 0])) for k, f in enumerate(self.fantasies))
        further = tuple(other.fantasise(index) for other in self.further)
        found = replace(self, available=available, fantasies=fantasies, further=further)
        return self._passed_on(found)

    def _passed_on(self, found: CommitteeBelief, *more: str) -> CommitteeBelief:
        """Give another belief over the same candidates what was worked out here and holds there too."""
        for name in ("positions", "_moments", "novelty", "incumbent", "measured", "values", *more):
            if name in self.__dict__:
                found.__dict__[name] = self.__dict__[name]
        return found


def _locked(array: A) -> A:
    """Return an array that cannot be written: it is the model's own."""
    array.flags.writeable = False
    return array


def _root(covariance: FloatArray) -> FloatArray:
    """Return a lower root of a covariance (m, m) that rounding may have made indefinite."""
    if len(covariance) == 0:
        return covariance
    size = float(np.diag(covariance).max())
    jitter = 1e-9 * max(size, 1e-9)
    while jitter <= size * 1e-2 or jitter <= 1e-9:
        try:
            return np.asarray(cholesky(covariance + jitter * np.eye(len(covariance)), lower=True))
        except LinAlgError:
            jitter *= 10.0
    return np.diag(np.sqrt(np.maximum(np.diag(covariance), 0.0)))
