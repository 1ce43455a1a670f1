"""Executors that do a campaign no good: `python -m benchmarks.bad_executors KIND HOST:PORT TOKEN_FILE CAMPAIGN`.

A process of lowest priority, as an executor on the computer of the service is. It works from a line "go" on its input
to a line "rest"; it answers "working" once what it does has its effect, and then one JSON object of what it did since.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from probescout_client.wire.v1 import probescout_pb2 as pb
from probescout_client.wire.v1 import probescout_pb2_grpc as rpc

ENGINE = "misbehaving"
"""As which `benchmarks.theory_load` installs the engine of `probescout.testing.bad_engines`."""
NICENESS = 19
N_THREADS = {"hanging": 8, "crashing": 4, "flooding": 4}
LEASE_S = 1.0
"""The shortest there is: so it runs out most often."""
WAIT_S = 0.5
N_CRASHES = 12
N_RESULTS = 100
"""Crashes and results after which the effect is there."""
DIE = [sys.executable, "-S", "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"]


class BadExecutor:
    """Threads that call TheoryService as fast as they are answered."""

    def __init__(self, kind: str, address: str, token_file: Path, campaign: str) -> None:
        """Prepare to disturb one campaign."""
        self._kind, self._campaign = kind, campaign
        token = token_file.read_text(encoding="utf-8").split()[0]
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._stub = rpc.TheoryServiceStub(grpc.insecure_channel(address))
        self._seeds = np.random.SeedSequence(0)
        self._ended = threading.Event()
        self._warm = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._errors: list[Exception] = []
        self._done: Counter[str] = Counter()

    def go(self) -> None:
        """Begin, and return when what it does has its effect.

        Raises:
            Exception: What ended a thread.
        """
        self._ended.clear()
        self._warm.clear()
        seeds = self._seeds.spawn(N_THREADS[self._kind])
        self._threads = [threading.Thread(target=self._work, args=(np.random.default_rng(s),)) for s in seeds]
        self._done = Counter()
        for thread in self._threads:
            thread.start()
        self._warm.wait()
        self._raise()
        with self._lock:
            self._done = Counter()

    def rest(self) -> dict[str, int]:
        """Stop, cancel what is open, and return how often what was done since `go` returned.

        Raises:
            Exception: What ended a thread.
        """
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self._raise()
        for state in (pb.THEORY_JOB_STATE_QUEUED, pb.THEORY_JOB_STATE_RUNNING):
            ask = pb.ListTheoryJobsRequest(campaign=self._campaign, state=state, page_size=1000)
            for job in self._call("ListTheoryJobs", ask).jobs:
                self._call("CancelTheoryJob", pb.CancelTheoryJobRequest(name=job.name, reason="rest"))
        return dict(self._done)

    def _raise(self) -> None:
        if self._errors:
            raise self._errors[0]

    def _work(self, rng: np.random.Generator) -> None:
        deed = {"hanging": self._hang, "crashing": self._crash, "flooding": self._flood}[self._kind]
        try:
            while not self._ended.is_set():
                deed(rng)
        except Exception as error:
            # It is raised where the process listens.
            self._errors.append(error)
            self._ended.set()
            self._warm.set()

    def _hang(self, rng: np.random.Generator) -> None:
        """Take jobs and never say a word of them again; the service's own executor gets some, and they hang there."""
        self._submit(rng, act="spin")
        for job in self._acquire(2, LEASE_S):
            if job.attempt > 1:
                # A lease that an earlier one let run out.
                self._count("run_out", 1)

    def _crash(self, rng: np.random.Generator) -> None:
        """Take a job, let its process die, say so."""
        self._submit(rng, act="segfault")
        for job in self._acquire(1, 0.0):
            subprocess.run(DIE, check=False)
            self._finish(job, state=pb.THEORY_JOB_STATE_FAILED, failure="crashed", message="killed by signal 9")
            self._count("crashed", N_CRASHES)

    def _flood(self, rng: np.random.Generator) -> None:
        """Hand in numbers that are right, so that the model listens, of a job that takes no time."""
        self._submit(rng)
        for job in self._acquire(16, 0.0):
            # The planner asks too, and its jobs come as patches: of those nobody here knows the right number.
            energy = float(json.loads(job.structure_json)["energy"]) if job.structure_json else float(rng.normal())
            results = [pb.Quantity(name="energy", value=energy, std=0.1, unit="eV", is_converged=True)]
            self._finish(job, state=pb.THEORY_JOB_STATE_SUCCEEDED, results=results)
            self._count("results", N_RESULTS)

    def _count(self, what: str, enough: int = 0, n: int = 1) -> None:
        with self._lock:
            self._done[what] += n
            if enough and self._done[what] >= enough:
                self._warm.set()

    def _submit(self, rng: np.random.Generator, act: str = "") -> None:
        y, x = rng.random(2)
        job = pb.TheoryJob(position=pb.Position(y=y, x=x), reason="load")
        if act:
            job.engine, job.settings_json = ENGINE, json.dumps({"act": act})
        else:
            energy = float(np.sin(9 * y + 2) * np.cos(7 * x) + 0.1 * rng.normal())
            job.structure_json = json.dumps({"id": str(uuid.UUID(bytes=rng.bytes(16))), "energy": energy})
        try:
            self._call("SubmitTheoryJob", pb.SubmitTheoryJobRequest(campaign=self._campaign, job=job))
            self._count("submitted")
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
            self._count("refused")

    def _acquire(self, count: int, lease_s: float) -> list[pb.TheoryJob]:
        request = pb.AcquireTheoryJobsRequest(
            campaign=self._campaign,
            worker_id=self._kind,
            engines=[ENGINE],
            count=count,
            lease_s=lease_s,
            wait_s=WAIT_S,
        )
        found = list(self._call("AcquireTheoryJobs", request).jobs)
        self._count("acquired", n=len(found))
        return found

    def _finish(self, job: pb.TheoryJob, **more: Any) -> None:
        request = pb.FinishTheoryJobRequest(name=job.name, lease_token=job.lease_token, core_hours=1e-6, **more)
        self._call("FinishTheoryJob", request)

    def _call(self, method: str, request: Any) -> Any:
        if "request_id" in request.DESCRIPTOR.fields_by_name:
            request.request_id = str(uuid.uuid4())
        return getattr(self._stub, method)(request, metadata=self._metadata, timeout=60)


class BadProcess:
    """A `BadExecutor` in a process of its own; a context manager."""

    def __init__(self, kind: str, address: str, token_file: str, campaign: str) -> None:
        """Start it, at rest."""
        command = [sys.executable, "-m", "benchmarks.bad_executors", kind, address, token_file, campaign]
        root = str(Path(__file__).parents[1])
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root, process_group=0
        )

    def __enter__(self) -> BadProcess:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def go(self) -> None:
        """Let it work; return when what it does has its effect."""
        self._say("go")

    def rest(self) -> dict[str, int]:
        """Let it rest; return how often it did what."""
        return dict(json.loads(self._say("rest")))

    def _say(self, word: str) -> str:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the bad executor ended at '{word}'; its error is above")
        return line


def main(kind: str, address: str, token_file: str, campaign: str) -> None:
    """Obey lines until the input ends."""
    os.nice(NICENESS)
    executor = BadExecutor(kind, address, Path(token_file), campaign)
    for line in sys.stdin:
        if line.strip() == "go":
            executor.go()
            print("working", flush=True)
        else:
            print(json.dumps(executor.rest()), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
