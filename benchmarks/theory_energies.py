"""Energies of the structures in patches by the engine `xtb`, through the door by which jobs of the service go in."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import probescout_theory
from numpy.typing import NDArray
from probescout_theory.keys import Catalog
from probescout_theory.patch_to_structure import Built, Patch, structure_of
from probescout_theory.pristine import pristine_of
from probescout_theory.refusals import Refusal
from probescout_theory.structure_json import from_json, to_json
from probescout_theory.xtb import Xtb

from benchmarks.theory_specimen import DOPANTS, PIXEL, RADIUS, WINDOW, Specimen, true_atoms
from probescout.core.theory import EngineFailure, TheoryPatch
from probescout.runtime.theory_run import Progress, outcome
from probescout.store.durable import write

FloatArray = NDArray[np.float64]

CACHE = Path(__file__).parents[1] / "out" / "benchmarks" / "theory-energies"
SETTINGS: dict[str, Any] = {
    "builder": "flake",
    "radius_angstrom": RADIUS,
    "dopants": list(DOPANTS),
    "is_relaxed": False,
    "quantities": ["formation_energy"],
}


@dataclass(frozen=True)
class Energies:
    """Energies of formation in one image, eV."""

    found: FloatArray
    """(candidate,) of what is found in the patch of each; NaN for a job that fails."""
    true: FloatArray
    """(defect,) of what is there."""
    n_structures: int
    """Different structures that were found."""


def energies_of(specimen: Specimen, cache: Path = CACHE) -> Energies:
    """Return the energies in an image, calculated where they are not known.

    Args:
        specimen: What is seen, and what is there.
        cache: Directory of what is known, made when it is first needed: images, and results by structure.

    Raises:
        RuntimeError: A true structure has no energy: there would be no truth.
        MissingExtra: The extra `theory` is not installed.
    """
    engine = Xtb(**SETTINGS)
    path = cache / "images" / f"{_key(specimen, engine)}.json"
    if path.exists():
        known = json.loads(path.read_bytes())
        return Energies(*(np.array(known[n], dtype=np.float64) for n in ("found", "true")), known["n_structures"])
    true = true_energies(specimen, cache)
    calculator = _Calculator(engine, cache)
    found = np.array([calculator.of_patch(*specimen.seen(position)) for position in specimen.positions])
    plain = {n: [None if np.isnan(v) else v for v in a.tolist()] for n, a in (("found", found), ("true", true))}
    path.parent.mkdir(parents=True, exist_ok=True)
    data = json.dumps({**plain, "n_structures": calculator.n_structures}).encode()
    write(path, data, scratch=path.with_name(f".{path.name}.{os.getpid()}.tmp"))
    return Energies(found, true, calculator.n_structures)


def true_energies(specimen: Specimen, cache: Path = CACHE) -> FloatArray:
    """Return (defect,) the energies of what is there, eV.

    Raises:
        RuntimeError: As true_energy.
    """
    of_kind = {kind: true_energy(kind, cache) for kind in sorted(set(specimen.kinds))}
    return np.array([of_kind[kind] for kind in specimen.kinds])


@functools.cache
def true_energy(kind: str, cache: Path = CACHE) -> float:
    """Return the energy of formation of a defect of a kind, eV, by the same code from columns without error.

    Raises:
        RuntimeError: It has none.
    """
    engine = Xtb(**SETTINGS)
    recipe = engine.shared.recipe()
    patch = Patch(np.zeros((WINDOW, WINDOW)), PIXEL, (0.5, 0.5), true_atoms(kind))
    built = structure_of(patch, recipe)
    clean = pristine_of(built, recipe) if isinstance(built, Built) else built
    if isinstance(built, Refusal) or isinstance(clean, Refusal):
        raise RuntimeError(f"{kind} is refused ({clean}), so that there is no truth; mend what true_atoms makes")
    energy = _Calculator(engine, cache).of_structure(to_json(built.structure, clean))
    if np.isnan(energy):
        raise RuntimeError(
            f"xtb gives no energy of {kind}, so that there is no truth; raise electronic_temperature in SETTINGS"
        )
    return energy


def _key(specimen: Specimen, engine: Xtb) -> str:
    """Return the SHA-256 of all that the energies in an image depend on, the code that finds atoms included."""
    digest = hashlib.sha256(json.dumps([SETTINGS, engine.version(), specimen.kinds]).encode())
    for array in (specimen.image, specimen.positions):
        digest.update(np.ascontiguousarray(array).tobytes())
    for source in sorted(Path(probescout_theory.__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


class _Calculator:
    """Calculates each structure once: in one image by the catalog, in all of them by the cache of results."""

    def __init__(self, engine: Xtb, cache: Path) -> None:
        self.engine = engine
        self._cache = cache / "results"
        self._catalog = Catalog()
        self._known: dict[int, float] = {}

    @property
    def n_structures(self) -> int:
        """Different structures so far."""
        return self._catalog.n_structures

    def of_patch(self, image: np.ndarray, place: tuple[float, float]) -> float:
        """Return the energy of what is found in a patch, eV; NaN when it is refused or fails."""
        try:
            declared = self.engine.prepare(TheoryPatch(image, PIXEL * 1e-10, place))
        except EngineFailure:
            return float("nan")
        return self.of_structure(declared)

    def of_structure(self, declared: Any) -> float:
        """Return the energy of a structure, or of the copy of it that came first, eV; NaN when it fails."""
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
