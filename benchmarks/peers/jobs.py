"""Runs the peers on our cases, and keeps one result file for each run.

`python -m benchmarks.peers.jobs [--peers atomai,gpcam] [--seeds 20,21] [--budget 110]`: creates the environments that
are missing, runs what has no result yet, from the checkpoint where a run was interrupted, and writes
benchmarks/peers/results/PEER-CASE-SEED-BUDGET.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import PEER_CASES, budget_of, make_case
from benchmarks.peers.environments import ENVIRONMENTS, ROOT, install, python_of
from benchmarks.peers.protocol import Job, whole
from benchmarks.peers.results import PEER_SEEDS, result_path
from benchmarks.recorded import OUT
from probescout.core.geometry import pixel_of
from probescout.core.one_thread import ONE_THREAD
from probescout.replay.case import Case
from probescout.replay.experiment import initial_points
from probescout.replay.metrics import judge


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", default=",".join(ENVIRONMENTS))
    parser.add_argument("--cases", default=",".join(PEER_CASES))
    parser.add_argument("--seeds", default=",".join(map(str, PEER_SEEDS)))
    parser.add_argument("--budget", type=int, default=110)
    parser.add_argument("--torch-index", default="")
    args = parser.parse_args()
    failed = False
    for seed in (int(s) for s in args.seeds.split(",")):
        for peer in args.peers.split(","):
            if trouble := install(peer, args.torch_index):
                print(f"{peer} cannot be installed: {trouble}", file=sys.stderr)
                failed = True
                continue
            for case in args.cases.split(","):
                failed |= not run_one(peer, case, seed, args.budget)
    sys.exit(int(failed))


def run_one(peer: str, name: str, seed: int, budget: int) -> bool:
    """Run one peer on one case unless that was done; return whether there is a result."""
    result = result_path(peer, name, seed, budget)
    if result.exists():
        return True
    print(f"{peer} on {name}, seed {seed} ...", file=sys.stderr, flush=True)
    case = make_case(name, seed)
    work = OUT / "peers" / result.stem
    make_job(case, seed, budget).save(work / "job.npz")
    raw = work / "result.npz"
    done = subprocess.run(command(peer, str(work / "job.npz"), str(raw)), cwd=ROOT, env=lean(), check=False)
    if done.returncode:
        print(f"{peer} on {name}, seed {seed} ended with {done.returncode}; call again to go on", file=sys.stderr)
        return False
    summary = score(case, raw)
    text = json.dumps({"case": name, "seed": seed, "budget": budget, **summary}, indent=1)
    whole(result, lambda part: part.write(text.encode("ascii") + b"\n"))
    return True


def command(peer: str, *arguments: str) -> list[str]:
    """Return the command that runs a peer's script in its own environment."""
    return [str(python_of(peer)), "-m", f"benchmarks.peers.{peer}_peer", *arguments]


def lean() -> dict[str, str]:
    """Return an environment in which every library keeps to one thread, as our own fits do."""
    jax = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}
    return {**os.environ, **ONE_THREAD, **jax}


def make_job(case: Case, seed: int, budget: int) -> Job:
    """Return the job of a recorded case, with the initial points that our own arms get."""
    height, width = case.truth.shape
    overview = case.open(seed).overview()
    budget, n_initial = budget_of(case, budget)
    pixels = [pixel_of(y, x, height, width) for y, x in initial_points(case.candidates, n_initial, seed)]
    return Job(
        image=np.asarray(overview.image, dtype=np.float64),
        values=case.truth.ravel(),
        candidates=(case.candidates & np.isfinite(case.truth)).ravel(),
        initial=np.array([row * width + column for row, column in pixels]),
        seed=seed,
        budget=budget,
    )


def score(case: Case, raw: Path) -> dict[str, Any]:
    """Return the result of a run, judged as our own runs are."""
    with np.load(raw, allow_pickle=False) as z:
        step_ms = 1e3 * z["seconds"]
        path = z["path"].astype(np.int64)
        s = judge(case.truth.ravel(), case.candidates.ravel(), path, z["mean"], z["std"], step_ms)
        about, cpu_seconds, seconds = json.loads(str(z["about"])), z["cpu_seconds"], z["seconds"]
    return {
        **about,
        "top1_found": s.top1_found,
        "top1_total": s.top1_total,
        "rmse": round(s.rmse, 4),
        "coverage95": round(s.coverage95, 4),
        "best_fraction": round(s.best_fraction, 4),
        "seconds": round(float(seconds.sum()), 1),
        "cpu_seconds": round(float(cpu_seconds.sum()), 1),
        "step_s_p50": round(float(np.median(seconds)), 3),
        "step_cpu_s_p50": round(float(np.median(cpu_seconds)), 3),
        "machine": {"cpus": os.cpu_count(), "system": f"{platform.system()} {platform.machine()}"},
        "path": path.tolist(),
    }


if __name__ == "__main__":
    main()
