"""The clean counterpart of a structure: what its energy of formation is taken against."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from probescout_theory.describe import Defect
from probescout_theory.flake import build_flake
from probescout_theory.lattices import Lattice
from probescout_theory.patch_to_structure import Built, Recipe
from probescout_theory.refusals import Refusal
from probescout_theory.structure import Structure
from probescout_theory.supercell import build_supercell

SAME_PLACE = 1e-6
"""Angstrom; both structures are cut from one lattice, so that clean atoms differ by rounding alone."""


def pristine_of(built: Built, recipe: Recipe) -> Structure | Refusal:
    """Return the same cell, or the same cut, of the clean lattice, with the same atoms frozen.

    Args:
        built: From a patch.
        recipe: That it was built by.

    Raises:
        MissingExtra: When ase is not installed.
    """
    # Middle and extent stay, so that the builder chooses the same cell and cuts at the same places.
    clean = replace(built.defect, removed=np.zeros((0, 3), dtype=np.int64), inserted_xy=np.zeros((0, 2)), inserted=())
    if recipe.builder == "flake":
        found = build_flake(clean, recipe.lattice, radius=recipe.radius_angstrom)
    else:
        found = build_supercell(clean, recipe.lattice)
    return found if isinstance(found, Refusal) else _frozen_as(found, built.structure)


def sheet_of(lattice: Lattice, n: int) -> Structure | Refusal:
    """Return n x n cells of the clean lattice, n at least 2.

    Args:
        lattice: As declared.
        n: Cells along each vector.

    Raises:
        MissingExtra: When ase is not installed.
    """
    nothing = Defect(
        np.zeros((0, 3), dtype=np.int64), np.zeros((0, 2)), (), np.zeros(2), extent_angstrom=0.0, core_angstrom=0.0,
        to_edge_angstrom=np.inf, n_left_out=0,
    )  # fmt: skip
    shortest = min(np.linalg.norm(step @ lattice.matrix) for step in np.array([[1, 0], [0, 1], [1, 1], [1, -1]]))
    # The builder takes the smallest cell with so much clearance: a trifle less than n cells gives n of them.
    return build_supercell(nothing, lattice, clearance=float((n - 0.01) * shortest), max_atoms=100_000)


def _frozen_as(clean: Structure, structure: Structure) -> Structure:
    """Return the clean structure with those atoms frozen that stand where the other's frozen atoms do."""
    frozen = np.zeros(clean.n_atoms, dtype=bool)
    for place in structure.positions[structure.is_frozen]:
        frozen |= np.linalg.norm(clean.positions - place, axis=1) < SAME_PLACE
    return replace(clean, is_frozen=frozen)
