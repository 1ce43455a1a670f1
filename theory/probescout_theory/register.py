"""Registration of found columns to the declared lattice: which column stands on which site."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from probescout_theory.columns import Columns
from probescout_theory.lattices import Lattice
from probescout_theory.occupants import Occupant, alternatives

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

SEED_RADIUS = 12.0
"""Angstrom around the middle from which angle and scale are found: drift bends larger patches too much."""
ON_SITE = 0.40
"""A column belongs to a site nearer than this many nearest distances."""
SCALES = np.arange(0.92, 1.0801, 0.01)
"""Scales tried: a calibration off by more is refused, not mended."""
LEAST_SHOWN = 0.15
"""Share of the columns that must scatter in step for a wave to be looked for."""
WIDE_SCALES = np.arange(0.5, 2.001, 0.02)
"""Scales tried to tell a wrong pixel size from missing order."""


@dataclass(frozen=True)
class Order:
    """How well columns show the period of the lattice."""

    share: float
    """Strength of the first-order peaks of the structure factor over that of the clean lattice, 0..1."""
    angle_rad: float
    """Angle of the lattice in the image."""
    scale: float
    """Size of the cell in the image over the declared one."""


@dataclass(frozen=True)
class Registration:
    """The lattice laid over a patch."""

    lattice: Lattice
    """As declared."""
    cell: FloatArray
    """Cell vectors as seen (vector, xy), angstrom."""
    origin: FloatArray
    """Corner of cell (0, 0) as seen (xy,), angstrom."""
    sites: IntArray
    """(column, 3): cell along a, cell along b, number of the column in the cell: the nearest site."""
    is_on_site: NDArray[np.bool_]
    """(column,) whether it stands on that site, alone or nearest."""
    rms_angstrom: float
    """Of the distance between columns on sites and their sites, by the median: a defect does not widen it."""

    @property
    def share_on_site(self) -> float:
        """Share of the columns that stand on sites."""
        return float(self.is_on_site.mean()) if len(self.is_on_site) else 0.0

    @property
    def scale(self) -> float:
        """Size of the cell as seen over the declared one."""
        return float(np.sqrt(np.linalg.det(self.cell) / np.linalg.det(self.lattice.matrix)))

    def seen(self, sites: IntArray) -> FloatArray:
        """Return where sites (site, 3) lie in the patch (site, xy), angstrom."""
        return self.origin + (sites[:, :2] + self.lattice.fractions[sites[:, 2]]) @ self.cell

    def clean(self, sites: IntArray) -> FloatArray:
        """Return where sites (site, 3) lie in the clean lattice (site, xy), angstrom."""
        return np.asarray((sites[:, :2] + self.lattice.fractions[sites[:, 2]]) @ self.lattice.matrix)

    def to_clean(self, xy: FloatArray) -> FloatArray:
        """Return places of the patch (place, xy) in the frame of the clean lattice, turned and unstrained, angstrom."""
        return np.asarray((xy - self.origin) @ np.linalg.inv(self.cell) @ self.lattice.matrix)

    def sites_within(self, half_size: tuple[float, float], margin: float) -> IntArray:
        """Return all sites (site, 3) that lie in the patch, `margin` angstrom from its edge or more."""
        corners = np.array(list(itertools.product(*[(-h, h) for h in half_size])))
        reach = (corners - self.origin) @ np.linalg.inv(self.cell)
        low, high = np.floor(reach.min(axis=0)).astype(int) - 1, np.ceil(reach.max(axis=0)).astype(int) + 1
        ranges = (range(low[0], high[0] + 1), range(low[1], high[1] + 1), range(len(self.lattice.columns)))
        sites = np.array(list(itertools.product(*ranges)), dtype=np.int64)
        inside = (np.array(half_size) - np.abs(self.seen(sites))).min(axis=1) >= margin
        return np.asarray(sites[inside])


def order(columns: Columns, lattice: Lattice, scales: FloatArray = SCALES, radius: float = SEED_RADIUS) -> Order:
    """Return angle and scale at which the structure factor is largest.

    Args:
        columns: Of the patch.
        lattice: As declared.
        scales: (scale,) to try.
        radius: Angstrom around the middle to use.
    """
    xy = columns.xy[np.linalg.norm(columns.xy, axis=1) < radius]
    if len(xy) < 6:
        return Order(0.0, 0.0, 1.0)
    waves, clean = _first_waves(lattice)
    angles = np.deg2rad(np.arange(0.0, 180.0, 0.5))
    turned = np.stack([waves @ _turn(angle).T for angle in angles])
    phase = 2.0 * np.pi * np.einsum("nx,awx->naw", xy, turned)
    strength = np.stack([(np.abs(np.exp(1j * phase / s).mean(axis=0)) / clean).mean(axis=1) for s in scales])
    # More than the clean lattice shows is the second order of a larger cell, not better order.
    strength = np.minimum(strength, 1.0 / np.maximum(strength, 1e-12))
    s, a = np.unravel_index(int(np.argmax(strength)), strength.shape)
    return Order(float(strength[s, a]), float(angles[a]), float(scales[s]))


def register(columns: Columns, lattice: Lattice, start: Order) -> Registration:
    """Lay the lattice over the columns.

    Angle and scale come from the structure factor; among the angles that it cannot tell apart and all shifts, the
    one with most columns on sites wins, and the one with the right brightness on each; then cell and origin are
    fitted by least squares, from the middle outwards (iterative closest point, Besl & McKay 1992, IEEE Trans. Pattern
    Anal. Mach. Intell. 14, 239).

    Args:
        columns: Of the patch, at least 6 within 12 angstrom of its middle.
        lattice: As declared.
        start: Angle and scale.
    """
    cell, origin = _seed(columns, lattice, start)
    far = np.linalg.norm(columns.xy, axis=1)
    reach = min(SEED_RADIUS, float(np.sort(far)[min(len(far), 30) - 1]))
    for _ in range(12):
        sites, away = _nearest(columns.xy, cell, origin, lattice)
        used = (away < ON_SITE * lattice.neighbor_angstrom) & (far <= reach)
        if used.sum() < 6:
            break
        design = np.column_stack([sites[used, :2] + lattice.fractions[sites[used, 2]], np.ones(used.sum())])
        solved, *_ = np.linalg.lstsq(design, columns.xy[used], rcond=None)
        cell, origin = solved[:2], solved[2]
        reach *= 1.3
    sites, away = _nearest(columns.xy, cell, origin, lattice)
    on_site = _alone(sites, away) & (away < ON_SITE * lattice.neighbor_angstrom)
    # The square of a distance in the plane is exponential, with its median at ln 2 of its mean.
    rms = float(np.sqrt(np.median(away[on_site] ** 2) / np.log(2.0))) if on_site.any() else float("nan")
    return Registration(lattice, cell, origin, sites, on_site, rms)


def brightness(columns: Columns, lattice: Lattice, dopants: tuple[str, ...] = ()) -> FloatArray:
    """Return (column,) intensity from the declared formula where there is one, else as measured, NaN if unknown."""
    if columns.labels is None:
        return columns.intensity
    known = {o.label: o.intensity for o in known_occupants(lattice, dopants)}
    return np.array([known.get(label, np.nan) for label in columns.labels])


def known_occupants(lattice: Lattice, dopants: tuple[str, ...]) -> tuple[Occupant, ...]:
    """Return everything that may stand in a column of the lattice."""
    every = [o for c in lattice.columns for o in alternatives(c.occupant, dopants)]
    return tuple({o.label: o for o in reversed(every)}.values())


def _first_waves(lattice: Lattice) -> tuple[FloatArray, FloatArray]:
    """Return reciprocal vectors (wave, xy), 1 / angstrom, and how strongly the clean lattice shows each (wave,), 0..1.

    The shortest that the basis does not extinguish, one of each opposite pair, as many as it takes to span the plane.
    """
    steps = np.array([p for p in itertools.product(range(-4, 5), repeat=2) if p > (0, 0)], dtype=np.float64)
    waves = steps @ np.linalg.inv(lattice.matrix).T
    clean = np.abs(np.exp(2j * np.pi * lattice.fractions @ steps.T).mean(axis=0))
    shown = clean > LEAST_SHOWN
    waves, clean = waves[shown], clean[shown]
    size = np.linalg.norm(waves, axis=1)
    for limit in np.sort(size):
        chosen = size < 1.05 * limit
        if np.linalg.matrix_rank(waves[chosen], tol=1e-6 * limit) == 2:
            break
    return waves[chosen], clean[chosen]


def _turn(angle: float) -> FloatArray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _seed(columns: Columns, lattice: Lattice, start: Order) -> tuple[FloatArray, FloatArray]:
    """Return the best cell and origin over equivalent angles and a grid of shifts."""
    near = np.linalg.norm(columns.xy, axis=1) < SEED_RADIUS
    xy, light = columns.xy[near], brightness(columns, lattice)[near]
    expected = np.log([c.occupant.intensity for c in lattice.columns])
    shifts = np.array(list(itertools.product(np.arange(16) / 16.0, repeat=2)))
    best: tuple[float, FloatArray, FloatArray] = (-np.inf, lattice.matrix, np.zeros(2))
    # A lattice may have two-, three-, four- or sixfold axes, or none of the structure factor's: 30 degrees hold all.
    for angle in start.angle_rad + np.deg2rad(np.arange(0, 360, 30)):
        cell = start.scale * lattice.matrix @ _turn(float(angle)).T
        # (shift, column, kind of site): how far each column is from the nearest site of each kind.
        steps = (xy @ np.linalg.inv(cell))[None, :, None] - shifts[:, None, None] - lattice.fractions
        away = np.linalg.norm((steps - np.round(steps)) @ cell, axis=3)
        kinds, away = away.argmin(axis=2), away.min(axis=2)
        scores = np.maximum(1.0 - (away / (0.5 * lattice.neighbor_angstrom)) ** 2, 0.0).mean(axis=1)
        for s in np.argsort(-scores, kind="stable"):
            if scores[s] <= best[0]:
                break
            on_site = away[s] < ON_SITE * lattice.neighbor_angstrom
            score = float(scores[s]) - _mismatch(light[on_site], expected[kinds[s, on_site]])
            if score > best[0]:
                best = (score, cell, shifts[s] @ cell)
    return best[1], best[2]


def _mismatch(light: FloatArray, expected: FloatArray) -> float:
    """Return half the mean absolute error of log brightness, the gain of the detector left open; 0 if unknown."""
    known = np.isfinite(light) & (light > 0)
    if known.sum() < 3 or np.ptp(expected) == 0:
        return 0.0
    error = np.log(light[known]) - expected[known]
    return 0.5 * float(np.abs(error - np.median(error)).mean())


def _nearest(xy: FloatArray, cell: FloatArray, origin: FloatArray, lattice: Lattice) -> tuple[IntArray, FloatArray]:
    """Return the nearest site (column, 3) of each column and the distance (column,), angstrom."""
    fraction = (xy - origin) @ np.linalg.inv(cell)
    steps = fraction[:, None, :] - lattice.fractions[None]
    corners = np.round(steps)
    away = np.linalg.norm((steps - corners) @ cell, axis=2)
    kind = away.argmin(axis=1)
    row = np.arange(len(xy))
    return np.column_stack([corners[row, kind], kind]).astype(np.int64), away[row, kind]


def _alone(sites: IntArray, away: FloatArray) -> NDArray[np.bool_]:
    """Return (column,) whether no other column is nearer to the same site."""
    kept = np.zeros(len(sites), dtype=bool)
    taken: set[tuple[int, ...]] = set()
    for i in np.argsort(away, kind="stable"):
        site = tuple(int(s) for s in sites[i])
        if site not in taken:
            taken.add(site)
            kept[i] = True
    return kept


def neighbors(xy: FloatArray, reach: float) -> list[list[int]]:
    """Return, for each place (place, xy), the numbers of all others within `reach`, angstrom."""
    found: list[list[int]] = [[] for _ in range(len(xy))]
    for i, j in sorted(cKDTree(xy).query_pairs(reach)) if len(xy) else []:
        found[i].append(j)
        found[j].append(i)
    return found
