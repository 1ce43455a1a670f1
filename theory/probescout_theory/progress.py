"""Progress of a calculation in parts, told about every second."""

from __future__ import annotations

import time
from collections.abc import Callable

from probescout.core.theory import Report

EVERY_S = 0.5
"""Reports closer together than this are left out."""


class Progress:
    """Passes on how far a part of the work is, as a share of the whole, never backwards.

    Example:
        >>> told = []
        >>> progress = Progress(lambda share, message: told.append((share, message)), clock=lambda: 0.0)
        >>> progress.part(0.5, 1.0)(0.5, "step 3")
        >>> told
        [(0.75, 'step 3')]
    """

    def __init__(self, report: Report, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Start at nothing done.

        Args:
            report: Takes share and message.
            clock: Seconds.
        """
        self._report = report
        self._clock = clock
        self._told_at = -float("inf")
        self._share = 0.0

    def part(self, start: float, end: float) -> Callable[[float, str], None]:
        """Return what takes the share of one part of the work.

        Args:
            start: Share of the whole where the part begins.
            end: And where it ends.
        """

        def tell(share: float, message: str) -> None:
            self._share = max(self._share, start + (end - start) * min(max(share, 0.0), 1.0))
            now = self._clock()
            if now - self._told_at >= EVERY_S:
                self._told_at = now
                self._report(self._share, message)

        return tell

    def finish(self, message: str) -> None:
        """Tell that all is done."""
        self._report(1.0, message)
