"""Which structures are the same: a key that noise does not change, and a catalog that asks a matcher."""

from __future__ import annotations

import hashlib

import numpy as np

from probescout_theory.extras import load
from probescout_theory.structure import Structure

BOND_FACTOR = 1.2
"""Atoms closer than this many sums of covalent radii are bonded (Cordero et al. 2008, Dalton Trans. 2832)."""
ROUNDS = 6
"""Bonds over which the key looks around each atom."""
SAME_SITE = 0.5
"""Angstrom that an atom may lie off in a copy of the same structure: a third of a bond, five times the noise."""


def canonical_key(structure: Structure) -> str:
    """Return a key that is the same for turned, mirrored, shifted, renumbered and slightly rattled copies.

    The SHA-256 of kind, lattice and the bond graph, refined around each atom (Weisfeiler & Leman 1968; colours are
    species and sorted colours of the neighbours). Equal keys do not prove equality, and a rattle that makes or breaks a
    bond changes the key: the catalog asks a matcher in both cases.

    Args:
        structure: Any.

    Raises:
        MissingExtra: When ase is not installed.
    """
    atoms = structure.to_ase()
    radii = BOND_FACTOR * load("ase.data").covalent_radii[atoms.numbers]
    first, second = load("ase.neighborlist").neighbor_list("ij", atoms, list(radii))
    around: list[list[int]] = [[] for _ in structure.symbols]
    for i, j in zip(first.tolist(), second.tolist(), strict=True):
        around[i].append(j)
    colors = list(structure.symbols)
    for _ in range(ROUNDS):
        colors = [_hash("|".join([colors[i], *sorted(colors[j] for j in near)])) for i, near in enumerate(around)]
    return _hash("|".join([structure.kind, structure.lattice, *sorted(colors)]))


class Catalog:
    """Structures that were seen before.

    Example:
        >>> catalog = Catalog()
        >>> catalog.n_structures
        0
    """

    def __init__(self, same_site: float = SAME_SITE) -> None:
        """Start empty.

        Args:
            same_site: Angstrom that an atom may lie off in a copy.
        """
        self.same_site = same_site
        self._known: dict[tuple[str, str, str], list[tuple[str, Structure]]] = {}

    @property
    def n_structures(self) -> int:
        """Number of different structures."""
        return sum(len(known) for known in self._known.values())

    def find(self, structure: Structure) -> Structure | None:
        """Return the known structure of which this is a copy, or None.

        Composition and kind must agree; then those with the same key are compared first. The comparison is that of
        pymatgen's StructureMatcher (Ong et al. 2013, Comput. Mater. Sci. 68, 314) without scaling: strained cells
        have other energies.

        Raises:
            MissingExtra: When pymatgen or ase is not installed.
        """
        known = self._known.get(_bucket(structure), [])
        if not known:
            return None
        key = canonical_key(structure)
        for _, other in sorted(known, key=lambda entry: entry[0] != key):
            if self.is_copy(structure, other):
                return other
        return None

    def add(self, structure: Structure) -> Structure:
        """Keep a structure and return the first one of its kind: itself when it is new.

        Raises:
            MissingExtra: When pymatgen or ase is not installed.
        """
        found = self.find(structure)
        if found is not None:
            return found
        self._known.setdefault(_bucket(structure), []).append((canonical_key(structure), structure))
        return structure

    def is_copy(self, a: Structure, b: Structure) -> bool:
        """Return whether two structures are the same but for noise, place and orientation.

        Raises:
            MissingExtra: When pymatgen is not installed.
        """
        if _bucket(a) != _bucket(b):
            return False
        # The matcher measures sites in free lengths, which vacuum makes longer: this keeps the tolerance in angstrom.
        free = (abs(float(np.linalg.det(a.cell))) / a.n_atoms) ** (1.0 / 3.0)
        matcher = load("pymatgen.analysis.structure_matcher").StructureMatcher(
            ltol=0.01, stol=self.same_site / free, angle_tol=1.0, primitive_cell=False, scale=False
        )
        return bool(matcher.fit(a.to_pymatgen(), b.to_pymatgen()))


def _bucket(structure: Structure) -> tuple[str, str, str]:
    return structure.kind, structure.lattice, structure.formula


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
