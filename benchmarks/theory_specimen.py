"""The specimen of the theory benchmark: graphene with vacancies and foreign atoms under a beam, its truth known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from probescout_theory.atoms import Atoms, given_atoms
from scipy.spatial import cKDTree

from benchmarks import structure_images as images
from probescout.core.geometry import pixel_centers, window_at

PIXEL = 0.25
"""Edge of a pixel, angstrom; the image is 64 angstrom wide."""
WINDOW = 72
"""Pixels along an edge of a patch: 18 angstrom."""
RADIUS = 5.0
"""Of the flakes, and how far from a candidate a defect may be, angstrom."""
STRIDE = 16
"""Pixels between candidates: 4 angstrom."""
APART = 10.0
"""Between defects at least, angstrom."""
DOPANTS = ("N", "B", "Si")
MOST_SITES = 3
"""Neighbouring sites that a defect takes."""
SILICON_SHARE = 0.15
"""Of the defects: one silicon, which pushes its neighbours out to 1.7 angstrom."""
BOND = 1.42
COUNTS = images.NOISE["medium"] * (PIXEL / images.PIXEL) ** 2
"""At the top of a carbon atom: the dose of the images in which finding was measured."""


@dataclass(frozen=True)
class Specimen:
    """What lies under the beam, and what is seen of it."""

    image: np.ndarray
    """(y, x), counts."""
    columns_px: np.ndarray
    """(column, yx), pixel: true places, also those beyond the image."""
    labels: tuple[str, ...]
    """(column,) species."""
    defects_px: np.ndarray
    """(defect, yx), pixel: the middle of each."""
    candidates: np.ndarray
    """(candidate,) which places of the grid are candidates: those with a defect within RADIUS."""
    positions: np.ndarray
    """(candidate, yx), fractions of the image."""

    def seen(self, position: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
        """Return the window of the image around a position (yx), and where that is in it, as the service cuts it."""
        top, left, place = window_at(*position, *self.image.shape, WINDOW)
        return self.image[top : top + WINDOW, left : left + WINDOW], place

    def true_atoms(self, place_px: np.ndarray) -> Atoms:
        """Return the true columns of a window around a place (yx), pixel, as a detector without error gives them."""
        where = (self.columns_px - place_px) / WINDOW + 0.5
        inside = ((where >= 0) & (where <= 1)).all(axis=1)
        names = [name for name, kept in zip(self.labels, inside, strict=True) if kept]
        return given_atoms(where[inside], (WINDOW, WINDOW), labels=names)


def make_specimen(rng: np.random.Generator) -> Specimen:
    """Draw a sheet with defects and its image."""
    half = images.SIDE * PIXEL / np.sqrt(2.0) + 2.0 * WINDOW * PIXEL
    xy, names = images.sheet(BOND, ("C", "C"), half)
    near = cKDTree(xy).query_ball_point(xy, 1.1 * BOND)
    sites = _defects(xy, near, half - WINDOW * PIXEL, rng)
    clean = xy.copy()
    labels: list[str] = list(names)
    for defect in sites:
        _change(xy, labels, near, defect, rng)
    view = images.View.drawn(np.zeros(2), rng, PIXEL)
    left = [i for i, label in enumerate(labels) if label]
    xy, labels = xy[left], [labels[i] for i in left]
    truth = images.draw((xy, labels, np.zeros(2)), COUNTS, rng, view=view)
    positions = pixel_centers(*truth.image.shape, STRIDE)
    px = positions * images.SIDE - 0.5
    away = cKDTree(view.px(clean[np.concatenate(sites)])).query(px)[0] * PIXEL
    inside = (np.minimum(positions, 1.0 - positions) * images.SIDE * PIXEL >= RADIUS).all(axis=1)
    candidates = np.flatnonzero(inside & (away < RADIUS))
    middles = view.px(np.array([clean[defect].mean(axis=0) for defect in sites]))
    return Specimen(truth.image, view.px(xy), tuple(labels), middles, candidates, positions[candidates])


def _defects(xy: np.ndarray, near: list[list[int]], half: float, rng: np.random.Generator) -> list[np.ndarray]:
    """Return the sites of each defect: chains of neighbours, as many defects as find room."""
    found: list[np.ndarray] = []
    middles = np.zeros((0, 2))
    for i in rng.permutation(np.flatnonzero(np.abs(xy).max(axis=1) < half)):
        if len(middles) and np.linalg.norm(middles - xy[i], axis=1).min() < APART:
            continue
        sites = [int(i)]
        for _ in range(rng.integers(MOST_SITES)):
            around = sorted({j for site in sites for j in near[site]} - set(sites))
            sites.append(int(rng.choice(around)))
        found.append(np.array(sites))
        middles = np.vstack([middles, xy[i]])
    return found


def _change(
    xy: np.ndarray, labels: list[str], near: list[list[int]], sites: np.ndarray, rng: np.random.Generator
) -> None:
    """Empty the sites of a defect, or put other atoms there; an empty label is a vacancy."""
    if rng.random() < SILICON_SHARE:
        middle = int(sites[0])
        labels[middle] = "Si"
        for j in set(near[middle]) - {middle}:
            step = xy[j] - xy[middle]
            xy[j] = xy[middle] + 1.7 * step / np.linalg.norm(step)
        return
    for site in sites:
        labels[site] = str(rng.choice(["", "N", "B"]))
