"""Adds up points and times over all regions of a run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from probescout.campaigns.progress import Progress
from probescout.campaigns.spec import CampaignFile, Region

OnProgress = Callable[[Progress], None]


class Tally:
    """Adds up points and times over all regions."""

    def __init__(self, file: CampaignFile, regions: Sequence[Region], on_progress: OnProgress | None) -> None:
        """Begin with nothing measured of the regions of this run."""
        self._call = on_progress
        self._lock = threading.Lock()
        self._totals = {region.name: file.budget_of(region).probes for region in regions}
        self._before = 0
        self._now = Progress("", 0, self._total())

    def _total(self) -> int:
        return sum(self._totals.values()) if all(self._totals.values()) else 0

    def enter(self, region: Region, n_measured: int, n_instruments: int) -> None:
        """Go on to a region of which so many points were measured before, with so many instruments at once."""
        with self._lock:
            self._now = replace(
                self._now, region=region.name, n_done=self._before + n_measured, n_instruments=n_instruments
            )
            self._tell()

    def add(self, instrument_s: float, planner_s: float) -> None:
        """Count a point of the present region; any thread may."""
        with self._lock:
            now = self._now
            self._now = replace(
                now,
                n_done=now.n_done + 1,
                n_new=now.n_new + 1,
                instrument_s=now.instrument_s + instrument_s,
                planner_s=now.planner_s + planner_s,
            )
            self._tell()

    def leave(self, region: Region, n_measured: int, *, is_over: bool) -> None:
        """Leave a region; what it will not measure any more does not count as left."""
        with self._lock:
            if is_over and self._totals[region.name]:
                self._totals[region.name] = n_measured
            self._before += n_measured
            self._now = replace(self._now, n_done=self._before, n_total=self._total())
            self._tell()

    def _tell(self) -> None:
        if self._call is not None:
            self._call(self._now)
