"""Time, passed in so that tests can turn it by hand."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> float:
        """Return seconds since 1970-01-01 UTC, for records."""

    def monotonic(self) -> float:
        """Return seconds of a clock that never goes back, for leases and deadlines."""


class SystemClock:
    """The clock of this computer."""

    def now(self) -> float:
        """Return seconds since 1970-01-01 UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()
