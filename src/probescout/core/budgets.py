"""What has been spent and what open leases reserve."""

from __future__ import annotations

from dataclasses import dataclass, replace

from probescout.core.specs import Budget


@dataclass(frozen=True)
class BudgetUse:
    """Spent and reserved amounts of one campaign.

    A lease reserves one probe and, for seconds and dose, the mean cost of the observations so far; telling settles the
    reservation with what was really used. Late and unsolicited data are spent too: the sample has seen them.
    """

    probes_spent: int = 0
    probes_reserved: int = 0
    seconds_spent: float = 0.0
    dose_spent: float = 0.0

    @property
    def seconds_per_probe(self) -> float:
        """Mean beam time of an observation so far, in seconds."""
        return self.seconds_spent / self.probes_spent if self.probes_spent else 0.0

    @property
    def dose_per_probe(self) -> float:
        """Mean dose of an observation so far."""
        return self.dose_spent / self.probes_spent if self.probes_spent else 0.0

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
        return replace(self, probes_reserved=self.probes_reserved + n)

    def free(self, n: int) -> BudgetUse:
        """Return the use with n fewer open leases."""
        return replace(self, probes_reserved=max(0, self.probes_reserved - n))

    def spend(self, seconds: float, dose: float) -> BudgetUse:
        """Return the use after one more measurement."""
        return replace(
            self,
            probes_spent=self.probes_spent + 1,
            seconds_spent=self.seconds_spent + seconds,
            dose_spent=self.dose_spent + dose,
        )

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
                left = cap - used
                # Before the first measurement a probe's cost is unknown: one at a time until it is known.
                fits = (
                    int(left / each + 1e-9) if each > 0 else (1 - self.probes_reserved if not self.probes_spent else 64)
                )
                limits.append((fits if left > 0 else 0, name))
        if not limits:
            return None, ""
        n, name = min(limits)
        return max(0, n), name
