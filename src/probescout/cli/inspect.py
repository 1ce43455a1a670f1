"""`probescout inspect`: what lies on disk, read without changing it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from probescout.cli.json_output import JsonOption, text_stream, write_json


def inspect(
    path: Annotated[
        str, typer.Argument(metavar="PATH|CAMPAIGN", help="Data directory, campaign or recording.", show_default=False)
    ],
    data: Annotated[Path, typer.Option(help="Data directory in which a CAMPAIGN is looked up.")] = Path(
        "probescout-data"
    ),
    json_to: JsonOption = None,
) -> None:
    """Show what is on disk: campaigns with status, budget, best and damage, or what a recording holds.

    Nothing is changed, and no server is asked: it works beside one, and where one refuses to open a damaged journal.
    Exits with 1 when something is damaged.
    """
    place = locate(path, data)
    stream = text_stream(json_to)
    if (place / "campaigns").is_dir():
        result, lines = _data_directory(place)
    elif is_campaign(place):
        result, lines = _campaign(place)
    else:
        result, lines = _recording(place)
    for line in lines:
        print(line, file=stream)
    if json_to is not None:
        write_json(result, json_to)
    if not all(row["is_sound"] for row in result.get("campaigns", [])):
        raise typer.Exit(1)


def locate(path: str, data: Path) -> Path:
    """Return the place that a path, or the id of a campaign, means.

    Raises:
        NotFound: FILE_UNREADABLE when there is neither.
    """
    from probescout.core.errors import NotFound, Reason

    named = data / "campaigns" / path.removeprefix("campaigns/")
    for place in (Path(path), named):
        if place.exists():
            return place
    raise NotFound(
        Reason.FILE_UNREADABLE,
        f"there is neither {path} nor {named}; give the path of a data directory, a campaign's directory or a "
        "recording, or a campaign's id with --data DIR",
        field="path",
    )


def is_campaign(place: Path) -> bool:
    """Return whether a directory is, or was, that of a campaign: any of its files may be lost."""
    return any((place / name).exists() for name in ("events.db", "head.json", "blobs"))


def _data_directory(place: Path) -> tuple[dict[str, Any], list[str]]:
    from probescout.cli.campaign_files import campaign_line, campaign_row, damage_lines

    rows = [campaign_row(directory) for directory in sorted((place / "campaigns").iterdir()) if directory.is_dir()]
    lines = [f"{place}: {len(rows)} campaign{'s' if len(rows) != 1 else ''}"]
    for row in rows:
        lines += [campaign_line(row), *damage_lines(row)]
    return {"kind": "data", "path": str(place), "campaigns": rows}, lines


def _campaign(place: Path) -> tuple[dict[str, Any], list[str]]:
    from probescout.cli.campaign_files import campaign_lines, campaign_row

    row = campaign_row(place)
    return {"kind": "campaign", "path": str(place), "campaigns": [row]}, list(campaign_lines(row))


def _recording(place: Path) -> tuple[dict[str, Any], list[str]]:
    from probescout.replay.describe import recording_json, recording_lines
    from probescout.replay.recording import Recording

    recording = Recording.load(place)
    lines = [f"recording  {place}", *recording_lines(recording)]
    return {"kind": "recording", "path": str(place), **recording_json(recording)}, lines
