"""The time of one step of AtomAI's recipe on the sample of the latency benchmark, in its own environment."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.latency_client import N_CHANNELS, expected_counts, picture
from benchmarks.peers.environments import ROOT, python_of
from benchmarks.peers.jobs import command, lean
from benchmarks.peers.protocol import Job

PEER_SIZE = 64
N_STEPS = 3


def time_atomai(n: int) -> dict[str, Any]:
    """Return the median seconds of a step (100 cycles, prediction, acquisition) with n measurements.

    It has one thread, as each of our processes has, and its processor time counts: on a busy machine the wall time of
    so long a computation would grow more than that of our Steps. Without its environment the answer is an error that
    says what to do.
    """
    if not python_of("atomai").exists():
        return {"error": "AtomAI is not installed here; run `make bench-peers` first, or give PEERS=none"}
    told: dict[str, Any] = {"n": n, "candidates": PEER_SIZE**2}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.npz"
        sample_job(n).save(path)
        done = subprocess.run(
            command("atomai", "--time", str(path), str(N_STEPS)), cwd=ROOT, env=lean(), capture_output=True, text=True
        )
    if done.returncode:
        return {**told, "error": f"AtomAI ended with {done.returncode}: {done.stderr.strip()[-300:]}"}
    seconds = json.loads(done.stdout.strip().splitlines()[-1])
    return {**told, **seconds, "step_s": float(np.median(seconds["cpu_s"]))}


def sample_job(n: int) -> Job:
    """Return a job on the sample of the latency benchmark with n points measured."""
    rng = np.random.default_rng(0)
    y, x = (np.mgrid[0:PEER_SIZE, 0:PEER_SIZE] + 0.5) / PEER_SIZE
    values = rng.poisson(N_CHANNELS / 10 * expected_counts(y, x)).astype(float).ravel()
    initial = rng.choice(values.size, n, replace=False)
    return Job(picture(PEER_SIZE), values, np.ones(values.size, dtype=bool), initial, seed=0, budget=n)
