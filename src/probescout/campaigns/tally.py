"""Adds up points and times over all regions of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from probescout.campaigns.progress import Progress
from probescout.campaigns.spec import CampaignFile, Region

OnProgress = Callable[[Progress], None]


class Tally:
    """Adds up points and times over all regions."""

    def __init__(self, file: CampaignFile, on_progress: OnProgress | None) -> None:
        """Begin with nothing measured."""
        self._call = on_progress
        self._totals = {region.name: file.budget_of(region).probes for region in file.regions}
        self._before = 0
        self._now = Progress("", 0, self._total())

    def _total(self) -> int:
        return sum(self._totals.values()) if all(self._totals.values()) else 0

    def enter(self, region: Region, n_measured: int) -> None:
        """Go on to a region of which so many points were measured before."""
        self._now = replace(self._now, region=region.name, n_done=self._before + n_measured)
        self._tell()

    def add(self, n_measured: int, instrument_s: float, planner_s: float) -> None:
        """Count a point of the present region."""
        now = self._now
        self._now = replace(
            now,
            n_done=self._before + n_measured,
            n_new=now.n_new + 1,
            instrument_s=now.instrument_s + instrument_s,
            planner_s=now.planner_s + planner_s,
        )
        self._tell()

    def leave(self, region: Region, n_measured: int, *, is_over: bool) -> None:
        """Leave a region; what it will not measure any more does not count as left."""
        if is_over and self._totals[region.name]:
            self._totals[region.name] = n_measured
        self._before += n_measured
        self._now = replace(self._now, n_done=self._before, n_total=self._total())
        self._tell()

    def _tell(self) -> None:
        if self._call is not None:
            self._call(self._now)
