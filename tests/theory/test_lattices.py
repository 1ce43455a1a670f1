"""Lattices as data, against ase and closed forms."""

import doctest
from dataclasses import replace

import numpy as np
import pytest
from probescout_theory import keys, lattices, occupants
from probescout_theory.columns import Columns
from probescout_theory.describe import describe
from probescout_theory.lattices import GRAPHENE, LATTICES, MOS2, Lattice, Site, lattice_from_json
from probescout_theory.occupants import Occupant, alternatives
from probescout_theory.register import Order, register
from probescout_theory.validation import check_columns, check_registered

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


BONDS = (("C", 1.09), ("Cu", 1.5), ("Mo", 1.7), ("P", 1.42), ("S", 1.35))
OTHERS = (
    # 1T: the two sulfur layers do not stand above each other.
    Lattice(
        "1T-MoS2",
        (3.19, 0.0),
        (-1.595, 3.19 * np.sqrt(3) / 2),
        (Site("Mo", 0.0, 0.0), Site("S", 1 / 3, 2 / 3, 1.56), Site("S", 2 / 3, 1 / 3, -1.56)),
        BONDS,
    ),
    Lattice(
        "rectangular graphene",
        (1.42 * np.sqrt(3), 0.0),
        (0.0, 4.26),
        (Site("C", 0.0, 0.0), Site("C", 0.5, 1 / 6), Site("C", 0.5, 0.5), Site("C", 0.0, 2 / 3)),
        BONDS,
    ),
    Lattice("centred square", (5.0, 0.0), (0.0, 5.0), (Site("Cu", 0.0, 0.0), Site("Cu", 0.5, 0.5)), BONDS),
    Lattice("triangular copper", (2.56, 0.0), (-1.28, 2.56 * np.sqrt(3) / 2), (Site("Cu", 0.0, 0.0),), BONDS),
)


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


def columns_of(lattice: Lattice, angle: float, half: float = 16.0) -> Columns:
    """Return the columns of a clean sheet turned by an angle, brightness included."""
    n = np.arange(-25, 26)
    sites = np.array([(i, j, k) for i in n for j in n for k in range(len(lattice.columns))])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    xy = (sites[:, :2] + lattice.fractions[sites[:, 2]]) @ lattice.matrix @ turn.T + [0.3, -0.2]
    light = np.array([lattice.columns[k].occupant.intensity for k in sites[:, 2]])
    inside = (np.abs(xy) < half).all(axis=1)
    unknown = np.full(int(inside.sum()), np.nan)
    return Columns(xy[inside], unknown, light[inside], unknown, np.ones(len(unknown)), None, (half, half))


@pytest.mark.parametrize("lattice", [GRAPHENE, MOS2, *OTHERS], ids=lambda lattice: lattice.name)
@pytest.mark.parametrize("angle", [0.0, 0.4, 1.3])
def test_a_clean_sheet_of_any_lattice_is_registered(lattice: Lattice, angle: float) -> None:
    columns = columns_of(lattice, angle)
    start = check_columns(columns, lattice, (0.0, 0.0), 8.0)
    assert isinstance(start, Order) and start.share > 0.9 and start.scale == pytest.approx(1.0, abs=0.011), start
    registration = register(columns, lattice, start)
    assert registration.share_on_site == 1.0 and registration.rms_angstrom < 0.02
    assert check_registered(columns, registration) is None
    assert not describe(columns, registration).is_changed.any()


def test_labelled_columns_have_the_heights_of_their_own_sites() -> None:
    half = 0.22
    silicene = Lattice(
        "silicene",
        (3.86, 0.0),
        (-1.93, 3.86 * np.sqrt(3) / 2),
        (Site("Si", 1 / 3, 2 / 3, half), Site("Si", 2 / 3, 1 / 3, -half)),
        (("Si", 1.48),),
    )
    columns = columns_of(silicene, 0.4)
    columns = replace(columns, labels=("Si",) * columns.n_columns)
    start = check_columns(columns, silicene, (0.0, 0.0), 8.0)
    assert isinstance(start, Order)
    described = describe(columns, register(columns, silicene, start))
    heights = np.array([o.heights[0] for o in described.occupants])
    np.testing.assert_array_equal(heights, np.array([half, -half])[described.registration.sites[:, 2]])
    assert {half, -half} == set(heights)


def test_a_species_counts_its_bonds_on_the_site_where_it_has_fewest() -> None:
    corner_last = Lattice(
        "Lieb", (4.0, 0.0), (0.0, 4.0), (Site("C", 0.5, 0.0), Site("C", 0.0, 0.5), Site("C", 0.0, 0.0)), (("C", 1.09),)
    )
    assert corner_last.bonds == {"C": 2}
    assert replace(corner_last, sites=corner_last.sites[::-1]).bonds == {"C": 2}


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"b_angstrom": [-1.59 + 2 * 3.18, 3.18 * np.sqrt(3) / 2]}, "two shortest cell vectors"),
        ({"a_angstrom": [318.0, 0.0], "b_angstrom": [-159.0, 318.0 * np.sqrt(3) / 2]}, "check the unit"),
        ({"a_angstrom": [10**400, 0.0]}, "give name, a_angstrom"),
        ({"sites": [*WS2["sites"], {"species": "S", "u": 2 / 3, "v": 1 / 3, "z_angstrom": 1.571}]}, "each atom"),
        ({"sites": [{"species": "Qq", "u": 0.0, "v": 0.0}], "hydrogen_angstrom": {"Qq": 1.0}}, "chemical symbol"),
    ],
)
def test_a_declaration_that_cannot_be_meant_is_refused(change: dict, hint: str) -> None:
    with pytest.raises(InvalidInput, match=hint):
        lattice_from_json({**WS2, **change})
