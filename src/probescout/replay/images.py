"""The structural image of a recording: registered, found in the same file, or derived from the cube."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, Reason
from probescout.replay.readers import Signal, read_signals
from probescout.replay.readers.signal import pick


@dataclass(frozen=True)
class Image:
    """The structural image of a recording and where it comes from."""

    values: NDArray[Any]
    """(y, x) or (channel, y, x)."""
    name: str
    unit: str
    source: Mapping[str, str]
    """Attributes of the recording that say so."""


def registered_image(where: str, frame: tuple[int, int]) -> Image:
    """Return the image that `where`, FILE or FILE:SIGNAL, names; it must have the pixels of the frame (y, x).

    Raises:
        InvalidInput: FILE_UNREADABLE, FIELD_MISSING, or SHAPE_MISMATCH when it lies on other pixels.
        MissingExtra: When the package that reads the file is not installed.
    """
    path, wanted = _file_and_signal(where)
    signals = read_signals(path)
    if wanted is not None:
        chosen = pick(signals, wanted, path, field="image")
    else:
        chosen = next((s for s in signals if s.is_map and s.frame_shape == frame), signals[0])
    if not chosen.is_map or chosen.frame_shape != frame:
        raise InvalidInput(
            Reason.SHAPE_MISMATCH,
            f"image '{chosen.name}' of {path} has {chosen.shape_text}, and the signal lies on a frame of {frame} "
            "(y, x); both must have the same pixels: choose another image, or crop and resample it",
            field="image",
        )
    return _image_of(chosen, path)


def _file_and_signal(where: str) -> tuple[Path, str | None]:
    if Path(where).exists():
        return Path(where), None
    # Names of signals and of files may both hold colons: the first cut that leaves a file is meant.
    for i, letter in enumerate(where):
        if letter == ":" and Path(where[:i]).is_file():
            return Path(where[:i]), where[i + 1 :]
    raise InvalidInput(Reason.FILE_UNREADABLE, f"no such image file: {where}; give FILE or FILE:SIGNAL", field="image")


def _image_of(signal: Signal, path: Path) -> Image:
    values = signal.read()
    return Image(values, signal.name, signal.unit, {"image_file": path.name, "image_signal": signal.name})


def default_image(signals: Sequence[Signal], cube: NDArray[Any], main: Signal, path: Path) -> Image:
    """Return the first map of the file on the same pixels that varies, else the sum of the cube (y, x, ...)."""
    for signal in signals:
        if signal.is_map and signal.frame_shape == main.frame_shape:
            values = signal.read()
            known = values[np.isfinite(values)]
            if known.size and known.min() < known.max():
                return _image_of(signal, path)
    return derived_image(cube, main, "sum")


def derived_image(cube: NDArray[Any], signal: Signal, rule: str) -> Image:
    """Return an image (y, x) made of the cube (y, x, ...); NaN where nothing was recorded or nothing is finite.

    Raises:
        InvalidInput: FIELD_INVALID for an unknown rule or a channel that is not there.
    """
    if rule in ("std", "sum"):
        values = _reduced(cube, rule)
    elif rule.startswith("channel:"):
        values = _channel(cube, signal, rule.removeprefix("channel:")).astype(np.float64)
    else:
        raise InvalidInput(
            Reason.FIELD_INVALID, f"--image-from is '{rule}'; allowed: channel:N, std, sum", field="image_from"
        )
    if signal.recorded is not None:
        values = np.where(signal.recorded, values, np.nan)
    return Image(values, f"{rule} of {signal.name}", signal.unit, {"image_derived_from": f"{rule} of the spectrum"})


def _channel(cube: NDArray[Any], signal: Signal, text: str) -> NDArray[Any]:
    n = cube.shape[-1]
    try:
        index = int(text)
    except ValueError:
        index = n
    if cube.ndim != 3 or not -n <= index < n:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"--image-from channel:{text} does not fit signal '{signal.name}' with dimensions {signal.signal_dims} "
            f"{cube.shape[2:]}; give a whole number from 0 to {n - 1} for a signal with one dimension, else std or sum",
            field="image_from",
        )
    picked: NDArray[Any] = cube[..., index]
    return picked


def _reduced(cube: NDArray[Any], rule: str) -> NDArray[np.float64]:
    """Return the sum or standard deviation (y, x) over the finite elements of each pixel."""
    result = np.full(cube.shape[:2], np.nan)
    for row, values in _rows(cube):
        is_finite = np.isfinite(values)
        n = is_finite.sum(axis=-1)
        total = np.where(is_finite, values, 0.0).sum(axis=-1)
        mean = total / np.maximum(n, 1)
        square = np.where(is_finite, (values - mean[:, None]) ** 2, 0.0).sum(axis=-1)
        value = total if rule == "sum" else np.sqrt(square / np.maximum(n, 1))
        result[row] = np.where(n > 0, value, np.nan)
    return result


def _rows(cube: NDArray[Any]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yield each row (x, element) in double precision: a whole cube of bytes would grow eightfold."""
    for row in range(cube.shape[0]):
        yield row, cube[row].reshape(cube.shape[1], -1).astype(np.float64)
