"""What all engines of atoms do: patch to structure, checks, relaxation, quantities. Each engine only solves."""

from __future__ import annotations

import hashlib
import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from probescout.core.errors import InvalidInput
from probescout.core.policy import Json
from probescout.core.theory import EngineFailure, Failure, Quantity, Report, TheoryPatch
from probescout_theory.columns import ANGSTROM_PER_METRE
from probescout_theory.formation import KEPT, ChemicalPotentials, formation_energy, is_same, key_of
from probescout_theory.patch_to_structure import Patch, structure_of
from probescout_theory.pristine import pristine_of
from probescout_theory.progress import Progress
from probescout_theory.refusals import Refusal
from probescout_theory.relaxing import Solution, Tell, check_solution, largest_strain
from probescout_theory.settings import ALL_QUANTITIES, SharedSettings
from probescout_theory.structure import Structure
from probescout_theory.structure_json import from_json, refuse, to_json

MAIN_SHARE = 0.7
"""Of the work goes into the structure itself, the rest into what it is compared with."""


@dataclass(frozen=True)
class Calculation:
    """All that is known after a run."""

    quantities: tuple[Quantity, ...]
    """As asked for."""
    structure: Json
    """As the engine left it."""
    n_steps: int
    """Of the relaxation."""
    settings_digest: str
    """SHA-256 of all settings, defaults included."""
    wall_s: float
    """Seconds, references included."""


class AtomisticEngine(ABC):
    """Base of engines of atoms; a subclass adds `solve` and `version`, and its own settings."""

    name: ClassVar[str]
    summary: ClassVar[str]
    params_schema: ClassVar[Json]
    quantities: ClassVar[Mapping[str, str]]
    n_sheet: ClassVar[int] = 5
    """Cells along each vector of the clean sheet from which atoms of a flake come."""
    are_reservoirs_molecules: ClassVar[bool] = True
    """Whether chemical potentials come from hydrides (for quantum chemistry), or from crystals and dimers."""

    def __init__(self, own: Mapping[str, Any], shared: Mapping[str, Any]) -> None:
        """Keep the settings; nothing is loaded.

        Args:
            own: Settings that only this engine has, defaults filled in.
            shared: Those of SharedSettings that are given.

        Raises:
            InvalidInput: As SharedSettings.
        """
        entries = self.params_schema["properties"]
        defaults = {k: e["default"] for k, e in entries.items() if k not in own}
        given = {**defaults, **shared}
        given["quantities"] = tuple(given["quantities"])
        self.shared = SharedSettings(**given)
        self.own = dict(own)

    @property
    def settings_digest(self) -> str:
        """SHA-256 of all settings, defaults included."""
        text = json.dumps({**asdict(self.shared), **self.own}, sort_keys=True, default=list)
        return hashlib.sha256(text.encode()).hexdigest()

    def keep_in(self, directory: Path) -> None:
        """Keep energies of references in a directory, for the jobs of other processes; see `core.theory.Keeping`."""
        KEPT.directory = directory

    @abstractmethod
    def version(self) -> str:
        """Return the versions of engine and library.

        Raises:
            MissingExtra: The library is not installed.
        """

    @abstractmethod
    def solve(self, structure: Structure, tell: Tell, *, is_relaxed: bool) -> Solution:
        """Return energy and places of a structure, relaxed if asked.

        Args:
            structure: Checked.
            tell: Takes the progress.
            is_relaxed: Whether the free atoms move.

        Raises:
            EngineFailure: NOT_CONVERGED, EXPLODED or BAD_INPUT.
            MissingExtra: As `version`.
        """

    def prepare(self, patch: TheoryPatch) -> Json:
        """Return the structure around the place of a patch, with its clean counterpart as "reference".

        Args:
            patch: Window of a frame.

        Raises:
            EngineFailure: REFUSED with the reason when the patch is no valid structure; BAD_INPUT when it, or the
                declared lattice, cannot be read at all.
            MissingExtra: The extra `theory` is not installed.
        """
        try:
            recipe = self.shared.recipe()
            window = Patch(patch.image, patch.pixel_size_m * ANGSTROM_PER_METRE, patch.place)
            built = structure_of(window, recipe)
            found = built if isinstance(built, Refusal) else pristine_of(built, recipe)
        except InvalidInput as error:
            raise EngineFailure(Failure.BAD_INPUT, f"{error.reason}: {error.message}") from error
        if isinstance(built, Refusal):
            raise EngineFailure(Failure.REFUSED, f"{built.reason}: {built.message}")
        if isinstance(found, Refusal):
            raise EngineFailure(Failure.REFUSED, f"{found.reason}: in the clean lattice, {found.message}")
        return to_json(built.structure, found)

    def run(self, structure: Json, report: Report) -> Sequence[Quantity]:
        """Return the quantities of a structure.

        Args:
            structure: As `prepare` returns, or written by hand.
            report: Takes share and message, about every second.

        Raises:
            EngineFailure: NOT_CONVERGED, EXPLODED or BAD_INPUT; an unconverged result is never a number.
            MissingExtra: As `version`.
        """
        return self.calculate(structure, report).quantities

    def calculate(self, declared: Json, report: Report) -> Calculation:
        """Do what `run` does and return all that is known.

        Args:
            declared: As for `run`.
            report: As for `run`.

        Raises:
            EngineFailure: As `run`.
            MissingExtra: As `version`.
        """
        start = time.monotonic()
        progress = Progress(report)
        structure, reference = from_json(declared, self.shared.max_atoms)
        main = progress.part(0.0, MAIN_SHARE)
        main(0.0, f"{structure.formula}, {structure.n_atoms} atoms")
        solution = self._solved(structure, main)
        values = self._values(structure, reference, solution, progress.part(MAIN_SHARE, 1.0))
        told = tuple(_quantity(name, values[name]) for name in self.shared.told)
        progress.finish("done")
        relaxed = to_json(replace(structure, positions=solution.positions))
        return Calculation(told, relaxed, solution.n_steps, self.settings_digest, time.monotonic() - start)

    def _values(
        self, structure: Structure, reference: Structure | None, solution: Solution, tell: Tell
    ) -> dict[str, float]:
        moved = np.linalg.norm(solution.positions - structure.positions, axis=1)
        values = {"energy": solution.energy, "displacement": float(moved.max()), "gap": solution.gap}
        if "strain" in self.shared.told:
            values["strain"] = largest_strain(structure, solution.positions)
        if solution.charges is not None:
            values["charge"] = float(solution.charges[int(np.argmax(np.abs(solution.charges)))])
        if "formation_energy" in self.shared.quantities:
            values["formation_energy"] = self._formation(structure, reference, solution.energy, tell)
        return values

    def _formation(self, structure: Structure, reference: Structure | None, energy: float, tell: Tell) -> float:
        if reference is None:
            raise refuse(
                "the structure carries no 'reference' to take the energy of formation against; let `prepare` make it, "
                "add the clean piece, or leave formation_energy out of quantities"
            )
        if is_same(structure, reference):
            return 0.0
        settings, version = self.settings_digest, self.version()

        def kept(other: Structure) -> float:
            key = key_of(other, self.name, settings, version)
            return KEPT.energy(key, lambda: self._reference_energy(other, tell))

        try:
            lattice = self.shared.recipe().lattice
        except InvalidInput as error:
            raise refuse(f"{error.reason}: {error.message}") from error
        reference_energy = kept(reference)
        potentials = ChemicalPotentials(
            lattice,
            self.shared.chemical_potentials,
            kept,
            (reference, reference_energy) if any(reference.periodic) else None,
            n_sheet=self.n_sheet,
            are_molecules=self.are_reservoirs_molecules,
        )
        return formation_energy(structure, energy, reference, reference_energy, potentials)

    def _reference_energy(self, structure: Structure, tell: Tell) -> float:
        def tell_reference(_: float, message: str) -> None:
            tell(0.5, f"reference {structure.formula}: {message}")

        try:
            return self._solved(structure, tell_reference).energy
        except EngineFailure as failure:
            raise EngineFailure(
                failure.failure, f"the reference {structure.kind} {structure.formula}: {failure.message}"
            ) from failure

    def _solved(self, structure: Structure, tell: Tell) -> Solution:
        is_relaxed = self.shared.is_relaxed and not structure.is_frozen.all()
        solution = self.solve(structure, tell, is_relaxed=is_relaxed)
        check_solution(structure, solution, self.shared)
        return solution


def _quantity(name: str, value: float) -> Quantity:
    if not math.isfinite(value):
        raise EngineFailure(Failure.EXPLODED, f"{name} is {value}, which is no number; look at the structure")
    return Quantity(name, value, ALL_QUANTITIES[name])
