"""Runs a campaign file: all its regions, one after the other, on one instrument."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from probescout.campaigns import results
from probescout.campaigns.instruments import open_instrument
from probescout.campaigns.outputs import write_outputs
from probescout.campaigns.progress import Progress
from probescout.campaigns.rounds import checked_key, open_key
from probescout.campaigns.spec import CampaignFile, Region
from probescout.core.errors import Reason, WrongState
from probescout.store.lock import DirectoryLock

if TYPE_CHECKING:
    import probescout_client as ps

    from probescout.core.ports import Microscope

CALL_S = 30.0
"""Time that one attempt of a call may take; a server that wakes up a model needs seconds."""
_log = logging.getLogger(__name__)
OnProgress = Callable[[Progress], None]
OnRegion = Callable[[results.Region], None]


@dataclass(frozen=True)
class Place:
    """Where the planner is; without an address one is started for the run."""

    server: str = ""
    """HOST:PORT or unix:PATH; empty: a server of our own."""
    token_file: str = ""


class Terminated(BaseException):
    """SIGTERM has come: leave in order."""


def conduct(
    file: CampaignFile,
    place: Place | None = None,
    *,
    run_key: str = "",
    again: bool = False,
    on_progress: OnProgress | None = None,
    on_region: OnRegion | None = None,
) -> results.Report:
    """Measure every region of a file that is not measured yet; return what came of them.

    Whoever runs the same file again takes up what an earlier run has begun, whatever ended it. The instrument is parked
    whenever this is left.

    Args:
        file: What to do.
        place: Where the planner is.
        run_key: Names this time apart from others; the same key goes on with the same campaigns.
        again: Begin anew when everything under the key has ended.
        on_progress: Called after every point.
        on_region: Called when a region is over and written.

    Raises:
        InvalidInput: The instrument, the run key or the outputs cannot be used, or the server refuses a declaration.
        WrongState: JOURNAL_LOCKED while another process runs this file.
        Unavailable: The planner does not come up, or was gone for longer than the file's patience.
        ProbescoutError: As the server answers.
    """
    checked_key(run_key)
    with _locked(file), _planner(file, place or Place()) as planner:
        from probescout.replay.wire_session import translated

        with translated():
            key = open_key(planner, file, run_key) if again else run_key
        tally = Tally(file, on_progress)
        regions: list[results.Region] = []
        for region in file.regions:
            with translated():
                found = _region(planner, file, region, key, tally)
            regions.append(found)
            report = results.Report(file, key, tuple(regions))
            write_outputs(report, found)
            if on_region is not None:
                on_region(found)
            if found.state in (results.ABORTED, results.UNPARKED):
                break
        return report


def _region(planner: ps.Planner, file: CampaignFile, region: Region, key: str, tally: Tally) -> results.Region:
    """Measure one region; an instrument that fails ends it, to be taken up another time."""
    from probescout.campaigns import measuring
    from probescout.campaigns.rounds import campaign_id

    run: ps.Run | None = None
    instrument: Microscope | None = None
    n_before = 0
    try:
        with measuring.at_instrument("opening it"):
            instrument = open_instrument(file, region)
        run = measuring.start(planner, file, region, key, instrument)
        n_before = int(run.status().n_observations)
        tally.enter(region, n_before)
        state, message = measuring.measure(run, file, instrument, tally.add)
    except measuring.InstrumentFault as fault:
        _log.exception("region %s", region.name)
        state, message = results.FAILED, str(fault)
    except BaseException:
        if instrument is not None:
            _parked(instrument, region)
        raise
    fault_of_parking = _parked(instrument, region) if instrument is not None else ""
    if fault_of_parking:
        state, message = results.UNPARKED, f"{message}; NOT PARKED: {fault_of_parking}".lstrip("; ")
    if run is None:
        return results.Region(region.name, f"campaigns/{campaign_id(file, region, key)}", state, message)
    try:
        found = measuring.read_back(run, region, state, message, n_before)
    finally:
        run.close()
    tally.leave(region, found.n_measured, is_over=state not in (results.FAILED, results.UNPARKED))
    return found


def _parked(instrument: Microscope, region: Region) -> str:
    """Park an instrument; return what went wrong, empty for nothing: the results must come home all the same."""
    from probescout.campaigns import measuring

    try:
        with measuring.at_instrument("parking it"):
            measuring.park(instrument, f"region {region.name} is left")
    except measuring.InstrumentFault as fault:
        _log.exception("region %s: the instrument is not parked", region.name)
        return str(fault)
    return ""


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


@contextmanager
def _locked(file: CampaignFile) -> Iterator[None]:
    """Keep a second process from running the same file here."""
    file.directory.mkdir(parents=True, exist_ok=True)
    try:
        lock = DirectoryLock(file.directory / "run.lock")
    except WrongState as error:
        raise WrongState(
            Reason.JOURNAL_LOCKED,
            f"this campaign file is being run already: {error.message}",
            field="outputs.directory",
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _planner(file: CampaignFile, place: Place) -> Iterator[ps.Planner]:
    """Connect to the planner, after starting one where no address is given.

    Raises:
        Unavailable: It does not come up.
    """
    from probescout.replay.server_process import ServerProcess

    if place.server:
        with _connected(file, place) as planner:
            yield planner
        return
    file.data.mkdir(parents=True, exist_ok=True)
    with ServerProcess(file.data) as address, _connected(file, Place(address.grpc, address.token_file)) as planner:
        yield planner


@contextmanager
def _connected(file: CampaignFile, place: Place) -> Iterator[ps.Planner]:
    # grpc is loaded after the server has been started: its threads do not survive a fork.
    import probescout_client as ps

    from probescout.replay.wire_session import translated

    with translated():
        planner = ps.connect(
            place.server,
            token_file=place.token_file or None,
            outbox=str(Path(file.directory) / "outbox"),
            timeout_s=CALL_S,
            patience_s=file.server.patience_s,
        )
    try:
        yield planner
    finally:
        planner.close()


@contextmanager
def leaving_on_sigterm() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that the instrument is parked and open points are given back.

    Raises:
        Terminated: SIGTERM has come.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        # Once is enough: a second signal must not keep the instrument from being parked.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Terminated

    assert threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def exit_code(report: results.Report) -> int:
    """Return 0 for a report without trouble, 6 when a person aborted, 1 when the instrument failed."""
    return {results.ABORTED: 6, results.FAILED: 1, results.UNPARKED: 1}.get(report.state, 0)
