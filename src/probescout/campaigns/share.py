"""What one instrument may spend of a region that it shares with others."""

from __future__ import annotations

import math

from probescout.core.specs import Budget


class Share:
    """Adds up what an instrument spends, and says when its part is over."""

    def __init__(self, budget: Budget | None) -> None:
        """Begin with nothing spent; without a budget there is no end."""
        self._budget = budget or Budget()
        self._spent = self._largest = Budget()

    def add(self, dwell_s: float, dose: float) -> None:
        """Count a measurement, whatever came of it; a cost that is no number is none."""
        dwell_s, dose = (cost if math.isfinite(cost) else 0.0 for cost in (dwell_s, dose))
        one, spent, largest = Budget(1, dwell_s, dose), self._spent, self._largest
        self._spent = Budget(spent.probes + 1, spent.seconds + dwell_s, spent.dose + dose)
        self._largest = Budget(1, max(largest.seconds, one.seconds), max(largest.dose, one.dose))

    def end(self) -> str:
        """Return which part has no room for another measurement; empty while all have."""
        for name in ("probes", "seconds", "dose"):
            most, spent = getattr(self._budget, name), getattr(self._spent, name)
            if most and spent + getattr(self._largest, name) > most * (1 + 1e-9):
                return f"{spent:g} of its {most:g} {name} are spent"
        return ""
