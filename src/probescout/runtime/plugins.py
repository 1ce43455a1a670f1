"""Builds plug-ins with checked parameters, and describes those that are installed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jsonschema

from probescout.core.errors import InvalidInput, ProbescoutError, Reason
from probescout.core.registry import PLANNERS, SCALARIZERS, THEORY, find, installed


def build(group: str, spec: Mapping[str, Any], *, field: str) -> Any:
    """Return a plug-in built with its parameters, which are first checked against its published schema.

    Args:
        group: Entry-point group.
        spec: {"name", "params"}.
        field: Path of the spec in the request, for error messages.

    Raises:
        InvalidInput: PLUGIN_UNKNOWN, PLUGIN_BROKEN or PARAM_INVALID.
    """
    cls = find(group, spec["name"], field=f"{field}.name").load()
    params = json.loads(json.dumps(dict(spec.get("params") or {})))
    check_params(cls, spec["name"], params, field=f"{field}.params")
    try:
        return cls(**params)
    except ProbescoutError as refusal:
        raise type(refusal)(refusal.reason, refusal.message, field=f"{field}.{refusal.field or 'params'}") from refusal
    except Exception as failure:
        raise InvalidInput(
            Reason.PLUGIN_BROKEN, f"'{spec['name']}' could not be built from {params}: {failure!r}", field=field
        ) from failure


def check_params(cls: Any, name: str, params: Mapping[str, Any], *, field: str, what: str = "parameters") -> None:
    """Check the parameters of a plug-in class against the schema that it publishes.

    Args:
        cls: The class.
        name: As the plug-in was asked for.
        params: As they come out of JSON.
        field: Path of the parameters in the request, for error messages.
        what: What a person calls them.

    Raises:
        InvalidInput: PARAM_INVALID.
    """
    validator = jsonschema.Draft202012Validator(dict(cls.params_schema))
    error = jsonschema.exceptions.best_match(validator.iter_errors(params))
    if error is not None:
        where = "".join(f".{p}" if isinstance(p, str) else f"[{p}]" for p in error.absolute_path)
        known = ", ".join(cls.params_schema.get("properties", {}))
        raise InvalidInput(
            Reason.PARAM_INVALID,
            f"{what}{where} of '{name}': {error.message}; it takes: {known or 'none'}",
            field=f"{field}{where}",
        )


def describe() -> list[dict[str, Any]]:
    """Return all installed plug-ins: group, name, summary, schema, distribution, version, load_error."""
    found = []
    for group in (SCALARIZERS, PLANNERS, THEORY):
        for info in installed(group):
            row: dict[str, Any] = {
                "group": group,
                "name": info.name,
                "distribution": info.distribution,
                "version": info.version,
                "summary": "",
                "schema": {},
                "load_error": "",
            }
            try:
                cls = info.load()
                row["summary"], row["schema"] = cls.summary, dict(cls.params_schema)
            except InvalidInput as error:
                row["load_error"] = error.message
            found.append(row)
    return found
