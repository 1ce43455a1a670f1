"""Relaxation by an ASE calculator, and the checks after every relaxation, whoever did it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.theory import EngineFailure, Failure
from probescout_theory.extras import load
from probescout_theory.settings import SharedSettings
from probescout_theory.structure import Structure
from probescout_theory.structure_json import BONDED, CLOSEST, closeness

FloatArray = NDArray[np.float64]
Tell = Callable[[float, str], None]

LARGEST_STEP = 0.1
"""Angstrom that an atom may move in one step: a guess of the curvature that is far off must not break bonds."""
FLOWN = 1.6
"""Sums of covalent radii: an atom with no neighbour nearer than this has flown off."""
MOST_EV_PER_ATOM = 1e5
"""Total energies beyond are none: no engine here counts the inner electrons of heavy atoms."""


@dataclass(frozen=True)
class Solution:
    """A structure as an engine left it."""

    energy: float
    """Total, eV, on the engine's own scale."""
    positions: FloatArray
    """(atom, xyz), angstrom."""
    n_steps: int = 0
    """Of the relaxation."""
    gap: float = math.nan
    """eV; NaN where the engine has none."""
    charges: FloatArray | None = None
    """(atom,), e; None where the engine has none."""


def relax(atoms: Any, settings: SharedSettings, tell: Tell) -> int:
    """Move the free atoms of an ase.Atoms with a calculator to where forces vanish; return the number of steps.

    Quasi-Newton of Broyden, Fletcher, Goldfarb and Shanno (Nocedal and Wright 2006, Numerical Optimization, ch. 6), as
    ASE has it.

    Args:
        atoms: Moved in place.
        settings: Force, steps and displacement allowed.
        tell: Takes the progress.

    Raises:
        EngineFailure: NOT_CONVERGED or EXPLODED.
        MissingExtra: When ase is not installed.
    """
    start = atoms.get_positions()
    first = 0.0
    n = 0
    optimizer = load("ase.optimize").BFGS(atoms, logfile=None, maxstep=LARGEST_STEP)
    for n, is_done in enumerate(optimizer.irun(fmax=settings.max_force, steps=settings.max_steps)):
        force = float(np.linalg.norm(atoms.get_forces(), axis=1).max())
        if not math.isfinite(force):
            raise EngineFailure(Failure.EXPLODED, f"forces are not finite after {n} steps; look at the structure")
        check_displacement(start, atoms.get_positions(), settings.max_displacement_angstrom)
        if is_done:
            return n
        first = first or force
        tell(_share(first, force, settings.max_force), f"step {n}, largest force {force:.3f} eV/angstrom")
    raise not_converged(n, force, settings)


def not_converged(n_steps: int, force: float, settings: SharedSettings) -> EngineFailure:
    """Return the failure of a relaxation that ran out of steps.

    Args:
        n_steps: Done.
        force: Largest on a free atom, eV/angstrom.
        settings: What was allowed.
    """
    return EngineFailure(
        Failure.NOT_CONVERGED,
        f"the largest force is {force:.3g} eV/angstrom after {n_steps} steps, at most {settings.max_force:g} may be: "
        "raise max_steps or max_force",
    )


def check_displacement(start: FloatArray, end: FloatArray, most: float) -> None:
    """Refuse atoms that moved too far.

    Args:
        start: (atom, xyz), angstrom.
        end: (atom, xyz), angstrom.
        most: Angstrom.

    Raises:
        EngineFailure: EXPLODED.
    """
    moved = np.linalg.norm(end - start, axis=1)
    # Written so that NaN fails too.
    if not bool((moved <= most).all()):
        worst = int(np.argmax(np.nan_to_num(moved, nan=np.inf)))
        raise EngineFailure(
            Failure.EXPLODED,
            f"atom {worst} moved {moved[worst]:.2f} angstrom, at most {most:g} are allowed: the structure is not the "
            "one that was seen; look at it, or raise max_displacement_angstrom",
        )


def check_solution(structure: Structure, solution: Solution, settings: SharedSettings) -> None:
    """Refuse what cannot be the outcome of a calculation that went well.

    Args:
        structure: As it was given to the engine.
        solution: As it came back.
        settings: What is allowed.

    Raises:
        EngineFailure: EXPLODED.
        MissingExtra: When ase is not installed.
    """
    if not math.isfinite(solution.energy) or abs(solution.energy) > MOST_EV_PER_ATOM * structure.n_atoms:
        raise EngineFailure(
            Failure.EXPLODED,
            f"the energy is {solution.energy:g} eV for {structure.n_atoms} atoms, at most {MOST_EV_PER_ATOM:g} an atom "
            "can be; look at the structure",
        )
    check_displacement(structure.positions, solution.positions, settings.max_displacement_angstrom)
    if solution.n_steps == 0:
        return
    first, _, share = closeness(replace(structure, positions=solution.positions), FLOWN)
    if len(share) and share.min() < CLOSEST:
        raise EngineFailure(
            Failure.EXPLODED,
            f"two atoms ended {share.min():.2f} sums of covalent radii apart, at least {CLOSEST} are needed; look at "
            "the structure",
        )
    flown = sorted(set(closeness(structure)[0].tolist()) - set(first.tolist()))
    if flown:
        raise EngineFailure(
            Failure.EXPLODED, f"atoms {flown[:5]} had neighbours and have none after relaxation; look at the structure"
        )


def largest_strain(structure: Structure, positions: FloatArray) -> float:
    """Return the largest relative change of the length of a bond, no unit, at least 0.

    Args:
        structure: As it was before; atoms within 1.25 sums of covalent radii are bonded.
        positions: (atom, xyz) afterwards, angstrom.

    Raises:
        MissingExtra: When ase is not installed.
    """
    atoms = structure.to_ase()
    radii = load("ase.data").covalent_radii[atoms.numbers]
    first, second, step = load("ase.neighborlist").neighbor_list("ijD", atoms, list(BONDED * radii))
    if len(first) == 0:
        return 0.0
    moved = positions - structure.positions
    after = np.linalg.norm(step + moved[second] - moved[first], axis=1)
    return float(np.abs(after / np.linalg.norm(step, axis=1) - 1.0).max())


def _share(first: float, now: float, target: float) -> float:
    """Return how far a relaxation is: forces fall about exponentially."""
    if now <= target or first <= target:
        return 1.0
    return max(0.0, math.log(first / now) / math.log(first / target))
