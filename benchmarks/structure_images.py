"""Simulated dark-field images of defective sheets, with known truth. Shares no code with the atom finder.

The image is incoherent: each atom a Gaussian of height Z^1.7, blurred by the probe, on a slow background; the specimen
drifts (shear) and each scan line jitters; the detector counts electrons (Poisson).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.spatial import cKDTree

NUMBERS = {"B": 5, "C": 6, "N": 7, "Si": 14, "S": 16, "Mo": 42}
NOISE = {"low": 60.0, "medium": 12.0, "high": 3.0}
"""Counts in a pixel at the top of the weakest single atom of the material (C, or one S)."""
PIXEL = 0.13
"""Edge of a pixel, angstrom."""
SIDE = 256
"""Pixels along an edge of the image: 33 angstrom."""
PROBE = 0.42
"""Standard deviation of a spot, angstrom."""


@dataclass(frozen=True)
class Truth:
    """What was drawn."""

    image: np.ndarray
    """(y, x), counts."""
    columns_px: np.ndarray
    """(column, yx), pixel: true places in the drifted image, without the jitter."""
    labels: tuple[str, ...]
    """(column,) formula of each column."""
    center_px: tuple[float, float]
    """Place of the defect (y, x), pixel."""


def sheet(bond: float, labels: tuple[str, str], half: float) -> tuple[np.ndarray, list[str]]:
    """Return columns (column, xy), angstrom, of a honeycomb around the origin, and their formulas."""
    a = bond * np.sqrt(3.0)
    n = int(np.ceil(half / a)) + 2
    points, names = [], []
    for i in range(-2 * n, 2 * n + 1):
        for j in range(-2 * n, 2 * n + 1):
            corner = np.array([a * (i + 0.5 * j), a * np.sqrt(3.0) / 2.0 * j])
            for label, shift in zip(labels, (0.0, bond), strict=True):
                points.append(corner + [0.0, shift])
                names.append(label)
    xy = np.array(points)
    inside = np.abs(xy).max(axis=1) < half
    return xy[inside], [name for name, kept in zip(names, inside, strict=True) if kept]


def _nearest(xy: np.ndarray, names: list[str], label: str) -> int:
    mine = [i for i, name in enumerate(names) if name == label]
    return mine[int(np.argmin(np.linalg.norm(xy[mine], axis=1)))]


def _bonded(xy: np.ndarray, center: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which columns (column,) are bonded to one of graphene, and unit vectors (neighbour, xy) to them."""
    away = xy - xy[center]
    far = np.linalg.norm(away, axis=1)
    near = (far > 0) & (far < 1.6)
    return near, away[near] / far[near, None]


def clean_graphene() -> tuple[np.ndarray, list[str], np.ndarray]:
    """Return columns, formulas and the middle of a clean sheet."""
    xy, names = sheet(1.42, ("C", "C"), 30.0)
    return xy, names, np.zeros(2)


def vacancy() -> tuple[np.ndarray, list[str], np.ndarray]:
    """Return graphene without one atom, its neighbours drawn 0.05 angstrom outwards."""
    xy, names = sheet(1.42, ("C", "C"), 30.0)
    gone = _nearest(xy, names, "C")
    near, outwards = _bonded(xy, gone)
    xy[near] += 0.05 * outwards
    place = xy[gone].copy()
    return np.delete(xy, gone, axis=0), names[:gone] + names[gone + 1 :], place


def silicon() -> tuple[np.ndarray, list[str], np.ndarray]:
    """Return graphene with one atom replaced by silicon, its neighbours pushed to 1.7 angstrom."""
    xy, names = sheet(1.42, ("C", "C"), 30.0)
    at = _nearest(xy, names, "C")
    near, outwards = _bonded(xy, at)
    xy[near] = xy[at] + 1.7 * outwards
    names[at] = "Si"
    return xy, names, xy[at].copy()


def stone_wales() -> tuple[np.ndarray, list[str], np.ndarray]:
    """Return graphene with one bond turned by 90 degrees, relaxed by springs on bonds and angles."""
    xy, names = sheet(1.42, ("C", "C"), 30.0)
    first = _nearest(xy, names, "C")
    second = min(
        np.flatnonzero(np.linalg.norm(xy - xy[first], axis=1) > 0.1), key=lambda i: np.linalg.norm(xy[i] - xy[first])
    )
    middle = 0.5 * (xy[first] + xy[second])
    half = 0.5 * (xy[second] - xy[first])
    turned = np.array([-half[1], half[0]])
    xy[first], xy[second] = middle - turned, middle + turned
    return _relaxed(xy, middle), names, middle


def _relaxed(xy: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Return columns with bonds near 1.42 and second neighbours near 2.46 angstrom inside 8 angstrom."""
    tree = cKDTree(xy)
    bonds = np.array(sorted(tree.query_pairs(1.7)))
    partners: dict[int, list[int]] = {}
    for i, j in bonds:
        partners.setdefault(int(i), []).append(int(j))
        partners.setdefault(int(j), []).append(int(i))
    seconds = np.array(
        sorted({(min(i, k), max(i, k)) for around in partners.values() for i in around for k in around if i != k})
    )
    free = np.flatnonzero(np.linalg.norm(xy - middle, axis=1) < 8.0)

    def energy(flat: np.ndarray) -> tuple[float, np.ndarray]:
        at = xy.copy()
        at[free] = flat.reshape(-1, 2)
        total, gradient = 0.0, np.zeros_like(at)
        for pairs, length, stiff in ((bonds, 1.42, 1.0), (seconds, 2.46, 0.15)):
            step = at[pairs[:, 0]] - at[pairs[:, 1]]
            far = np.linalg.norm(step, axis=1)
            total += 0.5 * stiff * float(((far - length) ** 2).sum())
            pull = stiff * ((far - length) / far)[:, None] * step
            np.add.at(gradient, pairs[:, 0], pull)
            np.add.at(gradient, pairs[:, 1], -pull)
        return total, gradient[free].ravel()

    found = minimize(energy, xy[free].ravel(), jac=True, method="L-BFGS-B")
    result = xy.copy()
    result[free] = found.x.reshape(-1, 2)
    return result


def clean_mos2() -> tuple[np.ndarray, list[str], np.ndarray]:
    """Return columns, formulas and the middle of a clean sheet."""
    xy, names = sheet(3.16 / np.sqrt(3.0), ("Mo", "S2"), 30.0)
    return xy, names, np.zeros(2)


def sulfur_vacancy() -> tuple[np.ndarray, list[str], np.ndarray]:
    """Return MoS2 with one atom of a pair of sulfur missing."""
    xy, names, _ = clean_mos2()
    at = _nearest(xy, names, "S2")
    names[at] = "S"
    return xy, names, xy[at].copy()


SHEETS: dict[str, Callable[[], tuple[np.ndarray, list[str], np.ndarray]]] = {
    "graphene_vacancy": vacancy,
    "graphene_silicon": silicon,
    "graphene_stone_wales": stone_wales,
    "mos2_sulfur_vacancy": sulfur_vacancy,
}


def brightness(label: str) -> float:
    """Return the dark-field height of a column from its formula."""
    symbol, count = (label[:-1], int(label[-1])) if label[-1].isdigit() else (label, 1)
    return float(count * NUMBERS[symbol] ** 1.7)


@dataclass(frozen=True)
class View:
    """How a sheet lies under the beam."""

    place: np.ndarray
    """(xy,) of the sheet, angstrom: the defect."""
    middle: np.ndarray
    """(xy,) where that is seen without drift, angstrom from the corner of the image."""
    turn: np.ndarray
    """(2, 2) rotation."""
    drift: np.ndarray
    """(xy,) shift for each angstrom further down the image."""
    pixel: float
    """Edge of a pixel, angstrom."""

    @staticmethod
    def drawn(place: np.ndarray, rng: np.random.Generator, pixel: float = PIXEL) -> View:
        """Return one turned at random, with a place within 1.5 angstrom of the middle of the image."""
        angle = rng.uniform(0, 2 * np.pi)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        middle = rng.uniform(-1.5, 1.5, 2) + SIDE * pixel / 2
        # A specimen that drifts by 0.15 angstrom while one frame of 33 angstrom is scanned shears it by half a percent.
        return View(place, middle, turn, rng.normal(0, 0.15, 2) / (SIDE * pixel), pixel)

    def px(self, xy: np.ndarray) -> np.ndarray:
        """Return where places (column, xy) of the sheet, angstrom, are seen: (column, yx), pixel."""
        seen = (xy - self.place) @ self.turn.T + self.middle
        seen = seen + seen[:, 1:2] * self.drift
        return np.asarray(seen[:, ::-1] / self.pixel)


def draw(
    columns: tuple[np.ndarray, list[str], np.ndarray],
    counts: float,
    rng: np.random.Generator,
    *,
    pixel: float = PIXEL,
    keep: Callable[[np.ndarray], np.ndarray] | None = None,
    view: View | None = None,
) -> Truth:
    """Draw a sheet, by default turned and shifted at random, the defect within 1.5 angstrom of the middle of the image.

    Args:
        columns: (column, xy), angstrom; formulas; place of the defect.
        counts: At the top of the weakest single atom.
        rng: Draws angle, shift, drift, jitter and counts.
        pixel: Edge of a pixel, angstrom.
        keep: Of (column, yx), pixel: which columns are there.
        view: How it lies; None: drawn.
    """
    xy, names, place = columns
    view = View.drawn(place, rng, pixel) if view is None else view
    px = view.px(xy)
    inside = ((px > -8) & (px < SIDE + 7)).all(axis=1)
    if keep is not None:
        inside &= keep(px)
    px, names = px[inside], [name for name, kept in zip(names, inside, strict=True) if kept]
    weakest = 6**1.7 if "C" in names else 16**1.7
    heights = counts * np.array([brightness(name) for name in names]) / weakest
    expected = _light(px, heights, PROBE / view.pixel, rng) + _slow(counts, rng)
    image = rng.poisson(np.maximum(expected, 0.0)).astype(np.float64)
    visible = ((px > -0.5) & (px < SIDE - 0.5)).all(axis=1)
    shown = tuple(name for name, kept in zip(names, visible, strict=True) if kept)
    y, x = view.px(place[None])[0]
    return Truth(image, px[visible], shown, (float(y), float(x)))


def _light(px: np.ndarray, heights: np.ndarray, width: float, rng: np.random.Generator) -> np.ndarray:
    """Return the light (y, x) of all spots, each line shifted by its jitter (0.25 pixel)."""
    light = np.zeros((SIDE, SIDE))
    x = np.arange(SIDE)[None, :] + rng.normal(0, 0.25, SIDE)[:, None]
    reach = int(np.ceil(5 * width))
    for (row, col), height in zip(px, heights, strict=True):
        top, left = max(0, round(row) - reach), max(0, round(col) - reach)
        part = np.s_[top : max(0, round(row) + reach + 1), left : max(0, round(col) + reach + 1)]
        lines = np.arange(SIDE)[part[0], None]
        light[part] += height * np.exp(-((lines - row) ** 2 + (x[part] - col) ** 2) / (2 * width**2))
    return light


def _slow(counts: float, rng: np.random.Generator) -> np.ndarray:
    """Return a background (y, x) of 30 % of an atom that varies by half of itself over the image."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    phase = rng.uniform(0, 2 * np.pi, 2)
    wave = np.sin(2 * np.pi * 0.7 * y + phase[0]) * np.cos(2 * np.pi * 0.6 * x + phase[1])
    return 0.3 * counts * (1.0 + 0.5 * wave)


def amorphous(spacing: float, half: float, rng: np.random.Generator) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Return carbon at random places no closer than `spacing` (angstrom): dense, and without order."""
    points = np.zeros((0, 2))
    for _ in range(40):
        fresh = rng.uniform(-half, half, (400, 2))
        for point in fresh:
            if len(points) == 0 or np.linalg.norm(points - point, axis=1).min() > spacing:
                points = np.vstack([points, point])
    return points, ["C"] * len(points), np.zeros(2)
