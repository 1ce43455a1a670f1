"""A flake around a defect: cut from the sheet, cut bonds ended by hydrogen, vacuum around."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from probescout_theory.describe import Defect
from probescout_theory.lattices import BOND_REACH, NEIGHBOR_REACH, Lattice
from probescout_theory.occupants import Occupant
from probescout_theory.refusals import Refusal, RefusalReason
from probescout_theory.register import neighbors
from probescout_theory.structure import Structure

FloatArray = NDArray[np.float64]


def build_flake(defect: Defect, lattice: Lattice, *, radius: float = 8.0, vacuum: float = 8.0) -> Structure | Refusal:
    """Cut a round flake and end its cut bonds with hydrogen.

    Only bonds that the cut severed get hydrogen: the dangling bonds of a vacancy are what is to be simulated. Columns
    most of whose neighbours are outside go, and columns outside most of whose neighbours are inside come in, until
    there are none: two hydrogens on the way to one removed atom would collide. The columns at the rim are frozen, their
    hydrogens free.

    Args:
        defect: In the frame of the clean lattice.
        lattice: Gives the sheet around it, and the distances to hydrogen.
        radius: Of the flake, angstrom.
        vacuum: Between the flake and each side of its box, angstrom.

    Raises:
        InvalidInput: FIELD_MISSING when a species at the rim has no distance to hydrogen.
    """
    # Two columns beyond the defect stay clean, so that the frozen rim holds the sheet and not the defect.
    needed = defect.extent_angstrom + 2.0 * lattice.neighbor_angstrom
    if needed > radius:
        return Refusal(
            RefusalReason.DEFECT_TOO_LARGE,
            f"the defect needs a flake of {needed:.1f} angstrom, the radius is {radius:.1f}: choose a larger radius",
            needed,
            radius,
        )
    xy, occupants = _sheet(defect, lattice, radius + 4.0 * lattice.neighbor_angstrom)
    around = neighbors(xy, NEIGHBOR_REACH * lattice.neighbor_angstrom)
    kept = _rounded(np.linalg.norm(xy - defect.center, axis=1) < radius + 1e-6, around)
    symbols: list[str] = []
    places: list[FloatArray] = []
    frozen: list[bool] = []
    hydrogens: list[FloatArray] = []
    for i in np.flatnonzero(kept):
        cut = [j for j in around[i] if not kept[j]]
        for symbol, z in zip(occupants[i].species, occupants[i].heights, strict=True):
            here = np.array([*xy[i], z])
            symbols.append(symbol)
            places.append(here)
            frozen.append(bool(cut))
            for j in cut:
                # Neighbours in the image need not be bonded: they may lie at other heights.
                bonded = _bonded(here, xy[j], occupants[j], lattice)
                hydrogens += _ends(here, bonded, lattice.hydrogen(symbol), len(occupants[i].species))
    symbols += ["H"] * len(hydrogens)
    frozen += [False] * len(hydrogens)
    return _boxed(defect, lattice, symbols, np.array(places + hydrogens), np.array(frozen), radius, vacuum)


def _sheet(defect: Defect, lattice: Lattice, reach: float) -> tuple[FloatArray, list[Occupant]]:
    """Return the columns (column, xy) of a sheet with the defect out to `reach`, angstrom, and what they hold."""
    middle = np.round(defect.center @ np.linalg.inv(lattice.matrix)).astype(int)
    n = int(np.ceil(reach / (np.linalg.det(lattice.matrix) / np.linalg.norm(lattice.matrix, axis=1).max()))) + 2
    removed = {tuple(site) for site in defect.removed.tolist()}
    xy, occupants = [], []
    for i, j in itertools.product(range(-n, n + 1), repeat=2):
        for k, column in enumerate(lattice.columns):
            site = (int(middle[0]) + i, int(middle[1]) + j, k)
            place = (np.array(site[:2]) + lattice.fractions[k]) @ lattice.matrix
            if site not in removed and np.linalg.norm(place - defect.center) < reach:
                xy.append(place)
                occupants.append(column.occupant)
    return np.array([*xy, *defect.inserted_xy]), [*occupants, *defect.inserted]


def _rounded(kept: NDArray[np.bool_], around: list[list[int]]) -> NDArray[np.bool_]:
    """Return which columns (column,) stay: tips, most of whose neighbours are outside, go; bays are filled.

    No change leaves more cut bonds, so it ends, and a straight edge of any lattice stays as it is.
    """
    kept = kept.copy()
    while True:
        inside = np.array([sum(bool(kept[j]) for j in near) for near in around])
        degree = np.array([len(near) for near in around])
        tips = kept & (inside < degree) & ((2 * inside < degree) | (inside < 2))
        if tips.any():
            kept &= ~tips
            continue
        bays = ~kept & (inside >= 2) & (2 * inside > degree)
        if not bays.any():
            return kept
        kept |= bays


def _bonded(here: FloatArray, cut_xy: FloatArray, cut: Occupant, lattice: Lattice) -> list[FloatArray]:
    """Return the steps (xyz) from one atom to those atoms of a removed column that it was bonded to, angstrom."""
    steps = [np.array([*cut_xy, z]) - here for z in cut.heights]
    return [s for s in steps if np.linalg.norm(s) < BOND_REACH * lattice.bond_angstrom]


def _ends(here: FloatArray, steps: list[FloatArray], length: float, n_here: int) -> list[FloatArray]:
    """Return hydrogens (xyz) that end the bonds from one atom to those that were removed, angstrom."""
    if n_here > 1 and len(steps) > 1:
        # Columns of several atoms bond level by level, not across.
        steps = [min(steps, key=lambda s: abs(float(s[2])))]
    return [here + length * s / np.linalg.norm(s) for s in steps]


def _boxed(
    defect: Defect,
    lattice: Lattice,
    symbols: list[str],
    positions: FloatArray,
    frozen: NDArray[np.bool_],
    radius: float,
    vacuum: float,
) -> Structure:
    """Return the flake in a box with the shape of the cell: there a matcher of crystals finds turned copies too."""
    heights = [z for c in lattice.columns for z in c.occupant.heights]
    a, b = lattice.matrix / np.linalg.norm(lattice.matrix, axis=1)[:, None]
    # From the radius alone, not from the atoms: equal flakes get equal boxes.
    across = 2.0 * (radius + 3.0 * lattice.neighbor_angstrom + vacuum) / abs(float(np.cross([*a, 0], [*b, 0])[2]))
    thick = max(heights) - min(heights) + 2.0 * vacuum
    cell = np.array([[*(across * a), 0.0], [*(across * b), 0.0], [0.0, 0.0, thick]])
    middle = 0.5 * cell.sum(axis=0)
    shift = middle - np.array([*defect.center, 0.5 * (max(heights) + min(heights))])
    return Structure(
        "flake", lattice.name, tuple(symbols), positions + shift, cell, (False,) * 3, frozen, defect.n_left_out
    )
