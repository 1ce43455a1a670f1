"""Lattices as data, against ase and closed forms."""

import doctest

import numpy as np
import pytest
from probescout_theory import keys, lattices, occupants
from probescout_theory.lattices import GRAPHENE, LATTICES, MOS2, Lattice, Site, lattice_from_json
from probescout_theory.occupants import Occupant, alternatives

from probescout.core.errors import InvalidInput, Reason

WS2 = {
    "name": "WS2",
    "a_angstrom": [3.18, 0.0],
    "b_angstrom": [-1.59, 3.18 * np.sqrt(3) / 2],
    "sites": [
        {"species": "W", "u": 1 / 3, "v": 2 / 3},
        {"species": "S", "u": 2 / 3, "v": 1 / 3, "z_angstrom": 1.57},
        {"species": "S", "u": 2 / 3, "v": 1 / 3, "z_angstrom": -1.57},
    ],
    "hydrogen_angstrom": {"W": 1.72, "S": 1.35},
}


def test_graphene_follows_from_its_bond() -> None:
    assert GRAPHENE.neighbor_angstrom == pytest.approx(1.42)
    assert GRAPHENE.column_density == pytest.approx(4 / (3 * np.sqrt(3) * 1.42**2))
    assert GRAPHENE.coordination == (3, 3)
    assert GRAPHENE.bonds == {"C": 3}


def test_mos2_agrees_with_ase() -> None:
    from ase.build import mx2
    from ase.neighborlist import neighbor_list

    atoms = mx2("MoS2", kind="2H", a=3.16, thickness=3.12, size=(4, 4, 1), vacuum=8.0)
    first, distance = neighbor_list("id", atoms, 2.9)
    counts = np.bincount(first)
    assert distance.min() == pytest.approx(MOS2.bond_angstrom, abs=1e-6)
    assert {s: int(counts[atoms.symbols.search(s)[0]]) for s in ("Mo", "S")} == dict(MOS2.bonds)
    area = np.linalg.norm(np.cross(atoms.cell[0], atoms.cell[1]))
    assert MOS2.column_density == pytest.approx(32 / area)
    assert [c.occupant.label for c in MOS2.columns] == ["Mo", "S2"]


def test_a_user_declares_a_lattice() -> None:
    lattice = lattice_from_json(WS2)
    assert lattice.coordination == (3, 3)
    assert lattice.bonds == {"W": 6, "S": 3}
    assert lattice.hydrogen("W") == 1.72
    assert set(LATTICES) == {"graphene", "MoS2"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sites": []}, Reason.FIELD_INVALID),
        ({"b_angstrom": [3.18, 0.0]}, Reason.FIELD_INVALID),
        ({"b_angstrom": [1.59, -2.75]}, Reason.FIELD_INVALID),
        ({"a_angstrom": [float("nan"), 0.0]}, Reason.NON_FINITE),
        ({"a_angstrom": 3}, Reason.FIELD_INVALID),
        ({"hydrogen_angstrom": {"S": 1.35}}, Reason.FIELD_INVALID),
        ({"sites": [{"species": "W", "u": 0, "v": 0}, {"species": "S", "u": 0.01, "v": 0}]}, Reason.FIELD_INVALID),
        ({"sites": [{"species": "W", "u": 0, "v": 0}, {"species": "S", "u": 0, "v": 0}]}, Reason.FIELD_INVALID),
        ({"sites": [{"species": "W", "u": 1.5, "v": 0}]}, Reason.FIELD_INVALID),
        ({"sites": [{"species": "W", "u": 0}]}, Reason.FIELD_INVALID),
    ],
)
def test_a_wrong_declaration_is_refused(change: dict, reason: Reason) -> None:
    with pytest.raises(InvalidInput) as caught:
        lattice_from_json({**WS2, **change})
    assert caught.value.reason == reason


def test_a_species_without_its_hydrogen_is_named() -> None:
    with pytest.raises(InvalidInput, match="from B to hydrogen"):
        GRAPHENE.hydrogen("B")
    with pytest.raises(InvalidInput, match="is no element"):
        _ = Occupant(("Xx",), (0.0,)).intensity


def test_alternatives_are_clean_first_and_named_once() -> None:
    pair = Occupant(("S", "S"), (1.5, -1.5))
    assert [o.label for o in alternatives(pair, ("Se",))] == ["S2", "S", "SSe", "Se2"]
    assert [o.label for o in alternatives(Occupant(("C",), (0.0,)), ("Si", "N"))] == ["C", "Si", "N"]


def test_a_square_lattice_has_four_neighbours() -> None:
    square = Lattice("square", (2.0, 0.0), (0.0, 2.0), (Site("Cu", 0.0, 0.0),), (("Cu", 1.5),))
    assert (square.coordination, square.neighbor_angstrom, square.column_density) == ((4,), 2.0, 0.25)


@pytest.mark.parametrize("module", [keys, lattices, occupants])
def test_examples_run(module) -> None:
    result = doctest.testmod(module)
    assert result.attempted and not result.failed
