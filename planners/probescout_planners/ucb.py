"""Upper confidence bound."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from probescout.core.ports import Belief, Json

FloatArray = NDArray[np.float64]

SHRINKAGE = 5.0
"""Srinivas et al. 2010, section 6, divide the beta of their theorem by 5."""
DEFAULT_HORIZON = 100


class UpperConfidenceBound:
    """Prefer where the target could plausibly be largest: mean + beta * SD.

    Srinivas et al. 2010, "Gaussian process optimization in the bandit setting", for each member of the committee and
    averaged by the weights: where members merely disagree there is less to gain than where all are unsure (0009). With
    `spread` set to `mixture` it is the SD of the mixture, as for a single model. The weight of the SD follows a
    schedule of the number of observations t:

    - `constant`: beta.
    - `sqrt_log`: sqrt(2 log(n t^2 pi^2 / (6 delta)) / 5) for n candidates, their theorem 1 with the divisor of
      their section 6; `beta` plays no part.
    - `linear`: from `beta` at the start to `final_beta` at the horizon.
    - `explore_then_exploit`: `beta`, and `final_beta` once the share `switch_at` of the horizon is measured.

    The horizon is the probe budget of the campaign unless one is given, and 100 where there is neither.
    """

    name: ClassVar[str] = "ucb"
    summary: ClassVar[str] = "Find many large values: optimistic estimate, mean + beta * SD"
    params_schema: ClassVar[Json] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Upper confidence bound",
        "type": "object",
        "properties": {
            "beta": {
                "title": "Optimism",
                "description": "SDs added to the mean; larger explores more (no unit)",
                "type": "number",
                "minimum": 0,
                "maximum": 100,
                "default": 3.0,
            },
            "spread": {
                "title": "Spread",
                "description": "The members' own SDs averaged by their weights, or the SD of the whole mixture, in "
                "which members that disagree count as uncertainty",
                "type": "string",
                "enum": ["members", "mixture"],
                "default": "members",
            },
            "schedule": {
                "title": "Schedule",
                "description": "How the weight of the SD changes with the number of observations",
                "type": "string",
                "enum": ["constant", "sqrt_log", "linear", "explore_then_exploit"],
                "default": "constant",
            },
            "final_beta": {
                "title": "Final optimism",
                "description": "SDs added at the end of linear and explore_then_exploit (no unit)",
                "type": "number",
                "minimum": 0,
                "maximum": 100,
                "default": 0.5,
            },
            "switch_at": {
                "title": "Switch",
                "description": "Share of the horizon after which explore_then_exploit exploits (fraction)",
                "type": "number",
                "minimum": 0,
                "maximum": 1,
                "default": 0.5,
            },
            "delta": {
                "title": "Failure probability",
                "description": "Of the bound of sqrt_log (probability)",
                "type": "number",
                "exclusiveMinimum": 0,
                "exclusiveMaximum": 1,
                "default": 0.1,
            },
            "horizon": {
                "title": "Horizon",
                "description": "Observations over which the schedule runs (count); null: the probe budget",
                "type": ["integer", "null"],
                "minimum": 1,
                "default": None,
            },
        },
        "additionalProperties": False,
    }
    needs_model: ClassVar[bool] = True
    is_split: bool = True

    def __init__(
        self,
        beta: float = 3.0,
        schedule: str = "constant",
        final_beta: float = 0.5,
        switch_at: float = 0.5,
        delta: float = 0.1,
        horizon: int | None = None,
        spread: str = "members",
    ) -> None:
        """Set the optimism.

        Args:
            beta: SDs added to the mean, at the start where a schedule changes it.
            schedule: One of the four.
            final_beta: SDs added at the end.
            switch_at: Share of the horizon at which to switch.
            delta: Failure probability of the bound.
            horizon: Observations; None: the probe budget.
            spread: Whose SD: of the `members`, averaged, or of the `mixture`.
        """
        self.beta = float(beta)
        self.spread = spread
        self.schedule = schedule
        # The theorem's weight grows with the number of candidates.
        self.is_split = schedule != "sqrt_log"
        self.final_beta = float(final_beta)
        self.switch_at = float(switch_at)
        self.delta = float(delta)
        self.horizon = horizon

    def score(self, belief: Belief, rng: np.random.Generator) -> FloatArray:
        """Return the bound (candidate,) in target units."""
        beta = self.weight(belief.n_observed, len(belief.available), belief.n_budget)
        if self.spread == "mixture":
            return np.asarray(belief.mean + beta * belief.std, dtype=np.float64)
        std = belief.weights @ np.sqrt(np.maximum(belief.member_var, 0.0))
        return np.asarray(belief.mean + beta * std, dtype=np.float64)

    def weight(self, n_observed: int, n_candidates: int, n_budget: int | None) -> float:
        """Return the SDs that are added to the mean."""
        done = min(n_observed / (self.horizon or n_budget or DEFAULT_HORIZON), 1.0)
        if self.schedule == "sqrt_log":
            t = max(n_observed, 1)
            return math.sqrt(2.0 * math.log(n_candidates * t * t * math.pi**2 / (6.0 * self.delta)) / SHRINKAGE)
        if self.schedule == "linear":
            return self.beta + done * (self.final_beta - self.beta)
        if self.schedule == "explore_then_exploit":
            return self.final_beta if done >= self.switch_at else self.beta
        return self.beta
