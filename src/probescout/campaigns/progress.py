"""Where a run of a campaign file stands, and how long it will take from here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Where a run stands after a point."""

    region: str
    n_done: int
    """Points measured of all regions, by earlier runs too."""
    n_total: int
    """Points that the budgets of all regions allow; 0: not limited by number."""
    n_new: int = 0
    """Points that this run has measured."""
    instrument_s: float = 0.0
    """Time that this run has spent measuring."""
    planner_s: float = 0.0
    """Time that this run has spent waiting for the planner."""
    n_instruments: int = 1
    """That measure the region at once; the times are sums over them."""

    @property
    def left_s(self) -> tuple[float, float] | None:
        """Seconds that the instrument and the planner will still take; None when nobody can say."""
        if not self.n_total or not self.n_new:
            return None
        n_left = max(0, self.n_total - self.n_done)
        share = n_left / self.n_new / self.n_instruments
        return self.instrument_s * share, self.planner_s * share

    @property
    def fraction(self) -> float | None:
        """Done share, 0 to 1; None without a limit of points."""
        return min(1.0, self.n_done / self.n_total) if self.n_total else None

    def line(self) -> str:
        """Return it as a line for a person."""
        total = f" of {self.n_total}" if self.n_total else ""
        left = self.left_s
        eta = "" if left is None else f"; left {sum(left):.0f} s (instrument {left[0]:.0f} s, planner {left[1]:.0f} s)"
        return f"{self.region}: {self.n_done}{total} points{eta}"
