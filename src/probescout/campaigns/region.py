"""One region, measured by one instrument or by several at once; the planner keeps them from each other's points."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

import probescout_client as ps

from probescout.campaigns import measuring, results
from probescout.campaigns.leaving import undisturbed
from probescout.campaigns.read_back import read_back
from probescout.campaigns.rounds import campaign_id
from probescout.campaigns.seat import Seat, Table
from probescout.campaigns.spec import CampaignFile, Region
from probescout.campaigns.tally import Tally

TROUBLES = (results.FAILED, results.UNPARKED)


def measure_region(
    planners: Mapping[str, ps.Planner], file: CampaignFile, region: Region, key: str, tally: Tally
) -> results.Region:
    """Measure one region; return what came of it.

    An instrument that fails leaves the region to the others. If all fail it is taken up another time.

    Args:
        planners: A link for each instrument of this run, by its name.
        file: The campaign file.
        region: One of its regions, measured by at least one of these instruments.
        key: Which time it is.
        tally: Counts the points.

    Raises:
        ProbescoutError: Of the client, as the server answers.
    """
    team = [i for i in file.instruments_of(region) if i.label in planners]
    table = Table(file, region, key, tally, len(team))
    with ExitStack() as stack:
        seats = [stack.enter_context(Seat(table, instrument, planners[instrument.label])) for instrument in team]
        if len(seats) == 1:
            seats[0].work()
        else:
            _together(seats)
        found = _found(table, seats)
    tally.leave(region, found.n_measured, is_over=found.state not in TROUBLES)
    return found


def _together(seats: Sequence[Seat]) -> None:
    """Let every instrument measure on a thread of its own until all have ended.

    Raises:
        BaseException: What has ended the wait, or one of the threads; then all instruments are parked.
    """
    threads = [threading.Thread(target=seat.work_apart, name=seat.part.name, daemon=True) for seat in seats]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException:
        with undisturbed():
            for seat in seats:
                seat.leave()
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
        raise
    for seat in seats:
        if seat.error is not None:
            raise seat.error


def _found(table: Table, seats: Sequence[Seat]) -> results.Region:
    run = next((seat.run for seat in seats if seat.run is not None), None)
    parts = tuple(seat.part for seat in seats)
    n_new = sum(part.n_new for part in parts)
    told = "; ".join(
        f"{part.name}: {part.message}" if len(parts) > 1 else part.message for part in parts if part.message
    )
    if run is None:
        name = f"campaigns/{campaign_id(table.file, table.region, table.key)}"
        return results.Region(table.region.name, name, _worst(parts), told, parts, n_new=n_new)
    state, message = _ended(run, table, seats)
    # A person's word stands beside an instrument that is not parked.
    if state != results.ABORTED and not all(part.is_parked for part in parts):
        state = results.UNPARKED
    message = "; ".join(one for one in (message, told) if one)
    return replace(read_back(run, table.file, table.region, state, message), parts=parts, n_new=n_new)


def _ended(run: ps.Run, table: Table, seats: Sequence[Seat]) -> tuple[str, str]:
    """Return state and reason of a region that its instruments have left; end its campaign if nothing is to come."""
    ended = measuring.ended(run)
    if ended is not None:
        return ended
    # The rule of the largest step binds each instrument by itself: what one cannot reach another may.
    over = [seat for seat in seats if seat.is_over and seat.cause != "max_step"]
    is_failed = any(seat.state in TROUBLES and not seat.is_over for seat in seats)
    if not over and is_failed:
        return results.FAILED, ""
    if not over and len(seats) < len(table.file.instruments_of(table.region)):
        return results.SHARED, ""
    reasons = [seat.cause for seat in over] or [seat.message or seat.cause for seat in seats]
    measuring.end(run, reasons[0])
    return measuring.ended(run) or (results.FAILED, "the campaign was taken up by somebody else")


def _worst(parts: Sequence[results.Part]) -> str:
    return results.UNPARKED if any(not part.is_parked for part in parts) else results.FAILED
