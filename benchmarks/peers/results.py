"""The committed results of the peers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PEER_SEEDS = (20, 21)
"""Seeds that every peer is to be run with."""


def result_path(peer: str, case: str, seed: int, budget: int, folder: Path = RESULTS) -> Path:
    """Return where the result of a run is kept."""
    return folder / f"{peer}-{case}-{seed}-{budget}.json"


def read_results(case: str, budget: int, folder: Path = RESULTS) -> list[dict[str, Any]]:
    """Return all results on a case with a budget, by peer and seed."""
    found = [json.loads(path.read_text(encoding="ascii")) for path in sorted(folder.glob(f"*-{case}-*-{budget}.json"))]
    return sorted((r for r in found if r["case"] == case), key=lambda r: (r["peer"], r["seed"]))


def peer_seeds(case: str, budget: int, folder: Path = RESULTS) -> list[int]:
    """Return the seeds for which there is any result on a case with a budget."""
    return sorted({r["seed"] for r in read_results(case, budget, folder)})
