"""The door for file formats: one class a format, found by its name in `writing.EXPORTERS`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from probescout.core.errors import InvalidInput, MissingExtra, Reason

if TYPE_CHECKING:
    import xarray as xr

INSTALL = 'pip install "probescout[readers]"'


@runtime_checkable
class Exporter(Protocol):
    """Writes the DataTree of a campaign in one format."""

    @property
    def name(self) -> str:
        """Return what `--format` calls it."""

    @property
    def suffix(self) -> str:
        """Return how its files end, with the dot."""

    @property
    def summary(self) -> str:
        """Return one line for a person."""

    @property
    def has_maps(self) -> bool:
        """Return whether it writes the maps of the model, so that they are worth working out."""

    def write(self, tree: xr.DataTree, path: Path) -> None:
        """Write the tree to a path where nothing is, in an empty folder; what lies beside the path is moved with it.

        Raises:
            MissingExtra: MISSING_EXTRA with the install line.
            InvalidInput: FIELD_MISSING when the format can hold nothing of this tree.
        """


def missing(package: str, format_name: str) -> MissingExtra:
    """Return the error for a format whose library is not installed."""
    return MissingExtra(
        Reason.MISSING_EXTRA,
        f"the format '{format_name}' needs {package}, which is not installed; run: {INSTALL}",
        field="format",
    )


def nothing_to_write(format_name: str) -> InvalidInput:
    """Return the error for a campaign that a format has no place for."""
    return InvalidInput(
        Reason.FIELD_MISSING,
        f"the campaign has neither an overview image nor a measurement, and '{format_name}' holds nothing else; "
        "choose --format netcdf",
        field="format",
    )
