"""An instrument's place in a region: opened, measured with, and parked whatever ends it."""

from __future__ import annotations

from types import TracebackType

import probescout_client as ps

from probescout.campaigns import measuring
from probescout.campaigns.instruments import open_instrument
from probescout.campaigns.leaving import undisturbed
from probescout.campaigns.spec import CampaignFile, Region
from probescout.core.ports import Microscope


class Seat:
    """A context manager that parks the instrument and closes the run, unless that has been done."""

    run: ps.Run | None = None
    """None until the campaign is there."""

    def __init__(self, file: CampaignFile, region: Region, key: str) -> None:
        """Open nothing yet."""
        self._file = file
        self._region = region
        self._key = key
        self._instrument: Microscope | None = None
        self._is_left = False

    def __enter__(self) -> Seat:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Park, whatever has come between, and take leave of the planner."""
        try:
            if not self._is_left:
                self.park()
        finally:
            if self.run is not None:
                self.run.close()

    @property
    def instrument(self) -> Microscope:
        """The open instrument."""
        if self._instrument is None:
            raise measuring.InstrumentFault("it is not open")
        return self._instrument

    def open(self, planner: ps.Planner) -> ps.Run:
        """Open the instrument; return the run, begun or taken up.

        Raises:
            InstrumentFault: The instrument cannot be opened, or gives no overview.
            ProbescoutError: Of the client, as the server answers.
        """
        with measuring.at_instrument("opening it"):
            self._instrument = open_instrument(self._file, self._region)
        self.run = measuring.start(planner, self._file, self._region, self._key, self._instrument)
        return self.run

    def park(self) -> str:
        """Park the instrument; return what went wrong, empty for nothing."""
        with undisturbed():
            self._is_left = True
            if self._instrument is None:
                return ""
            return measuring.park(self._instrument, f"region {self._region.name} is left")
