"""The campaign as NeXus: plottable NXdata groups in an HDF5 file (https://manual.nexusformat.org)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import h5py
    import xarray as xr

SIGNALS = {"overview": "image", "steps": "target", "spectra": "spectrum", "maps": "mean", "latent": "z"}
"""Default signal of each NXdata."""


class NxData:
    """NXroot/NXentry with an NXdata each for overview, steps, spectra, maps and latent space, and collections."""

    name = "nxdata"
    suffix = ".nxs"
    summary = "NeXus: NXdata groups with default plots in an HDF5 file"
    has_maps = True

    def write(self, tree: xr.DataTree, path: Path) -> None:
        """Write the file."""
        import h5py

        groups = _groups(tree)
        default = next((name for name in ("steps", "overview") if name in groups), "")
        with h5py.File(path, "w") as file:
            file.attrs.update({"NX_class": "NXroot", "default": "entry", "creator": str(tree.attrs["software"])})
            entry = _group(file, "entry", "NXentry")
            if default:
                entry.attrs["default"] = default
            _about(entry, tree)
            for name, dataset in groups.items():
                _data(_group(entry, name, "NXdata"), dataset, SIGNALS[name])
            for name in ("theory", "events", "model"):
                _collection(_group(entry, name, "NXcollection"), tree[name].to_dataset())


def _groups(tree: xr.DataTree) -> dict[str, xr.Dataset]:
    """Return the Datasets that can be plotted."""
    steps = tree["steps"].to_dataset()
    groups = {"overview": tree["overview"].to_dataset()}
    if "spectrum" in steps:
        spectra = [name for name, v in steps.data_vars.items() if v.ndim > 1]
        groups["spectra"] = steps[spectra]
        steps = steps.drop_dims([d for d in steps.dims if d != "step"])
    groups["steps"] = steps
    groups |= {name: tree[name].to_dataset() for name in ("maps", "latent") if name in tree}
    return {name: dataset for name, dataset in groups.items() if SIGNALS[name] in dataset}


def _group(parent: h5py.Group, name: str, nx_class: str) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs["NX_class"] = nx_class
    return group


def _about(entry: h5py.Group, tree: xr.DataTree) -> None:
    """Write what NXentry has a place for there, and the rest as attributes of a collection."""
    told = tree.attrs
    entry["title"] = told["title"]
    entry["experiment_identifier"] = told["experiment_id"]
    for name, nx_class, attribute in (
        ("sample", "NXsample", "sample"),
        ("instrument", "NXinstrument", "instrument"),
        ("user", "NXuser", "operator"),
    ):
        if told[attribute]:
            _group(entry, name, nx_class)["name"] = told[attribute]
    rest = _group(entry, "campaign", "NXcollection")
    for key, value in told.items():
        rest[str(key)] = value


def _data(group: h5py.Group, dataset: xr.Dataset, signal: str) -> None:
    """Write an NXdata: its signal, and one axis a dimension, the bare number where there is no coordinate."""
    group.attrs.update({str(key): value for key, value in dataset.attrs.items()})
    dims = [str(d) for d in dataset[signal].dims]
    group.attrs["signal"] = signal
    group.attrs["axes"] = dims
    for each, variable in dataset.variables.items():
        _field(group, str(each), variable)
    for axis, n in dataset.sizes.items():
        if axis not in dataset.variables:
            group[str(axis)] = np.arange(n)
    unit = dataset[signal].attrs.get("units")
    alike = [v for v in dataset.data_vars.values() if v.dims == tuple(dims) and v.attrs.get("units") == unit]
    numbers = [str(v.name) for v in alike if v.name != signal and v.dtype.kind in "iuf"]
    if numbers:
        group.attrs["auxiliary_signals"] = numbers
    for key, coordinate in dataset.coords.items():
        if key not in dims:
            group.attrs[f"{key}_indices"] = [dims.index(str(d)) for d in coordinate.dims]


def _collection(group: h5py.Group, dataset: xr.Dataset) -> None:
    for name, variable in dataset.variables.items():
        _field(group, str(name), variable)
    for name, value in dataset.attrs.items():
        group[str(name)] = value


def _field(group: h5py.Group, name: str, variable: Any) -> None:
    import h5py

    values = np.asarray(variable.values)
    if values.dtype.kind in "OUT":
        field = group.create_dataset(name, values.shape, h5py.string_dtype())
        field[...] = values.astype(object)
    else:
        field = group.create_dataset(name, data=values)
    for key, value in variable.attrs.items():
        field.attrs[str(key)] = value
