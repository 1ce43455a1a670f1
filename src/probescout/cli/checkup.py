"""The checks of `probescout doctor`: each says what was found and what to do about it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

TESTED_PYTHON = (3, 11)
N_SYNCS, SYNC_BYTES = 50, 4096
SLOW_SYNC_MS = 25.0
"""A Step waits for two of these."""
FAST_SYNC_MS = 0.02
"""No disk that keeps its word is faster."""
LOW_DISK_GIB, NO_DISK_GIB = 5.0, 0.2
IMPORT_PATIENCE_S = 120.0


class Verdict(StrEnum):
    """How a check went."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Check:
    """One line of the report."""

    name: str
    verdict: Verdict
    what: str
    advice: str = ""
    """What to do; empty when nothing needs to be done."""


def check_python() -> Check:
    """Check the interpreter and the SQLite that it brings."""
    what = f"{platform.python_version()} at {sys.executable}, SQLite {sqlite3.sqlite_version}"
    if sys.version_info[:2] != TESTED_PYTHON:
        advice = "it should work; the tests run on Python {}.{}".format(*TESTED_PYTHON)
        return Check("python", Verdict.WARN, what, advice)
    return Check("python", Verdict.OK, what)


def check_torch() -> Check:
    """Check that torch works, in a process of its own: a broken one may take its process down."""
    code = (
        "import json, torch; torch.ones(2).sum(); print(json.dumps([torch.__version__, torch.get_num_threads(), "
        "torch.version.cuda or '', torch.cuda.is_available()]))"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=IMPORT_PATIENCE_S
        )
    except subprocess.TimeoutExpired:
        advice = "look for a slow network disk under the environment; the fit pool waits for this import"
        return Check("torch", Verdict.FAIL, f"no answer from 'import torch' in {IMPORT_PATIENCE_S:g} s", advice)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        return Check("torch", Verdict.FAIL, f"cannot be used: {said[0]}", "run: pip install --force-reinstall torch")
    version, threads, cuda, has_gpu = json.loads(done.stdout.splitlines()[-1])
    what = f"{version}, {threads} CPU threads, " + (f"CUDA {cuda}" if has_gpu else "no GPU in use")
    if cuda and not has_gpu:
        advice = (
            "if this computer has no GPU, the CPU build saves gigabytes: "
            "pip install torch --index-url URL, the CPU index that pytorch.org names"
        )
        return Check("torch", Verdict.WARN, f"{what}, although it is the build for CUDA {cuda}", advice)
    return Check("torch", Verdict.OK, what)


def check_sync(data: Path) -> Check:
    """Time synced writes where the journals will lie: every acknowledged measurement waits for them."""
    place = nearest_existing(data)
    try:
        times_ms = sorted(sync_times_ms(place))
    except OSError as error:
        return Check("disk", Verdict.FAIL, f"{place} cannot be written: {error}", "choose another --data directory")
    p50, p99 = times_ms[len(times_ms) // 2], times_ms[int(0.99 * (len(times_ms) - 1))]
    what = f"{N_SYNCS} synced 4 KiB writes in {place}: p50 {p50:.2f} ms, p99 {p99:.2f} ms"
    if p50 > SLOW_SYNC_MS:
        return Check("disk", Verdict.WARN, what, "put --data on a local SSD; each Step waits for two synced writes")
    if p50 < FAST_SYNC_MS:
        advice = "this is a RAM disk or a disk that ignores syncs: a power loss would lose acknowledged measurements"
        return Check("disk", Verdict.WARN, what, advice)
    return Check("disk", Verdict.OK, what)


def sync_times_ms(directory: Path) -> list[float]:
    """Return how long each of the synced appends took, in milliseconds.

    Raises:
        OSError: When the directory cannot be written.
    """
    block = os.urandom(SYNC_BYTES)
    times_ms = []
    with tempfile.TemporaryFile(dir=directory, prefix=".probescout-doctor-", buffering=0) as file:
        for _ in range(N_SYNCS):
            began = time.perf_counter()
            file.write(block)
            os.fsync(file.fileno())
            times_ms.append(1e3 * (time.perf_counter() - began))
    return times_ms


def check_space(data: Path) -> Check:
    """Check the room for journals, blobs and snapshots."""
    place = nearest_existing(data)
    free_gib = shutil.disk_usage(place).free / 2**30
    what = f"{free_gib:.1f} GiB free for {data}"
    if free_gib < NO_DISK_GIB:
        return Check("space", Verdict.FAIL, what, "free some room: a full disk refuses every measurement")
    if free_gib < LOW_DISK_GIB:
        return Check("space", Verdict.WARN, what, "free some room before an overnight campaign")
    return Check("space", Verdict.OK, what)


def nearest_existing(path: Path) -> Path:
    """Return the path, or the nearest directory above it that exists."""
    path = path.resolve()
    return next(place for place in (path, *path.parents) if place.exists())


def check_address(listen: str) -> Check:
    """Check that a server could listen here, or does so already."""
    advice = "choose another with --listen HOST:PORT, or end what holds it"
    if listen.startswith("unix:"):
        folder = Path(listen.removeprefix("unix:")).resolve().parent
        if os.access(folder, os.W_OK):
            return Check("address", Verdict.OK, f"{listen} can be made")
        return Check("address", Verdict.FAIL, f"{folder} cannot be written", advice)
    host, _, port = listen.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and int(port) < 65536):
        # The resolver would take a port modulo 65536.
        return Check("address", Verdict.FAIL, f"'{listen}' is no HOST:PORT with a port from 0 to 65535", advice)
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if _is_serving(listen):
            return Check("address", Verdict.OK, f"a planner answers at {listen}")
        return Check("address", Verdict.FAIL, f"cannot listen at {listen}: {error}", advice)
    return Check("address", Verdict.OK, f"{listen} is free")


def _is_serving(listen: str) -> bool:
    """Return whether a planner answers there, by the health service that needs no token."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    ask = health_pb2.HealthCheckRequest(service="probescout.v1.PlannerService")
    with grpc.insecure_channel(listen, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            reply = health_pb2_grpc.HealthStub(channel).Check(ask, timeout=2.0)
        except grpc.RpcError:
            return False
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)
