"""Overview and spectra as HyperSpy signals, written by RosettaSciIO, which is GPL and therefore imported lazily."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from probescout.export.port import missing, nothing_to_write

if TYPE_CHECKING:
    import xarray as xr


class HyperSpy:
    """A .hspy file: signal `spectra`, one navigation axis of steps; signal `overview` in a file of its own beside."""

    name = "hyperspy"
    suffix = ".hspy"
    summary = "spectra, or targets, as a HyperSpy signal; the overview image in a second file beside it"

    def write(self, tree: xr.DataTree, path: Path) -> None:
        """Write PATH and, where there are measurements and an image, PATH with .overview.hspy for its suffix.

        Raises:
            MissingExtra: MISSING_EXTRA with the install line.
            InvalidInput: FIELD_MISSING when there is neither an image nor a measurement.
        """
        try:
            from rsciio.hspy import file_writer
        except ImportError as error:
            raise missing("rosettasciio", self.name) from error
        signals = [s for s in (_spectra(tree), _overview(tree)) if s is not None]
        if not signals:
            raise nothing_to_write(self.name)
        beside = path.with_suffix(f".overview{self.suffix}")
        for signal, place in zip(signals, (path, beside), strict=False):
            file_writer(str(place), signal, show_progressbar=False)


def _spectra(tree: xr.DataTree) -> dict[str, Any] | None:
    steps = tree["steps"].to_dataset()
    if not steps.sizes.get("step"):
        return None
    name = "spectrum" if "spectrum" in steps else "target"
    table = {str(k): v.values for k, v in steps.variables.items() if v.dims == ("step",) and v.dtype.kind in "biuf"}
    return _signal(tree, steps, name, navigation=("step",), original={"steps": table})


def _overview(tree: xr.DataTree) -> dict[str, Any] | None:
    overview = tree["overview"].to_dataset()
    if "image" not in overview:
        return None
    return _signal(tree, overview, "image", navigation=("image_channel",), original={})


def _signal(
    tree: xr.DataTree, group: xr.Dataset, name: str, navigation: tuple[str, ...], original: dict[str, Any]
) -> dict[str, Any]:
    """Return a signal as RosettaSciIO takes it ("Interfacing the RosettaSciIO library", hyperspy.org/rosettasciio)."""
    array = group[name]
    about = tree.attrs
    return {
        "data": np.asarray(array.values),
        "axes": [_axis(group, dim, i, dim in navigation) for i, dim in enumerate(map(str, array.dims))],
        "metadata": {
            "General": {"title": f"{about['title']}, {name}", "authors": about["operator"], "notes": about["licence"]},
            "Signal": {"quantity": f"{array.attrs['long_name']} ({array.attrs['units']})", "signal_type": ""},
            "Sample": {"description": about["sample"]},
            "Acquisition_instrument": {"name": about["instrument"]},
        },
        "original_metadata": {"campaign": {str(k): v for k, v in about.items()}, **original},
        "attributes": {"_lazy": False, "ragged": False},
        "tmp_parameters": {},
        "learning_results": {},
        "package_info": {"package": "", "package_version": ""},
        "models": {},
    }


def _axis(group: xr.Dataset, dim: str, index: int, is_navigation: bool) -> dict[str, Any]:
    """Return an axis: by offset and scale where it is even, which most of HyperSpy needs."""
    known = group[dim] if dim in group.coords else None
    values = np.arange(group.sizes[dim], dtype=np.float64) if known is None else known.values.astype(np.float64)
    axis = {
        "name": dim,
        "units": "" if known is None else str(known.attrs.get("units", "")),
        "navigate": is_navigation,
        "is_binned": False,
        "index_in_array": index,
        "size": values.size,
    }
    scale = float(values[-1] - values[0]) / (values.size - 1) if values.size > 1 else 1.0
    even = values[0] + scale * np.arange(values.size)
    if np.allclose(even, values, rtol=0, atol=1e-9 * abs(scale)):
        return {**axis, "_type": "UniformDataAxis", "offset": float(values[0]), "scale": scale}
    return {**axis, "_type": "DataAxis", "axis": values}
