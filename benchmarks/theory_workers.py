"""How much faster do four theory workers finish equal jobs than one?

`make bench-theory-workers [JOBS=40] [EXECUTOR=local|dask|prefect]` prints one JSON object on its last line. A server
that runs no jobs itself, and `probescout theory-worker` processes of one slot each, or one with as many slots as a
cluster of this computer has workers. Jobs that sleep show what server and workers cost; jobs that compute show what the
processors of this machine allow.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import probescout_client as ps

from benchmarks.markdown import this_machine
from benchmarks.theory_clusters import CLUSTERS
from probescout.core.policy import Json
from probescout.core.theory import Quantity, Report, TheoryPatch
from probescout.replay.server_process import Address, ServerProcess

ROOT = Path(__file__).parents[1]
ENGINE = "timed"
WORKERS = (1, 4)
BOUND = 0.35
"""Time of four workers over that of one, where jobs sleep."""
SECONDS = {"sleeping": 2.0, "computing": 1.0}


class Timed:
    """Sleeps, or keeps a processor busy, for so many seconds."""

    name: ClassVar[str] = ENGINE
    summary: ClassVar[str] = "takes its time, for the benchmark of workers"
    quantities: ClassVar[Mapping[str, str]] = {"energy": "eV"}
    params_schema: ClassVar[Json] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {"seconds": {"type": "number", "minimum": 0}, "is_busy": {"type": "boolean"}},
    }

    def __init__(self, seconds: float = 1.0, is_busy: bool = False) -> None:
        """Keep the settings."""
        self._seconds, self._is_busy = seconds, is_busy

    def version(self) -> str:
        """Return a version."""
        return "1"

    def prepare(self, patch: TheoryPatch) -> Json:
        """Return an empty structure."""
        return {}

    def run(self, structure: Json, report: Report) -> Sequence[Quantity]:
        """Take the time."""
        if self._is_busy:
            until = time.process_time() + self._seconds
            while time.process_time() < until:
                pass
        else:
            time.sleep(self._seconds)
        return [Quantity("energy", 1.0, "eV")]


def main() -> None:
    """Time both kinds of jobs with one worker and with four."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=40)
    parser.add_argument("--executor", choices=CLUSTERS, default="local")
    args = parser.parse_args()
    told: dict[str, Any] = {"executor": args.executor}
    for kind, seconds in SECONDS.items():
        took = {n: timed(kind, n, args.jobs, args.executor) for n in WORKERS}
        told[kind] = {
            "seconds_a_job": seconds,
            "jobs": args.jobs,
            "wall_s": {str(n): round(s, 2) for n, s in took.items()},
            "ratio": round(took[4] / took[1], 3),
        }
    told["bound"] = {"sleeping": BOUND, "is_met": told["sleeping"]["ratio"] <= BOUND}
    told["machine"] = this_machine() | {"load_average": round(os.getloadavg()[0], 2)}
    print(json.dumps(told))


def timed(kind: str, n_workers: int, n_jobs: int, executor: str) -> float:
    """Return the seconds from the first job in the journal to the end of the last, workers ready before."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="probescout-workers-")))
        environment = installed_engine(folder / "engines")
        server = stack.enter_context(
            ServerProcess(folder / "data", arguments=("--theory-slots", "0"), environment=environment)
        )
        planner = stack.enter_context(ps.connect(server.grpc, token_file=server.token_file))
        settings = {"seconds": SECONDS[kind], "is_busy": kind == "computing"}
        plan = ps.TheoryPlan(ENGINE, "energy", settings, max_running=n_workers, automatic=False, deadline_s=600.0)
        run = planner.start(
            np.zeros((16, 16), np.float32), campaign="timed", scalarizer="given", deep=False, theory=plan
        )
        for options in stack.enter_context(CLUSTERS[executor](n_workers, folder, environment)):
            stack.enter_context(worker(server, environment, options))
        for i in range(n_jobs):
            run.theory.submit(structure={"n": i})
        wait_for_ends(run, n_jobs)
        jobs = list(run.theory.jobs())
        if {job.state for job in jobs} != {"succeeded"} or len({job.worker for job in jobs}) > n_workers:
            raise RuntimeError(f"not all jobs succeeded: {[(j.state, j.failure, j.message) for j in jobs][:5]}")
        took = max(job.ended_time for job in jobs) - min(job.queued_time for job in jobs)
        print(f"{kind}, {n_workers} workers: {n_jobs} jobs in {took:.1f} s", file=sys.stderr, flush=True)
        return took


@contextmanager
def worker(server: Address, environment: Mapping[str, str], options: Sequence[str]) -> Iterator[None]:
    """Keep one worker at work."""
    command = [sys.executable, "-m", "probescout.cli", "theory-worker", "--server", server.grpc]
    command += ["--token-file", server.token_file, "--engines", ENGINE, *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})
    try:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise RuntimeError(f"worker {options} did not get ready; its log is above")
        yield
    finally:
        process.terminate()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def wait_for_ends(run: ps.Run, n: int) -> None:
    """Follow the journal until so many jobs have ended."""
    for event in run.watch():
        n -= event.kind == "TheoryEnded"
        if n == 0:
            return


def installed_engine(folder: Path) -> dict[str, str]:
    """Install the engine in a folder; return the environment in which a process has it."""
    info = folder / "timed_engine-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: timed-engine\nVersion: 1.0\n", encoding="utf-8")
    line = f"{ENGINE} = benchmarks.theory_workers:Timed\n"
    (info / "entry_points.txt").write_text(f"[probescout.theory]\n{line}", encoding="utf-8")
    paths = [str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


if __name__ == "__main__":
    main()
