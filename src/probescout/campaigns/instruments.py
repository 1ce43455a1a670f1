"""Finds the instrument of a campaign file among those installed and opens it for a region."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from probescout.campaigns.spec import CampaignFile, Region
from probescout.core.errors import InvalidInput, Reason
from probescout.core.ports import Microscope
from probescout.core.registry import INSTRUMENTS, find
from probescout.runtime.plugins import build, check_params


def check_instrument(file: CampaignFile, region: Region, *, field: str) -> None:
    """Refuse an instrument that is not installed or parameters that it does not take; nothing is opened.

    Raises:
        InvalidInput: PLUGIN_UNKNOWN, PLUGIN_BROKEN, PARAM_INVALID, or FILE_UNREADABLE for a path that leads nowhere.
    """
    cls = find(INSTRUMENTS, file.instrument.kind, field="instrument.kind").load()
    params = _params(file, region, cls)
    check_params(cls, file.instrument.kind, params, field=field)
    for name in _paths(cls):
        if name in params and not Path(params[name]).exists():
            raise InvalidInput(
                Reason.FILE_UNREADABLE,
                f"{params[name]} does not exist; give a path that is right as seen from {file.folder}",
                field=f"{field}.{name}",
            )


def open_instrument(file: CampaignFile, region: Region) -> Microscope:
    """Return the instrument, set up for a region.

    Raises:
        InvalidInput: As `check_instrument`, or as the instrument refuses its parameters.
    """
    cls = find(INSTRUMENTS, file.instrument.kind, field="instrument.kind").load()
    spec = {"name": file.instrument.kind, "params": _params(file, region, cls)}
    instrument: Microscope = build(INSTRUMENTS, spec, field="instrument")
    return instrument


def _params(file: CampaignFile, region: Region, cls: Any) -> dict[str, Any]:
    """Return the parameters of a region; paths are taken from the folder of the file."""
    params = {**file.instrument.params, **region.params}
    for name in _paths(cls):
        if isinstance(params.get(name), str):
            params[name] = str(file.folder / params[name])
    return params


def _paths(cls: Any) -> list[str]:
    """Return the parameters that are paths: their schema has the format "path"."""
    return [name for name, entry in cls.params_schema.get("properties", {}).items() if entry.get("format") == "path"]
