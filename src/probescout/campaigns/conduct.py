"""Runs a campaign file: all its regions, one after the other, on one instrument."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from probescout.campaigns import results
from probescout.campaigns.holding import holding
from probescout.campaigns.outputs import write_outputs
from probescout.campaigns.rounds import campaign_id, checked_key, open_key
from probescout.campaigns.spec import CampaignFile, Region
from probescout.campaigns.tally import OnProgress, Tally
from probescout.core.errors import Reason, WrongState
from probescout.store.lock import DirectoryLock

if TYPE_CHECKING:
    import probescout_client as ps

CALL_S = 30.0
"""Time that one attempt of a call may take; a server that wakes up a model needs seconds."""
_log = logging.getLogger(__name__)
OnRegion = Callable[[results.Region], None]


@dataclass(frozen=True)
class Place:
    """Where the planner is; without an address one is started for the run."""

    server: str = ""
    """HOST:PORT or unix:PATH; empty: a server of our own."""
    token_file: str = ""


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
        WrongState: JOURNAL_LOCKED or INSTRUMENT_HELD while another process runs this file or drives its instrument.
        Unavailable: The planner does not come up, or was gone for longer than the file's patience.
        ProbescoutError: As the server answers.
    """
    checked_key(run_key)
    held = holding([file.instrument.label], f"campaign file {file.campaign.name} in {file.directory}")
    with _locked(file), held, _planner(file, place or Place()) as planner:
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
            if found.state == results.ABORTED or not found.is_parked:
                break
        return report


def _region(planner: ps.Planner, file: CampaignFile, region: Region, key: str, tally: Tally) -> results.Region:
    """Measure one region; an instrument that fails ends it, to be taken up another time."""
    from probescout.campaigns import measuring
    from probescout.campaigns.seat import Seat

    n_before = 0
    with Seat(file, region, key) as seat:
        try:
            run = seat.open(planner)
            n_before = int(run.status().n_observations)
            tally.enter(region, n_before)
            state, message = measuring.measure(run, file, seat.instrument, tally.add)
        except measuring.InstrumentFault as fault:
            _log.exception("region %s", region.name)
            state, message = results.FAILED, str(fault)
        trouble = seat.park()
        if trouble:
            message = f"{message}; NOT PARKED: {trouble}".lstrip("; ")
            # A person's word stands beside it.
            state = state if state == results.ABORTED else results.UNPARKED
        if seat.run is None:
            name = f"campaigns/{campaign_id(file, region, key)}"
            return results.Region(region.name, name, state, message, is_parked=not trouble)
        found = measuring.read_back(seat.run, region, state, message, n_before)
    tally.leave(region, found.n_measured, is_over=state not in (results.FAILED, results.UNPARKED))
    return replace(found, is_parked=not trouble)


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


def exit_code(report: results.Report) -> int:
    """Return 0 for a report without trouble, 6 when a person aborted, 1 when the instrument failed or is not parked."""
    return {results.ABORTED: 6, results.FAILED: 1, results.UNPARKED: 1}.get(report.state, 0)
