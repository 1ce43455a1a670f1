"""What every result tree of ours has in common: coordinates of pixels, and the program that made it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.events import FrameAdded
from probescout.core.units import metres_per


def software() -> str:
    """Return the name and version of this program."""
    return f"probescout {version('probescout')}"


def frame_coordinates(height: int, width: int, pixel_size_m: float | None, stride: int = 1) -> dict[str, Any]:
    """Return coordinates y (height,) and x (width,) of pixel centres, of every stride-th one.

    They are metres where the pixel size is known, else fractions of the frame.
    """
    scales = (1.0 / height, 1.0 / width) if pixel_size_m is None else (pixel_size_m, pixel_size_m)
    attrs = {"units": "1" if pixel_size_m is None else "m"}
    return {
        dim: ((dim,), (np.arange(stride // 2, n, stride) + 0.5) * scale, attrs)
        for dim, n, scale in zip(("y", "x"), (height, width), scales, strict=True)
    }


def pixel_size_m(frame: FrameAdded) -> float | None:
    """Return the edge of a pixel in metres; None when it is not known."""
    metres = metres_per(frame.pixel_unit)
    return frame.pixel_size * metres if metres is not None and frame.pixel_size > 0 else None


def positions_in_image(positions: NDArray[np.float64], dim: str) -> dict[str, Any]:
    """Return coordinates y and x (dim,) of positions (dim, 2), fractions of the overview image."""
    where = {"units": "1", "comment": "fraction of the overview image, origin top left"}
    return {"y": (dim, positions[:, 0], where), "x": (dim, positions[:, 1], where)}


def finite(value: Any) -> Any:
    """Return the value with null for what JSON cannot hold."""
    if isinstance(value, dict):
        return {key: finite(v) for key, v in value.items()}
    if isinstance(value, list):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def without_nul(text: str) -> str:
    """Return the text with U+FFFD for NUL, which ends a text in HDF5."""
    return text.replace("\0", "\ufffd")


def texts(dim: str, values: Sequence[str], long_name: str) -> tuple[str, Any, dict[str, str], dict[str, Any]]:
    """Return a variable (dim,) of texts as a Dataset takes it."""
    array = np.array([without_nul(v) for v in values], dtype=object)
    # An empty array of objects would be written as numbers.
    return dim, array, {"long_name": long_name}, {"dtype": str}
