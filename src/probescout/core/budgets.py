"""What has been spent and what open leases reserve."""

from __future__ import annotations

import math
from dataclasses import dataclass

from probescout.core.revising import revised
from probescout.core.specs import Budget

_MANY = 1e9
"""More leases than any budget is asked for; keeps a quotient that overflows a whole number."""


@dataclass(frozen=True)
class BudgetUse:
    """Spent and reserved amounts of one campaign.

    A lease reserves one probe and, for seconds and dose, the largest cost of an observation so far: a mean would be
    thinned by failed probes that cost nothing, and many leases would then overspend together. Telling settles the
    reservation with what was really used. Late and unsolicited data are spent too: the sample has seen them.
    A theory job reserves one core until its deadline, or what is left, and settles it with what it took.
    """

    probes_spent: int = 0
    probes_reserved: int = 0
    seconds_spent: float = 0.0
    dose_spent: float = 0.0
    seconds_per_probe: float = 0.0
    """Largest beam time of an observation so far, in seconds."""
    dose_per_probe: float = 0.0
    """Largest dose of an observation so far."""
    core_hours_spent: float = 0.0
    core_hours_reserved: float = 0.0
    """What theory jobs at work may still take."""
    core_hours_per_job: float = 0.0
    """Largest cost of an attempt at a theory job so far."""

    @property
    def seconds_reserved(self) -> float:
        """Beam time that open leases are expected to take, in seconds."""
        return self.probes_reserved * self.seconds_per_probe

    @property
    def dose_reserved(self) -> float:
        """Dose that open leases are expected to give."""
        return self.probes_reserved * self.dose_per_probe

    def reserve(self, n: int) -> BudgetUse:
        """Return the use with n more open leases."""
        return revised(self, probes_reserved=self.probes_reserved + n)

    def free(self, n: int) -> BudgetUse:
        """Return the use with n fewer open leases."""
        return revised(self, probes_reserved=max(0, self.probes_reserved - n))

    def spend(self, seconds: float, dose: float) -> BudgetUse:
        """Return the use after one more measurement."""
        return revised(
            self,
            probes_spent=self.probes_spent + 1,
            seconds_spent=self.seconds_spent + seconds,
            dose_spent=self.dose_spent + dose,
            seconds_per_probe=max(self.seconds_per_probe, seconds),
            dose_per_probe=max(self.dose_per_probe, dose),
        )

    def reserve_core_hours(self, amount: float) -> BudgetUse:
        """Return the use with one more theory job at work."""
        return revised(self, core_hours_reserved=self.core_hours_reserved + amount)

    def settle_core_hours(self, reserved: float, spent: float) -> BudgetUse:
        """Return the use after an attempt at a theory job, what it had reserved being free again."""
        return revised(
            self,
            # Sums of what was added and taken away again may leave a rounding error below zero.
            core_hours_reserved=max(0.0, self.core_hours_reserved - reserved),
            core_hours_spent=self.core_hours_spent + spent,
            core_hours_per_job=max(self.core_hours_per_job, spent),
        )

    def core_hours_left(self, budget: Budget) -> float:
        """Return the core-hours neither spent nor reserved; infinite without a limit."""
        if not budget.core_hours:
            return math.inf
        return max(0.0, budget.core_hours - self.core_hours_spent - self.core_hours_reserved)

    def can_afford_job(self, budget: Budget) -> bool:
        """Return whether another theory job fits that costs as much as the dearest so far."""
        left = self.core_hours_left(budget)
        return left > 0 and left * (1 + 1e-9) >= self.core_hours_per_job

    def room(self, budget: Budget) -> tuple[int | None, str]:
        """Return how many more leases fit, and the budget that binds: (None, "") when nothing is limited."""
        limits: list[tuple[int, str]] = []
        if budget.probes:
            limits.append((budget.probes - self.probes_spent - self.probes_reserved, "probes"))
        for name, cap, used, each in (
            ("seconds", budget.seconds, self.seconds_spent + self.seconds_reserved, self.seconds_per_probe),
            ("dose", budget.dose, self.dose_spent + self.dose_reserved, self.dose_per_probe),
        ):
            if cap:
                limits.append((self._fits(cap - used, each), name))
        if not limits:
            return None, ""
        n, name = min(limits)
        return max(0, n), name

    def _fits(self, left: float, each: float) -> int:
        # Sums of absurd costs may be infinite, and differences of them NaN, for which this is false.
        if not left > 0:
            return 0
        if each > 0:
            return int(min(left / each + 1e-9, _MANY))
        # As long as no probe has cost anything its cost is unknown: one lease at a time until it is known.
        return 1 - self.probes_reserved
