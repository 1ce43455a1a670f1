"""Runs a campaign file: all its regions, one after the other, with all instruments or some of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from probescout.campaigns import results
from probescout.campaigns.holding import holding
from probescout.campaigns.outputs import write_outputs
from probescout.campaigns.rounds import checked_key, open_key
from probescout.campaigns.spec import CampaignFile
from probescout.campaigns.tally import OnProgress, Tally
from probescout.core.errors import InvalidInput, Reason, WrongState
from probescout.store.lock import DirectoryLock

if TYPE_CHECKING:
    import probescout_client as ps

CALL_S = 30.0
"""Time that one attempt of a call may take; a server that wakes up a model needs seconds."""
MAX_PART = 100
"""Longest list of instruments in the name of a file, letters."""
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
    instruments: Sequence[str] = (),
    on_progress: OnProgress | None = None,
    on_region: OnRegion | None = None,
) -> results.Report:
    """Measure every region of a file that is not measured yet; return what came of them.

    Whoever runs the same file again takes up what an earlier run has begun, whatever ended it. Every instrument is
    parked whenever this is left.

    Args:
        file: What to do.
        place: Where the planner is.
        run_key: Names this time apart from others; the same key goes on with the same campaigns.
        again: Begin anew when everything under the key has ended.
        instruments: Names of those that this run drives; none: all of the file. Others may be driven elsewhere.
        on_progress: Called after every point, one call at a time.
        on_region: Called when a region is over and written.

    Raises:
        InvalidInput: An instrument, the run key or the outputs cannot be used, or the server refuses a declaration.
        WrongState: JOURNAL_LOCKED or INSTRUMENT_HELD while another process runs this file or drives an instrument.
        Unavailable: The planner does not come up, or was gone for longer than the file's patience.
        ProbescoutError: As the server answers.
    """
    checked_key(run_key)
    place = place or Place()
    team = _team(file, instruments, place)
    held = holding(team, f"campaign file {file.campaign.name} in {file.directory}")
    part = _part(file, team)
    with _locked(file, part), held, _served(file, place) as where, ExitStack() as links:
        from probescout.campaigns.region import measure_region
        from probescout.replay.wire_session import translated

        planners = {name: links.enter_context(_connected(file, where, name)) for name in team}
        with translated():
            key = open_key(planners[team[0]], file, run_key) if again else run_key
        regions = [r for r in file.regions if any(i.label in team for i in file.instruments_of(r))]
        tally = Tally(file, regions, on_progress)
        report = results.Report(file, key, (), part)
        for region in regions:
            with translated():
                found = measure_region(planners, file, region, key, tally)
            report = replace(report, regions=(*report.regions, found))
            write_outputs(report, found)
            if on_region is not None:
                on_region(found)
            if found.state == results.ABORTED or not found.is_parked:
                break
        return report


def _team(file: CampaignFile, wanted: Sequence[str], place: Place) -> list[str]:
    """Return the names of the instruments that a run drives.

    Raises:
        InvalidInput: FIELD_INVALID for one that the file does not have, FIELD_MISSING without a planner to share.
    """
    known = [instrument.label for instrument in file.all_instruments]
    for name in wanted:
        if name not in known:
            raise InvalidInput(
                Reason.FIELD_INVALID,
                f"the file has no instrument '{name}'; it has {', '.join(known)}",
                field="instruments",
            )
    if wanted and not place.server:
        raise InvalidInput(
            Reason.FIELD_MISSING,
            "a run of some instruments shares the planner with those of the others; say where it is with --server",
            field="--server",
        )
    return [name for name in known if not wanted or name in wanted]


def _part(file: CampaignFile, team: Sequence[str]) -> str:
    """Return the name of a team in the names of files, in whatever order it was given; empty for all of the file."""
    if len(team) == len(file.all_instruments):
        return ""
    part = "+".join(team)
    return part if len(part) <= MAX_PART else f"{len(team)}-{hashlib.sha256(part.encode()).hexdigest()[:8]}"


@contextmanager
def _locked(file: CampaignFile, part: str) -> Iterator[None]:
    """Keep a second process from running the same file, or the same part of its instruments, here."""
    file.directory.mkdir(parents=True, exist_ok=True)
    try:
        lock = DirectoryLock(file.directory / (f"run-{part}.lock" if part else "run.lock"))
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
def _served(file: CampaignFile, place: Place) -> Iterator[Place]:
    """Say where the planner is, after starting one where no address is given.

    Raises:
        Unavailable: It does not come up.
    """
    from probescout.replay.server_process import ServerProcess

    if place.server:
        yield place
        return
    file.data.mkdir(parents=True, exist_ok=True)
    with ServerProcess(file.data) as address:
        yield Place(address.grpc, address.token_file)


@contextmanager
def _connected(file: CampaignFile, place: Place, instrument: str) -> Iterator[ps.Planner]:
    """Connect an instrument to the planner; one of several is a client of its own name, with an outbox of its own."""
    # grpc is loaded after the server has been started: its threads do not survive a fork.
    import probescout_client as ps

    from probescout.replay.wire_session import translated

    outbox = file.directory / "outbox"
    is_one = file.instrument is not None
    with translated():
        planner = ps.connect(
            place.server,
            token_file=place.token_file or None,
            client_id=None if is_one else instrument,
            outbox=str(outbox if is_one else outbox / instrument),
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
