"""An instrument's place in a region: opened, measured with, and parked whatever ends it."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from types import TracebackType

import probescout_client as ps

from probescout.campaigns import measuring, results
from probescout.campaigns.instruments import open_instrument
from probescout.campaigns.leaving import undisturbed
from probescout.campaigns.share import Share
from probescout.campaigns.spec import CampaignFile, Instrument, Region
from probescout.campaigns.tally import Tally
from probescout.core.ports import Microscope

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Table:
    """What the instruments of a region have in common."""

    file: CampaignFile
    region: Region
    key: str
    tally: Tally
    n_here: int
    """Instruments of this run that measure it."""
    beginning: threading.Lock = field(default_factory=threading.Lock)
    """Held while one begins: the first makes the campaign and takes the overview, so that no other needs one."""


class Seat:
    """A context manager that parks the instrument and closes the run, unless that has been done."""

    run: ps.Run | None = None
    """None until the campaign is there."""
    error: BaseException | None = None
    """What ended `work_apart`, if it was no fault of the instrument."""
    state = results.COMPLETE
    message = ""
    n_new = 0
    is_parked = True
    is_over = False
    """Whether the planner has no point more, for this instrument or for all that measure the region."""

    def __init__(self, table: Table, instrument: Instrument, planner: ps.Planner) -> None:
        """Open nothing yet; the planner is the link of this instrument alone."""
        self._table = table
        self._planner = planner
        self._instrument = instrument
        self._microscope: Microscope | None = None
        self._lock = threading.Lock()
        self._is_asking = False
        self._is_leaving = False
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
    def part(self) -> results.Part:
        """What came of it."""
        return results.Part(self._instrument.label, self.state, self.message, self.is_parked, self.n_new)

    @property
    def cause(self) -> str:
        """Why there is no point more, in the planner's word."""
        stop = self.run.stop_report if self.run is not None else None
        return stop.cause if stop is not None else "nothing is left to measure"

    def work(self) -> None:
        """Measure until the region ends or this instrument does, then park; a fault of the instrument is kept.

        Raises:
            ProbescoutError: Of the client.
        """
        try:
            microscope, run = self._open()
            share = self._share(run)
            why = measuring.measure(run, self._table.file, microscope, self._ask, share, self._count)
            self.is_over = not (why or self._is_leaving)
            if why:
                self.state, self.message = results.SHARED, why
        except measuring.InstrumentFault as fault:
            _log.exception("region %s: instrument %s", self._table.region.name, self._instrument.label)
            self.state, self.message = results.FAILED, str(fault)
        self.park()

    def work_apart(self) -> None:
        """Do `work` on a thread of its own; what it raises is kept, and the instrument is parked."""
        try:
            self.work()
        except BaseException as error:
            # Whoever waits for the thread raises it, once the others have ended too.
            _log.exception("region %s: instrument %s", self._table.region.name, self._instrument.label)
            self.error = error
            self.park()

    def leave(self) -> None:
        """End after the point under the beam, from another thread."""
        with self._lock:
            self._is_leaving = True
            # Nothing is measured while the planner is asked: closing ends that wait and gives back what is leased.
            if self._is_asking and self.run is not None:
                self.run.close()

    def park(self) -> None:
        """Park the instrument; if it would not, that is its state."""
        with undisturbed():
            self._is_left = True
            if self._microscope is None:
                return
            trouble = measuring.park(self._microscope, f"region {self._table.region.name} is left")
            if trouble:
                self.is_parked = False
                self.state, self.message = results.UNPARKED, f"{self.message}; NOT PARKED: {trouble}".lstrip("; ")

    def _open(self) -> tuple[Microscope, ps.Run]:
        table = self._table
        with measuring.at_instrument("opening it"):
            self._microscope = open_instrument(table.file, self._instrument, table.region)
        with table.beginning:
            self.run = measuring.start(
                self._planner, table.file, table.region, table.key, self._instrument, self._microscope
            )
            table.tally.enter(table.region, int(self.run.status().n_observations), table.n_here)
        return self._microscope, self.run

    def _share(self, run: ps.Run) -> Share:
        """Return what this instrument may spend, less what it has spent in earlier runs."""
        share = Share(self._instrument.budget)
        if self._instrument.budget is not None:
            for observation in run.observations():
                if observation.client_id == self._instrument.label:
                    share.add(observation.dwell_s, observation.dose)
        return share

    def _ask(self) -> ps.Point | None:
        with self._lock:
            if self._is_leaving or self.run is None:
                return None
            self._is_asking = True
        try:
            point = self.run.ask()
        finally:
            with self._lock:
                self._is_asking = False
        return None if self._is_leaving else point

    def _count(self, instrument_s: float, planner_s: float) -> None:
        self.n_new += 1
        self._table.tally.add(instrument_s, planner_s)
