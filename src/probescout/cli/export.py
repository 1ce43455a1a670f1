"""`probescout export`: a campaign in an open format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from probescout.cli.json_output import JsonOption, text_stream, write_json


def export(
    path: Annotated[Path, typer.Argument(metavar="CAMPAIGN_DIR|DATA_DIR", help="What to export.", show_default=False)],
    format_name: Annotated[
        str, typer.Option("--format", metavar="NAME", help="Format to write; see docs/export.md.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(metavar="PATH", help="File or store to write.", show_default=False)],
    campaign: Annotated[
        str | None, typer.Option(metavar="ID", help="Which campaign of a data directory; not needed for the only one.")
    ] = None,
    licence: Annotated[
        str, typer.Option(metavar="TEXT", help="Licence of the data; default: as in its metadata.")
    ] = "",
    strict: Annotated[bool, typer.Option("--strict", help="Refuse data without provenance, or damaged.")] = False,
    maps: Annotated[bool, typer.Option(help="Rebuild the model from the journal and write what it shows.")] = True,
    force: Annotated[bool, typer.Option("--force", help="Replace what is at PATH.")] = False,
    json_to: JsonOption = None,
) -> None:
    """Write a campaign in an open format: netcdf, zarr, nxdata, csv, sidpy, hyperspy or bluesky.

    The data directory is only read, also while a server uses it. Exits with 1 when a part of the campaign is damaged;
    what can be read is written all the same, unless --strict is given. Maps of the model are left out, and the reason
    told, where the model cannot be rebuilt, for example when a plug-in of the campaign is not installed here.
    """
    from probescout.export import campaign_tree, write
    from probescout.export.writing import exporter
    from probescout.runtime.recalling import recall

    look = recall if exporter(format_name).has_maps and maps else None
    directory = _campaign_directory(path, campaign)
    _refuse_inside(out, directory)
    tree = campaign_tree(directory, licence=licence, strict=strict, look=look)
    written = [{"path": str(p), "size_bytes": _size(p)} for p in write(tree, out, format_name, force=force)]
    result: dict[str, Any] = {
        "campaign": directory.name,
        "format": format_name,
        "written": written,
        "missing_metadata": tree.attrs["missing_metadata"],
        "problems": tree.attrs["problems"],
        "maps_comment": tree["maps"].attrs.get("comment", "") if "maps" in tree else "",
    }
    stream = text_stream(json_to)
    for made in written:
        print(f"wrote    {made['path']} ({made['size_bytes']} bytes)", file=stream)
    if result["missing_metadata"]:
        print(f"missing  {result['missing_metadata']}: --strict says how to set them", file=stream)
    if result["maps_comment"]:
        print(f"maps     {result['maps_comment']}", file=stream)
    if result["problems"]:
        print(f"PROBLEM  {result['problems']}", file=stream)
    if json_to is not None:
        write_json(result, json_to)
    if result["problems"]:
        raise typer.Exit(1)


def _campaign_directory(path: Path, campaign: str | None) -> Path:
    """Return the directory of the campaign that is meant.

    Raises:
        NotFound: CAMPAIGN_NOT_FOUND when there is none.
        InvalidInput: FIELD_MISSING when there are several and none is named.
    """
    from probescout.core.errors import InvalidInput, NotFound, Reason

    home = path / "campaigns"
    if not home.is_dir():
        if campaign is not None and campaign != path.name:
            raise NotFound(
                Reason.CAMPAIGN_NOT_FOUND,
                f"{path} is no data directory with a campaign '{campaign}'; give the data directory, or leave out "
                "--campaign",
                field="campaign",
            )
        return path
    ids = sorted(d.name for d in home.iterdir() if d.is_dir())
    if campaign is None and len(ids) > 1:
        raise InvalidInput(
            Reason.FIELD_MISSING,
            f"{path} holds {len(ids)} campaigns; choose with --campaign: {', '.join(ids)}",
            field="campaign",
        )
    wanted = campaign or (ids[0] if ids else "")
    if wanted not in ids:
        raise NotFound(
            Reason.CAMPAIGN_NOT_FOUND,
            f"{path} holds no campaign '{wanted}'; it has: {', '.join(ids) or 'none'}",
            field="campaign",
        )
    return home / wanted


def _refuse_inside(out: Path, directory: Path) -> None:
    """Refuse to write where the server keeps its files."""
    from probescout.core.errors import InvalidInput, Reason

    home = directory.resolve()
    data = home.parent.parent if home.parent.name == "campaigns" else home
    if out.resolve().is_relative_to(data):
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"{out} lies in the data directory {data}, which is only read; choose an --out outside it",
            field="out",
        )


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(p.stat().st_size for p in files)
