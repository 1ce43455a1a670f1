"""Policies that a policy hands over to, by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jsonschema

from probescout.core.errors import InvalidInput, Reason
from probescout.core.ports import Json, Planner
from probescout.core.registry import PLANNERS, find

SPEC_SCHEMA: Json = {
    "title": "Policy",
    "description": "An installed policy by name, with its parameters",
    "type": "object",
    "properties": {
        "name": {"title": "Name", "description": "Of an installed policy", "type": "string"},
        "params": {"title": "Parameters", "description": "By that policy's own schema", "type": "object"},
    },
    "required": ["name"],
    "additionalProperties": False,
}


def build_policy(spec: Mapping[str, Any], *, field: str) -> Planner:
    """Return an installed policy, its parameters checked against its schema.

    Args:
        spec: {"name", "params"}.
        field: Path of the spec among the parameters, for error messages.

    Raises:
        InvalidInput: PLUGIN_UNKNOWN, PLUGIN_BROKEN or PARAM_INVALID.
    """
    cls = find(PLANNERS, spec["name"], field=f"{field}.name").load()
    params = json.loads(json.dumps(dict(spec.get("params") or {})))
    error = jsonschema.exceptions.best_match(
        jsonschema.Draft202012Validator(dict(cls.params_schema)).iter_errors(params)
    )
    if error is not None:
        known = ", ".join(cls.params_schema.get("properties", {}))
        raise InvalidInput(
            Reason.PARAM_INVALID,
            f"parameters of '{spec['name']}': {error.message}; it takes: {known or 'none'}",
            field=f"{field}.params",
        )
    policy: Planner = cls(**params)
    return policy


def check_policy(policy: Planner, n_objectives: int, *, field: str) -> None:
    """Ask a policy that has a say in it whether it can plan for so many objectives.

    Args:
        policy: One that is handed over to.
        n_objectives: Targets of the campaign.
        field: Path of its spec among the parameters.

    Raises:
        InvalidInput: It cannot; with the path of what is wrong.
    """
    check = getattr(policy, "check_objectives", None)
    if check is None:
        return
    try:
        check(n_objectives)
    except InvalidInput as refusal:
        raise InvalidInput(refusal.reason, refusal.message, field=f"{field}.{refusal.field}") from refusal


def name_of(policy: Planner) -> str:
    """Return who answered the last score: the policy, or the one that it handed over to."""
    return str(getattr(policy, "chosen_by", "") or policy.name)
