"""How long simulations of patches take, by engine, and what they give.

    python -m benchmarks.engines --engines xtb,lammps --cases graphene_vacancy,mos2_sulfur_vacancy

prints one JSON object on its last line: by engine and case, atoms, quantities, seconds from the patch to the structure
and from there to the quantities (references included, in a process that has none yet), and the most memory. An engine
that is not installed is told with the install line.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
from typing import Any

import numpy as np

from benchmarks import structure_images as images
from probescout.core.errors import MissingExtra
from probescout.core.registry import THEORY, find
from probescout.core.theory import EngineFailure, TheoryPatch

SEED = 100
"""Of the images; the structures are those of the true defect, so that it hardly matters."""
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "graphene_vacancy": ("graphene_vacancy", {}),
    "graphene_silicon": ("graphene_silicon", {"dopants": ["Si"]}),
    "graphene_stone_wales": ("graphene_stone_wales", {}),
    "graphene_vacancy_flake": ("graphene_vacancy", {"builder": "flake"}),
    "mos2_sulfur_vacancy": ("mos2_sulfur_vacancy", {"lattice": "MoS2"}),
}
"""Sheet and settings."""


def measured(engine: str, case: str, more: dict[str, Any]) -> dict[str, Any]:
    """Return figures of one engine and case, or why there are none."""
    sheet, settings = CASES[case]
    truth = images.draw(images.SHEETS[sheet](), images.NOISE["low"], np.random.default_rng(SEED))
    made = find(THEORY, engine).load()(**{**settings, **more})
    try:
        found: dict[str, Any] = {"version": made.version()}
        start = time.perf_counter()
        structure = made.prepare(TheoryPatch(truth.image, images.PIXEL * 1e-10))
        found |= {"atoms": len(structure["symbols"]), "prepare_s": round(time.perf_counter() - start, 2)}
        start = time.perf_counter()
        done = made.calculate(structure, lambda share, message: None)
    except (MissingExtra, EngineFailure) as error:
        return {"failure": str(error)}
    found |= {"run_s": round(time.perf_counter() - start, 2), "steps": done.n_steps}
    found |= {q.name: round(q.value, 4) for q in done.quantities}
    most = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {**found, "memory_mb": round(most / 1024)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", default="xtb,lammps")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--settings", default="{}", help="JSON, beside those of the case")
    arguments = parser.parse_args()
    more = json.loads(arguments.settings)
    results: dict[str, dict[str, Any]] = {}
    # A process for each, so that no energy of a reference is known and memory is its own.
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for engine in arguments.engines.split(","):
            for case in arguments.cases.split(","):
                found = pool.apply(measured, (engine, case, more))
                results.setdefault(engine, {})[case] = found
                print(engine, case, json.dumps(found), flush=True)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
