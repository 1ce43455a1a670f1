"""The engine xtb against tblite called directly, and against figures that were published elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tblite", reason="needs the extra 'theory'")

from ase import Atoms  # noqa: E402
from ase.build import molecule  # noqa: E402
from probescout_theory.xtb import Xtb  # noqa: E402
from tblite.ase import TBLite  # noqa: E402
from tblite.interface import Calculator  # noqa: E402

from probescout.core.theory import EngineFailure, Failure, TheoryPatch  # noqa: E402
from probescout.testing.engine import patches, ring, sheet  # noqa: E402

BOHR, HARTREE = 0.529177210903, 27.211386245988
"""CODATA 2018: angstrom and eV."""


def run(structure, **settings):
    return {q.name: q.value for q in Xtb(**settings).run(structure, lambda share, message: None)}


def water(**more):
    atoms = molecule("H2O")
    return {"symbols": list(atoms.symbols), "positions": atoms.positions.tolist(), **more}


@pytest.mark.parametrize("method", ["GFN1-xTB", "GFN2-xTB"])
@pytest.mark.parametrize("made", [ring, sheet])
def test_energies_are_those_of_tblite_called_directly(made, method) -> None:
    structure = made()
    atoms = Atoms(structure["symbols"], positions=structure["positions"], cell=structure["cell"], pbc=structure["pbc"])
    lattice = {"lattice": np.array(atoms.cell) / BOHR, "periodic": atoms.pbc} if atoms.pbc.any() else {}
    direct = Calculator(method, atoms.numbers, atoms.positions / BOHR, **lattice)
    direct.set("verbosity", 0)
    wanted = direct.singlepoint()["energy"] * HARTREE
    found = run(structure, method=method, is_relaxed=False, quantities=["energy"])["energy"]
    assert found == pytest.approx(wanted, rel=1e-6)
    atoms.calc = TBLite(method=method, verbosity=0)
    assert found == pytest.approx(atoms.get_potential_energy(), rel=1e-6)


def test_relaxed_water_is_that_of_tblite_and_its_oxygen_is_negative() -> None:
    found = run(water(), method="GFN2-xTB", max_force=0.001, quantities=["energy", "charge", "gap"])
    # Documentation of tblite's calculator for ASE: energy of this geometry, from which a relaxation goes down.
    assert -137.96777625 - 0.05 < found["energy"] < -137.96777625
    assert -0.7 < found["charge"] < -0.4
    assert 10.0 < found["gap"] < 20.0
    single = run(water(), method="GFN2-xTB", is_relaxed=False, quantities=["energy"])
    assert single["energy"] == pytest.approx(-137.96777625229421, rel=1e-6)


def test_energy_of_formation_is_that_of_the_parts() -> None:
    structure = sheet()
    whole = structure["reference"]
    settings = {"is_relaxed": False, "quantities": ["energy"]}
    defect, clean = run(structure, **settings)["energy"], run(whole, **settings)["energy"]
    found = run(structure, is_relaxed=False, quantities=["formation_energy"])["formation_energy"]
    # One of eight atoms is gone into the sheet.
    assert found == pytest.approx(defect - clean + clean / 8.0, rel=1e-6)
    assert run({**whole, "reference": whole})["formation_energy"] == 0.0


def test_a_ring_out_of_shape_relaxes_to_its_reference() -> None:
    found = run(ring(), max_force=0.005)
    assert found["formation_energy"] == pytest.approx(0.0, abs=2e-3)
    assert 0.01 < found["displacement"] < 0.2
    assert 0.005 < found["strain"] < 0.2


def test_frozen_atoms_stay() -> None:
    structure = ring()
    structure["frozen"] = [True] * 6 + [False] * 6
    made = Xtb(quantities=["energy"]).calculate(structure, lambda share, message: None)
    moved = np.abs(np.array(made.structure["positions"]) - structure["positions"]).max(axis=1)
    assert (moved[:6] == 0.0).all()
    assert moved[6:].max() > 0.005
    assert made.n_steps > 0
    assert made.wall_s > 0.0
    assert len(made.settings_digest) == 64


def test_charges_that_do_not_agree_are_no_number() -> None:
    for is_relaxed in (False, True):
        with pytest.raises(EngineFailure, match="max_iterations") as caught:
            run(ring(), max_iterations=2, is_relaxed=is_relaxed)
        assert caught.value.failure is Failure.NOT_CONVERGED


def test_the_method_follows_the_builder() -> None:
    assert (Xtb().method, Xtb(builder="flake").method) == ("GFN1-xTB", "GFN2-xTB")
    assert Xtb(method="GFN2-xTB").method == "GFN2-xTB"


def test_a_vacancy_in_an_image_costs_what_it_should() -> None:
    """Density functional theory has about 7.5 eV (Banhart et al. 2011, ACS Nano 5, 26)."""
    engine = Xtb(is_relaxed=False, quantities=["formation_energy"])
    patch: TheoryPatch = patches()["good"]
    structure = engine.prepare(patch)
    [found] = engine.run(structure, lambda share, message: None)
    assert len(structure["symbols"]) == 49
    assert found.value == pytest.approx(7.5, abs=0.8)
