"""The specimen of the theory benchmark: graphene with vacancies and foreign atoms under a beam, its truth known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from probescout_theory.atoms import Atoms, given_atoms
from scipy.spatial import cKDTree

from benchmarks import structure_images as images
from probescout.core.geometry import pixel_centers, window_at

PIXEL = 0.35
"""Edge of a pixel, angstrom; the image is 90 angstrom wide."""
WINDOW = 52
"""Pixels along an edge of a patch: 18 angstrom."""
RADIUS = 5.0
"""Of the flakes, and of what must be seen around a candidate, angstrom."""
APART = 6.5
"""Between the first sites of two defects at least, angstrom: some hang together, and are refused as too large."""
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
    kinds: tuple[str, ...]
    """(defect,) what stands on its sites, one after the other: "N-V-B"; those of one kind are turned copies."""
    candidates: np.ndarray
    """(candidate,) pixels that are candidates: those at a defect, as one sees where the lattice is broken."""
    positions: np.ndarray
    """(candidate, yx), fractions of the image."""

    def seen(self, position: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
        """Return the window of the image around a position (yx), and where that is in it, as the service cuts it."""
        top, left, place = window_at(*position, *self.image.shape, WINDOW)
        return self.image[top : top + WINDOW, left : left + WINDOW], place


def make_specimen(rng: np.random.Generator) -> Specimen:
    """Draw a sheet with defects and its image."""
    half = images.SIDE * PIXEL / np.sqrt(2.0) + WINDOW * PIXEL
    clean, near = _sheet(half)
    chains = _defects(clean, near, half, rng)
    kinds = [_kind(len(chain), rng) for chain in chains]
    # One silicon takes the first site of its chain, and the rest stays carbon.
    chains = [chain[:1] if kind == "Si" else chain for chain, kind in zip(chains, kinds, strict=True)]
    xy, labels = _with_defects(clean, near, chains, kinds)
    view = images.View.drawn(np.zeros(2), rng, PIXEL)
    truth = images.draw((xy, labels, np.zeros(2)), COUNTS, rng, view=view)
    middles = view.px(np.array([clean[chain].mean(axis=0) for chain in chains]))
    pixels = np.round(middles).astype(int)
    margin = RADIUS / PIXEL
    pixels = pixels[((pixels >= margin) & (pixels < images.SIDE - margin)).all(axis=1)]
    candidates = pixels @ np.array([images.SIDE, 1])
    positions = pixel_centers(*truth.image.shape)[candidates]
    return Specimen(truth.image, view.px(xy), tuple(labels), middles, tuple(kinds), candidates, positions)


def true_atoms(kind: str) -> Atoms:
    """Return the columns of a window around a defect of a kind, as a detector without error gives them."""
    half = 0.75 * WINDOW * PIXEL
    clean, near = _sheet(half)
    names = kind.split("-")
    chain = [int(np.argmin(np.linalg.norm(clean, axis=1)))]
    while len(chain) < len(names):
        chain.append(min(set(near[chain[-1]]) - set(chain)))
    xy, labels = _with_defects(clean, near, [np.array(chain)], [kind])
    where = (xy - clean[chain].mean(axis=0)) / (WINDOW * PIXEL) + 0.5
    inside = ((where >= 0) & (where <= 1)).all(axis=1)
    shown = [name for name, kept in zip(labels, inside, strict=True) if kept]
    return given_atoms(where[inside], (WINDOW, WINDOW), labels=shown)


def _sheet(half: float) -> tuple[np.ndarray, list[list[int]]]:
    """Return the columns (column, xy) of a clean sheet, angstrom, and the neighbours of each."""
    xy, _ = images.sheet(BOND, ("C", "C"), half)
    around = cKDTree(xy).query_ball_point(xy, 1.1 * BOND)
    return xy, [[int(j) for j in found if j != i] for i, found in enumerate(around)]


def _defects(xy: np.ndarray, near: list[list[int]], half: float, rng: np.random.Generator) -> list[np.ndarray]:
    """Return the sites of each defect, a chain of neighbours; as many defects as find room."""
    found: list[np.ndarray] = []
    middles = np.zeros((0, 2))
    for i in rng.permutation(np.flatnonzero(np.abs(xy).max(axis=1) < half - 3.0 * BOND)):
        if len(middles) and np.linalg.norm(middles - xy[i], axis=1).min() < APART:
            continue
        chain = [int(i)]
        for _ in range(rng.integers(MOST_SITES)):
            chain.append(int(rng.choice(sorted(set(near[chain[-1]]) - set(chain)))))
        found.append(np.array(chain))
        middles = np.vstack([middles, xy[i]])
    return found


def _kind(n_sites: int, rng: np.random.Generator) -> str:
    """Draw what stands on the sites of a chain: V is a vacancy."""
    if rng.random() < SILICON_SHARE:
        return "Si"
    names = [str(rng.choice(["V", "N", "B"])) for _ in range(n_sites)]
    return "-".join(min(names, names[::-1]))


def _with_defects(
    clean: np.ndarray, near: list[list[int]], chains: list[np.ndarray], kinds: list[str]
) -> tuple[np.ndarray, list[str]]:
    """Return the columns (column, xy), angstrom, and the species of a sheet with defects."""
    xy, labels = clean.copy(), ["C"] * len(clean)
    for chain, kind in zip(chains, kinds, strict=True):
        for site, name in zip(chain, kind.split("-"), strict=True):
            labels[site] = name
            if name == "Si":
                for j in near[site]:
                    step = clean[j] - clean[site]
                    xy[j] = clean[site] + 1.7 * step / np.linalg.norm(step)
    left = [i for i, label in enumerate(labels) if label != "V"]
    return xy[left], [labels[i] for i in left]
