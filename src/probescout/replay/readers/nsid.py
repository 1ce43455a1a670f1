"""NSID files of the pycroscopy family: HDF5 with named dimension scales, read with h5py alone.

Layout: pyNSID, "NSID data format" (pycroscopy.github.io/pyNSID/nsid.html).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from probescout.core.errors import InvalidInput, Reason
from probescout.core.spectra import Axis, ValueKind
from probescout.replay.readers.signal import Signal


class Hdf5Array:
    """A dataset of an HDF5 file, which is open only while a part is read."""

    def __init__(self, path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Remember where the dataset is.

        Args:
            path: The file.
            name: Full name of the dataset in it.
            shape: Length of each dimension.
            dtype: Type of an element.
        """
        self._path = path
        self._name = name
        self.shape = shape
        self.dtype = dtype

    def __getitem__(self, key: Any) -> Any:
        """Read a part."""
        with h5py.File(self._path, "r") as file:
            return file[self._name][key]


def is_nsid(path: Path) -> bool:
    """Return whether an HDF5 file holds a main dataset of NSID."""
    with h5py.File(path, "r") as file:
        return bool(_main_datasets(file))


def read(path: Path) -> list[Signal]:
    """Return the main datasets of the file.

    Dimensions called X and Y of type SPATIAL become x and y, in whichever order the file has them.

    Raises:
        InvalidInput: FILE_UNREADABLE when the file is damaged.
    """
    try:
        with h5py.File(path, "r") as file:
            return [_signal(path, dataset) for dataset in _main_datasets(file)]
    except (OSError, KeyError, ValueError) as error:
        raise InvalidInput(
            Reason.FILE_UNREADABLE, f"{path} is a damaged NSID file ({error}); copy it again", field="path"
        ) from error


def _main_datasets(file: h5py.File) -> list[h5py.Dataset]:
    found: list[h5py.Dataset] = []

    def visit(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and "main_data_name" in item.attrs and "DIMENSION_LIST" in item.attrs:
            if item.dtype.kind in "biuf":
                found.append(item)

    file.visititems(visit)
    return found


def _signal(path: Path, dataset: h5py.Dataset) -> Signal:
    scales = [dataset.dims[i][0] for i in range(dataset.ndim)]
    labels = [str(label) for label in dataset.attrs.get("DIMENSION_LABELS", [""] * dataset.ndim)]
    dims = _dim_names(labels, [_attr(s, "dimension_type") for s in scales])
    axes = tuple(
        Axis(
            dim, np.asarray(scale[...], dtype=np.float64), _attr(scale, "quantity"), _plain_unit(_attr(scale, "units"))
        )
        for dim, scale in zip(dims, scales, strict=True)
        if scale.dtype.kind in "biuf" and scale.shape == (dataset.shape[dims.index(dim)],)
    )
    keys = ("quantity", "modality", "source", "data_type", "timestamp", "sidpy_version", "pyNSID_version")
    metadata = {key: _attr(dataset, key) for key in keys if _attr(dataset, key) not in ("", "generic")}
    lazy = Hdf5Array(path, dataset.name, dataset.shape, dataset.dtype)
    kind = ValueKind.CONTINUOUS if dataset.dtype.kind == "f" else ValueKind.UNKNOWN
    name = dataset.name.strip("/").split("/")[-1]
    if name == "generic":
        name = _attr(dataset, "quantity") or name
    return Signal(name, dims, lazy, axes, _plain_unit(_attr(dataset, "units")), kind, None, metadata)


def _dim_names(labels: list[str], types: list[str]) -> tuple[str, ...]:
    """Return our names of the dimensions: x, y, and "channel" for the one that is left, or its own name."""
    spatial = [i for i, (label, t) in enumerate(zip(labels, types, strict=True)) if label.lower() in ("x", "y")
               and t.upper() in ("SPATIAL", "")]  # fmt: skip
    names = [label.lower() if i in spatial else (re.sub(r"\W+", "_", label).strip("_") or f"dim{i}")
             for i, label in enumerate(labels)]  # fmt: skip
    others = [i for i in range(len(labels)) if i not in spatial]
    if len(others) == 1:
        names[others[0]] = "channel"
    return tuple(names) if len(set(names)) == len(names) else tuple(f"dim{i}" for i in range(len(labels)))


def _attr(item: h5py.Dataset, key: str) -> str:
    value = item.attrs.get(key, "")
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _plain_unit(unit: str) -> str:
    """Return a unit without TeX marks: "$(V/m)^{0.5}$" is "(V/m)^0.5"."""
    return re.sub(r"[${}]", "", unit).strip()
