"""What counts as the result of a simulation, and the key under which it is kept."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import probescout
from probescout.core.jsonable import from_json
from probescout.core.theory import LARGEST, Failure, JobResult, JobState, Quantity

_DIGEST = re.compile(r"[0-9a-f]{64}")


def canonical(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, finite numbers only.

    Raises:
        ValueError: A number that is not finite.
        TypeError: Something that JSON lacks.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def job_key(structure: Any, engine: str, settings: Mapping[str, Any], version: str) -> str:
    """Return the SHA-256 of all that a result depends on, as hexadecimal digits.

    Args:
        structure: What `Engine.run` takes.
        engine: Name of the engine.
        settings: As the job has them; defaults that are written out make another key.
        version: What `Engine.version` returns.

    Raises:
        ValueError: As `canonical`.
        TypeError: As `canonical`.
    """
    parts = {
        "structure": structure,
        "engine": engine,
        "settings": dict(settings),
        "version": version,
        "probescout": probescout.__version__,
    }
    return hashlib.sha256(canonical(parts).encode()).hexdigest()


def failed(failure: Failure, message: str) -> JobResult:
    """Return the result of a job that gave no number."""
    return JobResult(JobState.FAILED, failure=failure, message=message)


def read_result(data: Any) -> JobResult:
    """Return the result that `to_json` made this JSON value of; GARBAGE, with what is wrong, when it made none."""
    try:
        result = from_json(JobResult, data)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return failed(Failure.GARBAGE, f"the result cannot be read ({error!r}); the engine or its process is broken")
    return judged(result)


def judged(result: JobResult, declared: Mapping[str, str] | None = None) -> JobResult:
    """Return the result if it is one, else what is wrong with it as a failure.

    Args:
        result: As it came.
        declared: Unit of every quantity that the engine declares, by name; None: unknown.
    """
    wrong = _wrong_with_record(result)
    if not wrong and result.state is JobState.SUCCEEDED:
        wrong = next(filter(None, (_wrong_with(quantity, declared) for quantity in result.quantities)), "")
    if wrong:
        return _spoilt(result, Failure.GARBAGE, wrong)
    for quantity in result.quantities:
        if not quantity.is_converged:
            return _spoilt(
                result,
                Failure.NOT_CONVERGED,
                f"'{quantity.name}' did not converge; an unconverged value is no result: give more steps or a better "
                "start",
            )
    return result


def _spoilt(result: JobResult, failure: Failure, message: str) -> JobResult:
    """Return the failure that a result comes to; what it cost was spent all the same."""
    cost = {n: v for n in ("core_hours", "wall_s") if math.isfinite(v := getattr(result, n)) and v >= 0.0}
    return replace(failed(failure, message), **cost)


def _wrong_with_record(result: JobResult) -> str:
    """Return what is wrong with all but the quantities; empty for nothing."""
    if not isinstance(result.message, str) or not isinstance(result.key, str):
        return "message and key of a result are text; the engine or its process is broken"
    if result.key and not _DIGEST.fullmatch(result.key):
        return f"the key of a result is 64 characters of 0-9 a-f, not {result.key[:80]!r}"
    if not isinstance(result.structure, Mapping):
        return f"the structure of a result is a JSON object, not a {type(result.structure).__name__}"
    for name, value in (("core_hours", result.core_hours), ("wall_s", result.wall_s)):
        if not (math.isfinite(value) and value >= 0.0):
            return f"{name} of a result is {value}; it is a finite number from 0"
    if result.state is JobState.FAILED:
        return "" if result.failure and not result.quantities else "a failed job has a reason and no quantities"
    if result.state is not JobState.SUCCEEDED:
        return f"a result is 'succeeded' or 'failed', not '{result.state}'"
    names = [q.name for q in result.quantities]
    if result.failure or not names:
        return "a job that succeeded has quantities and no reason for failure; the engine returned none"
    if len(set(names)) != len(names):
        return f"every quantity comes once; the engine returned {', '.join(map(str, names))[:200]}"
    return ""


def _wrong_with(quantity: Quantity, declared: Mapping[str, str] | None) -> str:
    """Return what is wrong with a quantity; empty for nothing. Whether it converged is another question."""
    name, unit = quantity.name, quantity.unit
    if not (isinstance(name, str) and name):
        return f"a quantity without a name ({quantity.value})"
    if not (isinstance(unit, str) and unit):
        return f"'{name[:80]}' has no unit; a number without one is no result ('1' for a pure number)"
    if not isinstance(quantity.is_converged, bool):
        return f"whether '{name}' converged is true or false, not {quantity.is_converged!r}"
    if not abs(quantity.value) <= LARGEST:
        return f"'{name}' is {quantity.value}; a result is a finite number, {LARGEST:g} at most in size"
    if not (math.isnan(quantity.std) or (math.isfinite(quantity.std) and quantity.std >= 0.0)):
        return f"the standard deviation of '{name}' is {quantity.std}; it is finite and not negative, or NaN"
    if declared is not None and declared.get(name) != unit:
        known = ", ".join(f"{n} in {u}" for n, u in declared.items())
        return f"'{name[:80]}' in '{unit[:80]}' is none of what the engine declares: {known or 'nothing'}"
    return ""
