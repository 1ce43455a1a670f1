"""How much each member counts.

Shallow members: importance-weighted leave-one-out stacking (Yao et al. 2018, "Using stacking to average Bayesian
predictive distributions"), with each measurement weighted by how over- or under-sampled values like it are, because a
planner that seeks large values does not measure at random. Deep members: only predictions made before the value was
known (Dawid 1984, prequential analysis), because leave-one-out flatters a representation learnt from the same values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

N_BINS = 8
WEIGHT_LIMITS = (0.2, 5.0)
N_ITERATIONS = 60
LOG_2PI = float(np.log(2.0 * np.pi))

DEEP_WINDOW = 60
"""Only so many latest one-step-ahead scores count: an early, badly fitted network must be able to recover."""
DEEP_LEAST_SCORES = 10
"""Below this number of scores a deep member has no weight."""
DEEP_DOUBT = 5.0
"""Pseudo-counts in favour of the shallow members."""
DEEP_LEAST_COVERAGE = 0.8
DEEP_WORSE_COVERAGE = 0.1
"""By so much must it cover less than the committee: where a planner hopes most, honest intervals are missed too."""
DEEP_MOST_LOSS = 0.5
"""Mean log score, in nats, that a deep member may lose on the shallow mixture before it is shut off."""
DEEP_LOSS_CLIP = 5.0


def log_normal(y: FloatArray, mean: FloatArray, var: FloatArray) -> FloatArray:
    """Return the log density of normals, element by element."""
    return np.asarray(-0.5 * ((y - mean) ** 2 / var + np.log(var) + LOG_2PI))


def point_weights(
    field_mean: FloatArray, measured_mean: FloatArray, is_trusted: NDArray[np.bool_] | None = None
) -> FloatArray:
    """Return the importance weights (n,) of measurements, which sum to n.

    Args:
        field_mean: (candidate,) predicted mean, over an even sample of the candidates.
        measured_mean: (n,) predicted mean where the measurements were made.
        is_trusted: (n,) whether a measurement counts at all; None: every one does.
    """
    if is_trusted is not None and is_trusted.any() and not is_trusted.all():
        found = np.zeros(len(measured_mean))
        found[is_trusted] = point_weights(field_mean, measured_mean[is_trusted])
        return found * (len(found) / np.count_nonzero(is_trusted))

    n = len(measured_mean)
    low, high = float(field_mean.min()), float(field_mean.max())
    if n == 0 or not high - low > 1e-9 * max(abs(low), abs(high)):
        return np.ones(n)
    of_field, of_data = (
        np.clip((mean - low) * (N_BINS / (high - low)), 0, N_BINS - 1).astype(np.intp)
        for mean in (field_mean, measured_mean)
    )
    field_share = np.bincount(of_field, minlength=N_BINS) / len(field_mean)
    data_share = np.bincount(of_data, minlength=N_BINS) / n
    weights = np.clip(field_share[of_data] / data_share[of_data], *WEIGHT_LIMITS)
    return np.asarray(weights * (n / weights.sum()))


def stack(y: FloatArray, loo_mean: FloatArray, loo_var: FloatArray, omega: FloatArray) -> FloatArray:
    """Return stacking weights (member,) by expectation maximisation with one pseudo-count per member.

    Args:
        y: (n,) values.
        loo_mean: (member, n) leave-one-out means.
        loo_var: (member, n) leave-one-out variances, noise included.
        omega: (n,) importance weights.
    """
    n_members = len(loo_mean)
    weights = np.full(n_members, 1.0 / n_members)
    if len(y) == 0 or n_members == 1:
        return weights
    logs = log_normal(y, loo_mean, loo_var)
    density = np.exp(logs - logs.max(axis=0))
    total = float(omega.sum()) + n_members
    for _ in range(N_ITERATIONS):
        weights = (weights * (density @ (omega / (weights @ density))) + 1.0) / total
    return np.asarray(weights / weights.sum())


@dataclass(frozen=True)
class DeepVerdict:
    """What the one-step-ahead scores say about a deep member."""

    weight: float
    is_alarmed: bool
    """Whether it was shut off for misbehaving, as opposed to not yet trusted."""


def judge_deep(log_shallow: FloatArray, log_deep: FloatArray, deep_z: FloatArray, z: FloatArray) -> DeepVerdict:
    """Weigh a deep member by its latest one-step-ahead scores.

    Args:
        log_shallow: (n,) log density that the shallow mixture gave each value before it was known.
        log_deep: (n,) the same of the deep member.
        deep_z: (n,) standardised errors of the deep member.
        z: (n,) standardised errors of the committee.
    """
    log_shallow, log_deep, deep_z, z = (a[-DEEP_WINDOW:] for a in (log_shallow, log_deep, deep_z, z))
    n = len(log_shallow)
    if n < DEEP_LEAST_SCORES:
        return DeepVerdict(0.0, False)
    gain = np.clip(np.nan_to_num(log_deep - log_shallow, nan=-np.inf), -DEEP_LOSS_CLIP, DEEP_LOSS_CLIP)
    coverage, usual = (float((np.abs(a) <= 1.96).mean()) for a in (deep_z, z))
    if coverage < min(DEEP_LEAST_COVERAGE, usual - DEEP_WORSE_COVERAGE) or float(gain.mean()) < -DEEP_MOST_LOSS:
        return DeepVerdict(0.0, True)
    weight, ratio = 0.5, np.exp(gain)
    for _ in range(N_ITERATIONS):
        weight = float((weight * ratio / (1.0 - weight + weight * ratio)).sum()) / (n + DEEP_DOUBT)
    # An EM iterate never reaches zero; below a percent the member only costs time and says nothing.
    return DeepVerdict(weight if weight >= 0.01 else 0.0, False)
