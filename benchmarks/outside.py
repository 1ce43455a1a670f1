"""Cases from a folder of files in the neutral format that the repository has never seen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probescout.core.errors import InvalidInput, Reason
from probescout.replay.case import Case, recorded_case
from probescout.replay.recording import Recording

SUFFIXES = (".nc", ".zarr")


@dataclass(frozen=True)
class Outside:
    """One target of one file."""

    name: str
    path: str
    target: str = ""
    """Name of a ready scalar map; empty: the scalarizer that the file names makes it of the spectra."""

    def case(self) -> Case:
        """Return the case.

        Raises:
            InvalidInput: As the file, its scalarizer or its parameters cannot be used.
            MissingExtra: For a Zarr store where zarr is not installed.
        """
        recording = Recording.load(self.path)
        if self.target:
            return recorded_case(recording, target=self.target, name=self.name)
        scalarizer, params = named_scalarizer(recording.attrs, self.path)
        return recorded_case(recording, scalarizer=scalarizer, params=params, name=self.name)


def find_outside(folder: Path) -> list[Outside]:
    """Return every target of every file in a folder, sorted by name.

    A file gives a case for its scalarizer, if it names one, else one for each of its scalar maps.

    Raises:
        InvalidInput: FILE_UNREADABLE when the folder holds no such file or one cannot be read; FIELD_MISSING when a
            file has spectra, no map, and does not say what makes the target of them.
        MissingExtra: For a Zarr store where zarr is not installed.
    """
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES) if folder.is_dir() else []
    if not files:
        raise InvalidInput(
            Reason.FILE_UNREADABLE,
            f"{folder} holds no file in the neutral format ({', '.join(SUFFIXES)}); `probescout convert` makes them",
            field="CASES",
        )
    return [case for path in files for case in _targets(path)]


def _targets(path: Path) -> list[Outside]:
    recording = Recording.load(path)
    if recording.spectrum is not None and "scalarizer" in recording.attrs:
        named_scalarizer(recording.attrs, str(path))
        return [Outside(path.stem, str(path))]
    maps = sorted(recording.targets)
    if not maps:
        raise InvalidInput(
            Reason.FIELD_MISSING,
            f"{path} has spectra and does not say what makes the target of them; give it the attributes 'scalarizer' "
            "(name of a plug-in, see `probescout plugins`) and 'params' (JSON), or a scalar map (y, x)",
            field="scalarizer",
        )
    return [Outside(path.stem if len(maps) == 1 else f"{path.stem}:{name}", str(path), name) for name in maps]


def named_scalarizer(attrs: Mapping[str, Any], path: str) -> tuple[str, dict[str, Any]]:
    """Return the scalarizer that a file names and its parameters.

    Raises:
        InvalidInput: PARAM_INVALID when 'params' is no JSON object.
    """
    text = attrs.get("params", "{}") or "{}"
    try:
        params = json.loads(text) if isinstance(text, str) else None
    except json.JSONDecodeError:
        params = None
    if not isinstance(params, dict):
        raise InvalidInput(
            Reason.PARAM_INVALID,
            f"the attribute 'params' of {path} is {text!r}; it must be a JSON object such as "
            '{"low": 1.65, "high": 1.83}',
            field="params",
        )
    return str(attrs["scalarizer"]), params
