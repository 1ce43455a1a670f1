"""The conformance suite for engines: subclass it in your tests, name your class, and run pytest.

class TestMine(EngineConformance):
    engine = Mine
    params = {"lattice": "graphene"}
    libraries = ("my_library",)
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, ClassVar

import jsonschema
import numpy as np
import pytest

from probescout.core.registry import THEORY, find
from probescout.core.theory import Engine, EngineFailure, Failure, Quantity
from probescout.testing.engine_cases import impossible, patches, ring, sheet

__all__ = ["EngineConformance", "impossible", "patches", "ring", "sheet"]

UNITS = ("eV", "angstrom", "1", "e", "eV/angstrom", "GPa", "N/m", "K", "s", "J/m^2", "mu_B", "debye")
"""Units that quantities may have; "1" has none."""
IMPORT_S = 60


class EngineConformance:
    """What every engine must do; each test is one promise of the protocol `Engine`."""

    engine: ClassVar[type]
    """The class under test."""
    params: ClassVar[Mapping[str, Any]] = {}
    """Settings to build it with, for graphene."""
    is_installed: ClassVar[bool] = True
    """Whether it is declared as an entry point under its name."""
    absent: ClassVar[str] = ""
    """Why it cannot calculate here; what needs no calculation is tested all the same."""
    libraries: ClassVar[Sequence[str]] = ()
    """Modules that it stands on: loaded only when it calculates, and asked for by name when they are missing."""
    missing: ClassVar[Mapping[str, str]] = {}
    """Environment under which what it stands on is missing, where that is no module."""
    hasty: ClassVar[Mapping[str, Any]] = {"max_steps": 1, "is_relaxed": True}
    """Settings that leave it too few steps."""
    same: ClassVar[float] = 1e-9
    """Relative difference that two runs of the same may have."""

    def build(self, **more: Any) -> Any:
        """Return the engine with `params`, as they come out of JSON."""
        return self.engine(**json.loads(json.dumps({**self.params, **more})))

    def structures(self) -> Mapping[str, Mapping[str, Any]]:
        """Return two structures that it can calculate, with their references."""
        return {"ring": ring(), "sheet": sheet()}

    def calculate(self, structure: Mapping[str, Any], **more: Any) -> dict[str, Quantity]:
        """Return the quantities of a structure by name, calculated by a new engine."""
        if self.absent:
            pytest.skip(self.absent)
        return {q.name: q for q in self.build(**more).run(structure, lambda share, message: None)}

    def _alone(self) -> dict[str, Any]:
        """Return what the engine does in an interpreter of its own, first with and then without its libraries."""
        cls: Any = self.engine
        job = {
            "module": cls.__module__,
            "name": cls.__qualname__,
            "params": dict(self.params),
            "libraries": list(self.libraries),
            "structure": next(iter(self.structures().values())),
        }
        return _run_alone(json.dumps(job), tuple(self.missing.items()))

    def test_offers_the_protocol(self) -> None:
        """All attributes of the protocol are there, with the right types."""
        assert isinstance(self.build(), Engine)
        cls: Any = self.engine
        assert cls.name and cls.name == cls.name.lower() and " " not in cls.name
        assert cls.summary and "\n" not in cls.summary
        assert cls.quantities, "an engine that gives no quantity is none"
        for name, unit in cls.quantities.items():
            assert name == name.lower() and " " not in name and unit in UNITS, (name, unit)

    def test_is_installed_under_its_name(self) -> None:
        """The entry point of that name is this class."""
        if not self.is_installed:
            pytest.skip("declared as not installed (is_installed = False)")
        cls: Any = self.engine
        assert find(THEORY, cls.name).load() is cls

    def test_schema_is_sound(self) -> None:
        """The schema is valid JSON Schema, closed, titled, and its defaults and `params` satisfy it."""
        cls: Any = self.engine
        schema = cls.params_schema
        jsonschema.Draft202012Validator.check_schema(schema)
        json.dumps(schema)
        validator = jsonschema.Draft202012Validator(schema)
        for settings in (self.params, self.hasty):
            validator.validate(dict(settings))
        assert not validator.is_valid({**self.params, "no_such_setting": 1}), "set additionalProperties to false"
        for name, entry in schema["properties"].items():
            assert entry.get("title") and entry.get("description"), f"{name} needs a title and a description"
            if "default" in entry:
                jsonschema.Draft202012Validator(entry).validate(entry["default"])

    def test_importing_loads_nothing_that_it_stands_on(self) -> None:
        """Listing what is installed stays cheap: the module and a built engine load neither ase nor its library."""
        assert self._alone()["loaded"] == []

    def test_missing_library_names_the_install_line(self) -> None:
        """Without what it stands on, version and running say what to install."""
        if not (self.libraries or self.missing):
            pytest.skip("it says that it stands on nothing (libraries, missing)")
        said = self._alone()["said"]
        assert len(said) == 2 and all("install" in message for message in said), said

    def test_version_is_one_line(self) -> None:
        """The version says what calculates; it is part of the key under which results are kept."""
        if self.absent:
            pytest.skip(self.absent)
        version = self.build().version()
        assert version and "\n" not in version and any(c.isdigit() for c in version)
        assert version == self.build().version()

    @pytest.mark.parametrize("case", ["border", "vacuum", "amorphous"])
    def test_patch_that_is_no_structure_is_refused(self, case: str) -> None:
        """It is refused with the reason, before anything is calculated."""
        with pytest.raises(EngineFailure) as caught:
            self.build().prepare(patches()[case])
        assert caught.value.failure is Failure.REFUSED
        assert case.upper() in caught.value.message

    def test_patch_becomes_a_structure(self) -> None:
        """Symbols, positions, cell and pbc come as JSON values, the same each time."""
        made = self.build().prepare(patches()["good"])
        assert json.loads(json.dumps(made)) == made
        n = len(made["symbols"])
        assert n > 10 and np.isfinite(np.array(made["positions"])).all()
        assert np.array(made["positions"]).shape == (n, 3) and np.array(made["cell"]).shape == (3, 3)
        assert len(made["pbc"]) == 3 and all(isinstance(flag, bool) for flag in made["pbc"])
        assert self.build().prepare(patches()["good"]) == made

    def test_two_structures_give_converged_quantities(self) -> None:
        """Each is finite, converged, in the unit that the class declares, and what was asked for."""
        cls: Any = self.engine
        for case, structure in self.structures().items():
            before = json.dumps(structure)
            found = self.calculate(structure)
            assert found and set(found) <= set(cls.quantities), case
            for name, quantity in found.items():
                assert math.isfinite(quantity.value) and quantity.is_converged, (case, name)
                assert quantity.unit == cls.quantities[name], (case, name)
                assert math.isnan(quantity.std) or quantity.std >= 0.0, (case, name)
            assert json.dumps(structure) == before, f"{case}: the structure belongs to the caller"

    def test_same_input_gives_the_same_numbers(self) -> None:
        """Results are kept under a key: calculating again must not give others."""
        structure = list(self.structures().values())[-1]
        first, again = self.calculate(structure), self.calculate(structure)
        assert list(first) == list(again)
        for name, quantity in first.items():
            assert quantity.value == pytest.approx(again[name].value, rel=self.same, abs=1e-12), name

    def test_progress_is_reported(self) -> None:
        """Shares lie between 0 and 1 and never fall; messages are for a person."""
        if self.absent:
            pytest.skip(self.absent)
        told: list[tuple[float, str]] = []
        self.build().run(next(iter(self.structures().values())), lambda share, message: told.append((share, message)))
        shares = [share for share, _ in told]
        assert shares and all(0.0 <= share <= 1.0 for share in shares)
        assert shares == sorted(shares)
        assert all(message for _, message in told)

    def test_impossible_structure_fails(self) -> None:
        """Atoms in one place, places that are no numbers, unknown elements: a failure, never a number."""
        if self.absent:
            pytest.skip(self.absent)
        for case, structure in impossible(next(iter(self.structures().values()))).items():
            with pytest.raises(EngineFailure) as caught:
                self.build().run(structure, lambda share, message: None)
            assert caught.value.failure in (Failure.BAD_INPUT, Failure.EXPLODED), case
            assert caught.value.message, case

    def test_too_few_steps_fail_as_not_converged(self) -> None:
        """What did not converge is a failure with that name, never a number."""
        with pytest.raises(EngineFailure) as caught:
            self.calculate(next(iter(self.structures().values())), **self.hasty)
        assert caught.value.failure is Failure.NOT_CONVERGED
        assert any(c.isdigit() for c in caught.value.message), "say how far it came"


_ALONE = """
import importlib, json, sys
from probescout.core.errors import MissingExtra
job = json.loads(sys.argv[1])
engine = getattr(importlib.import_module(job["module"]), job["name"])(**job["params"])
heavy = sorted({"ase", "torch", *job["libraries"]})
found = {"loaded": [name for name in heavy if sys.modules.get(name)], "said": []}
for name in job["libraries"]:
    sys.modules[name] = None
for call in (engine.version, lambda: engine.run(job["structure"], lambda share, message: None)):
    try:
        call()
    except MissingExtra as error:
        found["said"].append(str(error))
print("\\n" + json.dumps(found))
"""


@cache
def _run_alone(job: str, environment: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """Return what an engine does in a new interpreter: loaded when built, and said when its libraries are missing."""
    done = subprocess.run(
        [sys.executable, "-c", _ALONE, job],
        capture_output=True,
        text=True,
        timeout=IMPORT_S,
        check=False,
        env={**os.environ, **dict(environment)},
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
