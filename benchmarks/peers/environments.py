"""One virtual environment for each peer, because their requirements contradict ours and each other's."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOME = ROOT / ".venv-peers"


@dataclass(frozen=True)
class Environment:
    """How a peer is installed."""

    steps: tuple[tuple[str, ...], ...]
    """Arguments of `pip install`, one call each."""
    check: str
    """An import that shows that it works."""


ENVIRONMENTS = {
    # torch first: torchvision, which atomai pulls, would otherwise bring a CUDA build of it.
    "atomai": Environment(
        (("torch==2.13.0",), ("torch==2.13.0", "atomai==0.8.1", "six==1.17.0")),
        "from benchmarks.peers.atomai_peer import import_torchvision as t; k = t(); import atomai",
    ),
    # With the versions that its metadata asks for, its import fails: random_haiku_module is gone from numpyro.
    "gpax": Environment(
        (
            ("--no-deps", "gpax==0.1.9"),
            (
                "dm-haiku==0.0.13",
                "flax==0.10.2",
                "optax==0.2.4",
                "jax==0.4.35",
                "jaxlib==0.4.35",
                "numpyro==0.15.3",
                "numpy==2.2.6",
                "matplotlib",
            ),
        ),
        "import gpax",
    ),
    "gpcam": Environment((("gpcam==8.6.1",),), "import gpcam"),
}
"""Environments by peer, with the versions that the committed results come from."""


def python_of(peer: str) -> Path:
    """Return the interpreter of a peer's environment, whether it is there or not."""
    return HOME / peer / "bin" / "python"


def install(peer: str, torch_index: str = "") -> str:
    """Create the environment of a peer unless it is complete; return what went wrong, empty: nothing.

    Args:
        peer: Name.
        torch_index: Package index that torch is taken from; empty: pip's own.
    """
    made = HOME / peer / ".installed"
    if made.exists():
        return ""
    environment = ENVIRONMENTS[peer]
    if not python_of(peer).exists():
        subprocess.run([sys.executable, "-m", "venv", str(HOME / peer)], check=True)
    for arguments in environment.steps:
        index = ["--index-url", torch_index] if torch_index and arguments == ("torch==2.13.0",) else []
        command = [
            str(python_of(peer)),
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
            *index,
            *arguments,
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            return f"pip install {' '.join(arguments)} failed:\n{done.stderr[-2000:]}"
    check = [str(python_of(peer)), "-c", environment.check]
    tried = subprocess.run(check, capture_output=True, text=True, cwd=ROOT)
    if tried.returncode:
        return f"'{environment.check}' failed:\n{tried.stderr[-2000:]}"
    made.touch()
    return ""
