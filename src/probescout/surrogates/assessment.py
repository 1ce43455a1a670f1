"""The members judged together: weights, corrections of the intervals, and what follows for any candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, ndtr

from probescout.surrogates.incremental import IncrementalGP
from probescout.surrogates.interval import (
    FLAT,
    LEAST_N,
    VarianceFactor,
    flat_factor,
    quantile_factor,
    variance_factor,
)
from probescout.surrogates.members.definition import Member
from probescout.surrogates.mixture import mixture
from probescout.surrogates.noise import Scale
from probescout.surrogates.scores import NO_SCORE, Score, deep_scores
from probescout.surrogates.weights import judge_deep, log_normal, point_weights, stack

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Assessment:
    """Weights and corrections that hold until the next tell; all in standardised units."""

    members: tuple[Member, ...]
    gps: tuple[IncrementalGP, ...]
    weights: FloatArray
    """(member,) sums to 1."""
    factors: tuple[VarianceFactor, ...]
    """On each member's variance."""
    quantile: float
    """On the SD of the mixture."""
    is_deep_alarmed: bool

    def expected_noise(self, scale: Scale, mean: FloatArray) -> FloatArray:
        """Return the variance of the noise to expect where the mixture's mean is `mean` (any shape), uncorrected."""
        fitted, trust = self.weights @ np.array([(gp.noise, gp.trust) for gp in self.gps])
        return np.asarray(fitted + trust * scale.expected_noise(mean))

    def member_noise(self, scale: Scale, mean: FloatArray) -> FloatArray:
        """Return the noise variance (member, candidate) that each member expects where members predict `mean`.

        Args:
            scale: Says how much noise to expect beyond the fitted one.
            mean: Of each member (member, candidate), uncorrected.
        """
        return self._noise(scale, self.weights @ mean)

    def _noise(self, scale: Scale, mean: FloatArray) -> FloatArray:
        """Return the noise variance (member, candidate) that each member expects where the mixture's mean is `mean`."""
        fitted, trust = np.array([(gp.noise, gp.trust) for gp in self.gps]).T[:, :, None]
        return np.asarray(fitted + trust * scale.expected_noise(mean))

    def novelty(self, var: FloatArray) -> FloatArray:
        """Return how unlike everything measured candidates look (candidate,), by the weighted members.

        It is the share of the prior variance, the constant mean left out, that no measured patch explains: 0 is as good
        as measured, 1 means that nothing like it was measured.

        Args:
            var: Noise-free variance of each member (member, candidate), uncorrected.
        """
        unseen = np.array([gp.kernel.amplitude + gp.constant_variance for gp in self.gps])
        return np.asarray(np.clip((self.weights / unseen) @ var, 0.0, 1.0))

    def reported(self, scale: Scale, mean: FloatArray, var: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return mean, noise-free SD and predictive SD (candidate,), corrected.

        Args:
            scale: Says how much noise to expect beyond the fitted one.
            mean: Of each member (member, candidate), uncorrected.
            var: Noise-free variance of each member (member, candidate), uncorrected.
        """
        factor = np.stack([f(m) for f, m in zip(self.factors, mean, strict=True)])
        centre, latent = mixture(self.weights, mean, factor * var)
        noise = self._noise(scale, centre)
        _, predictive = mixture(self.weights, mean, factor * (var + noise))
        return centre, self.quantile * np.sqrt(latent), self.quantile * np.sqrt(predictive)

    def score(self, y: float, scale: Scale, mean: FloatArray, var: FloatArray) -> Score:
        """Score the prediction of a value that was just measured and not yet learnt from.

        The noise is what was to be expected, not what the measurement states: that knows the value.

        Args:
            y: The value, standardised.
            scale: Says how much noise to expect beyond the fitted one.
            mean: What each member (member, 1) predicted.
            var: Its noise-free variance (member, 1).
        """
        if self.gps[0].n < LEAST_N:
            return NO_SCORE
        centre, _, spread = self.reported(scale, mean, var)
        factor = np.stack([f(m) for f, m in zip(self.factors, mean, strict=True)])
        var = var + self._noise(scale, centre)
        logs = log_normal(np.array(y), mean[:, 0], var[:, 0])
        is_deep = np.array([m.is_deep for m in self.members])
        shallow = self.weights[~is_deep] / self.weights[~is_deep].sum()
        # The reported distribution: the corrected mixture, stretched around its mean.
        inner = centre + (y - centre) / self.quantile
        pit = float(self.weights @ ndtr((inner - mean) / np.sqrt(factor * var))[:, 0])
        predicted, predicted_var = scale.moments(centre[0], spread[0] ** 2)
        z = float((scale.restored(np.array(y)) - predicted) / np.sqrt(predicted_var))
        found = Score(z, float(logsumexp(logs[~is_deep], b=shallow)), pit=pit, mean=float(scale.restored(centre[0])))
        if not is_deep.any():
            return found
        k = int(np.flatnonzero(is_deep)[0])
        return replace(found, log_deep=float(logs[k]), deep_z=float((y - mean[k, 0]) / np.sqrt(var[k, 0])))


def assess(
    members: tuple[Member, ...],
    gps: tuple[IncrementalGP, ...],
    y: FloatArray,
    scores: Sequence[Score],
    *,
    is_trusted: NDArray[np.bool_],
    scale: Scale,
) -> Assessment:
    """Weigh the members and correct their intervals.

    Args:
        members: The members.
        gps: Their posteriors.
        y: (n,) standardised values.
        scores: One per measurement.
        is_trusted: (n,) whether a measurement is not doubted; the others have no say.
        scale: Of the target. Where all values are the same nothing is learnt about weights and intervals.
    """
    shallow = [k for k, m in enumerate(members) if not m.is_deep]
    weights = np.zeros(len(members))
    weights[shallow] = 1.0 / len(shallow)
    factors = [FLAT] * len(members)
    if scale.is_constant or len(y) < 2:
        return Assessment(members, gps, weights, tuple(factors), 1.0, False)

    known = np.mean([gps[k].at_measured()[0] for k in shallow], axis=0)
    omega = point_weights(np.mean([gps[k].mean for k in shallow], axis=0), known, is_trusted)
    loo = [gps[k].leave_one_out() for k in shallow]
    loo_mean, loo_var = np.stack([m for m, _ in loo]), np.stack([v for _, v in loo])
    weights[shallow] = stack(y, loo_mean, loo_var, omega)
    centre = weights[shallow] @ loo_mean
    loo_var = loo_var + _foreseen(scale, [gps[k] for k in shallow], y, centre)
    z2 = (y - loo_mean) ** 2 / loo_var
    for row, k in enumerate(shallow):
        factors[k] = variance_factor(loo_mean[row], z2[row], omega, float(gps[k].mean.min()), float(gps[k].mean.max()))
    corrected = np.stack([factors[k](loo_mean[row]) for row, k in enumerate(shallow)]) * loo_var
    _, spread = mixture(weights[shallow], loo_mean, corrected)
    values = scale.restored(y)

    def sizes(factor: float) -> FloatArray:
        predicted, var = scale.moments(centre, factor * factor * spread)
        return np.asarray(np.abs(values - predicted) / np.sqrt(var))

    quantile = quantile_factor(sizes, omega)

    is_alarmed = False
    for k, member in enumerate(members):
        if member.is_deep:
            log_shallow, log_deep, deep_z, z = deep_scores(scores)
            verdict = judge_deep(log_shallow, log_deep, deep_z, z)
            weights *= 1.0 - verdict.weight
            weights[k] = verdict.weight
            factors[k] = flat_factor(deep_z**2)
            is_alarmed = verdict.is_alarmed
    return Assessment(members, gps, weights, tuple(factors), quantile, is_alarmed)


def _foreseen(scale: Scale, gps: Sequence[IncrementalGP], y: FloatArray, centre: FloatArray) -> FloatArray:
    """Return what to add to leave-one-out variances (member, n) so that their noise is what could be foreseen.

    A claim that grows with the value (counts) knows the value: a lucky count forgives its own error. It is moved to
    where the value was predicted, along the line that the claims follow.

    Args:
        scale: Of the target.
        gps: The members.
        y: (n,) standardised values.
        centre: (n,) leave-one-out mean of the mixture.
    """
    moved = scale.expected_noise(centre) - scale.expected_noise(y)
    return np.stack([np.maximum(gp.trust * moved, gp.noise - gp.measured_noise) for gp in gps])
