"""A small campaign file that tests change, and an instrument that tells what was asked of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from probescout.campaigns.conduct import Place
from probescout.campaigns.holding import PLACE_NAME
from probescout.campaigns.reading import read_text
from probescout.campaigns.spec import CampaignFile
from probescout.core.ports import Measurement, Overview
from probescout.replay.twin import make_twin

TEXT = """
[campaign]
name = "try"

[instrument]
kind = "twin"
params = { scene = "plasmonic", size = 16 }

[scalarizer]
name = "band_sum"
params = { low = 0.6, high = 0.8, axis_unit = "eV" }

[initial]
count = 3

[budget]
probes = 5

[model]
deep = false

[server]
patience_s = 5.0

[outputs]
directory = "result"
formats = ["csv"]

[[regions]]
name = "left"

[[regions]]
name = "right"
params = { scene_seed = 1 }
"""


@pytest.fixture(autouse=True)
def _own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests that run at the same time from waiting for each other's simulated microscopes."""
    monkeypatch.setenv(PLACE_NAME, str(tmp_path))


@pytest.fixture
def text() -> str:
    """The campaign file as TOML."""
    return TEXT


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., CampaignFile]:
    """Read the campaign file, each pair of texts exchanged before, and more put at the end."""

    def reader(*pairs: tuple[str, str], more: str = "") -> CampaignFile:
        changed = TEXT
        for old, new in pairs:
            assert old in changed
            changed = changed.replace(old, new)
        return read_text(changed + more, tmp_path)

    return reader


@pytest.fixture
def place(server: Any) -> Place:
    """The planner that the tests of a module share."""
    return Place(server.ready["grpc"], server.ready["token_file"])


class Watched:
    """A simulated microscope that keeps what was asked of it, and can be made to fail."""

    name = "watched"

    def __init__(self, scene_seed: int = 0) -> None:
        self._twin = make_twin("plasmonic", 0, 16, scene_seed=scene_seed)
        self.calls: list[str] = []
        self.n_good = 10**6
        """Measurements until it fails."""

    @property
    def is_parked(self) -> bool:
        return self._twin.is_parked

    def overview(self) -> Overview:
        self.calls.append("overview")
        return self._twin.overview()

    def measure(self, y: float, x: float) -> Measurement:
        if self.calls.count("measure") >= self.n_good:
            raise OSError("the stage does not answer")
        self.calls.append("measure")
        return self._twin.measure(y, x)

    def park(self) -> None:
        self.calls.append("park")
        self._twin.park()


@pytest.fixture
def instruments(monkeypatch: pytest.MonkeyPatch) -> dict[str, Watched]:
    """Put watched instruments in the place of those that a file names; one a region, kept over runs."""
    kept = {"left": Watched(), "right": Watched(1)}
    monkeypatch.setattr("probescout.campaigns.seat.open_instrument", lambda file, instrument, region: kept[region.name])
    return kept


@pytest.fixture
def slow_tests() -> None:
    """Skip what takes minutes, unless it is asked for."""
    if not os.environ.get("PROBESCOUT_TEST_PREFECT"):
        pytest.skip("takes minutes, with a Prefect server of its own: make test-prefect runs it")
    pytest.importorskip("prefect", reason="needs the extra prefect: make install-prefect")
