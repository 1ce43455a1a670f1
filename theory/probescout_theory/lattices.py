"""Lattices as data: what the operator declares about the material, and what follows from it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, Reason
from probescout_theory.occupants import Occupant, atomic_number

FloatArray = NDArray[np.float64]

NEIGHBOR_REACH = 1.25
"""Columns closer than this many nearest distances are neighbours (second ones lie at 1.41 to 1.73 of them)."""
BOND_REACH = 1.2
"""Atoms closer than this many bonds in space are bonded (in MoS2, S above S is the next distance, at 1.29)."""
MOST_CELL = 100.0
"""Length of a cell vector, angstrom: a longer one was given in another unit."""
SAME_COLUMN = 0.05
"""Sites whose projections lie closer than this (angstrom) are one column."""


@dataclass(frozen=True)
class Site:
    """One atom of the basis."""

    species: str
    """Chemical symbol."""
    u: float
    """Fraction of the first cell vector, 0 <= u < 1."""
    v: float
    """Fraction of the second cell vector, 0 <= v < 1."""
    z_angstrom: float = 0.0
    """Height, along the beam."""


@dataclass(frozen=True)
class ColumnSite:
    """A place of the cell where an image shows one spot."""

    u: float
    """Fraction of the first cell vector."""
    v: float
    """Fraction of the second cell vector."""
    occupant: Occupant
    """What stands there in the clean lattice."""


@dataclass(frozen=True)
class Lattice:
    """A two-dimensional lattice, seen along its normal.

    Density, coordination and nearest distance follow from cell and basis; none is declared twice.

    Example:
        >>> GRAPHENE.neighbor_angstrom, GRAPHENE.coordination
        (1.42, (3, 3))
        >>> round(MOS2.column_density, 4), [c.occupant.label for c in MOS2.columns]
        (0.2313, ['Mo', 'S2'])
    """

    name: str
    """For messages and keys."""
    a_angstrom: tuple[float, float]
    """First cell vector (x, y)."""
    b_angstrom: tuple[float, float]
    """Second cell vector (x, y), counter-clockwise from the first."""
    sites: tuple[Site, ...]
    """The basis."""
    hydrogen_angstrom: tuple[tuple[str, float], ...]
    """Distance from each species to a hydrogen that ends a cut bond."""

    def __post_init__(self) -> None:
        """Check the declaration.

        Raises:
            InvalidInput: FIELD_INVALID for an empty basis, fractions outside [0, 1), cell vectors that are parallel,
                clockwise, longer than 100 angstrom or not the shortest of their lattice, a species without its
                distance to hydrogen, two atoms nearer than 0.7 angstrom; NON_FINITE.
        """
        numbers = [*self.a_angstrom, *self.b_angstrom, *(d for _, d in self.hydrogen_angstrom)]
        numbers += [n for s in self.sites for n in (s.u, s.v, s.z_angstrom)]
        if not all(math.isfinite(n) for n in numbers):
            raise InvalidInput(
                Reason.NON_FINITE, f"lattice '{self.name}' has numbers that are not finite", field="lattice"
            )
        if not self.sites or not all(0 <= s.u < 1 and 0 <= s.v < 1 for s in self.sites):
            _refuse(self.name, "needs one site or more with 0 <= u < 1 and 0 <= v < 1", "sites")
        if np.linalg.det(self.matrix) <= 1e-6:
            _refuse(
                self.name, f"has cell vectors {self.matrix.tolist()}; the second must lie counter-clockwise", "cell"
            )
        a, b = self.matrix
        if max(np.linalg.norm(a), np.linalg.norm(b)) > MOST_CELL:
            _refuse(self.name, f"has a cell vector longer than {MOST_CELL:g} angstrom; check the unit", "cell")
        if abs(a @ b) > (0.5 + 1e-6) * min(a @ a, b @ b):
            _refuse(self.name, "has a slanted cell; declare the two shortest cell vectors, 60 to 120 degrees", "cell")
        missing = {s.species for s in self.sites} - {name for name, _ in self.hydrogen_angstrom}
        if missing or any(d <= 0 for _, d in self.hydrogen_angstrom):
            _refuse(
                self.name,
                f"needs a positive distance to hydrogen for each species, lacks {sorted(missing)}",
                "hydrogen",
            )
        atoms = {(c.u, c.v, z) for c in self.columns for z in c.occupant.heights}
        if len(atoms) != len(self.sites) or min(self.neighbor_angstrom, self.bond_angstrom) < 0.7:
            _refuse(self.name, "has two atoms in nearly the same place; list each atom of the cell once", "sites")

    @cached_property
    def matrix(self) -> FloatArray:
        """Cell vectors (vector, xy), angstrom."""
        return np.array([self.a_angstrom, self.b_angstrom], dtype=np.float64)

    @cached_property
    def columns(self) -> tuple[ColumnSite, ...]:
        """Spots of one cell: sites with the same projection stand in one column."""
        groups: list[list[Site]] = []
        for site in self.sites:
            for group in groups:
                step = np.array([site.u - group[0].u, site.v - group[0].v])
                if np.linalg.norm((step - np.round(step)) @ self.matrix) < SAME_COLUMN:
                    group.append(site)
                    break
            else:
                groups.append([site])
        return tuple(
            ColumnSite(g[0].u, g[0].v, Occupant(tuple(s.species for s in g), tuple(s.z_angstrom for s in g)))
            for g in groups
        )

    @cached_property
    def fractions(self) -> FloatArray:
        """Fractions (column, uv) of the columns of one cell."""
        return np.array([[c.u, c.v] for c in self.columns], dtype=np.float64)

    @cached_property
    def column_density(self) -> float:
        """Columns per square angstrom."""
        return len(self.columns) / float(np.linalg.det(self.matrix))

    @cached_property
    def neighbor_angstrom(self) -> float:
        """Smallest projected distance between two columns."""
        return round(float(min(d.min() for d in self._distances())), 9)

    @cached_property
    def coordination(self) -> tuple[int, ...]:
        """Neighbours of each column of the cell."""
        reach = NEIGHBOR_REACH * self.neighbor_angstrom
        return tuple(int((d < reach).sum()) for d in self._distances())

    @cached_property
    def bond_angstrom(self) -> float:
        """Smallest distance between two atoms, in space."""
        return round(float(min(d.min() for d in self._atom_distances())), 9)

    @cached_property
    def bonds(self) -> Mapping[str, int]:
        """Bonds of each species, on the site where it has fewest: atoms within 1.2 smallest distances in space."""
        reach = BOND_REACH * self.bond_angstrom
        counts = [(s.species, int((d < reach).sum())) for s, d in zip(self.sites, self._atom_distances(), strict=True)]
        return {species: min(n for other, n in counts if other == species) for species, _ in counts}

    @cached_property
    def species(self) -> tuple[str, ...]:
        """Species of the basis, sorted."""
        return tuple(sorted({s.species for s in self.sites}))

    def hydrogen(self, species: str) -> float:
        """Return the distance (angstrom) from a species to hydrogen.

        Raises:
            InvalidInput: FIELD_MISSING for a species without one.
        """
        found = dict(self.hydrogen_angstrom).get(species)
        if found is None:
            raise InvalidInput(
                Reason.FIELD_MISSING,
                f"lattice '{self.name}' has no distance from {species} to hydrogen; declare it in hydrogen_angstrom",
                field="lattice.hydrogen_angstrom",
            )
        return found

    def _atom_distances(self) -> list[FloatArray]:
        """Return, for each site, its distances (atom of 25 cells,) to all other atoms, angstrom."""
        cells = np.array(list(itertools.product(range(-2, 3), repeat=2)), dtype=np.float64)
        flat = np.array([[s.u, s.v] for s in self.sites])
        heights = np.array([s.z_angstrom for s in self.sites])
        found = []
        for here, z in zip(flat, heights, strict=True):
            plane = (flat[None] + cells[:, None] - here) @ self.matrix
            away = np.sqrt((plane**2).sum(axis=2) + (heights - z)[None] ** 2).ravel()
            found.append(away[away > 1e-9])
        return found

    def _distances(self) -> list[FloatArray]:
        """Return, for each column, its distances (column of 25 cells,) to all others, angstrom."""
        cells = np.array(list(itertools.product(range(-2, 3), repeat=2)), dtype=np.float64)
        every = (self.fractions[None] + cells[:, None]).reshape(-1, 2) @ self.matrix
        distances = [np.linalg.norm(every - f @ self.matrix, axis=1) for f in self.fractions]
        return [d[d > 1e-9] for d in distances]


def lattice_from_json(declared: Mapping[str, Any]) -> Lattice:
    """Return a lattice from the operator's own declaration.

    Args:
        declared: {"name", "a_angstrom": [x, y], "b_angstrom": [x, y], "sites": [{"species", "u", "v", "z_angstrom"}],
            "hydrogen_angstrom": {species: distance}}.

    Raises:
        InvalidInput: FIELD_INVALID when a field is missing or not what it should be, or a species is no element; as
            Lattice does.
        MissingExtra: When ase is not installed.
    """
    try:
        made = Lattice(
            str(declared["name"]),
            _pair(declared["a_angstrom"]),
            _pair(declared["b_angstrom"]),
            tuple(
                Site(str(s["species"]), float(s["u"]), float(s["v"]), float(s.get("z_angstrom", 0.0)))
                for s in declared["sites"]
            ),
            tuple((str(k), float(v)) for k, v in sorted(declared["hydrogen_angstrom"].items())),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"the declaration of the lattice cannot be read ({type(error).__name__}: {error}); give name, a_angstrom, "
            "b_angstrom, sites and hydrogen_angstrom",
            field="lattice",
        ) from error
    for species in made.species:
        atomic_number(species)
    return made


def _pair(value: Any) -> tuple[float, float]:
    x, y = value
    return float(x), float(y)


def _refuse(name: str, what: str, field: str) -> None:
    raise InvalidInput(Reason.FIELD_INVALID, f"lattice '{name}' {what}", field=f"lattice.{field}")


def _hexagonal(name: str, a: float, sites: tuple[Site, ...], hydrogen: tuple[tuple[str, float], ...]) -> Lattice:
    return Lattice(name, (a, 0.0), (-a / 2.0, a * math.sqrt(3.0) / 2.0), sites, hydrogen)


GRAPHENE = _hexagonal(
    "graphene",
    1.42 * math.sqrt(3.0),
    (Site("C", 1 / 3, 2 / 3), Site("C", 2 / 3, 1 / 3)),
    (("C", 1.09), ("N", 1.01), ("Si", 1.48)),
)
"""One layer of graphite, bond 1.42 angstrom."""

MOS2 = _hexagonal(
    "MoS2",
    3.16,
    (Site("Mo", 1 / 3, 2 / 3), Site("S", 2 / 3, 1 / 3, 1.56), Site("S", 2 / 3, 1 / 3, -1.56)),
    (("Mo", 1.70), ("S", 1.35), ("Se", 1.47), ("W", 1.72)),
)
"""One layer of 2H molybdenum disulfide: a 3.16, sulfur 1.56 angstrom above and below molybdenum."""

LATTICES: Mapping[str, Lattice] = {lattice.name: lattice for lattice in (GRAPHENE, MOS2)}
"""Lattices that come with the package; others are declared by the operator."""
