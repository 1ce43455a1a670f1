"""Energies of the structures in patches by the engine `xtb`, through the door by which jobs of the service go in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from probescout_theory.keys import Catalog
from probescout_theory.patch_to_structure import Built, Patch, structure_of
from probescout_theory.pristine import pristine_of
from probescout_theory.refusals import Refusal
from probescout_theory.structure_json import from_json, to_json
from probescout_theory.xtb import Xtb

from benchmarks.theory_specimen import DOPANTS, PIXEL, RADIUS, WINDOW, Specimen
from probescout.core.theory import EngineFailure, TheoryPatch
from probescout.runtime.theory_run import Progress, outcome

CACHE = Path(__file__).parents[1] / "out" / "benchmarks" / "theory-energies"
SETTINGS: dict[str, Any] = {
    "builder": "flake",
    "radius_angstrom": RADIUS,
    "dopants": list(DOPANTS),
    "is_relaxed": False,
    "quantities": ["formation_energy"],
}


class Energies:
    """Energies of formation (eV), each structure calculated once: in one image by the catalog, in all by the cache."""

    def __init__(self, cache: Path = CACHE) -> None:
        """Keep energies in a directory, which is made when it is first needed."""
        self.engine = Xtb(**SETTINGS)
        self._cache = cache
        self._catalog = Catalog()
        self._known: dict[int, float] = {}

    @property
    def n_structures(self) -> int:
        """Different structures of this image."""
        return self._catalog.n_structures

    def found(self, specimen: Specimen) -> np.ndarray:
        """Return (candidate,) the energy of what is found in the patch of each; NaN for a job that fails."""
        return np.array([self._of_patch(*specimen.seen(p)) for p in specimen.positions])

    def true(self, specimen: Specimen) -> np.ndarray:
        """Return (defect,) the energy of what is there, from the true columns; NaN where there is none."""
        return np.array([self._of_truth(specimen, place) for place in specimen.defects_px])

    def _of_patch(self, image: np.ndarray, place: tuple[float, float]) -> float:
        try:
            declared = self.engine.prepare(TheoryPatch(image, PIXEL * 1e-10, place))
        except EngineFailure:
            return float("nan")
        return self._of(declared)

    def _of_truth(self, specimen: Specimen, place: np.ndarray) -> float:
        recipe = self.engine.shared.recipe()
        built = structure_of(Patch(np.zeros((WINDOW, WINDOW)), PIXEL, (0.5, 0.5), specimen.true_atoms(place)), recipe)
        clean = pristine_of(built, recipe) if isinstance(built, Built) else built
        if isinstance(built, Refusal) or isinstance(clean, Refusal):
            return float("nan")
        return self._of(to_json(built.structure, clean))

    def _of(self, declared: Any) -> float:
        structure, _ = from_json(declared, self.engine.shared.max_atoms)
        first = self._catalog.add(structure)
        if id(first) not in self._known:
            self._known[id(first)] = self._calculated(declared)
        return self._known[id(first)]

    def _calculated(self, declared: Any) -> float:
        job = {"engine": Xtb.name, "settings": SETTINGS, "allowed": (), "patch": None, "structure": declared}
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            result = outcome({**job, "cache": str(self._cache)}, Progress(nowhere))
        finally:
            os.close(nowhere)
        return result.quantities[0].value if result.quantities else float("nan")
