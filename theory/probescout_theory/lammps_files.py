"""What goes into LAMMPS and comes out of it, as text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from probescout_theory.extras import load
from probescout_theory.structure import Structure

FloatArray = NDArray[np.float64]

ROOM = 20.0
"""Angstrom around atoms where the structure does not repeat: farther than any potential here reaches."""
TIMESTEP = 0.0005
"""Picoseconds, of the damped dynamics: hydrogens swing in 0.01."""
EVALUATIONS_PER_STEP = 20
"""Of the energy, allowed to each step of a minimisation."""


def frame_of(structure: Structure) -> tuple[FloatArray, FloatArray]:
    """Return places (atom, xyz) and cell (vector, xyz) as LAMMPS wants them, angstrom.

    The first vector lies along x, the second in the plane of x and y. Where the structure does not repeat, the box is a
    block around its atoms.

    Args:
        structure: Checked.
    """
    if not any(structure.periodic):
        low = structure.positions.min(axis=0) - ROOM
        return structure.positions - low, np.diag(np.ptp(structure.positions, axis=0) + 2.0 * ROOM)
    cell = structure.cell
    if not structure.periodic[2]:
        normal = np.cross(cell[0], cell[1])
        normal /= np.linalg.norm(normal)
        height = structure.positions @ normal
        cell = np.array([cell[0], cell[1], normal * (np.ptp(height) + 2.0 * ROOM)])
    # The transposed QR decomposition of the cell is the same cell, turned.
    turn, upper = np.linalg.qr(cell.T)
    sign = np.sign(np.diag(upper))
    turned = (upper * sign[:, None]).T
    places = structure.positions @ (turn * sign)
    if not structure.periodic[2]:
        places[:, 2] += ROOM - places[:, 2].min()
    return places, turned


def data_text(structure: Structure, species: Sequence[str]) -> str:
    """Return the data file of a structure.

    Args:
        structure: Checked.
        species: Chemical symbol of each type.

    Raises:
        MissingExtra: When ase is not installed.
    """
    places, cell = frame_of(structure)
    data = load("ase.data")
    masses = [f"{i + 1} {data.atomic_masses[data.atomic_numbers[s]]:.6f}" for i, s in enumerate(species)]
    types = {s: i + 1 for i, s in enumerate(species)}
    atoms = [
        f"{i + 1} {types[s]} {x:.17g} {y:.17g} {z:.17g}"
        for i, (s, (x, y, z)) in enumerate(zip(structure.symbols, places, strict=True))
    ]
    return "\n".join(
        [
            "Probescout\n",
            f"{structure.n_atoms} atoms",
            f"{len(species)} atom types",
            *(f"0 {cell[i, i]:.17g} {axis}lo {axis}hi" for i, axis in enumerate("xyz")),
            f"{cell[1, 0]:.17g} {cell[2, 0]:.17g} {cell[2, 1]:.17g} xy xz yz\n",
            "Masses\n",
            *masses,
            "\nAtoms # atomic\n",
            *atoms,
            "",
        ]
    )


def input_text(structure: Structure, pair: Sequence[str], *, steps: int, max_force: float) -> str:
    """Return the script that minimises a structure and writes energy, places and forces.

    Args:
        structure: Checked.
        pair: Lines pair_style and pair_coeff.
        steps: Of the minimisation; 0: none.
        max_force: At which it ends, eV/angstrom on one atom.
    """
    boundary = " ".join("p" if flag else "f" for flag in structure.periodic)
    lines = ["units metal", "atom_style atomic", "atom_modify map array sort 0 0", f"boundary {boundary}"]
    lines += ["box tilt large", "read_data data", *pair, "neighbor 2.0 bin", "neigh_modify delay 0 every 1 check yes"]
    frozen = np.flatnonzero(structure.is_frozen) + 1
    if len(frozen):
        lines += ["group frozen id " + " ".join(map(str, frozen)), "fix hold frozen setforce 0.0 0.0 0.0"]
    lines += ["thermo 20", "thermo_style custom step pe fmax"]
    if steps:
        lines += [f"timestep {TIMESTEP}", "min_style fire", "min_modify norm max"]
        lines += [f"minimize 0.0 {max_force:.17g} {steps} {EVALUATIONS_PER_STEP * steps}"]
    lines += [
        # The energy of the last places, from a fresh neighbour list.
        "run 0",
        "variable energy equal pe",
        "variable steps equal step",
        'print "${energy} ${steps}" file energy screen no',
        "write_dump all custom dump id xu yu zu fx fy fz modify sort id format float %.17g",
        "",
    ]
    return "\n".join(lines)


def read_dump(text: str, structure: Structure) -> tuple[FloatArray, FloatArray]:
    """Return places (atom, xyz) in the frame of the structure, angstrom, and forces (atom, xyz) in that of LAMMPS.

    Args:
        text: Of the file.
        structure: As it was given.

    Raises:
        ValueError: The text is no dump of so many atoms.
    """
    rows = text.partition("ITEM: ATOMS")[2].splitlines()[1:]
    values = np.array([[float(word) for word in row.split()] for row in rows], dtype=np.float64)
    if values.shape != (structure.n_atoms, 7):
        raise ValueError(f"the dump has shape {values.shape}, not ({structure.n_atoms}, 7)")
    start, cell = frame_of(structure)
    moved = values[:, 1:4] - start
    # LAMMPS wraps what it reads into the box, but `xu` is counted from there.
    repeats = np.where(structure.periodic, np.round(moved @ np.linalg.inv(cell)), 0.0)
    moved -= repeats @ cell
    return structure.positions + _turned_back(moved, structure), values[:, 4:7]


def _turned_back(steps: FloatArray, structure: Structure) -> FloatArray:
    """Return steps (atom, xyz) of the LAMMPS frame in that of the structure, angstrom."""
    if not any(structure.periodic):
        return steps
    cell = structure.cell
    if not structure.periodic[2]:
        normal = np.cross(cell[0], cell[1])
        cell = np.array([cell[0], cell[1], normal])
    turn, upper = np.linalg.qr(cell.T)
    return np.asarray(steps @ (turn * np.sign(np.diag(upper))).T)
