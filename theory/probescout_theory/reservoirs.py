"""Where atoms come from and go to: molecules and crystals whose energy gives a chemical potential."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from probescout_theory.extras import load
from probescout_theory.structure import Structure

HYDRIDES: Mapping[str, int] = dict(
    H=1, B=3, C=4, N=3, O=2, F=1, Al=3, Si=4, P=3, S=2, Cl=1, Ge=4, As=3, Se=2, Br=1
)  # fmt: skip
"""Hydrogens of the simplest hydride of an element; H itself is H2."""
DIMERS = ("H", "N", "O", "F", "S", "Cl", "Se", "Br")
"""Elements whose reservoir is the molecule of two atoms."""
CRYSTALS = ("diamond", "bcc", "fcc", "hcp")
"""Crystals that are built for other elements, with the measured cell that ASE knows."""
VACUUM = 5.0
"""Angstrom around a molecule."""
_TETRAHEDRON = np.array([[1.0, 1.0, 1.0], [-1.0, -1.0, 1.0], [-1.0, 1.0, -1.0], [1.0, -1.0, -1.0]]) / np.sqrt(3.0)


def hydride(symbol: str) -> tuple[Structure, int] | None:
    """Return the simplest hydride and its number of hydrogens, as a start for relaxation; None where there is none.

    Args:
        symbol: Chemical symbol.

    Raises:
        MissingExtra: When ase is not installed.
    """
    n = HYDRIDES.get(symbol)
    if n is None:
        return None
    data = load("ase.data")
    radii = data.covalent_radii
    length = float(radii[data.atomic_numbers[symbol]] + radii[1])
    places = np.vstack([np.zeros(3), length * _TETRAHEDRON[:n]])
    return _molecule((symbol, *["H"] * n), places), n


def dimer(symbol: str) -> Structure | None:
    """Return the molecule of two atoms of an element, as a start for relaxation; None where it is none.

    Args:
        symbol: Chemical symbol.

    Raises:
        MissingExtra: When ase is not installed.
    """
    if symbol not in DIMERS:
        return None
    data = load("ase.data")
    length = 2.0 * float(data.covalent_radii[data.atomic_numbers[symbol]])
    return _molecule((symbol, symbol), np.array([[0.0, 0.0, 0.0], [0.0, 0.0, length]]))


def crystal(symbol: str) -> Structure | None:
    """Return 2 x 2 x 2 cells of the crystal of an element at its measured cell; None where it is not built.

    Args:
        symbol: Chemical symbol.

    Raises:
        MissingExtra: When ase is not installed.
    """
    data = load("ase.data")
    state = data.reference_states[data.atomic_numbers[symbol]]
    if state is None or state["symmetry"] not in CRYSTALS:
        return None
    atoms = load("ase.build").bulk(symbol, cubic=state["symmetry"] != "hcp").repeat((2, 2, 2))
    n = len(atoms)
    return Structure(
        "crystal", symbol, (symbol,) * n, atoms.positions, np.array(atoms.cell), (True,) * 3, np.zeros(n, dtype=bool)
    )


def _molecule(symbols: tuple[str, ...], places: np.ndarray) -> Structure:
    size = np.ptp(places, axis=0) + 2.0 * VACUUM
    inside = places - places.min(axis=0) + VACUUM
    return Structure("molecule", "", symbols, inside, np.diag(size), (False,) * 3, np.zeros(len(symbols), dtype=bool))
