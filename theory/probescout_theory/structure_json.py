"""Structures as JSON values: what `prepare` returns, what `run` takes, and the checks in between."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.policy import Json
from probescout.core.theory import EngineFailure, Failure
from probescout_theory.extras import load
from probescout_theory.structure import Structure

FloatArray = NDArray[np.float64]

PERIODIC = ((False, False, False), (True, True, False), (True, True, True))
"""Ways in which a structure may repeat: a cluster, a sheet, a crystal."""
CLOSEST = 0.45
"""Sums of covalent radii (Cordero et al. 2008, Dalton Trans. 2832): atoms nearer than this lie in one place."""
BONDED = 1.25
"""Sums of covalent radii: atoms nearer than this are bonded."""
MOST_ANGSTROM = 1e4
"""No position or cell vector is longer; one that is was given in another unit."""
FIELDS = {"kind", "lattice", "symbols", "positions", "cell", "pbc", "frozen", "n_left_out", "reference"}


def to_json(structure: Structure, reference: Structure | None = None) -> dict[str, Any]:
    """Return a structure as JSON values.

    Args:
        structure: Any.
        reference: The same piece of the clean lattice, against which the energy of formation is taken.
    """
    made: dict[str, Any] = {
        "kind": structure.kind,
        "lattice": structure.lattice,
        "symbols": list(structure.symbols),
        "positions": structure.positions.tolist(),
        "cell": structure.cell.tolist(),
        "pbc": list(structure.periodic),
        "frozen": structure.is_frozen.tolist(),
        "n_left_out": structure.n_left_out,
    }
    if reference is not None:
        made["reference"] = to_json(reference)
    return made


def from_json(declared: Json, most_atoms: int) -> tuple[Structure, Structure | None]:
    """Return a structure, and the reference that it carries.

    Args:
        declared: As `to_json` returns. "symbols" and "positions" are needed; "cell" only where it repeats ("pbc");
            "frozen" is false for all atoms if left out.
        most_atoms: More are not taken.

    Raises:
        EngineFailure: BAD_INPUT for what is no structure.
        MissingExtra: When ase is not installed.
    """
    structure = _one(declared, most_atoms, "the structure")
    reference = declared.get("reference")
    if reference is None:
        return structure, None
    known = _one(reference, most_atoms, "the reference")
    if known.periodic != structure.periodic:
        raise refuse(
            f"the structure repeats along {structure.periodic} and its reference along {known.periodic}; they must "
            "agree: give the same piece of the clean lattice"
        )
    return structure, known


def refuse(message: str) -> EngineFailure:
    """Return the failure for an input that cannot be calculated."""
    return EngineFailure(Failure.BAD_INPUT, message)


def closeness(structure: Structure, reach: float = BONDED) -> tuple[NDArray[np.int64], NDArray[np.int64], FloatArray]:
    """Return pairs of near atoms: first (pair,), second (pair,), and distance (pair,) in sums of covalent radii.

    Args:
        structure: Any.
        reach: Sums of covalent radii within which pairs are listed, each in both orders.

    Raises:
        MissingExtra: When ase is not installed.
    """
    atoms = structure.to_ase()
    radii = load("ase.data").covalent_radii[atoms.numbers]
    first, second, distance = load("ase.neighborlist").neighbor_list("ijd", atoms, list(reach * radii))
    return first, second, distance / (radii[first] + radii[second])


def _one(declared: Any, most_atoms: int, what: str) -> Structure:
    if not isinstance(declared, Mapping):
        raise refuse(f"{what} is a {type(declared).__name__}; give an object with symbols and positions")
    strange = sorted(set(map(str, declared)) - FIELDS)
    if strange:
        raise refuse(f"{what} has unknown fields {strange}; it takes {sorted(FIELDS)}")
    symbols = _symbols(declared.get("symbols"), most_atoms, what)
    n = len(symbols)
    positions = _numbers(declared.get("positions"), (n, 3), f"the positions of {what}")
    periodic = tuple(_flags(declared.get("pbc", [False] * 3), 3, f"pbc of {what}"))
    if periodic not in PERIODIC:
        raise refuse(f"{what} repeats along {periodic}; it may along none, the first two, or all three cell vectors")
    cell = _numbers(declared.get("cell", np.zeros((3, 3))), (3, 3), f"the cell of {what}")
    _check_cell(cell, periodic, what)
    structure = Structure(
        str(declared.get("kind", "given")),
        str(declared.get("lattice", "")),
        symbols,
        positions,
        cell,
        (periodic[0], periodic[1], periodic[2]),
        np.array(_flags(declared.get("frozen", [False] * n), n, f"frozen of {what}"), dtype=bool),
        int(declared.get("n_left_out", 0)),
    )
    _check_distances(structure, what)
    return structure


def _symbols(given: Any, most_atoms: int, what: str) -> tuple[str, ...]:
    if not isinstance(given, list | tuple) or not given:
        raise refuse(f"{what} has no list of symbols; give one chemical symbol an atom")
    if len(given) > most_atoms:
        raise refuse(
            f"{what} has {len(given)} atoms, at most {most_atoms} are taken; choose a smaller radius or cell, or raise "
            "max_atoms"
        )
    numbers = load("ase.data").atomic_numbers
    strange = sorted({str(s) for s in given if not isinstance(s, str) or numbers.get(s, 0) < 1})
    if strange:
        raise refuse(f"{what} has {strange}, which are no elements; give chemical symbols such as Mo")
    return tuple(given)


def _numbers(given: Any, shape: tuple[int, int], what: str) -> FloatArray:
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise refuse(f"{what} are no numbers ({error}); give {shape[0]} x {shape[1]} angstrom") from error
    if values.shape != shape:
        raise refuse(f"{what} have shape {values.shape}; give {shape}, angstrom")
    if not np.isfinite(values).all() or np.abs(values).max(initial=0.0) > MOST_ANGSTROM:
        raise refuse(f"{what} have numbers that are not finite or beyond {MOST_ANGSTROM:g}; give angstrom")
    return values


def _flags(given: Any, n: int, what: str) -> list[bool]:
    if not isinstance(given, list | tuple) or len(given) != n or not all(isinstance(flag, bool) for flag in given):
        raise refuse(f"{what} is {given!r:.60}; give {n} times true or false")
    return list(given)


def _check_cell(cell: FloatArray, periodic: tuple[bool, ...], what: str) -> None:
    lengths = np.linalg.norm(cell, axis=1)
    is_flat = bool(any(periodic)) and (lengths.min() < 1.0 or abs(np.linalg.det(cell)) < 0.05 * float(lengths.prod()))
    if is_flat:
        raise refuse(f"{what} repeats in a cell that is flat or has a vector below 1 angstrom; give three that span it")
    if periodic == (True, True, False) and np.abs(cell[:2] @ cell[2]).max() > 1e-6 * lengths.prod():
        raise refuse(f"{what} is a sheet whose third cell vector is not along its normal; give it along the normal")


def _check_distances(structure: Structure, what: str) -> None:
    first, second, share = closeness(structure)
    if len(share) and share.min() < CLOSEST:
        worst = int(np.argmin(share))
        raise refuse(
            f"atoms {int(first[worst])} and {int(second[worst])} of {what} lie {share.min():.2f} sums of covalent "
            f"radii apart, at least {CLOSEST} are needed: one atom was given twice, or the cell is too small"
        )
