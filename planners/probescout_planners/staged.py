"""One policy after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, Reason
from probescout.core.ports import Belief, Json, Planner, present
from probescout.surrogates.improvement import expected_improvement
from probescout_planners.delegates import SPEC_SCHEMA, build_policy, check_policy, name_of

FloatArray = NDArray[np.float64]

UNTIL_SCHEMA: Json = {
    "title": "Until",
    "description": "The one condition that ends the stage",
    "type": "object",
    "properties": {
        "n_observed": {"description": "At least so many observations (count)", "type": "integer", "minimum": 1},
        "budget_fraction": {
            "description": "At least this share of the probe budget is measured (fraction); never without a budget",
            "type": "number",
            "minimum": 0,
            "maximum": 1,
        },
        "coverage95_at_least": {
            "description": "At least this share of the latest 20 or more predictions held (fraction)",
            "type": "number",
            "minimum": 0,
            "maximum": 1,
        },
        "expected_gain_below": {
            "description": "No available candidate has a larger expected improvement over the mixture (target units)",
            "type": "number",
            "exclusiveMinimum": 0,
        },
    },
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": False,
}
LEAST_SCORED = 20
"""Predictions that a coverage must rest on."""
DEFAULT_STAGES: Sequence[Mapping[str, Any]] = (
    {"policy": {"name": "integrated_variance"}, "until": {"n_observed": 30}},
    {"policy": {"name": "ucb"}},
)


class Staged:
    """Switch the policy by schedule or by rule: explore first, then exploit.

    The first stage whose condition does not hold yet answers; the last one answers when all others are over. Nothing is
    remembered: the stage follows from the belief alone, so that a restart goes on in the same one. A rule that
    ceases to hold (a coverage that falls again) therefore leads back to its stage.
    """

    name: ClassVar[str] = "staged"
    summary: ClassVar[str] = "Switch between policies by schedule or rule: explore first, then exploit"
    params_schema: ClassVar[Json] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Staged",
        "type": "object",
        "properties": {
            "stages": {
                "title": "Stages",
                "description": "Policies in their order, each until its condition holds; the last one has none",
                "type": "array",
                "minItems": 1,
                "maxItems": 16,
                "items": {
                    "type": "object",
                    "properties": {"policy": SPEC_SCHEMA, "until": UNTIL_SCHEMA},
                    "required": ["policy"],
                    "additionalProperties": False,
                },
                "default": list(DEFAULT_STAGES),
            }
        },
        "additionalProperties": False,
    }
    needs_model: ClassVar[bool] = True

    def __init__(self, stages: Sequence[Mapping[str, Any]] = DEFAULT_STAGES) -> None:
        """Build the policies of all stages.

        Args:
            stages: {"policy": {"name", "params"}, "until": {condition: bound}} each; the last one without "until".

        Raises:
            InvalidInput: PARAM_INVALID for a stage before the last one without a condition, or a last one with
                one; PLUGIN_UNKNOWN, PLUGIN_BROKEN or PARAM_INVALID of a stage's policy.
        """
        for i, stage in enumerate(stages):
            if bool(stage.get("until")) is (i == len(stages) - 1):
                raise InvalidInput(
                    Reason.PARAM_INVALID,
                    f"stage {i + 1} of {len(stages)} has {'a' if stage.get('until') else 'no'} condition; every stage "
                    "but the last one needs 'until', and the last one takes none",
                    field=f"params.stages[{i}].until",
                )
        self._stages = [
            (build_policy(stage["policy"], field=f"params.stages[{i}].policy"), dict(stage.get("until") or {}))
            for i, stage in enumerate(stages)
        ]
        self.needs_model = self._stages[0][0].needs_model  # type: ignore[misc]  # of the stage that begins
        self._latest: int | None = None

    def check_objectives(self, n_objectives: int) -> None:
        """Refuse a number of targets for which a stage cannot plan.

        Raises:
            InvalidInput: As that stage's policy.
        """
        for i, (policy, _) in enumerate(self._stages):
            check_policy(policy, n_objectives, field=f"params.stages[{i}].policy")

    def score(self, belief: Belief, rng: np.random.Generator) -> FloatArray:
        """Return the scores (candidate,) of the stage's policy."""
        return np.array(self.present(belief).score(belief, rng), dtype=np.float64)

    def present(self, belief: Belief) -> Planner:
        """Return the policy of the stage that the belief calls for."""
        self._latest = self.stage(belief)
        return present(self._stages[self._latest][0], belief)

    @property
    def chosen_by(self) -> str:
        """Return the stage and the policy that answered last."""
        if self._latest is None:
            return ""
        return f"{self.name}[{self._latest + 1}]/{name_of(self._stages[self._latest][0])}"

    def stage(self, belief: Belief) -> int:
        """Return the index of the stage that the belief calls for."""
        for i, (_, until) in enumerate(self._stages[:-1]):
            [(rule, bound)] = until.items()
            if not RULES[rule](belief, bound):
                return i
        return len(self._stages) - 1


def _is_budget_spent(belief: Belief, share: float) -> bool:
    return belief.n_budget is not None and belief.n_observed >= share * belief.n_budget


def _is_covered(belief: Belief, share: float) -> bool:
    found = belief.calibration
    return found is not None and found.n >= LEAST_SCORED and found.coverage95 >= share


def _is_gain_small(belief: Belief, bound: float) -> bool:
    if not np.isfinite(belief.incumbent) or not belief.available.any():
        return False
    open_ = belief.available
    std = np.sqrt(np.maximum(belief.member_var[:, open_], 0.0))
    gains = belief.weights @ expected_improvement(belief.member_mean[:, open_] - belief.incumbent, std)
    return bool(gains.max() < bound)


RULES = {
    "n_observed": lambda belief, bound: belief.n_observed >= bound,
    "budget_fraction": _is_budget_spent,
    "coverage95_at_least": _is_covered,
    "expected_gain_below": _is_gain_small,
}
"""Whether a stage is over, by the name of its condition."""
