"""The engine gpaw against a script for GPAW that was written independently of it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from probescout_theory.gpaw import SYSTEM_PYTHON, Gpaw

from probescout.core.theory import EngineFailure, Failure
from probescout.testing.engine import sheet
from tests.theory.test_engines import absence

ABSENT = absence(Gpaw, is_heavy=True)
pytestmark = pytest.mark.skipif(bool(ABSENT), reason=ABSENT)

COARSE = {"basis": "sz(dzp)", "grid_angstrom": 0.35, "k_density": 0.0, "vacuum_angstrom": 3.0}
DIRECT = """
import json, sys
from ase.atoms import Atoms
from ase.parallel import paropen
from gpaw.calculator import GPAW
from gpaw.occupations import FermiDirac
job = json.load(open(sys.argv[1]))
atoms = Atoms(job["symbols"], job["positions"], cell=job["cell"], pbc=job["pbc"])
if not any(job["pbc"]):
    atoms = Atoms(job["symbols"], job["positions"])
    atoms.center(3.0)
atoms.calc = GPAW(mode="lcao", basis="sz(dzp)", xc="PBE", h=0.35, kpts=(1, 1, 1), occupations=FermiDirac(0.1), txt=None)
json.dump(atoms.get_potential_energy(), open(sys.argv[2], "w"))
"""


def run(structure, **settings):
    return {q.name: q.value for q in Gpaw(**{**COARSE, **settings}).run(structure, lambda share, message: None)}


def hydrogen():
    return {"symbols": ["H", "H"], "positions": [[0.0, 0.0, 0.0], [0.0, 0.0, 0.75]]}


@pytest.mark.parametrize("made", [hydrogen, sheet])
def test_energies_are_those_of_gpaw_called_directly(made, tmp_path: Path) -> None:
    structure = made()
    job = {"cell": None, "pbc": [False] * 3, **structure}
    (tmp_path / "job").write_text(json.dumps(job))
    command = [SYSTEM_PYTHON, "-I", "-c", DIRECT, str(tmp_path / "job"), str(tmp_path / "found")]
    subprocess.run(command, check=True, timeout=100, capture_output=True)
    wanted = json.loads((tmp_path / "found").read_text())
    assert run(structure, quantities=["energy"])["energy"] == pytest.approx(wanted, rel=1e-6)


def test_a_molecule_relaxes_and_has_a_gap() -> None:
    found = run(hydrogen(), is_relaxed=True, quantities=["displacement", "gap"])
    assert 0.0 < found["displacement"] < 0.1
    assert 5.0 < found["gap"] < 20.0


def test_a_density_that_does_not_converge_is_no_number() -> None:
    with pytest.raises(EngineFailure, match="max_iterations") as caught:
        run(hydrogen(), max_iterations=2, quantities=["energy"])
    assert caught.value.failure is Failure.NOT_CONVERGED


def test_an_element_without_setup_is_refused() -> None:
    with pytest.raises(EngineFailure, match="GPAW ended with status 1") as caught:
        run({**hydrogen(), "symbols": ["Pm", "H"], "positions": [[0, 0, 0], [0, 0, 2.2]]}, quantities=["energy"])
    assert caught.value.failure is Failure.BAD_INPUT
