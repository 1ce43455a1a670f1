"""Settings that all engines of atoms share: how structures are made, how far they are relaxed, what is told."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from probescout.core.errors import InvalidInput, Reason
from probescout.core.policy import Json
from probescout_theory.lattices import LATTICES, Lattice, lattice_from_json
from probescout_theory.patch_to_structure import BUILDERS, Recipe

ALL_QUANTITIES: Mapping[str, str] = {
    "energy": "eV",
    "formation_energy": "eV",
    "displacement": "angstrom",
    "strain": "1",
    "gap": "eV",
    "charge": "e",
}
"""Unit of each quantity that an engine of atoms may give."""

OF_RELAXATION = ("displacement", "strain")
"""Quantities that only a relaxation has."""

_VECTOR: Json = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
_SITE: Json = {
    "type": "object",
    "properties": {
        "species": {"type": "string"},
        "u": {"type": "number"},
        "v": {"type": "number"},
        "z_angstrom": {"type": "number"},
    },
    "required": ["species", "u", "v"],
    "additionalProperties": False,
}
_LATTICE: Json = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "a_angstrom": _VECTOR,
        "b_angstrom": _VECTOR,
        "sites": {"type": "array", "items": _SITE, "minItems": 1, "maxItems": 50},
        "hydrogen_angstrom": {"type": "object", "additionalProperties": {"type": "number", "exclusiveMinimum": 0}},
    },
    "required": ["name", "a_angstrom", "b_angstrom", "sites", "hydrogen_angstrom"],
    "additionalProperties": False,
}
_SHARED: Json = {
    "lattice": {
        "title": "Lattice",
        "description": "Of the specimen: a name, or a declaration with name, a_angstrom and b_angstrom (cell vectors "
        "x, y), sites (species, fractions u and v, z_angstrom) and hydrogen_angstrom (from each species to hydrogen)",
        "type": ["string", "object"],
        "anyOf": [{"enum": list(LATTICES)}, _LATTICE],
        "default": "graphene",
    },
    "dopants": {
        "title": "Dopants",
        "description": "Chemical symbols that may replace atoms of the lattice; others are not found (no unit)",
        "type": "array",
        "items": {"type": "string", "pattern": "^[A-Z][a-z]?$"},
        "maxItems": 8,
        "default": [],
    },
    "builder": {
        "title": "Builder",
        "description": "supercell: the defect in a clean periodic cell; flake: a round piece that ends in hydrogen",
        "enum": list(BUILDERS),
        "default": "supercell",
    },
    "radius_angstrom": {
        "title": "Radius",
        "description": "Of the surroundings that must be seen, and of a flake (angstrom)",
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 50,
        "default": 8.0,
    },
    "min_confidence": {
        "title": "Least confidence",
        "description": "Atoms below are taken for noise (probability)",
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "default": 0.5,
    },
    "is_relaxed": {
        "title": "Relax",
        "description": "Move all atoms but the frozen rim to where the forces vanish before anything is told",
        "type": "boolean",
        "default": True,
    },
    "max_force": {
        "title": "Largest force",
        "description": "On a free atom of a relaxed structure (eV/angstrom)",
        "type": "number",
        "minimum": 0.0001,
        "maximum": 1,
        "default": 0.05,
    },
    "max_steps": {
        "title": "Most steps",
        "description": "Of a relaxation; one that needs more fails as not converged (count)",
        "type": "integer",
        "minimum": 1,
        "maximum": 100000,
        "default": 300,
    },
    "max_displacement_angstrom": {
        "title": "Largest displacement",
        "description": "Of an atom during relaxation; one that moves farther is taken for an explosion (angstrom)",
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 20,
        "default": 3.0,
    },
    "max_atoms": {
        "title": "Most atoms",
        "description": "Of a structure; a larger one is not calculated (count)",
        "type": "integer",
        "minimum": 1,
        "maximum": 20000,
        "default": 300,
    },
    "chemical_potentials": {
        "title": "Chemical potentials",
        "description": "Energy of an atom of a species in its reservoir, on the scale of this engine, instead of the "
        "one that is calculated (eV)",
        "type": "object",
        "additionalProperties": {"type": "number"},
        "default": {},
    },
}


@dataclass(frozen=True, kw_only=True)
class SharedSettings:
    """Settings as in the schema; the defaults are those of the schema."""

    quantities: tuple[str, ...]
    """What is asked for; `told` is what of it there is."""
    lattice: str | Mapping[str, Any] = "graphene"
    """A name, or a declaration."""
    dopants: Sequence[str] = ()
    """Chemical symbols."""
    builder: str = "supercell"
    """"supercell" or "flake"."""
    radius_angstrom: float = 8.0
    """Of a flake, and of what must be seen."""
    min_confidence: float = 0.5
    """Atoms below are noise."""
    is_relaxed: bool = True
    """Whether atoms move."""
    max_force: float = 0.05
    """eV/angstrom on a free atom."""
    max_steps: int = 300
    """Of a relaxation."""
    max_displacement_angstrom: float = 3.0
    """Of an atom during relaxation."""
    max_atoms: int = 300
    """Of a structure."""
    chemical_potentials: Mapping[str, float] = field(default_factory=dict)
    """eV an atom, by species."""

    def __post_init__(self) -> None:
        """Check what the schema cannot.

        Raises:
            InvalidInput: PARAM_INVALID for a chemical potential that is not finite, or when nothing is told.
        """
        wild = {s: v for s, v in self.chemical_potentials.items() if not math.isfinite(v)}
        if wild:
            raise InvalidInput(
                Reason.PARAM_INVALID,
                f"chemical potentials {wild} are not finite; give eV an atom, or leave the species out",
                field="chemical_potentials",
            )

        if not self.told:
            raise InvalidInput(
                Reason.PARAM_INVALID,
                f"{' and '.join(self.quantities)} are of a relaxation, and is_relaxed is false; relax, or ask for "
                "energy",
                field="quantities",
            )

    @property
    def told(self) -> tuple[str, ...]:
        """What is told: without relaxation, nothing that is of one."""
        return tuple(q for q in self.quantities if self.is_relaxed or q not in OF_RELAXATION)

    def recipe(self) -> Recipe:
        """Return how structures are made.

        Raises:
            InvalidInput: As lattice_from_json and Recipe.
            MissingExtra: When ase is not installed.
        """
        return Recipe(
            lattice=lattice_of(self.lattice),
            dopants=tuple(self.dopants),
            builder=self.builder,
            radius_angstrom=float(self.radius_angstrom),
            min_confidence=float(self.min_confidence),
        )


def lattice_of(declared: str | Mapping[str, Any]) -> Lattice:
    """Return a lattice by name or from its declaration.

    Raises:
        InvalidInput: PARAM_INVALID for an unknown name; as lattice_from_json.
        MissingExtra: When ase is not installed.
    """
    if not isinstance(declared, str):
        return lattice_from_json(declared)
    if declared not in LATTICES:
        raise InvalidInput(
            Reason.PARAM_INVALID,
            f"no lattice '{declared}' comes with the package; choose one of {', '.join(LATTICES)}, or declare yours",
            field="lattice",
        )
    return LATTICES[declared]


def schema_of(title: str, quantities: Sequence[str], own: Json, **defaults: Any) -> dict[str, Any]:
    """Return the closed JSON Schema of an engine's settings.

    Args:
        title: For a person.
        quantities: Names of `ALL_QUANTITIES` that the engine can give; all are told by default.
        own: Entries that only this engine has.
        defaults: Of shared settings, where this engine departs from them.
    """
    shared = copy.deepcopy(dict(_SHARED))
    for name, value in defaults.items():
        shared[name]["default"] = value
    told = {
        "title": "Quantities",
        "description": "What is told: energy (eV), formation_energy against the clean lattice (eV), gap (between full "
        "and empty states, eV), charge (of the atom farthest from neutral, e); of a relaxation: displacement (largest "
        "of an atom, angstrom), strain (largest relative change of a bond, no unit)",
        "type": "array",
        "items": {"enum": list(quantities)},
        "minItems": 1,
        "uniqueItems": True,
        "default": list(quantities),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "type": "object",
        "properties": {**shared, "quantities": told, **own},
        "additionalProperties": False,
    }
