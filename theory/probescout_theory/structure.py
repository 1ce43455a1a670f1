"""An atomic structure that an engine can simulate."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout_theory.extras import load
from probescout_theory.lattices import BOND_REACH, Lattice
from probescout_theory.refusals import Refusal, RefusalReason

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Structure:
    """Atoms in a box."""

    kind: str
    """"flake" or "supercell"."""
    lattice: str
    """Name of the lattice that it was registered to."""
    symbols: tuple[str, ...]
    """(atom,) chemical symbols."""
    positions: FloatArray
    """(atom, xyz), angstrom."""
    cell: FloatArray
    """(vector, xyz), angstrom."""
    periodic: tuple[bool, bool, bool]
    """Along which cell vectors it repeats."""
    is_frozen: NDArray[np.bool_]
    """(atom,) which atoms a relaxation must not move."""
    n_left_out: int = 0
    """Defects of the patch that are not in the structure, because another one was nearer to the place."""

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.symbols)

    @property
    def formula(self) -> str:
        """Symbols in alphabetical order with their counts."""
        return "".join(f"{s}{self.symbols.count(s)}" for s in sorted(set(self.symbols)))

    @property
    def digest(self) -> str:
        """SHA-256 of all that an engine would see, rounded to 1e-6 angstrom: the key of a job's cache."""
        content = [
            self.kind,
            list(self.symbols),
            (np.round(self.positions, 6) + 0.0).tolist(),
            (np.round(self.cell, 6) + 0.0).tolist(),
            list(self.periodic),
            self.is_frozen.tolist(),
        ]
        return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()

    def to_ase(self) -> Any:
        """Return it as ase.Atoms with the frozen atoms fixed.

        Raises:
            MissingExtra: When ase is not installed.
        """
        atoms = load("ase").Atoms(self.symbols, positions=self.positions, cell=self.cell, pbc=self.periodic)
        atoms.set_constraint(load("ase.constraints").FixAtoms(mask=self.is_frozen))
        return atoms

    def to_pymatgen(self) -> Any:
        """Return it as pymatgen Structure; a flake repeats behind its vacuum.

        Raises:
            MissingExtra: When pymatgen is not installed.
        """
        return load("pymatgen.core").Structure(self.cell, list(self.symbols), self.positions, coords_are_cartesian=True)


def check_cell(structure: Structure, lattice: Lattice) -> Refusal | None:
    """Refuse a periodic cell whose boundary is not clean lattice; None when it is.

    An atom within one bond of the boundary must have all bonds of its species, counted through the boundary. A cell
    cropped from a patch fails: its cut edges face their own image and are a defect that the specimen does not have.

    Args:
        structure: Periodic in the plane.
        lattice: As declared.

    Raises:
        MissingExtra: When ase is not installed.
    """
    reach = BOND_REACH * lattice.bond_angstrom
    first, distance = load("ase.neighborlist").neighbor_list("id", structure.to_ase(), reach)
    if len(distance) and distance.min() < 0.6 * lattice.bond_angstrom:
        return Refusal(
            RefusalReason.TOO_CLOSE,
            f"two atoms lie {distance.min():.2f} angstrom apart through the boundary of the cell, at least "
            f"{0.6 * lattice.bond_angstrom:.2f} are needed: build the cell from the lattice instead of cropping it",
            float(distance.min()),
            0.6 * lattice.bond_angstrom,
        )
    fraction = structure.positions @ np.linalg.inv(structure.cell)
    height = np.abs(np.linalg.det(structure.cell[:2, :2])) / np.linalg.norm(structure.cell[:2, :2], axis=1)[::-1]
    to_edge = (np.abs(fraction[:, :2] - np.round(fraction[:, :2])) * height).min(axis=1)
    counts = np.bincount(first, minlength=structure.n_atoms)
    wanted = np.array([lattice.bonds.get(s, 0) for s in structure.symbols])
    cut = int(((counts < wanted) & (to_edge < lattice.bond_angstrom)).sum())
    if cut == 0:
        return None
    return Refusal(
        RefusalReason.CUT_EDGE,
        f"{cut} atoms at the boundary of the cell lack bonds, none may: their cut edge would face its own image; build "
        "the cell from the lattice instead of cropping it, or take a larger one",
        float(cut),
        0.0,
    )
