"""Flakes, supercells, keys and the catalog, from defects that are made by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from probescout_theory.describe import Defect
from probescout_theory.flake import _rounded, _sheet, build_flake
from probescout_theory.keys import Catalog, canonical_key
from probescout_theory.lattices import GRAPHENE, MOS2, Lattice, Site
from probescout_theory.occupants import Occupant
from probescout_theory.refusals import Refusal, RefusalReason
from probescout_theory.register import neighbors
from probescout_theory.structure import Structure, check_cell
from probescout_theory.supercell import build_supercell


def defect(lattice: Lattice, removed=(), occupant: Occupant | None = None, at=(7, -4)) -> Defect:
    """Return sites (cell a, cell b, column) emptied, and the first of them filled with something else."""
    sites = np.array([(at[0] + i, at[1] + j, k) for i, j, k in removed], dtype=np.int64).reshape(-1, 3)
    whole = sites if len(sites) else np.array([[*at, 0]])
    xy = (whole[:, :2] + lattice.fractions[whole[:, 2]]) @ lattice.matrix
    center = xy.mean(axis=0)
    reach = float(np.linalg.norm(xy - center, axis=1).max()) if len(sites) else 0.0
    brought = (occupant,) if occupant else ()
    return Defect(sites, xy[: len(brought)], brought, center, reach, reach, 20.0, 0)


CLEAN = defect(GRAPHENE)
VACANCY = defect(GRAPHENE, [(0, 0, 0)])
SILICON = defect(GRAPHENE, [(0, 0, 0)], Occupant(("Si",), (0.0,)))
SULFUR = defect(MOS2, [(0, 0, 1)], Occupant(("S",), (-1.56,)))
EVERY = [(GRAPHENE, CLEAN), (GRAPHENE, VACANCY), (GRAPHENE, SILICON), (MOS2, defect(MOS2)), (MOS2, SULFUR)]


def built(make, *args, **options) -> Structure:
    made = make(*args, **options)
    assert isinstance(made, Structure), made
    return made


def bonds(structure: Structure, reach: float) -> np.ndarray:
    from ase.neighborlist import neighbor_list

    return np.bincount(neighbor_list("i", structure.to_ase(), reach), minlength=structure.n_atoms)


def changed(structure: Structure, **fields) -> Structure:
    from dataclasses import replace

    return replace(structure, **fields)


def rattled(structure: Structure, sd: float, seed: int) -> Structure:
    """Return a copy turned by a symmetry of the box, shifted, renumbered, with normal noise in every coordinate."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(structure.n_atoms)
    angle = np.pi / 3 * int(rng.integers(6))
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    middle = 0.5 * structure.cell.sum(axis=0)
    places = (structure.positions - middle) @ turn.T + middle
    if structure.kind == "supercell":
        places = places + np.array([*rng.uniform(0, 3, 2), 0.0])
    return changed(
        structure,
        symbols=tuple(structure.symbols[i] for i in order),
        positions=places[order] + rng.normal(0, sd, places.shape),
        is_frozen=structure.is_frozen[order],
    )


@pytest.mark.parametrize(("lattice", "which"), EVERY)
def test_only_atoms_beside_the_defect_lack_bonds_in_a_supercell(lattice: Lattice, which: Defect) -> None:
    cell = built(build_supercell, which, lattice)
    counts = bonds(cell, 1.2 * lattice.bond_angstrom)
    short = np.array([c < lattice.bonds.get(s, 3) for c, s in zip(counts, cell.symbols, strict=True)])
    middle = 0.5 * cell.cell.sum(axis=0)[:2]
    far = np.linalg.norm(cell.positions[:, :2] - middle, axis=1) > 1.1 * lattice.neighbor_angstrom
    assert not (short & far).any()
    assert short.any() == (which is VACANCY or which is SULFUR)
    assert check_cell(cell, lattice) is None


def test_composition_of_supercells() -> None:
    assert built(build_supercell, CLEAN, GRAPHENE).formula == "C50"
    assert built(build_supercell, VACANCY, GRAPHENE).formula == "C49"
    assert built(build_supercell, SILICON, GRAPHENE).formula == "C49Si1"
    assert built(build_supercell, SULFUR, MOS2).formula == "Mo16S31"


def test_rim_of_a_supercell_is_far_from_the_defect() -> None:
    cell = built(build_supercell, VACANCY, GRAPHENE)
    away = np.linalg.norm(cell.positions[:, :2] - 0.5 * cell.cell.sum(axis=0)[:2], axis=1)
    assert 0 < cell.is_frozen.sum() < cell.n_atoms
    assert away[cell.is_frozen].min() > away[~cell.is_frozen].max() - 1e-6
    assert len(cell.to_ase().constraints[0].index) == cell.is_frozen.sum()
    assert not built(build_supercell, CLEAN, GRAPHENE).is_frozen.any()


def test_a_cell_cropped_from_a_sheet_is_refused() -> None:
    """What published pipelines do: the atoms of a window, repeated by the window."""
    whole = built(build_supercell, CLEAN, GRAPHENE, clearance=40.0, max_atoms=2000)
    middle = 0.5 * whole.cell.sum(axis=0)
    for side in (12.0, 13.1, 14.7):
        step = whole.positions - middle
        inside = (np.abs(step[:, :2]) < side / 2).all(axis=1)
        cropped = Structure(
            "supercell",
            "graphene",
            ("C",) * int(inside.sum()),
            step[inside] + [side / 2, side / 2, 7.5],
            np.diag([side, side, 15.0]),
            (True, True, False),
            np.zeros(int(inside.sum()), dtype=bool),
        )
        made = check_cell(cropped, GRAPHENE)
        assert isinstance(made, Refusal)
        assert made.reason in (RefusalReason.CUT_EDGE, RefusalReason.TOO_CLOSE)


def test_a_defect_too_large_is_refused() -> None:
    large = defect(GRAPHENE, [(i, 0, 0) for i in range(12)])
    for made in (build_supercell(large, GRAPHENE), build_flake(large, GRAPHENE)):
        assert isinstance(made, Refusal) and made.reason == RefusalReason.DEFECT_TOO_LARGE


@pytest.mark.parametrize("radius", [5.2, 6.3, 8.0, 9.9])
@pytest.mark.parametrize(("lattice", "which"), EVERY)
def test_every_cut_bond_of_a_flake_ends_in_hydrogen(lattice: Lattice, which: Defect, radius: float) -> None:
    flake = built(build_flake, which, lattice, radius=radius)
    heavy = np.array([s != "H" for s in flake.symbols])
    from ase.neighborlist import neighbor_list

    first, second, distance = neighbor_list("ijd", flake.to_ase(), 1.2 * lattice.bond_angstrom)
    of_hydrogen = heavy[first] & ~heavy[second] & np.isin(np.round(distance, 6), [1.09, 1.7, 1.35])
    n_hydrogens = np.bincount(first[of_hydrogen], minlength=flake.n_atoms)
    n_heavy = np.bincount(first[heavy[first] & heavy[second]], minlength=flake.n_atoms)
    missing = np.array([lattice.bonds.get(s, 3) for s in flake.symbols]) - n_heavy - n_hydrogens
    beside = np.linalg.norm(flake.positions[:, :2] - 0.5 * flake.cell.sum(axis=0)[:2], axis=1) < 2.0
    assert (missing[heavy & ~beside] == 0).all()
    assert (~heavy).sum() == n_hydrogens.sum()
    assert (n_heavy[heavy] >= 2).all()
    between = distance[~heavy[first] & ~heavy[second]]
    # Unbonded hydrogens touch at 2.4 and repel below; 0.74 would be a molecule.
    assert len(between) == 0 or between.min() > 1.3
    assert flake.is_frozen.tolist() == ((n_hydrogens > 0) & heavy).tolist()
    low, high = flake.positions.min(axis=0), flake.positions.max(axis=0)
    spare = flake.cell[2, 2] - high[2], low[2]
    assert min(spare) > 7.0 and flake.periodic == (False, False, False)


def test_the_dangling_bonds_of_a_vacancy_stay_open() -> None:
    flake = built(build_flake, VACANCY, GRAPHENE)
    clean = built(build_flake, CLEAN, GRAPHENE)
    assert clean.symbols.count("C") - flake.symbols.count("C") == 1
    assert clean.symbols.count("H") == flake.symbols.count("H")
    counts = bonds(flake, 1.7)
    assert sum(c == 2 and s == "C" for c, s in zip(counts, flake.symbols, strict=True)) == 3


@pytest.mark.parametrize("make", [build_supercell, build_flake])
@pytest.mark.parametrize(("lattice", "which"), [(GRAPHENE, VACANCY), (GRAPHENE, SILICON), (MOS2, SULFUR)])
def test_a_rattled_copy_is_a_duplicate(make, lattice: Lattice, which: Defect) -> None:
    catalog = Catalog()
    first = catalog.add(built(make, which, lattice))
    for seed in range(2):
        copy = rattled(first, 0.05, seed)
        assert canonical_key(copy) == canonical_key(first)
        assert catalog.find(copy) is first
        assert copy.digest != first.digest
    assert catalog.n_structures == 1


@pytest.mark.parametrize("make", [build_supercell, build_flake])
def test_other_defects_are_no_duplicates(make) -> None:
    catalog = Catalog()
    nitrogen = defect(GRAPHENE, [(0, 0, 0)], Occupant(("N",), (0.0,)))
    apart = defect(GRAPHENE, [(0, 0, 0), (1, 0, 0)])
    beside = defect(GRAPHENE, [(0, 0, 0), (0, 1, 1)])
    for which in (CLEAN, VACANCY, SILICON, nitrogen, apart, beside):
        made = built(make, which, GRAPHENE)
        assert catalog.find(made) is None
        catalog.add(made)
    assert catalog.n_structures == 6
    keys = {canonical_key(built(make, which, GRAPHENE)) for which in (CLEAN, VACANCY, SILICON, nitrogen, apart, beside)}
    assert len(keys) == 6


def test_same_composition_and_other_bonds_is_no_duplicate() -> None:
    """Two silicon atoms side by side, and apart, in the same cell."""
    cell = built(build_supercell, CLEAN, GRAPHENE)
    from ase.neighborlist import neighbor_list

    first, second = neighbor_list("ij", cell.to_ase(), 1.7)
    near = int(second[first == 0][0])
    far = next(i for i in range(1, cell.n_atoms) if i not in second[first == 0])
    pairs = []
    for other in (near, far):
        symbols = list(cell.symbols)
        symbols[0] = symbols[other] = "Si"
        pairs.append(changed(cell, symbols=tuple(symbols)))
    assert pairs[0].formula == pairs[1].formula
    assert canonical_key(pairs[0]) != canonical_key(pairs[1])
    assert not Catalog().is_copy(*pairs)


def test_a_strained_cell_is_no_duplicate() -> None:
    cell = built(build_supercell, VACANCY, GRAPHENE)
    strained = changed(cell, positions=cell.positions * [1.05, 1.05, 1], cell=cell.cell * [1.05, 1.05, 1])
    swollen = changed(cell, positions=cell.positions * 1.05, cell=cell.cell * 1.05)
    for other in (strained, swollen):
        assert canonical_key(other) == canonical_key(cell)
        assert not Catalog().is_copy(cell, other)


@settings(max_examples=15)
@given(i=st.integers(-9, 9), j=st.integers(-9, 9), column=st.integers(0, 1))
def test_the_key_does_not_depend_on_the_place(i: int, j: int, column: int) -> None:
    here = defect(GRAPHENE, [(0, 0, column)], at=(i, j))
    assert canonical_key(built(build_supercell, here, GRAPHENE)) == canonical_key(
        built(build_supercell, VACANCY, GRAPHENE)
    )


def test_digest_sees_what_an_engine_sees() -> None:
    cell = built(build_supercell, VACANCY, GRAPHENE)
    assert cell.digest == built(build_supercell, VACANCY, GRAPHENE).digest
    frozen = cell.is_frozen.copy()
    frozen[0] = ~frozen[0]
    moved = cell.positions.copy()
    moved[0, 0] += 1e-3
    others = [changed(cell, is_frozen=frozen), changed(cell, positions=moved), changed(cell, periodic=(True,) * 3)]
    assert len({cell.digest, *(o.digest for o in others)}) == 4


def test_bays_of_a_rim_are_filled_and_tips_cut() -> None:
    xy, _ = _sheet(CLEAN, GRAPHENE, 12.0)
    around = neighbors(xy, 1.7)
    far = np.linalg.norm(xy - CLEAN.center, axis=1)
    round_one = _rounded(far < 8.0, around)
    full = [bool(kept) and all(round_one[j] for j in around[i]) for i, kept in enumerate(round_one)]
    bay = next(i for i in np.flatnonzero(full) if far[i] > 4.0 and all(full[j] for j in around[i]))
    tip = next(i for i in np.flatnonzero(~round_one) if sum(round_one[j] for j in around[i]) == 1 and far[i] < 9.0)
    bitten = round_one.copy()
    bitten[bay], bitten[tip] = False, True
    assert (_rounded(bitten, around) == round_one).all()


@pytest.mark.parametrize("radius", [7.0, 8.0, 9.5])
def test_a_flake_of_a_triangular_lattice_ends_where_it_should(radius: float) -> None:
    bond = 2.56
    copper = Lattice("Cu", (bond, 0.0), (-bond / 2, bond * np.sqrt(3) / 2), (Site("Cu", 0.0, 0.0),), (("Cu", 1.5),))
    flake = built(build_flake, defect(copper, [(0, 0, 0)]), copper, radius=radius)
    metal = np.array([s == "Cu" for s in flake.symbols])
    reach = np.linalg.norm((flake.positions - flake.positions[metal].mean(axis=0))[metal], axis=1).max()
    assert radius - 2 * bond < reach < radius + bond
    assert 0 < flake.is_frozen.sum() < metal.sum() and (~metal).any()


def test_layers_that_only_look_like_neighbours_get_no_hydrogen() -> None:
    """In 1T the two sulfur layers alternate in projection, but lie 3.6 angstrom apart."""
    sheet = Lattice(
        "1T-MoS2",
        (3.19, 0.0),
        (-1.595, 3.19 * np.sqrt(3) / 2),
        (Site("Mo", 0.0, 0.0), Site("S", 1 / 3, 2 / 3, 1.56), Site("S", 2 / 3, 1 / 3, -1.56)),
        (("Mo", 1.7), ("S", 1.35)),
    )
    flake = built(build_flake, defect(sheet), sheet, radius=8.0)
    hydrogens = np.array([s == "H" for s in flake.symbols])
    # Each missing bond of an atom to its own kind of neighbour is ended once: 6 around molybdenum, 3 around sulfur.
    heavy = np.array(flake.symbols)[~hydrogens]
    positions = flake.positions[~hydrogens]
    bonded = (np.linalg.norm(positions[:, None] - positions[None], axis=2) < 2.7).sum(axis=1) - 1
    wanted = np.where(heavy == "Mo", 6, 3)
    assert int((wanted - bonded).sum()) == hydrogens.sum() > 0
