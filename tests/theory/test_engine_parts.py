"""What the engines share, against closed forms: JSON structures, checks after relaxation, energies of formation."""

from __future__ import annotations

import json
import math
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from probescout_theory.child import run_child
from probescout_theory.formation import ChemicalPotentials, KeptEnergies, formation_energy
from probescout_theory.lattices import GRAPHENE, MOS2
from probescout_theory.patch_to_structure import Patch, Recipe, structure_of
from probescout_theory.pristine import pristine_of, sheet_of
from probescout_theory.progress import Progress
from probescout_theory.relaxing import Solution, check_solution, largest_strain
from probescout_theory.settings import SharedSettings, lattice_of
from probescout_theory.structure import Structure
from probescout_theory.structure_json import from_json, to_json
from probescout_theory.xtb import Xtb

from probescout.core.errors import InvalidInput, Reason
from probescout.core.theory import EngineFailure, Failure, TheoryPatch
from probescout.testing.engine import ring, sheet

SETTINGS = SharedSettings(quantities=("energy",))


def pair(distance: float = 1.4) -> Structure:
    positions = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, distance]])
    return Structure("given", "", ("C", "C"), positions, np.zeros((3, 3)), (False,) * 3, np.zeros(2, dtype=bool))


@pytest.mark.parametrize("case", [ring, sheet])
def test_a_structure_survives_json(case) -> None:
    structure, reference = from_json(case(), 20)
    again, reference_again = from_json(json.loads(json.dumps(to_json(structure, reference))), 20)
    assert again.digest == structure.digest
    assert reference.digest == reference_again.digest


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"symbols": None}, "no list of symbols"),
        ({"symbols": ["C"] * 12 + ["Xx"]}, "Xx"),
        ({"positions": [[0.0, 0.0, 0.0]]}, r"\(12, 3\)"),
        ({"positions": "here"}, "no numbers"),
        ({"positions": [[math.inf, 0.0, 0.0]] * 12}, "finite"),
        ({"positions": [[1e9, 0.0, 0.0]] * 12}, "beyond"),
        ({"positions": [[1.0, 2.0, 3.0]] * 12}, "lie 0.00 sums"),
        ({"cell": [[1.0, 0.0], [0.0, 1.0]]}, "cell"),
        ({"pbc": [True, True, True], "cell": [[9.0, 0, 0], [9.0, 0, 0], [0, 0, 9.0]]}, "flat"),
        ({"pbc": [True, True, False], "cell": [[19.0, 0, 0], [0, 19.0, 0], [9.0, 0, 19.0]]}, "normal"),
        ({"pbc": [True, False, False]}, "none, the first two"),
        ({"pbc": "no"}, "true or false"),
        ({"frozen": [1] * 12}, "true or false"),
        ({"colour": "blue"}, "colour"),
        ({"reference": 5}, "object"),
    ],
)
def test_what_is_no_structure_is_refused_with_what_is_wrong(change, said) -> None:
    with pytest.raises(EngineFailure, match=said) as caught:
        from_json({**ring(), **change}, 20)
    assert caught.value.failure is Failure.BAD_INPUT


def test_more_atoms_than_allowed_are_refused() -> None:
    with pytest.raises(EngineFailure, match="12 atoms, at most 11"):
        from_json(ring(), 11)


def test_strain_is_the_largest_change_of_a_bond() -> None:
    structure = pair(1.4)
    assert largest_strain(structure, structure.positions) == 0.0
    assert largest_strain(structure, np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.4 * 0.95]])) == pytest.approx(0.05)
    # A rigid shift and a turn are none.
    turned = np.array([[5.0, 0.0, 0.0], [5.0, 1.4, 0.0]])
    assert largest_strain(structure, turned) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("solution", "said"),
    [
        (Solution(math.nan, pair().positions), "energy"),
        (Solution(-1e9, pair().positions), "energy"),
        (Solution(-1.0, np.full((2, 3), math.nan), 3), "moved"),
        (Solution(-1.0, pair(5.5).positions, 3), "moved 4.10"),
        (Solution(-1.0, pair(4.0).positions, 3), "neighbours"),
        (Solution(-1.0, pair(0.2).positions, 3), "apart"),
    ],
)
def test_an_explosion_is_no_number(solution, said) -> None:
    with pytest.raises(EngineFailure, match=said) as caught:
        check_solution(pair(), solution, SETTINGS)
    assert caught.value.failure is Failure.EXPLODED


def test_a_good_solution_passes() -> None:
    check_solution(pair(), Solution(-1.0, pair(1.3).positions, 3), SETTINGS)


ATOM = {"C": -7.0, "H": -3.0, "Si": -5.0, "Mo": -11.0, "S": -4.0, "N": -6.0}


def additive(structure: Structure) -> float:
    """An energy without bonds: under it no defect costs anything."""
    return sum(ATOM[s] for s in structure.symbols)


@pytest.mark.parametrize("are_molecules", [True, False])
@pytest.mark.parametrize("lattice", [GRAPHENE, MOS2])
def test_potentials_of_an_additive_energy_are_its_terms(lattice, are_molecules) -> None:
    potentials = ChemicalPotentials(lattice, {}, additive, None, n_sheet=2, are_molecules=are_molecules)
    wanted = ["C", "H", "Si", "N"] if lattice is GRAPHENE else ["Mo", "S", "N"]
    for species in wanted:
        assert potentials.of(species) == pytest.approx(ATOM[species]), species


def test_declared_potentials_come_first_and_the_sheet_gives_the_rest() -> None:
    potentials = ChemicalPotentials(MOS2, {"Mo": -20.0, "W": -9.0}, additive, None, n_sheet=2, are_molecules=True)
    assert potentials.of("W") == -9.0
    assert potentials.of("S") == pytest.approx((ATOM["Mo"] + 2 * ATOM["S"] + 20.0) / 2)


def test_without_a_reservoir_the_message_says_what_to_declare() -> None:
    for are_molecules, species in ((True, "W"), (False, "Ga")):
        potentials = ChemicalPotentials(MOS2, {}, additive, None, n_sheet=2, are_molecules=are_molecules)
        with pytest.raises(EngineFailure, match=rf"declare chemical_potentials\.{species}"):
            potentials.of(species)


def test_energy_of_formation_of_an_exchange() -> None:
    whole = replace(pair(), symbols=("C", "C"))
    doped = replace(whole, symbols=("C", "Si"))
    potentials = ChemicalPotentials(GRAPHENE, {"Si": -1.0, "C": -2.0}, additive, None, n_sheet=2, are_molecules=True)
    # E - E_reference - mu_Si + mu_C
    assert formation_energy(doped, -8.0, whole, -10.0, potentials) == pytest.approx(-8.0 + 10.0 + 1.0 - 2.0)


@pytest.mark.parametrize(
    ("case", "builder", "change"),
    [
        ("graphene_silicon", "flake", {"C": 1, "Si": -1}),
        ("mos2_sulfur_vacancy", "supercell", {"S": 1}),
        ("mos2_sulfur_vacancy", "flake", {"S": 1}),
    ],
)
def test_the_pristine_counterpart_differs_by_the_defect_alone(draw, case, change, builder) -> None:
    from benchmarks.structure_images import PIXEL

    lattice = MOS2 if case.startswith("mos2") else GRAPHENE
    recipe = Recipe(lattice=lattice, dopants=() if lattice is MOS2 else ("Si",), builder=builder)
    built = structure_of(Patch(draw(case, "low", 0).image, PIXEL), recipe)
    clean = pristine_of(built, recipe)
    found = Counter(clean.symbols)
    found.subtract(Counter(built.structure.symbols))
    assert {s: n for s, n in found.items() if n} == change
    np.testing.assert_array_equal(clean.cell, built.structure.cell)
    assert clean.is_frozen.sum() == built.structure.is_frozen.sum()


def test_a_sheet_has_the_cells_that_were_asked_for() -> None:
    for lattice in (GRAPHENE, MOS2):
        for n in (2, 3, 5):
            assert sheet_of(lattice, n).n_atoms == n * n * len(lattice.sites)


def test_progress_never_falls_and_leaves_out_what_comes_at_once() -> None:
    told, now = [], [0.0]
    progress = Progress(lambda share, message: told.append((share, message)), clock=lambda: now[0])
    first, second = progress.part(0.0, 0.5), progress.part(0.5, 1.0)
    first(0.8, "a")
    first(0.9, "left out")
    now[0] = 2.0
    first(0.2, "b")
    now[0] = 4.0
    second(7.0, "c")
    progress.finish("done")
    assert told == [(0.4, "a"), (0.45, "b"), (1.0, "c"), (1.0, "done")]


def test_kept_energies_forget_the_oldest() -> None:
    kept = KeptEnergies(most=2)
    for value in (1.0, 2.0, 3.0):
        kept.energy(str(value), lambda value=value: value)
    assert kept.energy("3.0", lambda: 9.0) == 3.0
    assert kept.energy("1.0", lambda: 9.0) == 9.0


def test_kept_energies_outlive_their_process_in_a_directory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = KeptEnergies(), KeptEnergies()
    first.directory = second.directory = tmp_path / "references"
    assert first.energy("key", lambda: -1.25) == -1.25
    assert second.energy("key", lambda: pytest.fail("it is known")) == -1.25
    [path] = (tmp_path / "references").iterdir()
    for damaged in (b"", b"{}", b"[1]", b'{"key": "other", "energy": 1.0}', b'{"key": "key", "energy": NaN}', b"\xff"):
        path.write_bytes(damaged)
        third = KeptEnergies()
        third.directory = path.parent
        assert third.energy("key", lambda: -1.5) == -1.5 and "calculated again" in caplog.text
        caplog.clear()
    # What was mended is believed again, and a directory that cannot be written keeps nobody from an answer.
    assert json.loads(path.read_bytes()) == {"key": "key", "energy": -1.5}
    fourth = KeptEnergies()
    fourth.directory = path / "no directory"
    assert fourth.energy("key", lambda: 2.0) == 2.0 and "not kept" in caplog.text


def test_a_child_is_ended_when_its_listener_gives_up(tmp_path: Path) -> None:
    told: list[str] = []

    def tick(line: str) -> None:
        told.append(line)
        raise KeyboardInterrupt

    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_child([sys.executable, "-c", code], tmp_path, {}, tick)
    assert time.monotonic() - start < 20
    assert not Path(f"/proc/{told[0]}").exists()


def test_a_child_tells_how_it_ended(tmp_path: Path) -> None:
    code, printed = run_child([sys.executable, "-c", "print('x'); raise SystemExit(3)"], tmp_path, {}, print)
    assert (code, printed.strip()) == (3, "x")
    assert run_child([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], tmp_path, {}, print)[0] == -9


def test_a_lattice_is_taken_by_name_or_declared() -> None:
    declared = {
        "name": "mine",
        "a_angstrom": [2.5, 0.0],
        "b_angstrom": [0.0, 2.5],
        "sites": [{"species": "C", "u": 0.0, "v": 0.0}],
        "hydrogen_angstrom": {"C": 1.1},
    }
    assert lattice_of("MoS2") is MOS2
    assert lattice_of(declared).neighbor_angstrom == 2.5
    with pytest.raises(InvalidInput, match="graphene, MoS2") as caught:
        lattice_of("unobtainium")
    assert caught.value.reason == Reason.PARAM_INVALID


def test_a_patch_that_cannot_be_read_is_bad_input() -> None:
    image = np.zeros((80, 80))
    for patch in (
        TheoryPatch(image, 0.0),
        TheoryPatch(np.full((80, 80), np.nan), 2e-11),
        TheoryPatch(image[0], 2e-11),
        TheoryPatch(image, 2e-11, (2.0, 0.5)),
    ):
        with pytest.raises(EngineFailure) as caught:
            Xtb().prepare(patch)
        assert caught.value.failure is Failure.BAD_INPUT
    broken = {"name": "x", "a_angstrom": [1, 0], "b_angstrom": [2, 0], "sites": [], "hydrogen_angstrom": {}}
    with pytest.raises(EngineFailure, match="lattice 'x'"):
        Xtb(lattice=broken).prepare(TheoryPatch(image, 2e-11))


def test_without_relaxation_nothing_of_one_is_told() -> None:
    assert "strain" not in SharedSettings(quantities=("energy", "strain"), is_relaxed=False).told
    with pytest.raises(InvalidInput, match="is_relaxed"):
        SharedSettings(quantities=("strain",), is_relaxed=False)
    with pytest.raises(InvalidInput, match="not finite"):
        SharedSettings(quantities=("energy",), chemical_potentials={"C": math.inf})
