"""`probescout catalogue`: which campaigns lie in data directories, read without changing them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

import typer

from probescout.cli.json_output import JsonOption, text_stream, write_json

Row = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """What a campaign must be like; patterns with * and ?, in any case; empty: anything."""

    sample: str = ""
    instrument: str = ""
    scalarizer: str = ""
    status: str = ""
    outcome: str = ""
    since_time: float = 0.0
    """Seconds since 1970 UTC."""

    def takes(self, row: Row) -> bool:
        """Return whether a campaign is wanted."""
        told = ((self.sample, row["sample"]), (self.instrument, row["instrument"]), (self.status, row["status"]))
        pairs = (*told, (self.scalarizer, row["scalarizer"]["name"]), (self.outcome, row["outcome"]))
        return row["created_time"] >= self.since_time and all(
            not pattern or fnmatchcase(value.lower(), pattern.lower()) for pattern, value in pairs
        )


def catalogue(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Data directories.", show_default=False)],
    sample: Annotated[str, typer.Option(metavar="PATTERN", help="Only of this sample; * stands for anything.")] = "",
    instrument: Annotated[str, typer.Option(metavar="PATTERN", help="Only from this instrument.")] = "",
    scalarizer: Annotated[str, typer.Option(metavar="NAME", help="Only planned for this target.")] = "",
    since: Annotated[str, typer.Option(metavar="DATE", help="Only begun then or later: 2026-05-31, UTC.")] = "",
    status: Annotated[str, typer.Option(metavar="STATUS", help="Only running, paused, stopped or aborted.")] = "",
    outcome: Annotated[
        str,
        typer.Option(
            metavar="OUTCOME",
            help="Only finished (of itself), stopped (by a person), aborted, paused or running.",
        ),
    ] = "",
    files: Annotated[bool, typer.Option("--files", help="List the files of results too, where they lie here.")] = False,
    json_to: JsonOption = None,
) -> None:
    """List the campaigns in data directories, newest first. Nothing is changed, and servers may be at work there.

    Campaigns that cannot be read are listed by themselves, whatever is asked for; they make the exit code 1.
    """
    from probescout.cli.campaign_files import campaign_row

    wanted = Wanted(sample, instrument, scalarizer, status, _outcome(outcome), _time(since))
    rows = [campaign_row(d) for place in directories for d in campaigns_below(place)]
    readable = [row for row in rows if "created_time" in row]
    found = sorted(filter(wanted.takes, readable), key=lambda row: (-row["created_time"], row["path"]))
    unreadable = [row for row in rows if row["status"] == "unreadable"]
    stream = text_stream(json_to)
    for row in found:
        print(_line(row), file=stream)
        for path in row.get("results", ()) if files else ():
            print(f"  {path}", file=stream)
    print(f"{len(found)} of {len(rows)} campaign{'s' if len(rows) != 1 else ''}", file=stream)
    for row in unreadable:
        print(f"PROBLEM  {row['path']} cannot be read: {'; '.join(row['problems'])}", file=stream)
    if json_to is not None:
        write_json({"campaigns": found, "unreadable": unreadable}, json_to)
    if unreadable:
        raise typer.Exit(1)


def campaigns_below(place: Path) -> Iterator[Path]:
    """Yield the directories of campaigns in a data directory, or in the data directories right below.

    Raises:
        NotFound: FILE_UNREADABLE when there is no data directory.
    """
    from probescout.core.errors import NotFound, Reason

    homes = [home for home in (place / "campaigns", *sorted(place.glob("*/campaigns"))) if home.is_dir()]
    if not homes:
        raise NotFound(
            Reason.FILE_UNREADABLE,
            f"{place} is no data directory, and there is none right below it; give one that `probescout serve` used",
            field="directories",
        )
    for home in homes:
        yield from (d for d in sorted(home.iterdir()) if d.is_dir())


def _outcome(word: str) -> str:
    """Return an outcome, if it is one.

    Raises:
        InvalidInput: FIELD_INVALID.
    """
    from probescout.cli.campaign_files import OUTCOMES
    from probescout.core.errors import InvalidInput, Reason

    if word and word not in OUTCOMES:
        raise InvalidInput(
            Reason.FIELD_INVALID, f"--outcome is '{word}'; choose one of {', '.join(OUTCOMES)}", field="outcome"
        )
    return word


def _time(since: str) -> float:
    """Return a date, or date and time, as seconds since 1970; UTC unless it says otherwise.

    Raises:
        InvalidInput: FIELD_INVALID.
    """
    from probescout.core.errors import InvalidInput, Reason

    if not since:
        return 0.0
    try:
        when = datetime.fromisoformat(since)
    except ValueError as error:
        raise InvalidInput(
            Reason.FIELD_INVALID, f"--since is '{since}'; write a date as 2026-05-31 or 2026-05-31T12:00", field="since"
        ) from error
    return (when if when.tzinfo is not None else when.replace(tzinfo=UTC)).timestamp()


def _line(row: Row) -> str:
    begun = datetime.fromtimestamp(row["created_time"], UTC).strftime("%Y-%m-%d %H:%M")
    sample, instrument = (row[name] or "-" for name in ("sample", "instrument"))
    text = (
        f"{begun}  {row['outcome']:<8} {row['n_observations']:>5} points  {row['scalarizer']['name']:<16} "
        f"{sample}, {instrument}  {row['path']}"
    )
    return text if row["is_sound"] else f"{text}  DAMAGED"
