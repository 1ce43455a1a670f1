"""Files of electron microscopes, and all else that rosettasciio (GPL-3.0, extra `readers`) reads."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from probescout.core.errors import InvalidInput, Reason
from probescout.core.spectra import Axis, ValueKind
from probescout.replay.readers.signal import Signal, log, missing_readers

_QUANTITIES = {"eV": "energy", "keV": "energy", "1/nm": "scattering vector", "mrad": "scattering angle"}


def read(path: Path) -> list[Signal]:
    """Return the signals of a file; cubes are read lazily where rosettasciio can.

    Raises:
        MissingExtra: When rosettasciio is not installed.
        InvalidInput: FILE_UNREADABLE when no reader takes the file.
    """
    try:
        from rsciio import IO_PLUGINS
    except ImportError as error:
        raise missing_readers(path, "rosettasciio") from error
    suffix = path.suffix.lower().lstrip(".")
    plugins = [p for p in IO_PLUGINS if suffix in [e.lower() for e in p["file_extensions"]]]
    # Several formats share .h5 and .hdf5; the native one of HyperSpy is by far the commonest.
    plugins.sort(key=lambda plugin: plugin["name"] != "HSPY")
    if not plugins:
        raise InvalidInput(
            Reason.FILE_UNREADABLE,
            f"{path}: no reader knows files that end in '.{suffix}'; export it as .hspy, .emd, .dm4, NSID (.h5), .3ds "
            "or .npy",
            field="path",
        )
    failures: list[tuple[str, Exception]] = []
    for plugin in plugins:
        try:
            found = _file_reader(plugin["api"], path)
        except Exception as error:  # a reader of a foreign format may fail in any way; the next one may fit
            failures.append((plugin["name"], error))
            continue
        for name, failure in failures:
            log.info("%s: reader %s did not fit: %r", path, name, failure)
        return [_signal(path, plugin["name"], s) for s in found if np.dtype(s["data"].dtype).kind in "biuf"]
    tried = "; ".join(f"{name}: {failure!r}" for name, failure in failures)
    raise InvalidInput(
        Reason.FILE_UNREADABLE,
        f"{path} could not be read ({tried}); check that the file is whole, or export it in another format",
        field="path",
    ) from failures[-1][1]


def _file_reader(api: str, path: Path) -> list[dict[str, Any]]:
    module = importlib.import_module(api)
    try:
        found: list[dict[str, Any]] = module.file_reader(str(path), lazy=True)
    except (TypeError, NotImplementedError):
        # Some readers have no lazy mode.
        found = module.file_reader(str(path))
    return found


def _signal(path: Path, reader: str, found: dict[str, Any]) -> Signal:
    metadata = found.get("metadata", {})
    general, about = metadata.get("General", {}), metadata.get("Signal", {})
    name = str(general.get("title") or path.stem)
    descriptions: list[dict[str, Any]] = list(found["axes"])
    dims = _dim_names(descriptions)
    axes = tuple(_axis(dim, a, n) for dim, a, n in zip(dims, descriptions, found["data"].shape, strict=True))
    kind = _kind(str(about.get("signal_type", "")), np.dtype(found["data"].dtype))
    unit = "counts" if kind is ValueKind.COUNTS else ""
    instrument = metadata.get("Acquisition_instrument", {})
    kept = {"reader": f"rosettasciio {reader}", "quantity": about.get("quantity"), "date": general.get("date")}
    return Signal(
        name, dims, found["data"], axes, unit, kind, None,
        {**{k: v for k, v in kept.items() if v}, **({"instrument": instrument} if instrument else {})},
    )  # fmt: skip


def _kind(signal_type: str, dtype: np.dtype[Any]) -> ValueKind:
    """Return what the values are: whole numbers of X-rays are counts; a camera's numbers need its gain to be."""
    if signal_type.upper().startswith("EDS") and dtype.kind in "ui":
        return ValueKind.COUNTS
    return ValueKind.UNKNOWN


def _dim_names(axes: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return our names: the two navigation dimensions, or those of an image, are y and x; one more is "channel"."""
    is_frame = [bool(a.get("navigate", False)) for a in axes]
    if not any(is_frame) and len(axes) == 2:
        is_frame = [True, True]
    n_frame, n_signal = sum(is_frame), len(axes) - sum(is_frame)
    frame = iter(("y", "x") if n_frame == 2 else [f"position{i}" for i in range(n_frame)])
    signal_names = {1: ("channel",), 2: ("ky", "kx")}.get(n_signal, tuple(f"channel{i}" for i in range(n_signal)))
    signal = iter(signal_names)
    return tuple(next(frame) if f else next(signal) for f in is_frame)


def _axis(dim: str, description: dict[str, Any], n: int) -> Axis:
    if "axis" in description:
        values = np.asarray(description["axis"], dtype=np.float64)
    else:
        offset, scale = float(description.get("offset", 0.0)), float(description.get("scale", 1.0))
        values = np.asarray(offset + scale * np.arange(n), dtype=np.float64)
    unit = description.get("units")
    unit = unit if isinstance(unit, str) and unit != "<undefined>" else ""
    name = description.get("name")
    quantity = _QUANTITIES.get(unit) or (name if isinstance(name, str) else "")
    return Axis(dim, values, quantity.lower(), unit)
