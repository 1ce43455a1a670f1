"""What can be drawn of a campaign, one array after the other, for formats that hold signals and no tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from probescout.export.port import nothing_to_write

if TYPE_CHECKING:
    import xarray as xr

OVERVIEW = "overview"


@dataclass(frozen=True)
class Signal:
    """One array of the tree that stands for itself."""

    title: str
    """Name of the signal in a file: "overview", "spectrum" or "target", "map_mean" and so on."""
    array: xr.DataArray
    group: xr.Dataset
    """Where it is from."""

    @property
    def is_of_steps(self) -> bool:
        """Whether its first dimension is that of the measurements."""
        return self.array.dims[:1] == ("step",)

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of its dimensions."""
        return tuple(map(str, self.array.dims))

    def axis(self, dim: str) -> tuple[np.ndarray[Any, Any], str, str]:
        """Return values, unit and quantity of a dimension; the bare number where there is no coordinate."""
        if dim not in self.group.coords:
            return np.arange(self.group.sizes[dim]), "", dim
        known = self.group[dim]
        return known.values, str(known.attrs.get("units", "")), str(known.attrs.get("long_name", dim))


def signals(tree: xr.DataTree, format_name: str, *, most_axes: int | None = None) -> list[Signal]:
    """Return the measurements, the overview image and the maps over a grid, those there are.

    Args:
        tree: Of the campaign.
        format_name: Of whoever asks, for the error.
        most_axes: Of a raw signal; those with more give way to the targets. None: any number.

    Raises:
        InvalidInput: FIELD_MISSING when there is neither an image nor a measurement.
    """
    found = [*_steps(tree["steps"].to_dataset(), most_axes), *_overview(tree["overview"].to_dataset())]
    if not found:
        raise nothing_to_write(format_name)
    return [*found, *(_maps(tree["maps"].to_dataset()) if "maps" in tree else ())]


def _steps(steps: xr.Dataset, most_axes: int | None) -> Iterator[Signal]:
    if not steps.sizes.get("step"):
        return
    is_raw = "spectrum" in steps and (most_axes is None or steps["spectrum"].ndim - 1 <= most_axes)
    name = "spectrum" if is_raw else "target"
    yield Signal(name, steps[name], steps)


def _overview(overview: xr.Dataset) -> Iterator[Signal]:
    if "image" in overview:
        yield Signal(OVERVIEW, overview["image"], overview)


def _maps(maps: xr.Dataset) -> Iterator[Signal]:
    """Yield the newest of each map that is an image."""
    if "snapshot" not in maps.dims:
        return
    newest = maps.isel(snapshot=-1)
    for name, array in newest.data_vars.items():
        if array.dims == ("y", "x"):
            yield Signal(f"map_{name}", array, newest)
