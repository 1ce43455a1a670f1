"""From simulated patches to the structure that was drawn, and patches that are refused with a reason."""

from dataclasses import replace

import numpy as np
import pytest
from probescout_theory.atoms import given_atoms
from probescout_theory.keys import Catalog
from probescout_theory.lattices import GRAPHENE, MOS2
from probescout_theory.patch_to_structure import Built, Patch, Recipe, describe_patch, structure_of
from probescout_theory.refusals import Refusal, RefusalReason
from probescout_theory.structure import Structure, check_cell

from benchmarks import structure_images as images
from benchmarks.structures import REFUSALS, defect_is, is_right, lattice_of, no_structure
from probescout.core.errors import InvalidInput

CASES = list(images.SHEETS)


def recipe(case: str, builder: str = "supercell", **other) -> Recipe:
    dopants = ("Si",) if case.startswith("graphene") else ("Se",)
    return Recipe(lattice=lattice_of(case), dopants=dopants, builder=builder, **other)


def patch(truth: images.Truth) -> Patch:
    y, x = (np.array(truth.center_px) + 0.5) / images.SIDE
    return Patch(truth.image, images.PIXEL, (float(y), float(x)))


def given(truth: images.Truth, *, with_labels: bool = True, extra: np.ndarray | None = None) -> Patch:
    """Return a patch whose columns come from outside: the true ones, and extra ones (column, yx) in pixels."""
    px = truth.columns_px if extra is None else np.vstack([truth.columns_px, extra])
    px = np.clip(px, -0.5, images.SIDE - 0.5)
    labels = (*truth.labels, *["C"] * (len(px) - len(truth.labels))) if with_labels else None
    atoms = given_atoms((px + 0.5) / images.SIDE, (images.SIDE, images.SIDE), labels=labels)
    made = patch(truth)
    return Patch(made.image, made.angstrom_per_pixel, made.place, atoms)


@pytest.mark.parametrize("level", list(images.NOISE))
@pytest.mark.parametrize("case", CASES)
def test_the_defect_that_was_drawn_is_the_one_that_is_built(case: str, level: str, draw) -> None:
    built = structure_of(patch(draw(case, level, 12)), recipe(case))
    assert isinstance(built, Built), built
    assert defect_is(case, built.defect)
    assert check_cell(built.structure, lattice_of(case)) is None
    if level != "high":
        assert built.defect.n_left_out == 0


def test_supercells_are_those_that_ase_builds(draw) -> None:
    from ase.build import graphene, mx2

    sheet = graphene(formula="CC", a=1.42 * np.sqrt(3), size=(5, 5, 1), vacuum=7.5)
    hole = sheet.copy()
    del hole[0]
    sulfide = mx2("MoS2", kind="2H", a=3.16, thickness=3.12, size=(4, 4, 1), vacuum=7.5)
    del sulfide[int(sulfide.symbols.search("S")[0])]
    for case, atoms in (("graphene", sheet), ("graphene_vacancy", hole), ("mos2_sulfur_vacancy", sulfide)):
        built = structure_of(patch(draw(case, "medium", 13)), recipe(case))
        assert isinstance(built, Built)
        other = Structure(
            "supercell",
            built.structure.lattice,
            tuple(atoms.get_chemical_symbols()),
            atoms.positions,
            np.array(atoms.cell),
            (True, True, False),
            np.zeros(len(atoms), dtype=bool),
        )
        assert Catalog(same_site=0.1).is_copy(built.structure, other), case


def test_stone_wales_has_its_rings(draw) -> None:
    import networkx
    from ase.neighborlist import neighbor_list

    built = structure_of(patch(draw("graphene_stone_wales", "low", 14)), recipe("graphene_stone_wales"))
    assert isinstance(built, Built)
    first, second = neighbor_list("ij", built.structure.to_ase(), 1.8)
    assert (np.bincount(first) == 3).all()
    graph = networkx.Graph(zip(first.tolist(), second.tolist(), strict=True))
    sizes = [len(ring) for ring in networkx.minimum_cycle_basis(graph) if len(ring) in (5, 7)]
    assert sorted(sizes)[:2] == [5, 5] and sizes.count(5) == 2
    assert sizes.count(7) in (1, 2)  # A cycle basis of a torus may leave one face out.


def test_neighbours_of_a_dopant_keep_their_measured_places(draw) -> None:
    """Drawn 1.70 angstrom from silicon, where the clean lattice has 1.42; all other columns take clean places."""
    built = structure_of(patch(draw("graphene_silicon", "low", 14)), recipe("graphene_silicon"))
    assert isinstance(built, Built)
    atoms = built.structure.to_ase()
    bonds = np.sort(atoms.get_distances(int(atoms.symbols.search("Si")[0]), range(len(atoms)), mic=True))[1:4]
    assert bonds == pytest.approx([1.70] * 3, abs=0.08)
    assert [o.label for o in built.defect.inserted].count("C") == 3


@pytest.mark.parametrize("case", ["graphene_silicon", "mos2_sulfur_vacancy"])
def test_columns_from_outside_are_taken_with_their_formulas(case: str, draw) -> None:
    built = structure_of(given(draw(case, "high", 15)), recipe(case))
    assert isinstance(built, Built) and defect_is(case, built.defect)
    assert built.defect.n_left_out == 0


def test_columns_from_outside_without_formulas_are_the_clean_ones(draw) -> None:
    built = structure_of(given(draw("graphene_vacancy", "low", 15), with_labels=False), recipe("graphene"))
    assert isinstance(built, Built) and built.structure.formula == "C49"


def test_a_formula_that_the_lattice_does_not_make_is_an_error(draw) -> None:
    with pytest.raises(InvalidInput, match="'Si'"):
        structure_of(given(draw("graphene_silicon", "low", 15)), Recipe(lattice=GRAPHENE))


def test_calibration_off_by_three_percent_is_mended(draw) -> None:
    truth = draw("graphene_vacancy", "medium", 16)
    made = patch(truth)
    built = structure_of(Patch(made.image, 1.03 * images.PIXEL, made.place), recipe("graphene_vacancy"))
    assert isinstance(built, Built) and built.structure.formula == "C49"
    assert built.description.registration.scale == pytest.approx(1.03, abs=0.01)


@pytest.mark.parametrize("reason", REFUSALS)
def test_a_patch_that_is_no_structure_is_refused(reason: str) -> None:
    for seed in range(2):
        made = structure_of(no_structure(reason, 12.0, np.random.default_rng(seed)), Recipe(lattice=GRAPHENE))
        assert isinstance(made, Refusal) and made.reason == RefusalReason(reason), made
        assert len(made.message) > 60
        if reason == "WRONG_SCALE":
            assert min(abs(made.value - 0.8), abs(made.value - 1.25)) < 0.03


def test_the_wrong_lattice_is_refused(draw) -> None:
    made = structure_of(Patch(draw("mos2", "medium", 17).image, images.PIXEL), Recipe(lattice=GRAPHENE))
    assert isinstance(made, Refusal)
    assert made.reason in (RefusalReason.AMORPHOUS, RefusalReason.WRONG_SCALE)


def test_empty_image_is_vacuum() -> None:
    made = structure_of(Patch(np.full((200, 200), 3.0), images.PIXEL), Recipe(lattice=GRAPHENE))
    assert isinstance(made, Refusal) and made.reason == RefusalReason.VACUUM


def test_columns_that_cannot_be_atoms_are_refused(draw) -> None:
    truth = draw("graphene", "low", 18)
    middle = np.argmin(np.linalg.norm(truth.columns_px - images.SIDE / 2, axis=1))
    twice = structure_of(given(truth, extra=truth.columns_px[[middle]] + 2.0), recipe("graphene"))
    assert isinstance(twice, Refusal) and twice.reason == RefusalReason.TOO_CLOSE
    # Columns of a second sheet, turned by 30 degrees, that do not fall on the first: the more, the less order is left.
    turned = (truth.columns_px - images.SIDE / 2) @ np.array([[0.866, -0.5], [0.5, 0.866]]) + images.SIDE / 2
    far = np.linalg.norm(turned[:, None] - truth.columns_px[None], axis=2).min(axis=1) > 0.8 / images.PIXEL
    second = turned[far & ((turned > 0) & (turned < images.SIDE)).all(axis=1)]
    number = np.arange(len(second))
    for kept, reason in (
        (number >= 0, RefusalReason.AMORPHOUS),
        (number % 4 > 0, RefusalReason.DENSITY),
        (number % 6 == 0, RefusalReason.COORDINATION),
    ):
        made = structure_of(given(truth, extra=second[kept]), recipe("graphene"))
        assert isinstance(made, Refusal) and made.reason == reason, made


def test_a_defect_at_the_edge_is_refused(draw) -> None:
    truth = draw("graphene_vacancy", "low", 19)
    row = int(truth.center_px[0]) - 18
    near = Patch(truth.image[row : row + 220], images.PIXEL, (0.3, (truth.center_px[1] + 0.5) / images.SIDE))
    made = structure_of(near, recipe("graphene_vacancy", radius_angstrom=5.5))
    assert isinstance(made, Refusal) and made.reason == RefusalReason.BORDER
    assert "where it ends" in made.message


def test_a_description_names_every_site(draw) -> None:
    described = describe_patch(patch(draw("mos2_sulfur_vacancy", "low", 20)), recipe("mos2"))
    assert not isinstance(described, Refusal)
    assert len(described.vacant) == 0
    changed = [o.label for o, is_new in zip(described.occupants, described.is_changed, strict=True) if is_new]
    assert changed == ["S"]
    assert described.registration.share_on_site == 1.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"builder": "sphere"},
        {"radius_angstrom": 0.0},
        {"radius_angstrom": float("nan")},
        {"min_confidence": 1.5},
        {"dopants": ("Qq",)},
    ],
)
def test_a_wrong_recipe_is_an_error(wrong: dict) -> None:
    with pytest.raises(InvalidInput):
        Recipe(lattice=MOS2, **wrong)


@pytest.mark.parametrize("builder", ["supercell", "flake"])
@pytest.mark.parametrize("case", ["graphene_silicon", "mos2_sulfur_vacancy"])
def test_the_benchmark_looks_at_the_structure(case: str, builder: str, draw) -> None:
    truth = draw(case, "medium", 12)
    built = structure_of(patch(truth), recipe(case, builder))
    assert isinstance(built, Built)
    one_less = replace(
        built.structure,
        symbols=built.structure.symbols[1:],
        positions=built.structure.positions[1:],
        is_frozen=built.structure.is_frozen[1:],
    )
    assert is_right(built.structure, case, truth, recipe(case, builder))
    assert not is_right(one_less, case, truth, recipe(case, builder))
