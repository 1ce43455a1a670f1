"""Finds the instrument of a campaign file among those installed and opens it for a region."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from probescout.campaigns.spec import CampaignFile, Instrument, Region
from probescout.core.errors import InvalidInput, Reason
from probescout.core.ports import Microscope
from probescout.core.registry import INSTRUMENTS, find
from probescout.runtime.plugins import build, check_params


def check_instrument(file: CampaignFile, instrument: Instrument, region: Region, *, where: str, field: str) -> None:
    """Refuse an instrument that is not installed or parameters that it does not take; nothing is opened.

    Args:
        file: Whose folder paths are relative to.
        instrument: One of the region's.
        region: Whose parameters are laid over those of the instrument.
        where: Place of the instrument in the file.
        field: Place of the parameters in the file.

    Raises:
        InvalidInput: PLUGIN_UNKNOWN, PLUGIN_BROKEN, PARAM_INVALID, or FILE_UNREADABLE for a path that leads nowhere.
    """
    cls = find(INSTRUMENTS, instrument.kind, field=f"{where}.kind").load()
    params = _params(file, instrument, region, cls)
    check_params(cls, instrument.kind, params, field=field)
    for name in _paths(cls):
        if name in params and not Path(params[name]).exists():
            raise InvalidInput(
                Reason.FILE_UNREADABLE,
                f"{params[name]} does not exist; give a path that is right as seen from {file.folder}",
                field=f"{field}.{name}",
            )


def open_instrument(file: CampaignFile, instrument: Instrument, region: Region) -> Microscope:
    """Return an instrument, set up for a region.

    Raises:
        InvalidInput: As `check_instrument`, or as the instrument refuses its parameters.
    """
    cls = find(INSTRUMENTS, instrument.kind, field="instrument.kind").load()
    spec = {"name": instrument.kind, "params": _params(file, instrument, region, cls)}
    opened: Microscope = build(INSTRUMENTS, spec, field="instrument")
    return opened


def _params(file: CampaignFile, instrument: Instrument, region: Region, cls: Any) -> dict[str, Any]:
    """Return the parameters of a region; paths are taken from the folder of the file."""
    params = {**instrument.params, **region.params}
    for name in _paths(cls):
        if isinstance(params.get(name), str):
            params[name] = str(file.folder / params[name])
    return params


def _paths(cls: Any) -> list[str]:
    """Return the parameters that are paths: their schema has the format "path"."""
    return [name for name, entry in cls.params_schema.get("properties", {}).items() if entry.get("format") == "path"]
