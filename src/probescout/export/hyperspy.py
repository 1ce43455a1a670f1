"""Spectra, overview and maps as HyperSpy signals, written by RosettaSciIO: GPL, and therefore imported lazily."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from probescout.export.port import missing
from probescout.export.signals import Signal, signals

if TYPE_CHECKING:
    import xarray as xr


class HyperSpy:
    """A .hspy file: the spectra, one navigation axis of steps; overview and maps in files of their own beside it."""

    name = "hyperspy"
    suffix = ".hspy"
    summary = "spectra, or targets, as a HyperSpy signal; the overview image and each map in a file beside it"
    has_maps = True

    def write(self, tree: xr.DataTree, path: Path) -> None:
        """Write PATH with the first signal, and for each further one PATH with .TITLE.hspy for its suffix.

        Raises:
            MissingExtra: MISSING_EXTRA with the install line.
            InvalidInput: FIELD_MISSING when there is neither an image nor a measurement.
        """
        try:
            from rsciio.hspy import file_writer
        except ImportError as error:
            raise missing("rosettasciio", self.name) from error
        first, *others = signals(tree, self.name)
        places = [path, *(path.with_suffix(f".{s.title}{self.suffix}") for s in others)]
        for signal, place in zip((first, *others), places, strict=True):
            file_writer(str(place), _signal(tree, signal), show_progressbar=False)


def _signal(tree: xr.DataTree, signal: Signal) -> dict[str, Any]:
    """Return a signal as RosettaSciIO takes it ("Interfacing the RosettaSciIO library", hyperspy.org/rosettasciio)."""
    array, about = signal.array, tree.attrs
    return {
        "data": np.asarray(array.values),
        "axes": [_axis(signal, dim, i) for i, dim in enumerate(signal.dims)],
        "metadata": {
            "General": {
                "title": f"{about['title']}, {array.name}",
                "authors": about["operator"],
                "notes": about["licence"],
            },
            "Signal": {"quantity": f"{array.attrs['long_name']} ({array.attrs['units']})", "signal_type": ""},
            "Sample": {"description": about["sample"]},
            "Acquisition_instrument": {"name": about["instrument"]},
        },
        "original_metadata": {"campaign": {str(k): v for k, v in about.items()}, **_table(signal)},
        "attributes": {"_lazy": False, "ragged": False},
        "tmp_parameters": {},
        "learning_results": {},
        "package_info": {"package": "", "package_version": ""},
        "models": {},
    }


def _table(signal: Signal) -> dict[str, Any]:
    """Return the numbers of the steps."""
    if not signal.is_of_steps:
        return {}
    variables = signal.group.variables.items()
    return {"steps": {str(k): v.values for k, v in variables if v.dims == ("step",) and v.dtype.kind in "biuf"}}


def _axis(signal: Signal, dim: str, index: int) -> dict[str, Any]:
    """Return an axis: by offset and scale where it is even, which most of HyperSpy needs."""
    known, units, _ = signal.axis(dim)
    values = known.astype(np.float64)
    axis = {
        "name": dim,
        "units": units,
        "navigate": dim in ("step", "image_channel"),
        "is_binned": False,
        "index_in_array": index,
        "size": values.size,
    }
    scale = float(values[-1] - values[0]) / (values.size - 1) if values.size > 1 else 1.0
    even = values[0] + scale * np.arange(values.size)
    if np.allclose(even, values, rtol=0, atol=1e-9 * abs(scale)):
        return {**axis, "_type": "UniformDataAxis", "offset": float(values[0]), "scale": scale}
    return {**axis, "_type": "DataAxis", "axis": values}
