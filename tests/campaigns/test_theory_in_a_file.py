"""A campaign file with theory runs to its end: simulations are asked for, run, and told with the results."""

from __future__ import annotations

import importlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from probescout.campaigns.conduct import Place, conduct
from probescout.campaigns.describe import lines
from probescout.campaigns.outputs import folder_of
from probescout.campaigns.reading import read_file, read_text
from probescout.campaigns.results import COMPLETE, TheoryInfluence
from probescout.core.ports import Measurement
from probescout.replay.instruments import RecordedInstrument
from probescout.replay.recording import Recording
from probescout.store.journal import Journal

SIZE = 16
PIXEL_M = 2.5e-10
ENGINE = """
class Springs:
    name, summary = "springs", "A chain of springs"
    params_schema = {"type": "object", "additionalProperties": False, "properties": {}}
    quantities = {"energy": "eV"}

    def version(self):
        return "springs 1"

    def prepare(self, patch):
        at = [int(edge * share) for edge, share in zip(patch.image.shape, patch.place)]
        return {"density": float(patch.image[at[0], at[1]])}

    def run(self, structure, report):
        import math

        from probescout.core.theory import Quantity

        return [Quantity("energy", -0.1 * math.sin(25.0 * structure["density"]), "eV", 0.0)]
"""
TEXT = """
[campaign]
name = "theory"
[instrument]
kind = "recorded"
params = { file = "case.nc", target = "hardness" }
[scalarizer]
name = "given"
[initial]
count = 6
[budget]
probes = 18
[theory]
engine = "springs"
quantity = "energy"
window_m = 2e-9
deadline_s = 30.0
[model]
deep = false
[outputs]
directory = "result"
formats = ["csv", "netcdf", "png"]
[[regions]]
name = "only"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recording whose target the engine knows but for noise and unit, and that no model learns from few points."""
    rng = np.random.default_rng(0)
    image = rng.uniform(0.0, 1.0, (SIZE, SIZE)).astype(np.float32)
    hardness = np.sin(25.0 * image) + rng.normal(0.0, 0.02, image.shape)
    at = (np.arange(SIZE) + 0.5) * PIXEL_M
    recording = Recording(image=image, targets={"hardness": hardness}, target_units={"hardness": "GPa"}, y_m=at, x_m=at)
    recording.save(tmp_path / "case.nc")
    return tmp_path


def test_theory_of_a_file_runs_and_is_told(
    folder: Path,
    wire: Any,
    make_server: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment = wire.install_engine(folder / "engines", "springs", "Springs", ENGINE)
    monkeypatch.syspath_prepend(environment["PYTHONPATH"])
    importlib.invalidate_caches()
    server = make_server("planner", "--theory-slots", "2", env=environment)
    file = read_text(TEXT, folder)
    home = server.data / "campaigns"

    look = threading.Event()

    def await_ends(n: int) -> None:
        for _ in range(600):
            if sum(r.kind == "TheoryEnded" for d in home.iterdir() for r in Journal.salvage(d)) >= n:
                return
            look.wait(0.05)
        pytest.fail(f"fewer than {n} simulations ended")

    real, n_measured = RecordedInstrument.measure, 0

    def measure(self: RecordedInstrument, y: float, x: float) -> Measurement:
        # Simulations of what was measured come in while the instrument is at work, as they would in a night.
        nonlocal n_measured
        n_measured += 1
        if n_measured > file.initial.count:
            await_ends(min(8, n_measured - file.initial.count))
        return real(self, y, x)

    monkeypatch.setattr(RecordedInstrument, "measure", measure)
    report = conduct(file, Place(server.ready["grpc"], server.ready["token_file"]))
    [region] = report.regions
    assert (region.state, region.n_measured) == (COMPLETE, 18)
    told = region.theory
    assert told is not None and told.n_applied >= 8 and told.jobs["succeeded"] == told.n_applied
    assert told.weight is not None and 0.0 < told.weight <= 0.9 and told.largest_shift > 0.0
    kept = json.loads((folder_of(report) / "report.json").read_text())["regions"][0]["theory"]
    assert kept["weight"] == told.weight and kept["quantity"] == "energy" and kept["core_hours"] > 0.0
    data = xr.load_dataset(folder_of(report) / "only.nc", engine="h5netcdf")
    assert float(np.abs(data["prior"]).max()) == pytest.approx(told.largest_shift, rel=1e-6)
    assert (folder_of(report) / "only.png").read_bytes().startswith(b"\x89PNG")


def test_the_line_for_a_person_names_failures() -> None:
    told = TheoryInfluence("xtb", "gap", {"succeeded": 2, "failed": 1}, {"refused": 1}, 2, 0.1, 0.25, 0.03)
    assert told.line("eV") == "gap by xtb: 2 of 3 jobs applied (1 refused), weight 0.25, moves the map by up to 0.03 eV"


def test_the_example_with_a_real_engine_can_be_run() -> None:
    file = read_file(Path(__file__).parents[2] / "examples" / "campaign_theory.toml")
    assert any("formation_energy by xtb" in line for line in lines(file))
