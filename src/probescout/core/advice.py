"""What a stop rule says; nothing in the service acts on it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StopAdvice:
    """One stop rule of a campaign, answered with its evidence."""

    rule: str
    is_met: bool
    value: float
    """What the rule looks at; NaN when it cannot say."""
    bound: float
    unit: str
    """Of value and bound."""
    message: str
    """The evidence, for a person."""
