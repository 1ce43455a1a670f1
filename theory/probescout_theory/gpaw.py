"""Density functional theory: minutes to hours, by GPAW in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from probescout.core.errors import MissingExtra, Reason
from probescout.core.policy import Json
from probescout.core.theory import EngineFailure, Failure
from probescout_theory.atomistic import AtomisticEngine
from probescout_theory.child import run_child
from probescout_theory.relaxing import Solution, Tell, not_converged
from probescout_theory.settings import ALL_QUANTITIES, schema_of
from probescout_theory.structure import Structure
from probescout_theory.structure_json import refuse

PYTHON_VARIABLE = "PROBESCOUT_GPAW_PYTHON"
"""Environment variable with the interpreter that has GPAW; otherwise the system's."""
SYSTEM_PYTHON = "/usr/bin/python3"
CHILD = Path(__file__).with_name("gpaw_child.py")
CHECK_S = 60
"""GPAW takes some seconds to import, and more from a cold disk."""
_QUANTITIES = ("formation_energy", "energy", "displacement", "strain", "gap")


class Gpaw(AtomisticEngine):
    """Density functional theory in a basis of atomic orbitals, by the GPAW of the operating system.

    GPAW: Mortensen et al. 2024, J. Chem. Phys. 160, 092503; atomic orbitals: Larsen et al. 2009, Phys. Rev. B 80,
    195112. Without spin. A relaxation takes tens of single points: it is off unless asked for, and then energies are
    those of the places that were seen. The gap is that of Kohn and Sham, too small by nature.

    Example:
        >>> Gpaw(functional="LDA").own["functional"]
        'LDA'
    """

    name: ClassVar[str] = "gpaw"
    summary: ClassVar[str] = "Density functional theory (GPAW, atomic orbitals): minutes to hours"
    quantities: ClassVar[Mapping[str, str]] = {name: ALL_QUANTITIES[name] for name in _QUANTITIES}
    n_sheet: ClassVar[int] = 2
    params_schema: ClassVar[Json] = schema_of(
        "Density functional theory (GPAW)",
        _QUANTITIES,
        {
            "functional": {
                "title": "Functional",
                "description": "Of exchange and correlation",
                "enum": ["LDA", "PBE", "RPBE"],
                "default": "PBE",
            },
            "basis": {
                "title": "Basis",
                "description": "Atomic orbitals: sz(dzp), szp(dzp) or dzp, from fast to good",
                "enum": ["sz(dzp)", "szp(dzp)", "dzp"],
                "default": "dzp",
            },
            "grid_angstrom": {
                "title": "Grid",
                "description": "Distance of its points (angstrom)",
                "type": "number",
                "minimum": 0.1,
                "maximum": 0.4,
                "default": 0.2,
            },
            "k_density": {
                "title": "Density of k-points",
                "description": "Along each direction that repeats, around Gamma (angstrom)",
                "type": "number",
                "minimum": 0,
                "maximum": 20,
                "default": 2.0,
            },
            "smearing": {
                "title": "Smearing",
                "description": "Width of the Fermi function (eV)",
                "type": "number",
                "minimum": 0,
                "maximum": 1,
                "default": 0.1,
            },
            "vacuum_angstrom": {
                "title": "Vacuum",
                "description": "On each side of what does not repeat (angstrom)",
                "type": "number",
                "minimum": 2,
                "maximum": 20,
                "default": 5.0,
            },
            "max_iterations": {
                "title": "Most iterations",
                "description": "Until the density of one geometry agrees with itself (count)",
                "type": "integer",
                "minimum": 1,
                "maximum": 5000,
                "default": 333,
            },
        },
        is_relaxed=False,
        max_steps=100,
        max_atoms=120,
    )

    def __init__(
        self,
        *,
        functional: str = "PBE",
        basis: str = "dzp",
        grid_angstrom: float = 0.2,
        k_density: float = 2.0,
        smearing: float = 0.1,
        vacuum_angstrom: float = 5.0,
        max_iterations: int = 333,
        **shared: Any,
    ) -> None:
        """Keep the settings.

        Args:
            functional: Name in libxc or GPAW.
            basis: Of atomic orbitals.
            grid_angstrom: Distance of grid points.
            k_density: Angstrom; the number of k-points is that times the length of the reciprocal cell vector.
            smearing: eV.
            vacuum_angstrom: Around clusters.
            max_iterations: Of the self-consistent field.
            shared: As SharedSettings.

        Raises:
            InvalidInput: As SharedSettings.
        """
        own = {
            "functional": functional,
            "basis": basis,
            "grid_angstrom": float(grid_angstrom),
            "k_density": float(k_density),
            "smearing": float(smearing),
            "vacuum_angstrom": float(vacuum_angstrom),
            "max_iterations": max_iterations,
        }
        super().__init__(own, shared)

    def version(self) -> str:
        """Return the versions of this engine, GPAW, and the ASE and Python that it runs with.

        Raises:
            MissingExtra: No interpreter has GPAW.
        """
        return f"gpaw 1, {_versions(_python())}"

    def solve(self, structure: Structure, tell: Tell, *, is_relaxed: bool) -> Solution:
        """Return energy, places and gap.

        Args:
            structure: Checked.
            tell: Takes the progress.
            is_relaxed: Whether the free atoms move.

        Raises:
            EngineFailure: NOT_CONVERGED, EXPLODED, CRASHED or BAD_INPUT.
            MissingExtra: As `version`.
        """
        python = _python()
        _versions(python)
        job = {
            **self.own,
            "vacuum": self.own["vacuum_angstrom"],
            "symbols": list(structure.symbols),
            "positions": structure.positions.tolist(),
            "cell": structure.cell.tolist(),
            "pbc": list(structure.periodic),
            "frozen": structure.is_frozen.tolist(),
            "is_relaxed": is_relaxed,
            "max_force": self.shared.max_force,
            "max_steps": self.shared.max_steps,
        }
        found = _calculated(python, job, tell)
        if "failure" in found:
            raise EngineFailure(Failure(found["failure"]), f"GPAW: {found['message']}")
        if not found["is_done"]:
            raise not_converged(int(found["n_steps"]), float(found["force"]), self.shared)
        moved = np.asarray(found["moved"], dtype=np.float64)
        return Solution(float(found["energy"]), structure.positions + moved, int(found["n_steps"]), float(found["gap"]))


def _calculated(python: str, job: Json, tell: Tell) -> dict[str, Any]:
    """Return what the child found.

    Raises:
        EngineFailure: CRASHED for a child that a signal ended; BAD_INPUT for one that ended with an error.
    """
    with tempfile.TemporaryDirectory(prefix="probescout-gpaw-") as name:
        folder = Path(name)
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        # Isolated: otherwise the folder of the script comes first, where a module is called gpaw.
        command = [python, "-I", str(CHILD), "job.json", "found.json"]
        code, printed = run_child(command, folder, _environment(), lambda line: tell(0.5, f"GPAW: {line}"))
        if code < 0:
            raise EngineFailure(Failure.CRASHED, f"GPAW was ended by signal {-code}; try again")
        if code > 0:
            last = printed.strip().splitlines()[-1:] or ["nothing"]
            raise refuse(f"GPAW ended with status {code} ({last[0][:300]}); look at the structure and the settings")
        found: dict[str, Any] = json.loads((folder / "found.json").read_text(encoding="utf-8"))
        return found


def _python() -> str:
    """Return the interpreter that should have GPAW.

    Raises:
        MissingExtra: There is none.
    """
    wanted = os.environ.get(PYTHON_VARIABLE) or SYSTEM_PYTHON
    found = shutil.which(wanted)
    if found is None:
        raise _missing(f"there is no {wanted}")
    return found


@cache
def _versions(python: str) -> str:
    """Return what the interpreter says of its GPAW; asked once.

    Raises:
        MissingExtra: It has none.
    """
    try:
        done = subprocess.run(
            [python, "-I", str(CHILD), "versions"],
            capture_output=True,
            text=True,
            timeout=CHECK_S,
            check=False,
            env=_environment(),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _missing(f"{python} cannot be asked: {error}") from error
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise _missing(f"{python} has none: {last[0]}")
    return done.stdout.strip()


def _environment() -> dict[str, str]:
    return {"OMP_NUM_THREADS": "1", **os.environ}


def _missing(why: str) -> MissingExtra:
    return MissingExtra(
        Reason.MISSING_EXTRA,
        f"the engine gpaw needs GPAW, and {why}; run: apt-get install gpaw gpaw-data, or name another interpreter in "
        f"{PYTHON_VARIABLE}",
        field="engine",
    )
