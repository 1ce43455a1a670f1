"""Turns instruments' own files into a recording in the neutral format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, Reason
from probescout.core.spectra import Axis
from probescout.core.units import metres_per
from probescout.replay.images import default_image, derived_image, registered_image
from probescout.replay.readers import Signal, read_signals
from probescout.replay.readers.signal import log, pick
from probescout.replay.recording import ArrayOnDisk, Recording

RESERVED = ("image", "spectrum", "mask", "y", "x")
"""Names that a scalar map may not have in the neutral format."""


def convert(
    file: str | Path,
    out: str | Path,
    *,
    signal: str | int | None = None,
    image: str | None = None,
    image_from: str | None = None,
    targets: Sequence[str | int] = (),
    select: Mapping[str, int] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> Recording:
    """Write a recording made of a signal at every pixel and a structural image; return what was written.

    Args:
        file: The instrument's file.
        out: A NetCDF file, or a Zarr store when the name ends in .zarr.
        signal: Name or number of the signal at every pixel; None: the largest one, the first among equals.
        image: FILE or FILE:SIGNAL with the registered image; without SIGNAL the first image of that file.
        image_from: Derives the image from the cube: "channel:N", "std" or "sum" over the signal of a pixel.
        targets: Names or numbers of maps (y, x) of `file` that are kept as scalar maps.
        select: Dimension -> index to keep of it, which makes a loop of a signal with more dimensions.
        attrs: Further attributes, for example the licence.

    Without `image` and `image_from` the first registered map of `file` that varies is the image, else the sum.

    Raises:
        InvalidInput: FILE_UNREADABLE, FIELD_MISSING, FIELD_INVALID, SHAPE_MISMATCH or DTYPE_MISMATCH.
        MissingExtra: When the package that reads a file is not installed.
    """
    if image is not None and image_from is not None:
        raise InvalidInput(
            Reason.FIELD_INVALID, "both --image and --image-from were given; choose one of them", field="image"
        )
    path = Path(file)
    signals = read_signals(path)
    main = _selected(_main_signal(signals, signal, path), select or {})
    cube = main.read()
    if image is not None:
        picture = registered_image(image, main.frame_shape)
    elif image_from is not None:
        picture = derived_image(cube, main, image_from)
    else:
        picture = default_image(signals, cube, main, path)
    maps = {s.name.replace("/", "_"): s for s in (pick(signals, t, path, field="targets") for t in targets)}
    for name, target in maps.items():
        _check_target(name, target, main.frame_shape)
    source = {"source_file": path.name, "source_signal": main.name, **main.metadata, **picture.source}
    recording = Recording(
        image=picture.values,
        spectrum=cube,
        spectrum_dims=main.signal_dims,
        axes=tuple(a for a in main.axes if a.dim in main.signal_dims),
        targets={name: s.read().astype(np.float64) for name, s in maps.items()},
        mask=_mask(cube, main),
        y_m=_metres(main.axis("y")),
        x_m=_metres(main.axis("x")),
        image_unit=picture.unit,
        image_name=picture.name,
        spectrum_unit=main.unit,
        spectrum_kind=main.kind,
        target_units={name: s.unit for name, s in maps.items()},
        attrs=source | dict(attrs or {}),
    )
    recording.save(out)
    return recording


def _main_signal(signals: Sequence[Signal], wanted: str | int | None, path: Path) -> Signal:
    if wanted is not None:
        chosen = pick(signals, wanted, path)
    else:
        chosen = max(signals, key=lambda s: (s.has_frame and not s.is_map, int(np.prod(s.shape, dtype=np.int64))))
        others = [f"{i} '{s.name}'" for i, s in enumerate(signals) if s.shape == chosen.shape and s is not chosen]
        if others and not chosen.is_map:
            log.warning("took signal '%s'; --signal chooses another of its shape: %s", chosen.name, ", ".join(others))
    if not chosen.has_frame or chosen.is_map:
        raise InvalidInput(
            Reason.SHAPE_MISMATCH,
            f"signal '{chosen.name}' of {path} has dimensions {chosen.dims} {chosen.shape}; a signal at every pixel "
            "(y, x, channel) is needed: choose another with --signal, or another file",
            field="signal",
        )
    return chosen


def _selected(signal: Signal, select: Mapping[str, int]) -> Signal:
    """Return the signal with one element kept of each dimension in `select`."""
    if not select:
        return signal
    for dim, index in select.items():
        length = dict(zip(signal.dims, signal.shape, strict=True)).get(dim, 0)
        if dim not in signal.signal_dims or not -length <= index < length:
            shape = ", ".join(f"{d} ({n})" for d, n in zip(signal.dims, signal.shape, strict=True))
            raise InvalidInput(
                Reason.FIELD_INVALID,
                f"cannot keep element {index} of dimension '{dim}' of signal '{signal.name}', which has {shape}; "
                "choose a dimension besides y and x and an index inside it",
                field="select",
            )
    key = tuple(select.get(d, slice(None)) for d in signal.dims)
    dims = tuple(d for d in signal.dims if d not in select)
    axes = tuple(a for a in signal.axes if a.dim in dims)
    if len(dims) == 3:
        last = next(d for d in dims if d not in ("y", "x"))
        axes = tuple(replace(a, dim="channel") if a.dim == last else a for a in axes)
        dims = tuple("channel" if d == last else d for d in dims)
    note = ", ".join(f"{d}={i}" for d, i in select.items())
    data: ArrayOnDisk = signal.data[key]
    return replace(signal, data=data, dims=dims, axes=axes, metadata={**signal.metadata, "selected": note})


def _mask(cube: NDArray[Any], signal: Signal) -> NDArray[np.bool_] | None:
    """Return where a pixel was recorded (y, x); None when all were."""
    recorded = np.ones(cube.shape[:2], dtype=bool) if signal.recorded is None else signal.recorded
    if cube.dtype.kind == "f":
        recorded = recorded & np.isfinite(cube).any(axis=tuple(range(2, cube.ndim)))
    return None if recorded.all() else recorded


def _check_target(name: str, signal: Signal, frame: tuple[int, int]) -> None:
    if not signal.is_map or signal.frame_shape != frame:
        raise InvalidInput(
            Reason.SHAPE_MISMATCH,
            f"target '{name}' has {signal.shape_text}; a map (y, x) of {frame} is needed",
            field="targets",
        )
    if name in RESERVED:
        raise InvalidInput(
            Reason.FIELD_INVALID, f"a scalar map may not be called any of {RESERVED}; choose another", field="targets"
        )


def _metres(axis: Axis | None) -> NDArray[np.float64] | None:
    scale = metres_per(axis.unit) if axis is not None else None
    return None if axis is None or scale is None else axis.values * scale
