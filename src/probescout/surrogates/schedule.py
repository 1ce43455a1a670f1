"""When to fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

FIRST_FIT = 5
"""Measurements, not all the same, before the first fit."""
FIT_EVERY = 15
FIT_PART = 10
"""From 150 measurements on the wait is one in so many of those that the last fit saw: hyperparameters hardly move."""
RETRY_AFTER = 5
"""Tells after which a fit that never came back is asked for again."""


@dataclass(frozen=True)
class FitSchedule:
    """Which fits were asked for and came back."""

    n_fits: int = 0
    n_at_fit: int = 0
    """Measurements that the last fit saw."""
    n_at_request: int | None = None
    """Measurements when a fit was asked for that has not come back; None: none is under way."""
    is_urgent: bool = False
    """Whether the last fit no longer suits the data, however few tells ago it was."""

    def is_due(self, n: int, *, is_constant: bool, is_eager: bool = False) -> bool:
        """Return whether a fit should be started.

        The wait between fits grows with the data: hyperparameters move most while measurements are few.

        Args:
            n: Measurements now.
            is_constant: Whether all values are the same.
            is_eager: Whether a fit has more to do than to follow the data.
        """
        if self.n_at_request is not None and n < self.n_at_request + RETRY_AFTER:
            return False
        if n < FIRST_FIT or is_constant:
            return False
        wait = max(min(FIT_EVERY, max(self.n_at_fit, FIRST_FIT)), self.n_at_fit // FIT_PART)
        return self.n_fits == 0 or self.is_urgent or is_eager or n - self.n_at_fit >= wait

    def requested(self, n: int) -> FitSchedule:
        """Return the schedule after a fit was asked for with n measurements."""
        return replace(self, n_at_request=n, is_urgent=False)

    def done(self, n_fits: int, n_at_fit: int) -> FitSchedule:
        """Return the schedule after a fit that saw so many measurements was taken over."""
        return FitSchedule(n_fits, n_at_fit, None, self.is_urgent)

    def unsettled(self, n: int) -> FitSchedule:
        """Return the schedule after the n measurements were replaced."""
        return FitSchedule(self.n_fits, min(self.n_at_fit, n), None, self.n_fits > 0)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "n_fits": self.n_fits,
            "n_observed": self.n_at_fit,
            "is_urgent": self.is_urgent or self.n_at_request is not None,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FitSchedule:
        """Read what `to_json` wrote; a fit that was under way then is lost and urgent."""
        return cls(int(data["n_fits"]), int(data["n_observed"]), None, bool(data["is_urgent"]))
