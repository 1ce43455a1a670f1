"""Energies of formation: a structure against the same piece of the clean lattice, by the same engine and settings."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from probescout.core.theory import EngineFailure, Failure
from probescout.store.durable import write
from probescout_theory.lattices import Lattice
from probescout_theory.pristine import sheet_of
from probescout_theory.refusals import Refusal
from probescout_theory.reservoirs import crystal, dimer, hydride
from probescout_theory.structure import Structure
from probescout_theory.structure_json import refuse

_log = logging.getLogger(__name__)
Energy = Callable[[Structure], float]
"""Total energy of a structure, eV."""

MOST_KEPT = 256
"""Energies that are kept; the oldest go first."""


class KeptEnergies:
    """Energies of reference structures that were calculated before: in this process, and in others by a directory.

    Example:
        >>> kept = KeptEnergies()
        >>> kept.energy("key", lambda: 1.5), kept.energy("key", lambda: 2.5)
        (1.5, 1.5)
    """

    def __init__(self, most: int = MOST_KEPT) -> None:
        """Start empty.

        Args:
            most: Energies that are kept.
        """
        self._most = most
        self.directory: Path | None = None
        """Where they lie from one process to the next; it may be shared, and deleted at any time."""
        self._energies: dict[str, float] = {}
        self._lock = threading.Lock()

    def energy(self, key: str, calculate: Callable[[], float]) -> float:
        """Return the energy under a key, calculated now if it is not known.

        Args:
            key: Of structure, engine, settings and version.
            calculate: Called without a lock: two threads may both calculate, with the same outcome.
        """
        with self._lock:
            if key in self._energies:
                return self._energies[key]
        found = self._read(key)
        if found is None:
            found = calculate()
            self._write(key, found)
        with self._lock:
            self._energies[key] = found
            while len(self._energies) > self._most:
                del self._energies[next(iter(self._energies))]
        return found

    def _read(self, key: str) -> float | None:
        if self.directory is None:
            return None
        path = self.directory / f"{key}.json"
        try:
            told = json.loads(path.read_bytes())
            if told["key"] == key and math.isfinite(told["energy"]):
                return float(told["energy"])
            wrong = "it holds another energy, or none"
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            wrong = repr(error)
        _log.warning("%s is passed over: %s; it is calculated again", path, wrong)
        return None

    def _write(self, key: str, energy: float) -> None:
        if self.directory is None:
            return
        scratch = self.directory / f".{key}.{os.getpid()}.tmp"
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            write(self.directory / f"{key}.json", json.dumps({"key": key, "energy": energy}).encode(), scratch=scratch)
        except OSError as error:
            _log.warning("the energy of a reference is not kept: %s", error)


KEPT = KeptEnergies()
"""Shared by all engines of a process."""


def key_of(structure: Structure, engine: str, settings: str, version: str) -> str:
    """Return the key under which the energy of a reference is kept: a SHA-256."""
    content = json.dumps([structure.digest, engine, settings, version])
    return hashlib.sha256(content.encode()).hexdigest()


class ChemicalPotentials:
    """What an atom of each species costs, in eV.

    Declared values come first. In a lattice all species but the rarest (the lighter of two as rare) come from their
    reservoirs, and the rarest from what is left of the energy of the clean sheet: carbon of graphene is an atom of the
    sheet, molybdenum of MoS2 the formula unit less two sulfur. So sheet and reservoirs are in equilibrium, as in
    Zhang and Northrup 1991, Phys. Rev. Lett. 67, 2339, at the end that is rich in the more frequent species.
    """

    def __init__(
        self,
        lattice: Lattice,
        declared: Mapping[str, float],
        energy: Energy,
        sheet: tuple[Structure, float] | None,
        *,
        n_sheet: int,
        are_molecules: bool,
    ) -> None:
        """Keep what they follow from; nothing is calculated yet.

        Args:
            lattice: Of the specimen.
            declared: eV an atom, by species.
            energy: Calculates references.
            sheet: A clean sheet and its energy, if one is known.
            n_sheet: Cells along each vector of the sheet that is calculated otherwise.
            are_molecules: Whether reservoirs are hydrides, instead of crystals and molecules of two atoms.
        """
        self._lattice = lattice
        self._declared = declared
        self._energy = energy
        self._sheet = sheet
        self._n_sheet = n_sheet
        self._are_molecules = are_molecules

    def of(self, species: str) -> float:
        """Return the chemical potential of a species, eV an atom.

        Raises:
            EngineFailure: BAD_INPUT where there is neither a declared value nor a reservoir; as the engine does for a
                reference that it cannot calculate.
        """
        if species in self._declared:
            return float(self._declared[species])
        per_cell = Counter(site.species for site in self._lattice.sites)
        if species in per_cell and species == self._rarest(per_cell):
            others = sum(n * self.of(s) for s, n in per_cell.items() if s != species)
            return (self._sheet_per_cell(per_cell) - others) / per_cell[species]
        return self._molecule(species) if self._are_molecules else self._element(species)

    def _rarest(self, per_cell: Counter[str]) -> str:
        from probescout_theory.occupants import atomic_number

        left = [s for s in per_cell if s not in self._declared]
        return min(left, key=lambda s: (per_cell[s], atomic_number(s)))

    def _sheet_per_cell(self, per_cell: Counter[str]) -> float:
        if self._sheet is None:
            made = sheet_of(self._lattice, self._n_sheet)
            if isinstance(made, Refusal):
                raise EngineFailure(Failure.REFUSED, f"{made.reason}: {made.message}")
            self._sheet = made, self._energy(made)
        sheet, energy = self._sheet
        return energy * sum(per_cell.values()) / sheet.n_atoms

    def _molecule(self, species: str) -> float:
        made = hydride(species)
        if made is None:
            raise _without_reservoir(species, "hydride")
        molecule, n = made
        if species == "H":
            return self._energy(molecule) / 2.0
        return self._energy(molecule) - n * self.of("H")

    def _element(self, species: str) -> float:
        made = dimer(species) or crystal(species)
        if made is None:
            raise _without_reservoir(species, "crystal or molecule of two atoms")
        return self._energy(made) / made.n_atoms


def formation_energy(
    structure: Structure, energy: float, reference: Structure, reference_energy: float, potentials: ChemicalPotentials
) -> float:
    """Return the energy of formation in eV: E - E_reference - sum over species of (n - n_reference) mu.

    Args:
        structure: With the defect.
        energy: Its total energy, eV.
        reference: The same piece of the clean lattice.
        reference_energy: Its total energy, eV.
        potentials: mu.

    Raises:
        EngineFailure: As ChemicalPotentials.of.
    """
    change = Counter(structure.symbols)
    change.subtract(Counter(reference.symbols))
    exchanged = sum(n * potentials.of(species) for species, n in sorted(change.items()) if n)
    return float(energy - reference_energy - exchanged)


def is_same(structure: Structure, reference: Structure) -> bool:
    """Return whether a structure is its own reference: nothing was formed, whatever the engine."""
    return structure.symbols == reference.symbols and bool(np.array_equal(structure.positions, reference.positions))


def _without_reservoir(species: str, what: str) -> EngineFailure:
    return refuse(
        f"no {what} of {species} is known to take its energy from; declare chemical_potentials.{species} (eV), or "
        "leave formation_energy out of quantities"
    )
