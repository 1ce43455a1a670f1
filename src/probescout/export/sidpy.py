"""Overview, spectra and maps as sidpy Datasets in an NSID file, for the pycroscopy family."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from probescout.export.port import missing
from probescout.export.signals import Signal, signals

if TYPE_CHECKING:
    import xarray as xr


class Sidpy:
    """NSID by pyNSID: overview and maps are IMAGEs, the measurements a POINT_CLOUD of spectra or of targets."""

    name = "sidpy"
    suffix = ".hf5"
    summary = "overview, spectra and maps as sidpy Datasets in an NSID file (HDF5)"
    has_maps = True

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
        datasets = [_dataset(signal, tree) for signal in signals(tree, self.name, most_axes=1)]
        with h5py.File(path, "w") as file:
            file.attrs.update(dict(tree.attrs))
            for dataset in datasets:
                write_nsid_dataset(dataset, file, main_data_name=dataset.title)


def _dataset(signal: Signal, tree: xr.DataTree) -> Any:
    import sidpy

    array = signal.array
    dataset = sidpy.Dataset.from_array(np.asarray(array.values), title=signal.title)
    dataset.data_type = "POINT_CLOUD" if signal.is_of_steps else "IMAGE" if array.ndim == 2 else "IMAGE_STACK"
    dataset.units = str(array.attrs["units"]) or "generic"
    dataset.quantity = str(array.attrs["long_name"])
    dataset.source = str(tree.attrs["instrument"]) or "generic"
    dataset.metadata = {name: tree.attrs[name] for name in ("experiment_id", "sample", "operator", "licence")}
    for i, dim in enumerate(signal.dims):
        _dimension(dataset, i, signal, dim)
    if signal.is_of_steps:
        _add_cloud(dataset, signal.group)
    return dataset


def _add_cloud(dataset: Any, steps: xr.Dataset) -> None:
    """Say where the measurements were, and what became of them."""
    # sidpy keeps (x, y) of a cloud, its own order.
    coordinates = np.stack([steps["x"].values, steps["y"].values], axis=1)
    dataset.point_cloud = {"coordinates": coordinates, "spacial_units": "fraction of the overview", "quantity": "place"}
    dataset.metadata |= {name: steps[name].values for name in ("target", "is_good")}
    dataset.metadata["target_units"] = str(steps["target"].attrs["units"])


def _dimension(dataset: Any, index: int, signal: Signal, dim: str) -> None:
    import sidpy

    values, units, quantity = signal.axis(dim)
    kinds = {"step": "POINT_CLOUD", "image_channel": "TEMPORAL"}
    kind = kinds.get(dim, "SPECTRAL" if signal.is_of_steps else "SPATIAL")
    # sidpy makes an attribute of the dimension, which must not hide one of its own.
    name = f"signal_{dim}" if hasattr(sidpy.Dataset, dim) else dim
    made = sidpy.Dimension(values, name, quantity=quantity, units=units or "generic", dimension_type=kind)
    dataset.set_dimension(index, made)
