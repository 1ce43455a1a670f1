"""Extended tight binding: electrons and forces of some hundred atoms in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version as version_of
from typing import Any, ClassVar

import numpy as np

from probescout.core.policy import Json
from probescout.core.theory import EngineFailure, Failure
from probescout_theory.atomistic import AtomisticEngine
from probescout_theory.extras import load
from probescout_theory.relaxing import Solution, Tell, relax
from probescout_theory.settings import ALL_QUANTITIES, schema_of
from probescout_theory.structure import Structure
from probescout_theory.structure_json import refuse

_QUANTITIES = ("formation_energy", "energy", "displacement", "strain", "gap", "charge")


class Xtb(AtomisticEngine):
    """Tight binding with fitted parameters, by tblite; periodic structures at the Gamma point.

    GFN2-xTB: Bannwarth et al. 2019, J. Chem. Theory Comput. 15, 1652; GFN1-xTB: Grimme et al. 2017, J. Chem. Theory
    Comput. 13, 1989. An odd number of electrons leaves one unpaired. The gap is that between the highest level that
    holds an electron and the next one; charges are Mulliken's.

    Example:
        >>> engine = Xtb(method="GFN2-xTB", is_relaxed=False, quantities=["energy"])
        >>> engine.run({"symbols": ["H", "H"], "positions": [[0, 0, 0], [0, 0, 0.74]]}, print)[0].unit  # doctest: +SKIP
        'eV'
    """

    name: ClassVar[str] = "xtb"
    summary: ClassVar[str] = "Tight binding (GFN1-xTB, GFN2-xTB): energies, gaps and charges in seconds"
    quantities: ClassVar[Mapping[str, str]] = {name: ALL_QUANTITIES[name] for name in _QUANTITIES}
    params_schema: ClassVar[Json] = schema_of(
        "Extended tight binding (tblite)",
        _QUANTITIES,
        {
            "method": {
                "title": "Method",
                "description": "auto: GFN1-xTB for supercells, where it is three times as fast, GFN2-xTB for flakes",
                "enum": ["auto", "GFN1-xTB", "GFN2-xTB"],
                "default": "auto",
            },
            "electronic_temperature": {
                "title": "Electronic temperature",
                "description": "Of the occupation of levels (kelvin)",
                "type": "number",
                "exclusiveMinimum": 0,
                "maximum": 20000,
                "default": 300.0,
            },
            "max_iterations": {
                "title": "Most iterations",
                "description": "Until the charges of one geometry agree with themselves (count)",
                "type": "integer",
                "minimum": 1,
                "maximum": 5000,
                "default": 250,
            },
        },
    )

    def __init__(
        self, *, method: str = "auto", electronic_temperature: float = 300.0, max_iterations: int = 250, **shared: Any
    ) -> None:
        """Keep the settings.

        Args:
            method: "auto", "GFN1-xTB" or "GFN2-xTB".
            electronic_temperature: Kelvin.
            max_iterations: Of the self-consistent field.
            shared: As SharedSettings.

        Raises:
            InvalidInput: As SharedSettings.
        """
        own = {
            "method": method,
            "electronic_temperature": float(electronic_temperature),
            "max_iterations": max_iterations,
        }
        super().__init__(own, shared)
        by_builder = {"supercell": "GFN1-xTB", "flake": "GFN2-xTB"}
        self.method = by_builder[self.shared.builder] if method == "auto" else method

    def version(self) -> str:
        """Return the versions of this engine, tblite and ASE.

        Raises:
            MissingExtra: tblite or ase is not installed.
        """
        load("tblite")
        load("ase")
        return f"xtb 1, tblite {version_of('tblite')}, ase {version_of('ase')}"

    def solve(self, structure: Structure, tell: Tell, *, is_relaxed: bool) -> Solution:
        """Return energy, places, gap and charges.

        Args:
            structure: Checked.
            tell: Takes the progress.
            is_relaxed: Whether the free atoms move.

        Raises:
            EngineFailure: NOT_CONVERGED, EXPLODED or BAD_INPUT.
            MissingExtra: tblite or ase is not installed.
        """
        errors = load("ase.calculators.calculator")
        atoms = structure.to_ase()
        n_steps = 0
        try:
            if is_relaxed:
                atoms.calc = load("tblite.ase").TBLite(
                    method=self.method,
                    electronic_temperature=self.own["electronic_temperature"],
                    max_iterations=self.own["max_iterations"],
                    verbosity=0,
                )
                n_steps = relax(atoms, self.shared, tell)
            return self._single_point(atoms, n_steps)
        except errors.CalculationFailed as error:
            raise _failure(str(error), self.own["max_iterations"]) from error
        except errors.InputError as error:
            raise refuse(f"tblite does not take {structure.formula} ({error}); look at the structure") from error

    def _single_point(self, atoms: Any, n_steps: int) -> Solution:
        """Return the solution at the places of an ase.Atoms.

        From a fresh start, not from the densities of the relaxation before: the same places give the same energy.
        """
        units = load("ase.units")
        library = load("tblite.interface")
        where = {}
        if atoms.pbc.any():
            where = {"lattice": np.array(atoms.cell) / units.Bohr, "periodic": atoms.pbc}
        try:
            calculator = library.Calculator(self.method, atoms.numbers, atoms.positions / units.Bohr, **where)
        except (RuntimeError, ValueError) as error:
            raise refuse(f"tblite does not take the structure ({error}); look at it") from error
        calculator.set("verbosity", 0)
        calculator.set("temperature", self.own["electronic_temperature"] * units.kB / units.Hartree)
        calculator.set("max-iter", self.own["max_iterations"])
        try:
            found = calculator.singlepoint()
        except RuntimeError as error:
            raise _failure(str(error), self.own["max_iterations"]) from error
        levels = np.asarray(found["orbital-energies"]) * units.Hartree
        n_electrons = float(np.sum(found["orbital-occupations"]))
        return Solution(
            float(found["energy"]) * units.Hartree,
            atoms.get_positions(),
            n_steps,
            _gap(levels, n_electrons),
            np.asarray(found["charges"], dtype=np.float64),
        )


def _gap(levels: np.ndarray, n_electrons: float) -> float:
    """Return the step in energy above the highest occupied level (level,), eV; NaN when no level is free."""
    ordered = np.sort(levels)
    n_filled = int(np.ceil(round(n_electrons) / 2.0))
    return float(ordered[n_filled] - ordered[n_filled - 1]) if 0 < n_filled < len(ordered) else float("nan")


def _failure(said: str, most: int) -> EngineFailure:
    if "not converged" in said.lower():
        return EngineFailure(
            Failure.NOT_CONVERGED,
            f"{said}; charges did not agree with themselves within {most} iterations: raise max_iterations or "
            "electronic_temperature",
        )
    return refuse(f"tblite could not calculate the structure ({said}); look at it")
