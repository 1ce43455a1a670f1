"""Made-up properties of an image's local structure, on which a network can learn before anything was measured.

Each is a map over the pixels: a filter response, its local energy, the likeness to some place of the image, the
distance to a boundary. Real targets are none of these, but depend on the same kinds of things.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Float32 = NDArray[np.float32]
FloatArray = NDArray[np.float64]

SIGMAS = (0.7, 1.5, 3.0, 5.0)
LIKENESS_RADII = (1.0, 2.0, 3.0, 4.5)
LIMIT = 6.0
"""Maps are clipped here, in SD."""
MOST_TRIES = 20
"""Draws per map: on an image without structure most come out constant."""


def draw_properties(image: Float32, n: int, rng: np.random.Generator) -> Float32:
    """Return standardised maps (map, y * x); fewer than n, or none, when the image has no structure.

    Args:
        image: (channel, y, x) standardised.
        n: Number of maps.
        rng: Source of the draw.
    """
    maps: list[FloatArray] = []
    for _ in range(MOST_TRIES * n):
        if len(maps) == n:
            break
        kind = rng.random()
        found = _plain(image, rng) if kind < 0.75 else _mixed(image, rng)
        standard = _standard(found)
        if standard is not None:
            maps.append(standard)
    if not maps:
        return np.empty((0, image[0].size), dtype=np.float32)
    return np.stack(maps).reshape(len(maps), -1).astype(np.float32)


def _plain(image: Float32, rng: np.random.Generator) -> FloatArray:
    kind = rng.integers(4)
    if kind == 0:
        return _response(image, rng)
    if kind == 1:
        response = _response(image, rng)
        energy: FloatArray = ndimage.gaussian_filter(np.abs(response), rng.choice(SIGMAS))
        return energy
    if kind == 2:
        return _likeness(image, rng)
    return _boundary(image, rng)


def _mixed(image: Float32, rng: np.random.Generator) -> FloatArray:
    """Return a product or a switch of two properties: targets are seldom linear in what is seen."""
    one, other = _standard(_plain(image, rng)), _standard(_plain(image, rng))
    if one is None or other is None:
        return np.zeros(image.shape[1:])
    if rng.random() < 0.5:
        return one * other
    gate = rng.uniform(1.0, 4.0) * (other - np.quantile(other, rng.random()))
    return one / (1.0 + np.exp(-np.clip(gate, -30.0, 30.0)))


def _response(image: Float32, rng: np.random.Generator) -> FloatArray:
    """Return a smoothed channel, a directed derivative, or a Laplacian, at a random scale."""
    channel = image[rng.integers(len(image))].astype(np.float64)
    sigma, kind = float(rng.choice(SIGMAS)), rng.integers(3)
    found: FloatArray
    if kind == 0:
        found = ndimage.gaussian_filter(channel, sigma)
    elif kind == 1:
        angle = rng.uniform(0.0, np.pi)
        down = ndimage.gaussian_filter(channel, sigma, order=(1, 0))
        found = np.cos(angle) * down + np.sin(angle) * ndimage.gaussian_filter(channel, sigma, order=(0, 1))
    else:
        found = ndimage.gaussian_laplace(channel, sigma)
    return found


def _likeness(image: Float32, rng: np.random.Generator) -> FloatArray:
    """Return how much the surroundings of each pixel are like those of one that was drawn."""
    radius = float(rng.choice(LIKENESS_RADII))
    reach = int(np.ceil(2.0 * radius))
    _, height, width = image.shape
    y, x = int(rng.integers(height)), int(rng.integers(width))
    axis = np.arange(-reach, reach + 1)
    bell = np.exp(-0.5 * (axis / radius) ** 2)
    distance = np.zeros((height, width))
    weight = np.outer(bell, bell) / bell.sum() ** 2
    for channel in image.astype(np.float64):
        padded = np.pad(channel, reach, mode="reflect")
        template = padded[y : y + 2 * reach + 1, x : x + 2 * reach + 1]
        # |a - b|^2 written out: the square is separable, and only the cross term needs the full window.
        square = ndimage.correlate1d(ndimage.correlate1d(channel**2, bell, axis=0, mode="mirror"), bell, axis=1)
        cross = ndimage.correlate(channel, weight * template, mode="mirror")
        distance += square / bell.sum() ** 2 - 2.0 * cross + float((weight * template**2).sum())
    distance = np.maximum(distance, 0.0)
    width_of = float(np.quantile(distance, rng.choice((0.03, 0.1, 0.3)))) + 1e-6
    found: FloatArray = np.exp(-distance / (2.0 * width_of))
    return found


def _boundary(image: Float32, rng: np.random.Generator) -> FloatArray:
    """Return a bounded function of the distance to where a response crosses a level."""
    response = _response(image, rng) if rng.random() < 0.6 else _likeness(image, rng)
    inside = response > np.quantile(response, rng.choice((0.1, 0.25, 0.5, 0.75, 0.9)))
    if inside.all() or not inside.any():
        return np.zeros(response.shape)
    signed = ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
    reach = float(rng.choice((1.0, 2.0, 4.0, 8.0)))
    found: FloatArray = np.tanh(signed / reach) if rng.random() < 0.5 else np.exp(-np.abs(signed) / reach)
    return found


def _standard(values: FloatArray) -> FloatArray | None:
    sd = float(values.std())
    if not np.isfinite(sd) or sd < 1e-6:
        return None
    found: FloatArray = np.clip((values - values.mean()) / sd, -LIMIT, LIMIT)
    return found
