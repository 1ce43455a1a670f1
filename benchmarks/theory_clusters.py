"""Clusters of this computer for the benchmark of theory workers: n workers that take one job at a time each."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

WAIT_S = 120.0
"""How long a cluster may take to be there."""


@contextmanager
def local(n: int, folder: Path, environment: Mapping[str, str]) -> Iterator[list[list[str]]]:
    """Yield the options of n theory workers that run jobs themselves."""
    yield [["--worker-id", f"w{i}"] for i in range(n)]


@contextmanager
def dask(n: int, folder: Path, environment: Mapping[str, str]) -> Iterator[list[list[str]]]:
    """Keep a scheduler and n workers of Dask; yield the options of the one theory worker that sends jobs there."""
    from distributed import Client

    file = folder / "scheduler.json"
    scheduler = ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    worker = ["distributed.cli.dask_worker", "--nthreads", "1", "--no-dashboard"]
    with ExitStack() as stack:
        for i, command in enumerate([scheduler, *[worker] * n]):
            stack.enter_context(
                running([*command, "--scheduler-file", str(file)], environment, folder / f"dask{i}.log")
            )
        with Client(scheduler_file=str(file), set_as_default=False) as client:
            client.wait_for_workers(n, timeout=WAIT_S)
        yield [["--worker-id", "bridge", "--slots", str(n), "--executor", "dask", "--scheduler", str(file)]]


@contextmanager
def prefect(n: int, folder: Path, environment: Mapping[str, str]) -> Iterator[list[list[str]]]:
    """Keep a server and n workers of Prefect, on loopback; yield the options of the theory worker that asks there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    api = f"http://127.0.0.1:{port}/api"
    given = {
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_URL": api,
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    # The theory worker finds the server there, too.
    os.environ.update(given)
    whole = {**environment, **given}
    with ExitStack() as stack:
        server = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", port]
        stack.enter_context(running(server, whole, folder / "server.log"))
        wait_for(f"{api}/health")
        for i in range(n):
            command = ["prefect", "worker", "start", "--type", "process", "--pool", "bench", "--limit", "1"]
            stack.enter_context(running([*command, "--name", f"w{i}"], whole, folder / f"worker{i}.log"))
        yield [["--worker-id", "bridge", "--slots", str(n), "--executor", "prefect", "--pool", "bench"]]


CLUSTERS = {"local": local, "dask": dask, "prefect": prefect}


@contextmanager
def running(module: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[None]:
    """Keep a process at work."""
    with log.open("w") as file:
        command = [sys.executable, "-m", *module]
        process = subprocess.Popen(command, stdout=file, stderr=file, env={**os.environ, **environment})
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(30.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(url: str) -> None:
    """Ask until somebody answers.

    Raises:
        TimeoutError: Nobody did.
    """
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(url, timeout=5.0).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise TimeoutError(f"nobody answers at {url}")
