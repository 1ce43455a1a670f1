"""The neutral replay format: one xarray Dataset in NetCDF or Zarr.

Variables: `image` (y, x) or (image_channel, y, x); `spectrum` (y, x, channel) or with more dimensions after y and x;
`mask` (y, x); every other (y, x) variable is a scalar map. Coordinates y and x are in metres (another unit of length in
their `units` is converted). A file by another program needs only the names of variables and dimensions.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, MissingExtra, Reason
from probescout.core.spectra import Axis, ValueKind
from probescout.core.units import metres_per
from probescout.replay.recording import Recording

if TYPE_CHECKING:
    import xarray as xr

IMAGE_CHANNEL = "image_channel"
FORMAT = "probescout recording 1"
CHUNK_BYTES = 1 << 20
"""About one chunk of the cube: fits the default chunk cache of HDF5, so that neighbouring pixels are read once."""


class CubeOnDisk:
    """An array of an open Dataset, read in parts."""

    def __init__(self, variable: xr.Variable) -> None:
        """Wrap a lazily indexed variable."""
        self._variable = variable

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each dimension."""
        return tuple(int(n) for n in self._variable.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of an element."""
        dtype: np.dtype[Any] = np.dtype(self._variable.dtype)
        return dtype

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Read a part."""
        return np.asarray(self._variable[key].values)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Read all of it."""
        return np.asarray(self._variable[...].values, dtype=dtype)


def load_recording(path: Path) -> Recording:
    """Open a recording; see `Recording.load`.

    Raises:
        InvalidInput: FILE_UNREADABLE, FIELD_MISSING, SHAPE_MISMATCH or DTYPE_MISMATCH.
        MissingExtra: For a Zarr store where zarr is not installed.
    """
    dataset = _open(path)
    if "image" not in dataset.variables:
        names = ", ".join(str(n) for n in dataset.data_vars) or "none"
        raise InvalidInput(
            Reason.FIELD_MISSING,
            f"{path} has no variable 'image' (y, x); it has: {names}. Rename yours, or make the file with "
            "`probescout convert`",
            field="image",
        )
    image = _ordered(dataset, "image", path)
    spectrum = _ordered(dataset, "spectrum", path) if "spectrum" in dataset.variables else None
    dims = () if spectrum is None else tuple(str(d) for d in spectrum.dims[2:])
    maps = {
        str(name): _ordered(dataset, str(name), path)
        for name, v in dataset.data_vars.items()
        if name not in ("image", "spectrum", "mask") and set(v.dims) == {"y", "x"}
    }
    mask = _ordered(dataset, "mask", path) if "mask" in dataset.variables else None
    return Recording(
        image=np.asarray(image.values),
        spectrum=None if spectrum is None else CubeOnDisk(spectrum.variable),
        spectrum_dims=dims,
        axes=tuple(_axis(dataset, d) for d in dims if d in dataset.coords and dataset[d].dtype.kind in "biuf"),
        targets={name: np.asarray(v.values, dtype=np.float64) for name, v in maps.items()},
        mask=None if mask is None else np.nan_to_num(np.asarray(mask.values, dtype=np.float64)) != 0.0,
        y_m=_metres(dataset, "y"),
        x_m=_metres(dataset, "x"),
        image_unit=_text(image.attrs, "units"),
        image_name=_text(image.attrs, "long_name"),
        spectrum_unit="" if spectrum is None else _text(spectrum.attrs, "units"),
        spectrum_kind=ValueKind.UNKNOWN if spectrum is None else _kind(spectrum.attrs, path),
        target_units={name: _text(v.attrs, "units") for name, v in maps.items()},
        attrs={str(k): _plain(v) for k, v in dataset.attrs.items() if k != "format"},
    )


def _open(path: Path) -> xr.Dataset:
    import xarray as xr

    if not path.exists():
        raise InvalidInput(Reason.FILE_UNREADABLE, f"{path} does not exist; check the name", field="path")
    # Time decoding would turn a target in "s" into timedelta64.
    plain: dict[str, Any] = {"decode_times": False, "decode_timedelta": False}
    try:
        if path.is_dir():
            require_zarr(path)
            store: xr.Dataset = xr.open_zarr(path, consolidated=False, chunks=None, **plain)
            return store
        with path.open("rb") as file:
            is_classic = file.read(3) == b"CDF"
        dataset: xr.Dataset = xr.open_dataset(path, engine="scipy" if is_classic else "h5netcdf", **plain)
        return dataset
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            Reason.FILE_UNREADABLE,
            f"{path} is not a NetCDF file or Zarr store that can be opened ({error}); if it is an instrument's own "
            "file, convert it first: `probescout convert FILE OUT.nc`",
            field="path",
        ) from error


def require_zarr(path: Path) -> None:
    """Check that Zarr stores can be read and written here.

    Raises:
        MissingExtra: MISSING_EXTRA with the install line.
    """
    try:
        import zarr  # noqa: F401
    except ImportError as error:
        raise MissingExtra(
            Reason.MISSING_EXTRA,
            f'{path} is a Zarr store and zarr is not installed; run: pip install "probescout[readers]"',
            field="path",
        ) from error


def _ordered(dataset: xr.Dataset, name: str, path: Path) -> xr.DataArray:
    """Return a variable with its dimensions in the order of the format."""
    variable = dataset[name]
    dims = tuple(str(d) for d in variable.dims)
    others = tuple(d for d in dims if d not in ("y", "x"))
    wanted = {"image": (0, 1), "mask": (0,), "spectrum": (1, 2, 3, 4)}.get(name, (0,))
    if not {"y", "x"} <= set(dims) or len(others) not in wanted:
        allowed = {"image": "(y, x) or (image_channel, y, x)", "spectrum": "(y, x, channel)"}.get(name, "(y, x)")
        raise InvalidInput(
            Reason.SHAPE_MISMATCH,
            f"'{name}' in {path} has dimensions {dims}; it must have {allowed}: rename its dimensions",
            field=name,
        )
    return variable.transpose(*((*others, "y", "x") if name == "image" else ("y", "x", *others)))


def _axis(dataset: xr.Dataset, dim: str) -> Axis:
    coordinate = dataset[dim]
    quantity = _text(coordinate.attrs, "quantity") or _text(coordinate.attrs, "long_name")
    return Axis(dim, np.asarray(coordinate.values, dtype=np.float64), quantity, _text(coordinate.attrs, "units"))


def _metres(dataset: xr.Dataset, dim: str) -> NDArray[np.float64] | None:
    """Return the coordinate (n,) in metres; None when it is missing, a bare index, or in no unit of length."""
    if dim not in dataset.coords or dataset[dim].dtype.kind not in "iuf":
        return None
    values = np.asarray(dataset[dim].values, dtype=np.float64)
    unit = _text(dataset[dim].attrs, "units")
    if not unit:
        # A program that writes pixel numbers as coordinates does not mean pixels of one metre.
        is_index = bool(np.allclose(np.diff(values), 1.0))
        return None if is_index else values
    scale = metres_per(unit)
    return None if scale is None else values * scale


def _kind(attrs: Mapping[Any, Any], path: Path) -> ValueKind:
    text = _text(attrs, "value_kind").lower() or ValueKind.UNKNOWN.value
    try:
        return ValueKind(text)
    except ValueError as error:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"'spectrum' in {path} has value_kind '{text}'; allowed: {', '.join(ValueKind)}",
            field="spectrum.value_kind",
        ) from error


def _text(attrs: Mapping[Any, Any], key: str) -> str:
    value = attrs.get(key, "")
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    return value.tolist() if isinstance(value, np.ndarray) else value


def save_recording(recording: Recording, path: Path) -> None:
    """Write a recording; see `Recording.save`. The file appears under its name only once it is complete.

    Raises:
        InvalidInput: FILE_UNREADABLE when it cannot be written.
        MissingExtra: For a Zarr store where zarr is not installed.
    """
    dataset = to_dataset(recording)
    is_zarr = path.suffix.lower() == ".zarr"
    if is_zarr:
        require_zarr(path)
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(part)
        if is_zarr:
            # Zarr compresses without being told.
            encoding = {str(n): {"chunks": _chunks(v)} for n, v in dataset.variables.items() if v.ndim > 1}
            dataset.to_zarr(part, mode="w", consolidated=False, encoding=encoding)
        else:
            encoding = {str(n): _netcdf_encoding(v) for n, v in dataset.variables.items()}
            dataset.to_netcdf(part, engine="h5netcdf", encoding=encoding)
        _remove(path)
        part.replace(path)
    except OSError as error:
        raise InvalidInput(
            Reason.FILE_UNREADABLE, f"{path} cannot be written ({error}); choose another place", field="out"
        ) from error


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def to_dataset(recording: Recording) -> xr.Dataset:
    """Return the recording as a Dataset of the neutral format."""
    import xarray as xr

    image_dims = ("y", "x") if recording.image.ndim == 2 else (IMAGE_CHANNEL, "y", "x")
    image_attrs = {"units": recording.image_unit, "long_name": recording.image_name}
    variables: dict[str, Any] = {"image": (image_dims, recording.image, image_attrs)}
    if recording.spectrum is not None:
        attrs = {"units": recording.spectrum_unit, "value_kind": recording.spectrum_kind.value}
        dims = ("y", "x", *recording.spectrum_dims)
        variables["spectrum"] = (dims, np.asarray(recording.spectrum[...]), attrs)
    for name, values in recording.targets.items():
        variables[name] = (("y", "x"), values, {"units": recording.target_units.get(name, "")})
    if recording.mask is not None:
        variables["mask"] = (("y", "x"), recording.mask, {"long_name": "true where something was recorded"})
    coordinates: dict[str, Any] = {}
    for dim, metres in (("y", recording.y_m), ("x", recording.x_m)):
        if metres is not None:
            coordinates[dim] = ((dim,), metres, {"units": "m"})
    for axis in recording.axes:
        coordinates[axis.dim] = ((axis.dim,), axis.values, {"units": axis.unit, "quantity": axis.quantity})
    about = {str(k): _netcdf_safe(v) for k, v in recording.attrs.items() if v is not None}
    return xr.Dataset(variables, coordinates, {**about, "format": FORMAT})


def _netcdf_safe(value: Any) -> str | int | float | list[int] | list[float]:
    """Return an attribute that NetCDF can hold; anything else becomes JSON text."""
    value = _plain(value)
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple) and value and all(type(v) in (int, float) for v in value):
        return list(value)
    return json.dumps(value, default=_json_leaf)


def _json_leaf(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    plain = _plain(value)
    return plain if isinstance(plain, str | int | float | list) else str(value)


def _chunks(variable: xr.Variable) -> tuple[int, ...]:
    """Return chunk lengths: whole signals of a square of neighbouring pixels."""
    is_cube = variable.dims[:2] == ("y", "x")
    further = variable.shape[2:] if is_cube else variable.shape[:-2]
    pixel_bytes = max(1, int(np.prod(further, dtype=np.int64)) * variable.dtype.itemsize)
    edge = max(1, int(np.sqrt(CHUNK_BYTES / pixel_bytes)))
    frame = tuple(min(n, edge) for n in (variable.shape[:2] if is_cube else variable.shape[-2:]))
    return (*frame, *further) if is_cube else (*further, *frame)


def _netcdf_encoding(variable: xr.Variable) -> dict[str, Any]:
    options: dict[str, Any] = {"_FillValue": None} if variable.dtype.kind == "f" else {}
    if variable.ndim > 1:
        options |= {"zlib": True, "complevel": 4, "chunksizes": _chunks(variable)}
    return options
