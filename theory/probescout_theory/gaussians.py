"""Least-squares fit of many Gaussian spots of one width on a slow background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

SWEEPS = 6
GROUND_PERIOD = 8.0
"""The background holds cosines down to half periods of this many nearest distances: too slow for the light of spots."""
FIT_REACH = 0.55
"""Radius of the fitted disc around a spot, in nearest distances."""
SHADOW = 0.6
"""A spot nearer to a brighter one than this many nearest distances is the same atom found twice."""
TAIL = 3.5
"""Spots are drawn out to this many widths."""


@dataclass(frozen=True)
class Spots:
    """Fitted spots."""

    positions: FloatArray
    """(spot, yx), pixel."""
    heights: FloatArray
    """(spot,) above the background, unit of the image."""
    height_sd: FloatArray
    """(spot,) standard deviation of `heights`, from the residuals."""
    position_sd: FloatArray
    """(spot,) standard deviation of one coordinate, pixel."""
    is_valid: NDArray[np.bool_]
    """(spot,) false for spots that ran away from their start or into a brighter one."""
    width: float
    """Standard deviation of the Gaussian, pixel."""
    rest: FloatArray
    """(y, x) image less background and spots."""


def fit_spots(image: FloatArray, start: FloatArray, width: float, near: float) -> Spots:
    """Fit height and position of every spot, and one width.

    Sweeps of two steps. First all heights, the width and the background are solved together, as one linear problem:
    fitted one by one, heights and background trade against each other, and a noisy image loses a tenth of its atoms.
    Then each spot moves by a Gauss-Newton step of its own inside a disc, all other light taken away.

    Args:
        image: (y, x), any unit.
        start: (spot, yx), pixel; at least one.
        width: First guess of the standard deviation, pixel.
        near: Nearest distance of the lattice, pixel.
    """
    where, n = start.copy(), len(start)
    disc = _disc(FIT_REACH * near)
    slow = _cosines(image.shape, GROUND_PERIOD * near)
    alive = np.ones(n, dtype=bool)
    heights, height_var, cover = np.zeros(n), np.zeros(n), np.zeros((n, 3, 3))
    for _ in range(SWEEPS):
        tail = _disc(TAIL * width)
        heights, height_var, stretch, ground = _heights(image, where, heights, width, tail, alive, slow)
        width = float(np.clip(width * np.exp(np.clip(stretch, -0.2, 0.2)), 0.12 * near, 0.5 * near))
        rest = image - ground - (_bells(image.shape, where, width, tail) @ heights).reshape(image.shape)
        design, data, weight = _local(rest, where, heights, width, disc)
        step, cover = _solve(design, data, weight)
        # The design holds derivatives for a height of one: a shift is its coefficient over the height.
        shift = step[:, 1:] / np.maximum(step[:, :1], 1e-12)
        size = np.linalg.norm(shift, axis=1, keepdims=True)
        # A step longer than the spot is wide leaves the range in which the linear model holds.
        where = where + shift * np.minimum(1.0, 0.5 * width / np.maximum(size, 1e-12)) * (heights > 0)[:, None]
        alive &= (heights > 0) & (np.linalg.norm(where - start, axis=1) < 0.6 * near)
        alive &= ~_shadowed(where, heights, alive, SHADOW * near)
    moved = np.sqrt(np.maximum(0.5 * (cover[:, 1, 1] + cover[:, 2, 2]), 0.0))
    position_sd = moved / np.maximum(np.abs(heights), 1e-12)
    return Spots(where, heights, np.sqrt(height_var), position_sd, alive, width, rest)


def _disc(radius: float) -> IntArray:
    """Return (pixel, yx) whole offsets inside a radius."""
    reach = int(np.ceil(radius))
    grid = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    return np.asarray(grid[np.hypot(*grid.T) <= radius], dtype=np.int64)


def _cosines(shape: tuple[int, ...], period: float) -> FloatArray:
    """Return slow products of cosines (pixel, term), the first one constant."""
    axes = [np.cos(np.pi * np.outer((np.arange(n) + 0.5) / n, np.arange(1 + int(n / period)))) for n in shape]
    return np.asarray(np.einsum("yi,xj->yxij", *axes).reshape(shape[0] * shape[1], -1))


def _windows(
    shape: tuple[int, ...], where: FloatArray, offsets: IntArray
) -> tuple[IntArray, IntArray, NDArray[np.bool_], FloatArray]:
    """Return rows, columns and whether inside (spot, pixel), and offsets from the spot (spot, pixel, yx), pixel."""
    pixels = np.rint(where).astype(np.int64)[:, None, :] + offsets[None]
    rows, cols = pixels[..., 0], pixels[..., 1]
    inside = (rows >= 0) & (cols >= 0) & (rows < shape[0]) & (cols < shape[1])
    rows, cols = np.clip(rows, 0, shape[0] - 1), np.clip(cols, 0, shape[1] - 1)
    return rows, cols, inside, pixels - where[:, None, :]


def _bells(shape: tuple[int, ...], where: FloatArray, width: float, offsets: IntArray, power: int = 0) -> Any:
    """Return a sparse matrix (pixel of the image, spot): the bell, times (distance / width)^power."""
    rows, cols, inside, away = _windows(shape, where, offsets)
    square = (away**2).sum(axis=2) / width**2
    bell = np.exp(-0.5 * square) * square ** (power / 2) * inside
    spot = np.broadcast_to(np.arange(len(where))[:, None], rows.shape)
    flat = (rows * shape[1] + cols).ravel()
    return csr_matrix((bell.ravel(), (flat, spot.ravel())), shape=(shape[0] * shape[1], len(where)))


def _heights(
    image: FloatArray,
    where: FloatArray,
    heights: FloatArray,
    width: float,
    offsets: IntArray,
    alive: NDArray[np.bool_],
    slow: FloatArray,
) -> tuple[FloatArray, FloatArray, float, FloatArray]:
    """Return heights and their variances (spot,), the stretch of the width (logarithm), the background (y, x)."""
    bells = _bells(image.shape, where, width, offsets)[:, alive]
    spread = _bells(image.shape, where, width, offsets, power=2)[:, alive] @ heights[alive]
    n, others = bells.shape[1], np.column_stack([spread, slow])
    cross = bells.T @ others
    normal = np.block([[(bells.T @ bells).toarray(), cross], [cross.T, others.T @ others]])
    # Heights of zero, as before the first sweep, leave the column of the width empty: the ridge keeps it at rest.
    normal += np.diag(1e-9 * np.diag(normal) + 1e-9)
    inverse = np.linalg.inv(normal)
    flat = image.ravel()
    solved = inverse @ np.concatenate([bells.T @ flat, others.T @ flat])
    ground = slow @ solved[n + 1 :]
    misfit = flat - ground - bells @ solved[:n] - spread * solved[n]
    # Pixel noise near the spot, because counting noise is larger on bright spots than between them.
    weight = np.maximum(np.asarray(bells.sum(axis=0)).ravel(), 1e-12)
    local = (bells.T @ misfit**2) / weight
    found, variance = np.zeros(len(where)), np.zeros(len(where))
    found[alive] = solved[:n]
    variance[alive] = np.diag(inverse)[:n] * local
    return found, variance, float(solved[n]), ground.reshape(image.shape)


def _local(
    rest: FloatArray, where: FloatArray, heights: FloatArray, width: float, offsets: IntArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return design (spot, pixel, 3), data (spot, pixel) with the spot's own light put back, weight (spot, pixel)."""
    rows, cols, inside, away = _windows(rest.shape, where, offsets)
    bell = np.exp(-(away**2).sum(axis=2) / (2.0 * width**2))
    slope = away * (bell / width**2)[..., None]
    design = np.stack([bell, slope[..., 0], slope[..., 1]], axis=2)
    return design, rest[rows, cols] + heights[:, None] * bell, inside.astype(np.float64)


def _solve(design: FloatArray, data: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return coefficients (spot, k) of the weighted least squares and their covariance (spot, k, k)."""
    k = design.shape[2]
    normal = np.einsum("sp,spi,spj->sij", weight, design, design)
    # A spot of which the border leaves too few pixels has a singular problem: the ridge keeps its step finite.
    ridge = 1e-9 * np.trace(normal, axis1=1, axis2=2)[:, None, None] / k + 1e-300
    inverse = np.linalg.inv(normal + ridge * np.eye(k))
    solved = np.einsum("sij,sj->si", inverse, np.einsum("sp,spi,sp->si", weight, design, data))
    misfit = weight * (data - np.einsum("spi,si->sp", design, solved)) ** 2
    variance = misfit.sum(axis=1) / np.maximum(weight.sum(axis=1) - k, 1.0)
    return solved, inverse * variance[:, None, None]


def _shadowed(where: FloatArray, heights: FloatArray, alive: NDArray[np.bool_], radius: float) -> NDArray[np.bool_]:
    """Return (spot,) whether a brighter living spot lies within a radius."""
    shadowed = np.zeros(len(where), dtype=bool)
    for i, j in cKDTree(where).query_pairs(radius):
        if alive[i] and alive[j]:
            shadowed[i if heights[i] < heights[j] else j] = True
    return shadowed
