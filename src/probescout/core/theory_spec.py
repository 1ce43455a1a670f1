"""What a campaign declares about simulations of its patches."""

from __future__ import annotations

import math
from dataclasses import dataclass

from probescout.core.errors import InvalidInput, Reason
from probescout.core.plugin_spec import PluginSpec

LONGEST_JOB_S = 30 * 86400.0
MOST_ATTEMPTS = 10
MOST_RUNNING = 256
LARGEST_WINDOW_M = 1e-3
"""Largest edge of a patch; a larger one is a unit mistaken for metres."""


@dataclass(frozen=True)
class TheorySpec:
    """Which simulations a campaign runs, and within what bounds."""

    engine: PluginSpec
    """Of the entry-point group `probescout.theory`, with its settings."""
    quantity: str
    """Computed number that informs the model, for example "formation_energy"."""
    window_m: float = 2e-9
    """Edge of the square patch around a position, metres."""
    deadline_s: float = 3600.0
    """Longest that a job may run."""
    lease_s: float = 60.0
    """A worker that has not reported for so long has lost its job."""
    max_attempts: int = 3
    """A job that crashed or was lost is tried so often in all."""
    max_running: int = 4
    """Most jobs at work at once; by itself the planner keeps no more than this queued and running."""
    is_automatic: bool = True
    """Whether the planner chooses patches by itself; people always may."""


def check_theory(theory: TheorySpec, *, field: str = "spec.theory") -> None:
    """Refuse what can never work; whether the engine is installed is asked of a worker.

    Raises:
        InvalidInput: FIELD_MISSING or FIELD_INVALID with the field.
    """
    if not theory.engine.name:
        raise InvalidInput(
            Reason.FIELD_MISSING, "theory needs an engine; ListPlugins names those installed", field=f"{field}.engine"
        )
    if not theory.quantity:
        raise InvalidInput(
            Reason.FIELD_MISSING,
            'name the computed number that informs the model, for example "energy"',
            field=f"{field}.quantity",
        )
    bounds: tuple[tuple[str, float, float, str], ...] = (
        ("window_m", 1e-12, LARGEST_WINDOW_M, "m"),
        ("deadline_s", 1.0, LONGEST_JOB_S, "s"),
        ("lease_s", 1.0, 86400.0, "s"),
        ("max_attempts", 1, MOST_ATTEMPTS, "attempts"),
        ("max_running", 1, MOST_RUNNING, "jobs"),
    )
    for name, low, high, unit in bounds:
        value = getattr(theory, name)
        if not (math.isfinite(value) and low <= value <= high):
            raise InvalidInput(
                Reason.FIELD_INVALID, f"{name} is {value:g}; give {low:g} to {high:g} {unit}", field=f"{field}.{name}"
            )
