"""`probescout convert`: an instrument's file into a recording that can be replayed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from probescout.cli.json_output import JsonOption, text_stream, write_json
from probescout.core.errors import InvalidInput, Reason


def convert(
    file: Annotated[Path, typer.Argument(help="The instrument's file.", show_default=False)],
    out: Annotated[
        Path | None, typer.Argument(help="Recording to write: OUT.nc, or OUT.zarr.", show_default=False)
    ] = None,
    signal: Annotated[
        str | None, typer.Option(metavar="NAME|N", help="Signal at every pixel; default: the largest.")
    ] = None,
    image: Annotated[
        str | None, typer.Option(metavar="FILE[:SIGNAL]", help="Registered structural image, from any file.")
    ] = None,
    image_from: Annotated[
        str | None, typer.Option(metavar="channel:N|std|sum", help="Derive the image from the signal.")
    ] = None,
    targets: Annotated[
        str | None, typer.Option(metavar="NAME|N,...", help="Maps of FILE to keep as ready scalar targets.")
    ] = None,
    select: Annotated[
        list[str] | None, typer.Option(metavar="DIM=INDEX", help="Keep one element of a dimension; may be repeated.")
    ] = None,
    list_signals: Annotated[bool, typer.Option("--list", help="List the signals of FILE and write nothing.")] = False,
    json_to: JsonOption = None,
) -> None:
    """Convert an instrument's FILE to a recording that `probescout replay` can replay."""
    if list_signals:
        result = _list(file, json_to)
    elif out is None:
        raise InvalidInput(
            Reason.FIELD_MISSING, "OUT is missing; name the file to write (OUT.nc), or give --list", field="out"
        )
    else:
        maps = targets.split(",") if targets else []
        result = _convert(file, out, signal, image, image_from, maps, _selection(select or []), json_to)
    if json_to is not None:
        write_json(result, json_to)


def _list(file: Path, json_to: str | None) -> dict[str, Any]:
    from probescout.replay.describe import signal_json, signal_line
    from probescout.replay.readers import read_signals

    signals = read_signals(file)
    stream = text_stream(json_to)
    for i, s in enumerate(signals):
        print(f"{i:3d}  {signal_line(s)}", file=stream)
    return {"file": str(file), "signals": [signal_json(s) for s in signals]}


def _convert(
    file: Path,
    out: Path,
    signal: str | None,
    image: str | None,
    image_from: str | None,
    targets: list[str],
    select: dict[str, int],
    json_to: str | None,
) -> dict[str, Any]:
    from probescout.replay.convert import convert as convert_file
    from probescout.replay.describe import recording_json, recording_lines

    stream = text_stream(json_to)
    recording = convert_file(
        file, out, signal=signal, image=image, image_from=image_from, targets=targets, select=select
    )
    print(f"read   {file}: signal '{recording.attrs['source_signal']}'", file=stream)
    for line in recording_lines(recording):
        print(f"       {line}", file=stream)
    print(f"wrote  {out}", file=stream)
    return {"file": str(file), "out": str(out), **recording_json(recording)}


def _selection(texts: list[str]) -> dict[str, int]:
    selection = {}
    for text in texts:
        dim, _, index = text.partition("=")
        try:
            selection[dim] = int(index)
        except ValueError as error:
            raise InvalidInput(
                Reason.FIELD_INVALID, f"--select is '{text}'; write DIM=INDEX, for example dim2=0", field="select"
            ) from error
    return selection
