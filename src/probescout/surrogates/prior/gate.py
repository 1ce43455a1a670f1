"""Whether theory has earned a say: what it would have predicted, one measurement ahead, against the plain model.

With L the Cholesky factor of a member, L^-1 y are the errors of its one-step-ahead predictions over their SD, and what
theory makes of them is a regression of these on L^-1 t(X), one row after the other (Dawid 1984, prequential analysis).

Theory has no weight until it beats the plain model by a factor of e. Were theory and hyperparameters fixed, the ratio
of the two densities of useless theory would be a martingale from 1, and ever do so in one campaign of e at most
(Ville's inequality). They are not; unrelated theory was heard, at a slope near zero, in 16 to 27 % of 143 campaigns.
From then on its weight is its posterior probability, with prior odds of e to one against it, over all measurements or
over the latest, whichever is worse. In the spirit of Mikkola et al. 2023, "Multi-fidelity Bayesian optimization with
unreliable information sources".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from probescout.surrogates.incremental import IncrementalGP
from probescout.surrogates.prior.informed import SCALE_COUNTS, SLOPE_VARIANCE
from probescout.surrogates.weights import LOG_2PI

FloatArray = NDArray[np.float64]

ENTRY = 1.0
"""Nats by which theory must beat the plain model before it has any weight."""
WINDOW = 60
"""Only so many latest predictions count for the weight: a theory that holds in one region must be able to lose it."""
DOUBT = 1.0
"""Prior log odds in favour of the plain model."""
MOST_WEIGHT = 0.9
"""However right theory was so far, it may miss what nobody has looked at yet: the plain model keeps a say."""
MOST_GAIN = 3.0
"""Nats that one prediction may count: a single lucky value proves little."""


@dataclass(frozen=True)
class Verdict:
    """What the measurements say about theory."""

    weight: float
    """Share of the informed model, 0 to 1."""
    skill: float
    """Mean gain in log density of a one-step-ahead prediction, nats, over those that count; 0 for none."""
    total: float
    """The same summed over all measurements: what entry is decided on."""
    n: int
    """Measurements that count."""


UNHEARD = Verdict(0.0, 0.0, 0.0, 0)


def judge(gps: Sequence[IncrementalGP], weights: FloatArray, measured: FloatArray) -> Verdict:
    """Weigh theory.

    Args:
        gps: The members.
        weights: (member,) of the plain model.
        measured: Theory (n, engine) where the measurements were made, in SD of the simulated values.
    """
    if not gps[0].n:
        return UNHEARD
    plain, informed = zip(*(_densities(gp, measured) for gp in gps), strict=True)
    share = np.asarray(weights)[:, None]
    gain = logsumexp(informed, axis=0, b=share) - logsumexp(plain, axis=0, b=share)
    return weigh(np.asarray(gain))


def weigh(gain: FloatArray) -> Verdict:
    """Return the verdict on gains in log density (n,), in the order of the measurements."""
    gain = np.clip(gain, -MOST_GAIN, MOST_GAIN)
    total, latest = float(gain.sum()), gain[-WINDOW:]
    n = len(latest)
    skill = float(latest.mean()) if n else 0.0
    recent = float(latest.sum())
    if min(total, recent) <= ENTRY:
        return Verdict(0.0, skill, total, n)
    weight = 1.0 / (1.0 + float(np.exp(DOUBT - min(total, recent))))
    return Verdict(min(weight, MOST_WEIGHT), skill, total, n)


def _densities(gp: IncrementalGP, measured: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the log densities (n,) that one member gave each value before it was known, without theory and with it."""
    error, sd = gp.innovations, gp.step_sd
    known = gp.whitened(measured)
    # What was known before each: sums over the rows above it.
    squares = _before(known[:, :, None] * known[:, None, :])
    covariance = np.linalg.inv(squares + np.eye(known.shape[1]) / SLOPE_VARIANCE)
    slope = np.einsum("nij,nj->ni", covariance, _before(known * error[:, None]))
    spread = 1.0 + np.einsum("ni,nij,nj->n", known, covariance, known)
    miss = (error - np.einsum("ni,ni->n", known, slope)) ** 2 / spread
    scale = (SCALE_COUNTS + _before(miss)) / (SCALE_COUNTS + _before(error**2))
    volume = np.log(sd) + 0.5 * LOG_2PI
    informed = -0.5 * (miss / scale + np.log(scale * spread)) - volume
    return -0.5 * error**2 - volume, informed


def _before(rows: FloatArray) -> FloatArray:
    """Return the sum of all rows above each one, along the first axis."""
    return np.asarray(np.cumsum(rows, axis=0) - rows)
