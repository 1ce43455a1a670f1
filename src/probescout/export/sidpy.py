"""Overview and spectra as sidpy Datasets in an NSID file, for the pycroscopy family."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from probescout.export.port import missing, nothing_to_write

if TYPE_CHECKING:
    import xarray as xr


class Sidpy:
    """NSID by pyNSID: the overview is an IMAGE, the measurements are a POINT_CLOUD of spectra or of targets."""

    name = "sidpy"
    suffix = ".hf5"
    summary = "overview and spectra as sidpy Datasets in an NSID file (HDF5)"

    def write(self, tree: xr.DataTree, path: Path) -> None:
        """Write the file; signals of more than one dimension give way to targets.

        Raises:
            MissingExtra: MISSING_EXTRA with the install line.
            InvalidInput: FIELD_MISSING when there is neither an image nor a measurement.
        """
        try:
            import h5py
            from pyNSID.io.hdf_io import write_nsid_dataset
        except ImportError as error:
            raise missing("pyNSID", self.name) from error
        datasets = [d for d in (_overview(tree), _cloud(tree)) if d is not None]
        if not datasets:
            raise nothing_to_write(self.name)
        with h5py.File(path, "w") as file:
            file.attrs.update(dict(tree.attrs))
            for dataset in datasets:
                write_nsid_dataset(dataset, file, main_data_name=dataset.title)


def _overview(tree: xr.DataTree) -> Any:
    overview = tree["overview"].to_dataset()
    if "image" not in overview:
        return None
    image = overview["image"]
    is_plain = image.ndim == 2
    dataset = _dataset(image, "overview", "IMAGE" if is_plain else "IMAGE_STACK", tree)
    for i, dim in enumerate(map(str, image.dims)):
        _dimension(dataset, i, overview, dim, "TEMPORAL" if dim == "image_channel" else "SPATIAL")
    return dataset


def _cloud(tree: xr.DataTree) -> Any:
    steps = tree["steps"].to_dataset()
    if not steps.sizes.get("step"):
        return None
    signal = steps["spectrum"] if "spectrum" in steps and steps["spectrum"].ndim == 2 else steps["target"]
    dataset = _dataset(signal, str(signal.name), "POINT_CLOUD", tree)
    for i, dim in enumerate(map(str, signal.dims)):
        _dimension(dataset, i, steps, dim, "POINT_CLOUD" if i == 0 else "SPECTRAL")
    # sidpy keeps (x, y) of a cloud, its own order.
    coordinates = np.stack([steps["x"].values, steps["y"].values], axis=1)
    dataset.point_cloud = {"coordinates": coordinates, "spacial_units": "fraction of the overview", "quantity": "place"}
    dataset.metadata |= {name: steps[name].values for name in ("target", "is_good")}
    dataset.metadata["target_units"] = str(steps["target"].attrs["units"])
    return dataset


def _dataset(array: xr.DataArray, title: str, data_type: str, tree: xr.DataTree) -> Any:
    import sidpy

    dataset = sidpy.Dataset.from_array(np.asarray(array.values), title=title)
    dataset.data_type = data_type
    dataset.units = str(array.attrs["units"]) or "generic"
    dataset.quantity = str(array.attrs["long_name"])
    dataset.source = str(tree.attrs["instrument"]) or "generic"
    dataset.metadata = {name: tree.attrs[name] for name in ("experiment_id", "sample", "operator", "licence")}
    return dataset


def _dimension(dataset: Any, index: int, group: xr.Dataset, dim: str, kind: str) -> None:
    import sidpy

    known = group[dim] if dim in group.coords else None
    values = np.arange(group.sizes[dim]) if known is None else known.values
    attrs = {} if known is None else known.attrs
    quantity, units = str(attrs.get("long_name", dim)), str(attrs.get("units", "")) or "generic"
    # sidpy makes an attribute of the dimension, which must not hide one of its own.
    name = f"signal_{dim}" if hasattr(sidpy.Dataset, dim) else dim
    dataset.set_dimension(index, sidpy.Dimension(values, name, quantity=quantity, units=units, dimension_type=kind))
