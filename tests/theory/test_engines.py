"""Every engine of this distribution passes the published suite, where what it stands on is installed."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import ClassVar

import pytest
from probescout_theory.chgnet import Chgnet
from probescout_theory.gpaw import PYTHON_VARIABLE, Gpaw
from probescout_theory.lammps import Lammps
from probescout_theory.xtb import Xtb

from probescout.core.errors import MissingExtra
from probescout.testing.engine import EngineConformance

HEAVY = os.environ.get("PROBESCOUT_HEAVY_ENGINES", "").split(",")


def absence(engine: type, *, is_heavy: bool) -> str:
    """Return why an engine cannot calculate in this run; empty when it can."""
    if is_heavy and engine.name not in HEAVY:
        return f"{engine.name} takes minutes: set PROBESCOUT_HEAVY_ENGINES={engine.name} to test it"
    try:
        engine().version()
    except MissingExtra as error:
        return str(error)
    return ""


class TestXtb(EngineConformance):
    engine = Xtb
    params: ClassVar = {"max_force": 0.1}
    libraries = ("tblite",)
    absent = absence(Xtb, is_heavy=False) if find_spec("ase") else "ase is not installed"


class TestLammps(EngineConformance):
    engine = Lammps
    libraries = ("lammps",)
    absent = absence(Lammps, is_heavy=False)


class TestGpaw(EngineConformance):
    engine = Gpaw
    # As coarse as it goes: what is tested is the engine, not the physics.
    params: ClassVar = {"basis": "sz(dzp)", "grid_angstrom": 0.35, "k_density": 0.0, "vacuum_angstrom": 3.0}
    missing: ClassVar = {PYTHON_VARIABLE: "/nowhere/python3"}
    absent = absence(Gpaw, is_heavy=True)
    same = 1e-6


class TestChgnet(EngineConformance):
    engine = Chgnet
    params: ClassVar = {"max_force": 0.2}
    libraries = ("chgnet",)
    absent = absence(Chgnet, is_heavy=False)
    # It calculates in single precision.
    same = 1e-5


def test_every_engine_of_the_group_is_tested() -> None:
    from importlib.metadata import entry_points

    ours = {e.name for e in entry_points(group="probescout.theory") if e.dist and e.dist.name == "probescout"}
    assert ours == {cls.engine.name for cls in (TestXtb, TestLammps, TestGpaw, TestChgnet)}


@pytest.mark.parametrize("engine", [Xtb, Lammps, Gpaw, Chgnet])
def test_defaults_are_those_of_the_schema(engine: type) -> None:
    written = {name: entry["default"] for name, entry in engine.params_schema["properties"].items()}
    assert engine(**written).settings_digest == engine().settings_digest
    assert engine(**{**written, "max_force": 0.07}).settings_digest != engine().settings_digest
