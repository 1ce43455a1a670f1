"""Advice when to stop, with the evidence for it; whether to stop is for a person to say."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtri

from probescout.core.advice import StopAdvice
from probescout.core.errors import InvalidInput, Reason
from probescout.core.ports import Belief
from probescout.surrogates.improvement import expected_improvement, standardised

FloatArray = NDArray[np.float64]

CONFIDENCE = 0.95
"""That the remaining gain stays below the stated one."""
LEAST_OBSERVED = 20
"""A model that has learnt from fewer measurements has no say."""
N_RIVALS = 1024
"""Candidates whose joint largest value is looked at; the others enter by the sum of their expected gains."""
N_LEVELS = 64
Z95 = 1.959963984540054
DOUBT_Z = 1.2815515655446004
"""One-sided 90 %."""
WIDEST = 10.0


def advise(name: str, belief: Belief, bound: float) -> StopAdvice:
    """Return what a stop rule says.

    The model's own intervals are widened first unless they have surely covered 95 % lately. No rule is met before 20
    observations, nor while the calibration is alarmed.

    Args:
        name: `expected_regret`, how far the best candidate left may lie above the best so far; `gain_per_second`, the
            largest expected improvement over its seconds (per probe without declared costs); `map_error`, the mean SD
            of the map.
        belief: The belief, pending points included.
        bound: At most which value the rule is met.

    Raises:
        InvalidInput: FIELD_INVALID for an unknown rule or a bound that is no number >= 0.
    """
    rule = RULES.get(name)
    if rule is None:
        raise InvalidInput(
            Reason.FIELD_INVALID, f"no stop rule named '{name}'; there are: {', '.join(RULES)}", field="name"
        )
    if not (math.isfinite(bound) and bound >= 0.0):
        raise InvalidInput(
            Reason.FIELD_INVALID, f"bound {bound} of stop rule '{name}' is not a finite number >= 0", field="bound"
        )
    if not belief.available.any():
        return StopAdvice(name, True, 0.0, bound, "target", "no candidate is left to measure")
    value, unit, evidence = rule(belief, _widening(belief))
    doubt = _doubt(belief)
    is_met = doubt == "" and value <= bound
    verdict = "met" if is_met else "not met"
    message = f"{evidence}; the bound {bound:.4g} is {verdict}" + (f" because {doubt}" if doubt else "")
    return StopAdvice(name, is_met, value, bound, unit, message)


def remaining_gain(belief: Belief, widening: float = 1.0) -> tuple[float, float]:
    """Return upper bounds of the expectation and of the 95 % quantile of max(f) - incumbent over what is left.

    Both treat the candidates as independent, which is conservative: the largest of positively correlated normal values
    is stochastically smaller (Slepian 1962). The stopping criterion is that of Ishibashi et al. 2023, "A stopping
    criterion for Bayesian optimization by the gap of expected minimum simple regrets", section 2, with the expected
    simple regret itself instead of the gap between two steps, since candidates are finite.

    Args:
        belief: With a finite incumbent.
        widening: Factor on the SDs.
    """
    open_ = np.flatnonzero(belief.available)
    gain = belief.member_mean[:, open_] - belief.incumbent
    std = widening * np.sqrt(np.maximum(belief.member_var[:, open_], 0.0))
    each = belief.weights @ expected_improvement(gain, std)
    rest = 0.0
    if len(open_) > N_RIVALS:
        order = np.argpartition(-each, N_RIVALS)
        rest = float(each[order[N_RIVALS:]].sum())
        gain, std = gain[:, order[:N_RIVALS]], std[:, order[:N_RIVALS]]
    top = float((gain + 6.0 * std).max())
    if top <= 0.0:
        return rest, rest
    # E[max(., 0)] is the integral of P(max > y) over y > 0; squared steps, since it falls steeply near zero.
    y = top * np.linspace(0.0, 1.0, N_LEVELS) ** 2
    chance = np.array([_chance_above(level, belief.weights, gain, std) for level in y])
    expectation = float(np.sum(0.5 * (chance[1:] + chance[:-1]) * np.diff(y)))
    # Descending chances, turned round because interpolation wants them to rise.
    quantile = float(np.interp(1.0 - CONFIDENCE, chance[::-1], y[::-1]))
    # What was left out can add this much to the expectation; it stands in for the little it can add to the quantile.
    return expectation + rest, quantile + rest


def _chance_above(level: float, weights: FloatArray, gain: FloatArray, std: FloatArray) -> float:
    """Return P(max > level) of independent mixtures with gains and SDs (member, candidate)."""
    below = np.exp(log_ndtr(np.clip(standardised(level - gain, std), -1e100, 1e100)))
    return float(-np.expm1(np.log(np.maximum(weights @ below, 1e-300)).sum()))


def _expected_regret(belief: Belief, widening: float) -> tuple[float, str, str]:
    if not np.isfinite(belief.incumbent):
        return float("nan"), "target", "nothing is measured yet"
    expectation, quantile = remaining_gain(belief, widening)
    value = max(expectation, quantile)
    evidence = (
        f"the best of {int(belief.available.sum())} candidates left betters the best so far "
        f"by at most {value:.4g} with 95 % chance, and by at most {expectation:.4g} on average"
    )
    return value, "target", evidence


def _gain_per_second(belief: Belief, widening: float) -> tuple[float, str, str]:
    unit = "target/probe" if belief.cost_s is None else "target/s"
    if not np.isfinite(belief.incumbent):
        return float("nan"), unit, "nothing is measured yet"
    open_ = np.flatnonzero(belief.available)
    std = widening * np.sqrt(np.maximum(belief.member_var[:, open_], 0.0))
    gain = belief.weights @ expected_improvement(belief.member_mean[:, open_] - belief.incumbent, std)
    cost = np.ones(len(open_)) if belief.cost_s is None else np.maximum(belief.cost_s[open_], 1e-6)
    rate = gain / cost
    best = int(np.argmax(rate))
    spent = "one probe" if belief.cost_s is None else f"{cost[best]:.4g} s"
    evidence = f"the most promising candidate is expected to gain {gain[best]:.4g} for {spent}"
    return float(rate[best]), unit, evidence


def _map_error(belief: Belief, widening: float) -> tuple[float, str, str]:
    open_ = belief.available
    value = widening * float(belief.std[open_].mean())
    evidence = f"the SD of the map is {value:.4g} on average over {int(open_.sum())} candidates left"
    return value, "target", evidence


RULES: dict[str, Callable[[Belief, float], tuple[float, str, str]]] = {
    "expected_regret": _expected_regret,
    "gain_per_second": _gain_per_second,
    "map_error": _map_error,
}
"""Value, unit and evidence of each rule, from a belief and a factor on its SDs."""


def _widening(belief: Belief) -> float:
    """Return the factor on the SDs with which the latest intervals would surely have covered 95 %, at least 1.

    From the lower end of what their coverage may be, with 90 % confidence (Wilson 1927, "Probable inference, the law of
    succession, and statistical inference"): a stop that comes too early costs more than one that comes late.
    """
    found = belief.calibration
    if found is None or found.n < 1:
        return 1.0
    n, share, z = found.n, found.coverage95, DOUBT_Z
    spread = z * math.sqrt(share * (1.0 - share) / n + z * z / (4.0 * n * n))
    least = (share + z * z / (2.0 * n) - spread) / (1.0 + z * z / n)
    return float(np.clip(Z95 / max(float(ndtri(0.5 * (1.0 + least))), 1e-9), 1.0, WIDEST))


def _doubt(belief: Belief) -> str:
    if belief.n_observed < LEAST_OBSERVED:
        return f"the model has seen only {belief.n_observed} of the {LEAST_OBSERVED} measurements that it needs"
    if belief.calibration is not None and belief.calibration.is_alarmed:
        return "the calibration is alarmed: the model's intervals cannot be trusted"
    return ""
