"""Builds what a spec names and refuses what can never work, before a campaign is created."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from probescout.core.errors import InvalidInput, Reason
from probescout.core.jsonable import from_json
from probescout.core.ports import Planner, Scalarizer
from probescout.core.specs import GIVEN, Objective
from probescout.core.theory import Engine
from probescout.runtime.further import Further
from probescout.runtime.plugins import build
from probescout.surrogates.members.catalogue import check_members
from probescout.surrogates.stopping import RULES


def validated(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the scalarizer of a spec takes, {"n_dims", "axis_unit"}.

    Args:
        message: "scalarizer" and "policy" as {"name", "params"}, and where the spec has them "members",
            "is_deep_member_disabled", "stop_rules" (names), "objectives" (as JSON) and "theory"; or "theory" alone.

    Raises:
        InvalidInput: With the field.
    """
    if message.get("theory"):
        _check_theory(message["theory"])
    if "scalarizer" not in message:
        return {}
    scalarizer = build_scalarizer(message["scalarizer"])
    policy = build("probescout.planners", message["policy"], field="spec.policy")
    _check_policy(policy, 1 + len(message.get("objectives", ())))
    check_members(message.get("members", ()), use_deep=not message.get("is_deep_member_disabled", False))
    _check_stop_rules(message.get("stop_rules", ()))
    _check_objectives(message.get("objectives", ()), scalarizer)
    if scalarizer is None:
        return {"n_dims": 0, "axis_unit": ""}
    return {"n_dims": scalarizer.n_dims, "axis_unit": scalarizer.axis_unit or ""}


def _check_theory(theory: Mapping[str, Any]) -> None:
    """Build an engine, {"name", "params"}, and look whether it gives the "quantity" that is wanted, if any."""
    field = theory.get("field", "spec.theory")
    engine: Engine = build("probescout.theory", theory["engine"], field=f"{field}.engine")
    wanted = theory.get("quantity")
    if wanted is not None and wanted not in engine.quantities:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"engine '{engine.name}' gives no '{wanted[:80]}'; it gives {', '.join(engine.quantities)}",
            field=f"{field}.quantity",
        )


def build_scalarizer(spec: Mapping[str, Any]) -> Scalarizer | None:
    """Return the scalarizer of a spec; None for ready values."""
    if spec["name"] == GIVEN:
        return None
    scalarizer: Scalarizer = build("probescout.scalarizers", spec, field="spec.scalarizer")
    return scalarizer


def _check_policy(policy: Planner, n_objectives: int) -> None:
    """Ask a policy that has a say in it whether it can plan for so many objectives."""
    check = getattr(policy, "check_objectives", None)
    if check is None:
        return
    try:
        check(n_objectives)
    except InvalidInput as refusal:
        raise InvalidInput(refusal.reason, refusal.message, field=f"spec.policy.{refusal.field}") from refusal


def _check_stop_rules(names: Sequence[str]) -> None:
    for i, name in enumerate(names):
        if name not in RULES:
            raise InvalidInput(
                Reason.FIELD_INVALID,
                f"no stop rule is named '{name[:80]}'; choose of {', '.join(RULES)}",
                field=f"spec.stop_rules[{i}].name",
            )


def _check_objectives(objectives: Sequence[Mapping[str, Any]], first: Scalarizer | None) -> None:
    further = Further([from_json(Objective, o) for o in objectives])
    for i, scalarizer in enumerate(further.scalarizers):
        for what in ("n_dims", "axis_unit"):
            own, other = getattr(scalarizer, what), getattr(first, what, None)
            if own and other and own != other:
                raise InvalidInput(
                    Reason.FIELD_INVALID,
                    f"'{scalarizer.name}' reads signals with {what} {own}, the first scalarizer with {other}; all "
                    "objectives of a campaign read the same signal",
                    field=f"spec.objectives[{i}].scalarizer",
                )
