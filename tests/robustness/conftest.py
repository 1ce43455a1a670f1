"""An engine that the tests hold and let go, and a look at the processes of its jobs."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ENGINE = """
import os

class Waiting:
    name, summary, params_schema = "waiting", "Waits to be let go, when it is given a folder", {"type": "object"}
    quantities = {"energy": "eV"}

    def version(self):
        return "1"

    def prepare(self, patch):
        return {}

    def run(self, structure, report):
        from probescout.core.theory import Quantity

        if "folder" in structure:
            with open(os.path.join(structure["folder"], "here"), "w") as here:
                here.write("%d\\n" % os.getpid())
            # Blocks until the test holds the other end, and then takes one of its bytes.
            with open(os.path.join(structure["folder"], "go"), "rb", buffering=0) as go:
                go.read(1)
        return [Quantity("energy", structure["n"], "eV")]
"""


@pytest.fixture(scope="session")
def waiting() -> str:
    """The source of the engine."""
    return ENGINE


@pytest.fixture
def engine(tmp_path: Path, wire: Any) -> dict[str, str]:
    """An environment in which the engine is installed."""
    return wire.install_engine(tmp_path / "engines", "waiting", "Waiting", ENGINE)


@pytest.fixture(scope="session")
def gone() -> Callable[[int], None]:
    """Wait until a process of a job has ended."""

    def wait(pid: int) -> None:
        try:
            watch = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        ready, _, _ = select.select([watch], [], [], 60.0)
        os.close(watch)
        assert ready, f"process {pid} of a job outlives what ran it"

    return wait
