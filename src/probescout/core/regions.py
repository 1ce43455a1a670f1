"""Where a probe may go: polygons, masks, borders."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from probescout.core.specs import Limits, Polygon

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def inside(polygon: Polygon, positions: FloatArray) -> BoolArray:
    """Return (n,) whether each fractional position (n, 2) (y, x) lies in the polygon, by the even-odd rule."""
    y, x = positions[:, 0], positions[:, 1]
    result = np.zeros(len(positions), dtype=bool)
    corners = list(zip(polygon.y, polygon.x, strict=True))
    for (y0, x0), (y1, x1) in zip(corners, corners[1:] + corners[:1], strict=True):
        if y0 == y1:
            continue
        crosses = (y0 > y) != (y1 > y)
        result ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return result


def allowed(limits: Limits, mask: BoolArray | None, positions: FloatArray) -> BoolArray:
    """Return (n,) whether each fractional position (n, 2) may be probed.

    A position must be finite, inside the frame less its border, inside one of the allowed polygons (when there are
    any), outside all forbidden ones, and on a true pixel of the mask (y, x).
    """
    edge = limits.border
    with np.errstate(invalid="ignore"):
        ok = np.all(np.isfinite(positions) & (positions >= edge) & (positions <= 1.0 - edge), axis=1)
    safe = np.where(ok[:, None], positions, 0.0)
    if limits.allowed:
        ok &= _any_inside(limits.allowed, safe)
    if limits.forbidden:
        ok &= ~_any_inside(limits.forbidden, safe)
    if mask is not None:
        height, width = mask.shape
        rows = np.clip((safe[:, 0] * height).astype(np.intp), 0, height - 1)
        cols = np.clip((safe[:, 1] * width).astype(np.intp), 0, width - 1)
        ok &= mask[rows, cols]
    return np.asarray(ok, dtype=bool)


def is_allowed(limits: Limits, mask: BoolArray | None, y: float, x: float) -> bool:
    """Return whether one fractional position may be probed, by the same rule as `allowed`."""
    return bool(allowed(limits, mask, np.array([[y, x]]))[0])


def _any_inside(polygons: Sequence[Polygon], positions: FloatArray) -> BoolArray:
    result = np.zeros(len(positions), dtype=bool)
    for polygon in polygons:
        result |= inside(polygon, positions)
    return result
