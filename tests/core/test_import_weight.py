"""What importing a room costs: the front and the client must stay light."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import probescout.core

CORE = [f"probescout.core.{p.stem}" for p in Path(probescout.core.__file__).parent.glob("*.py") if p.stem != "__init__"]
HEAVY = {"torch", "gpytorch", "botorch"}


def loaded_by(*modules: str) -> set[str]:
    """Return the top-level packages that a fresh interpreter holds after importing modules."""
    code = (
        "import importlib, json, sys\n"
        f"for name in {list(modules)!r}: importlib.import_module(name)\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return set(json.loads(done.stdout))


def test_core_is_standard_library_and_numpy() -> None:
    assert len(CORE) > 15
    extra = loaded_by(*CORE) - set(sys.stdlib_module_names) - {"numpy", "probescout", "__main__"}
    # A meta-path finder of an editable installation is no dependency.
    assert not {name for name in extra if not name.startswith("_")}


def test_the_front_loads_no_torch() -> None:
    loaded = loaded_by("probescout.service.server", "probescout.runtime.planner")
    assert "grpc" in loaded and not loaded & HEAVY


def test_a_campaign_worker_loads_no_torch_and_no_grpc() -> None:
    loaded = loaded_by("probescout.runtime.worker", "probescout.runtime.brain", "probescout_planners.ucb")
    assert "numpy" in loaded and not loaded & (HEAVY | {"grpc"})


def test_the_client_loads_neither_numpy_nor_the_service() -> None:
    loaded = loaded_by("probescout_client")
    assert "grpc" in loaded and not loaded & (HEAVY | {"numpy", "scipy", "probescout"})
