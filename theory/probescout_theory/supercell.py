"""A clean periodic cell that holds the defect and nothing else of the patch."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from probescout_theory.describe import Defect
from probescout_theory.lattices import Lattice
from probescout_theory.refusals import Refusal, RefusalReason
from probescout_theory.structure import Structure, check_cell

FloatArray = NDArray[np.float64]


def build_supercell(
    defect: Defect,
    lattice: Lattice,
    *,
    clearance: float = 12.0,
    vacuum: float = 15.0,
    max_atoms: int = 300,
) -> Structure | Refusal:
    """Copy the defect into the smallest n x n cell of the clean lattice that keeps it away from its images.

    Noise, drift and strain of the image stay behind, and no edge is cut, so the only defect of the result is that of
    the specimen. The clean columns farthest from the defect, one nearest distance around the middle between it and
    its images, are frozen.

    Args:
        defect: In the frame of the clean lattice.
        lattice: Gives the cell.
        clearance: Smallest distance between the vacant and changed sites of the defect and their images, angstrom.
        vacuum: Between the sheet and its image above, angstrom.
        max_atoms: A larger cell is refused.

    Raises:
        MissingExtra: When ase is not installed.
    """
    n = max(2, int(np.ceil((2.0 * defect.core_angstrom + clearance) / _shortest(lattice.matrix))))
    if n * n * len(lattice.sites) > max_atoms:
        return Refusal(
            RefusalReason.DEFECT_TOO_LARGE,
            f"the defect reaches {defect.core_angstrom:.1f} angstrom from its middle and needs a cell of "
            f"{n * n * len(lattice.sites)} atoms, at most {max_atoms} are allowed: allow more, or build a flake",
            float(n * n * len(lattice.sites)),
            float(max_atoms),
        )
    plane = n * lattice.matrix
    symbols, steps, frozen = _contents(defect, lattice, n)
    # Images are chosen around the defect: the boundary of the cell is as far from it as it can be, and clean.
    fraction = steps[:, :2] @ np.linalg.inv(plane)
    steps[:, :2] -= np.round(fraction) @ plane
    heights = [site.z_angstrom for site in lattice.sites]
    thick = max(heights) - min(heights) + vacuum
    cell = np.array([[*plane[0], 0.0], [*plane[1], 0.0], [0.0, 0.0, thick]])
    middle = 0.5 * cell.sum(axis=0) - np.array([0.0, 0.0, 0.5 * (max(heights) + min(heights))])
    built = Structure(
        "supercell", lattice.name, symbols, steps + middle, cell, (True, True, False), frozen, defect.n_left_out
    )
    return check_cell(built, lattice) or built


def _contents(defect: Defect, lattice: Lattice, n: int) -> tuple[tuple[str, ...], FloatArray, NDArray[np.bool_]]:
    """Return symbols (atom,), steps from the defect (atom, xyz) in angstrom, and the frozen rim (atom,)."""
    plane = n * lattice.matrix
    rim = 0.5 * _shortest(plane) - lattice.neighbor_angstrom
    corner = np.round(defect.center @ np.linalg.inv(lattice.matrix) - n / 2.0).astype(int)
    removed = {tuple(site) for site in defect.removed.tolist()}
    atoms: list[tuple[str, FloatArray, bool]] = []
    for i, j in itertools.product(range(n), repeat=2):
        for k, column in enumerate(lattice.columns):
            site = (int(corner[0]) + i, int(corner[1]) + j, k)
            if site in removed:
                continue
            step = (np.array(site[:2]) + lattice.fractions[k]) @ lattice.matrix - defect.center
            is_rim = not defect.is_clean and _to_images(step, plane) >= rim
            for symbol, z in zip(column.occupant.species, column.occupant.heights, strict=True):
                atoms.append((symbol, np.array([*step, z]), is_rim))
    for xy, occupant in zip(defect.inserted_xy, defect.inserted, strict=True):
        for symbol, z in zip(occupant.species, occupant.heights, strict=True):
            atoms.append((symbol, np.array([*(xy - defect.center), z]), False))
    return tuple(a[0] for a in atoms), np.array([a[1] for a in atoms]), np.array([a[2] for a in atoms])


def _shortest(cell: FloatArray) -> float:
    """Return the smallest distance between images, angstrom."""
    steps = [np.array(s) @ cell for s in itertools.product((-1, 0, 1), repeat=2) if s != (0, 0)]
    return float(min(np.linalg.norm(s) for s in steps))


def _to_images(step: FloatArray, cell: FloatArray) -> float:
    """Return the smallest length of a step (xy,) over all images, angstrom."""
    whole = np.round(step @ np.linalg.inv(cell))
    images = [step - (whole + np.array(s)) @ cell for s in itertools.product((-1, 0, 1), repeat=2)]
    return float(min(np.linalg.norm(i) for i in images))
