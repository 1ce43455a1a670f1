"""Writes an export so that it appears complete or not at all, and reads one back."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probescout.core.errors import AlreadyExists, InvalidInput, Reason
from probescout.export.bluesky import Bluesky
from probescout.export.csv import Csv
from probescout.export.hyperspy import HyperSpy
from probescout.export.netcdf import NetCdf
from probescout.export.nxdata import NxData
from probescout.export.port import Exporter, missing
from probescout.export.sidpy import Sidpy
from probescout.export.zarr import Zarr

if TYPE_CHECKING:
    import xarray as xr

_ALL: tuple[Exporter, ...] = (NetCdf(), Zarr(), NxData(), Csv(), Sidpy(), HyperSpy(), Bluesky())
EXPORTERS = {e.name: e for e in _ALL}
"""Every format, by its name."""


def exporter(name: str) -> Exporter:
    """Return the exporter of a format.

    Raises:
        InvalidInput: FIELD_INVALID naming the formats there are.
    """
    if name not in EXPORTERS:
        raise InvalidInput(
            Reason.FIELD_INVALID, f"there is no format '{name}'; choose one of {', '.join(EXPORTERS)}", field="format"
        )
    return EXPORTERS[name]


def write(tree: xr.DataTree, path: Path, format_name: str, *, force: bool = False) -> list[Path]:
    """Write a campaign; return what was written, the path itself first.

    Raises:
        InvalidInput: FIELD_INVALID for an unknown format, or one that cannot hold this campaign; FILE_UNREADABLE when
            the place cannot be written.
        AlreadyExists: FILE_UNREADABLE when something is there that must not be replaced.
        MissingExtra: MISSING_EXTRA with the install line.
    """
    chosen = exporter(format_name)
    _refuse_existing(path, force)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as scratch:
            _write(chosen, tree, Path(scratch) / path.name)
            made = sorted(Path(scratch).iterdir(), key=lambda p: (p.name != path.name, p.name))
            places = [path.with_name(p.name) for p in made]
            for place in places:
                _refuse_existing(place, force)
            # What lies beside the file comes first: once the file is there, everything is.
            for part, place in reversed(list(zip(made, places, strict=True))):
                if place.is_dir():
                    # A folder is not replaced in one step; the old one goes with the scratch folder.
                    place.replace(part.with_name(f"{part.name}.old"))
                part.replace(place)
    except OSError as error:
        raise InvalidInput(
            Reason.FILE_UNREADABLE, f"{path} cannot be written ({error}); choose another --out", field="out"
        ) from error
    return places


def _write(chosen: Exporter, tree: xr.DataTree, path: Path) -> None:
    try:
        chosen.write(tree, path)
    except ValueError as error:
        others = ", ".join(name for name in EXPORTERS if name != chosen.name)
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"the format '{chosen.name}' cannot hold this campaign ({error}); choose another: {others}",
            field="format",
        ) from error


def _refuse_existing(path: Path, force: bool) -> None:
    if not path.exists() and not path.is_symlink():
        return
    if path.is_dir() and not (path / "zarr.json").exists():
        raise AlreadyExists(
            Reason.FILE_UNREADABLE, f"{path} is a folder and no Zarr store; choose another --out", field="out"
        )
    if not force:
        raise AlreadyExists(
            Reason.FILE_UNREADABLE, f"{path} exists; choose another --out, or give --force to replace it", field="out"
        )


def read(path: Path) -> xr.DataTree:
    """Return the DataTree that was written as NetCDF or Zarr, in memory.

    Raises:
        InvalidInput: FILE_UNREADABLE when it is neither.
        MissingExtra: MISSING_EXTRA when it is a Zarr store and zarr is not installed.
    """
    import xarray as xr

    # Decoding would make dates of times and durations of targets in seconds.
    plain: dict[str, Any] = {"decode_times": False, "decode_timedelta": False}
    if path.is_dir():
        try:
            import zarr  # noqa: F401
        except ImportError as error:
            raise missing("zarr", "zarr") from error
        plain |= {"engine": "zarr", "consolidated": False}
    else:
        plain |= {"engine": "h5netcdf"}
    try:
        with xr.open_datatree(path, **plain) as tree:
            loaded: xr.DataTree = tree.load()
    except (OSError, ValueError, KeyError) as error:
        raise InvalidInput(
            Reason.FILE_UNREADABLE,
            f"{path} is no campaign in NetCDF or Zarr ({error}); write one with `probescout export`",
            field="path",
        ) from error
    return loaded
