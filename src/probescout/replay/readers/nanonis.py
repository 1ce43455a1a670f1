"""Nanonis grid spectroscopy (.3ds), through SciFiReaders.

`SciFiReaders.Nanonis3dsReader` takes the second word of a channel name for its direction, so that "Frequency Shift
[bwd] (Hz)" replaces "Frequency Shift (Hz)" and two of sixteen channels vanish; it also labels pixel numbers "nm". The
parser beneath it keeps the full names, and is what we use.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, Reason
from probescout.core.spectra import Axis, ValueKind
from probescout.replay.readers.signal import Signal, missing_readers

_NAME_AND_UNIT = re.compile(r"^(?P<name>.*?)\s*\((?P<unit>[^()]*)\)$")


def read(path: Path) -> list[Signal]:
    """Return one signal (y, x, channel) per channel and one map (y, x) per parameter that was recorded at each pixel.

    Rows and columns are in the order of recording: Nanonis starts at the lower left, so rows run upwards. Coordinates
    are metres within the grid, from its corner; its centre and angle are in the metadata.

    Raises:
        MissingExtra: When SciFiReaders is not installed.
        InvalidInput: FILE_UNREADABLE when the file is damaged.
    """
    try:
        from SciFiReaders.readers.microscopy.spm.stm.nanonis_base import Grid
    except ImportError as error:
        raise missing_readers(path, "SciFiReaders") from error
    try:
        grid = Grid(str(path))
    except Exception as error:  # the parser raises whatever a damaged header leads it to
        raise InvalidInput(
            Reason.FILE_UNREADABLE,
            f"{path} is not a Nanonis grid that can be read ({error!r}); export it again",
            field="path",
        ) from error
    header, arrays = grid.header, grid.signals
    parameters: NDArray[Any] = arrays["params"]
    metadata = _metadata(header)
    # Pixels that an aborted grid never reached are zero throughout, the coordinates of the probe included.
    recorded = (parameters != 0).any(axis=-1)
    mask = None if recorded.all() else recorded
    width_m, height_m = header["size_xy"]
    y = _coordinate("y", recorded.shape[0], height_m)
    x = _coordinate("x", recorded.shape[1], width_m)
    sweep, sweep_unit = _name_and_unit(header["sweep_signal"])
    sweep_axis = Axis("channel", np.asarray(arrays["sweep_signal"], dtype=np.float64), sweep, sweep_unit)
    signals = []
    for channel in header["channels"]:
        name, unit = _name_and_unit(channel)
        axes = (y, x, sweep_axis)
        signals.append(
            Signal(name, ("y", "x", "channel"), arrays[channel], axes, unit, ValueKind.CONTINUOUS, mask, metadata)
        )
    for column, parameter in enumerate([*header["fixed_parameters"], *header["experimental_parameters"]]):
        name, unit = _name_and_unit(parameter)
        values = np.where(recorded, parameters[..., column], np.nan)
        map_name = f"{name} (map)"
        signals.append(Signal(map_name, ("y", "x"), values, (y, x), unit, ValueKind.CONTINUOUS, mask, metadata))
    return signals


def _name_and_unit(text: str) -> tuple[str, str]:
    match = _NAME_AND_UNIT.match(text.strip())
    return (match["name"], match["unit"]) if match else (text.strip(), "")


def _coordinate(dim: str, n: int, size_m: float) -> Axis:
    """Return the pixel centres; the probe coordinates that the file records agree: steps of size / n."""
    centers: NDArray[np.float64] = (np.arange(n, dtype=np.float64) + 0.5) * (float(size_m) / n)
    return Axis(dim, centers, "position", "m")


def _metadata(header: dict[str, Any]) -> dict[str, Any]:
    kept = ("experiment_name", "start_time", "end_time", "comment")
    return {
        "instrument": "Nanonis",
        "rotation_deg": float(header["angle"]),
        "frame_center_x_m": float(header["pos_xy"][0]),
        "frame_center_y_m": float(header["pos_xy"][1]),
        "row_order": "as recorded: the first row is the lower edge of the grid",
        **{key: header[key] for key in kept if header.get(key)},
    }
