"""Information per second."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from probescout.core.ports import Belief, Json, present
from probescout.surrogates.improvement import VANISHED
from probescout_planners.delegates import SPEC_SCHEMA, build_policy, check_policy, name_of

FloatArray = NDArray[np.float64]

LEAST_COST_S = 1e-6
"""A place that costs nothing would win whatever it promises."""


class PerSecond:
    """Weigh what another policy promises against the seconds that it takes to travel there, settle and dwell.

    Snoek, Larochelle & Adams 2012, "Practical Bayesian optimization of machine learning algorithms", section 3.2, for
    policies whose scores are gains (never negative): score / seconds^weight, formed with logarithms where the policy
    offers them, so that gains too small for a floating-point number keep their order. A negative score of such
    a policy (a candidate outside the subset that it looked at) is multiplied by its relative cost instead, which keeps
    it below all gains and puts the dearer one lower.

    Other policies' scores may have any sign, where a quotient would prefer the dearer of two bad points. They are
    charged: score - weight * spread * (seconds - least seconds) / mean seconds, with the SD of the available scores as
    their spread. Either way the cheaper of two points with equal scores wins.

    Without declared costs the scores are left as they are.
    """

    name: ClassVar[str] = "per_second"
    summary: ClassVar[str] = "Get most out of the time: another policy's gain per second of travel and dwell"
    params_schema: ClassVar[Json] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Per second",
        "type": "object",
        "properties": {
            "policy": {**SPEC_SCHEMA, "default": {"name": "expected_improvement"}},
            "weight": {
                "title": "Weight of the cost",
                "description": "Exponent of the seconds for gains, number of SDs of the scores charged for the mean "
                "cost otherwise (no unit); 0: cost plays no part",
                "type": "number",
                "minimum": 0,
                "maximum": 10,
                "default": 1.0,
            },
        },
        "additionalProperties": False,
    }
    needs_model: ClassVar[bool] = True

    def __init__(self, policy: Mapping[str, Any] | None = None, weight: float = 1.0) -> None:
        """Build the other policy.

        Args:
            policy: {"name", "params"} of an installed one.
            weight: Of the cost.

        Raises:
            InvalidInput: PLUGIN_UNKNOWN, PLUGIN_BROKEN or PARAM_INVALID, of the other policy.
        """
        self._inner = build_policy(policy or {"name": "expected_improvement"}, field="params.policy")
        self._weight = float(weight)
        self.needs_model = self._inner.needs_model  # type: ignore[misc]  # the charge needs none

    @property
    def chosen_by(self) -> str:
        """Return this policy and the one that it weighs."""
        return f"{self.name}/{name_of(self._inner)}"

    def check_objectives(self, n_objectives: int) -> None:
        """Refuse a number of targets for which the other policy cannot plan.

        Raises:
            InvalidInput: As the other policy.
        """
        check_policy(self._inner, n_objectives, field="params.policy")

    def present(self, belief: Belief) -> PerSecond:
        """Return this policy around the one that answers for the belief."""
        found = copy(self)
        inner = present(self._inner, belief)
        vars(found).update(_inner=inner, needs_model=inner.needs_model)
        return found

    def score(self, belief: Belief, rng: np.random.Generator) -> FloatArray:
        """Return the weighed scores (candidate,)."""
        inner = present(self._inner, belief)
        cost = seconds(belief)
        if cost is None or self._weight == 0.0:
            return np.array(inner.score(belief, rng), dtype=np.float64)
        if hasattr(inner, "log_score"):
            logs = inner.log_score(belief, rng) - self._weight * np.log(cost)
            with np.errstate(over="ignore", under="ignore"):
                plain = np.exp(np.minimum(logs, 700.0))
            # The logarithm, too, when the plain numbers cannot tell the best candidates apart.
            is_plain = plain[belief.available].max(initial=0.0) > VANISHED and logs[belief.available].max() < 700.0
            return np.asarray(plain if is_plain else logs)
        scores = np.asarray(inner.score(belief, rng), dtype=np.float64)
        if getattr(inner, "is_gain", False):
            relative = (cost / cost.min()) ** self._weight
            return np.asarray(np.where(scores >= 0.0, scores / cost**self._weight, scores * relative))
        return charged(scores, cost, self._weight, belief.available)


def seconds(belief: Belief) -> FloatArray | None:
    """Return the cost (candidate,) of each candidate in seconds, positive and finite; None when none is declared."""
    if belief.cost_s is None:
        return None
    cost = np.array(belief.cost_s, dtype=np.float64)
    is_known = np.isfinite(cost)
    if not is_known.any():
        return None
    # A cost that is not a number is no reason to go there: it counts as the dearest.
    return np.maximum(np.where(is_known, cost, cost[is_known].max()), LEAST_COST_S)


def charged(scores: FloatArray, cost: FloatArray, weight: float, available: NDArray[np.bool_]) -> FloatArray:
    """Return scores (candidate,) of any sign, less a charge that grows with the cost (candidate,)."""
    if not available.any():
        return np.array(scores)
    known = scores[available]
    size = float(np.abs(known).max())
    spread = size * float((known / size).std()) if size > 0 else 0.0
    # Where all scores are equal the cost alone decides.
    spread = spread if spread > 0 else max(size, 1.0) * 1e-6
    least, mean = float(cost[available].min()), float(cost[available].mean())
    return np.asarray(scores - weight * spread * (cost - least) / mean)
