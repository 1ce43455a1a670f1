"""Runs the theory jobs of a server on this computer, or on the cluster that it speaks to."""

from __future__ import annotations

import asyncio
import json
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probescout.core.errors import InvalidInput, MissingExtra, ProbescoutError, Reason
from probescout.core.registry import THEORY, find, installed
from probescout.core.theory import Desk, Executor
from probescout.runtime.prefect_quiet import set_quiet
from probescout.runtime.theory_local import LocalExecutor
from probescout.service.remote_desk import Address, RemoteDesk

POOL = "probescout-theory"
"""The work pool of Prefect where none is named."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Worker:
    """What this computer offers to a server."""

    id: str
    """People see it beside its jobs."""
    engines: tuple[str, ...] = ()
    """Names; empty: all that can run here."""
    n_slots: int = 1
    memory_bytes: int = 4 << 30
    lease_s: float = 30.0
    cache: Path | None = None
    """On the computer where jobs run."""
    executor: str = "local"
    """Where they run: one of EXECUTORS."""
    where: str = ""
    """The scheduler of Dask, or the work pool of Prefect."""


async def work(address: Address, worker: Worker) -> None:
    """Take jobs until SIGTERM or SIGINT; then end what runs, whose jobs return to the queue with their leases.

    A server that cannot be reached is waited for.

    Raises:
        InvalidInput: What the worker offers cannot be; no engine runs here.
        ProbescoutError: Unauthenticated, Denied or NotBuilt: the server has no jobs for this worker.
    """
    for name in worker.engines:
        find(THEORY, name, field="--engines")
    engines = worker.engines or _runnable()
    desk = RemoteDesk(address)
    executor = EXECUTORS[worker.executor](
        desk,
        worker.where,
        engines=engines,
        n_slots=worker.n_slots,
        memory_bytes=worker.memory_bytes,
        cache=worker.cache,
        lease_s=worker.lease_s,
        worker_id=worker.id,
    )
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    waiting = asyncio.create_task(ended.wait())
    ends: list[asyncio.Future[Any]] = [waiting, desk.refusal]
    await executor.start()
    print(_ready_line(address, worker, engines), flush=True)
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        await executor.stop()
        await desk.close()
    if desk.refusal.done():
        raise desk.refusal.result()


def _local(desk: Desk, where: str, **offer: Any) -> Executor:
    return LocalExecutor(desk, **offer)


def _dask(desk: Desk, where: str, **offer: Any) -> Executor:
    if not where:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            "--executor dask needs the scheduler: tcp://HOST:PORT, or the file that `dask scheduler --scheduler-file` "
            "writes, with a name that ends in .json",
            field="--scheduler",
        )
    try:
        from probescout.runtime.theory_dask import DaskExecutor
    except ModuleNotFoundError as error:
        raise _missing(error, "dask") from error
    return DaskExecutor(desk, where, **offer)


def _prefect(desk: Desk, where: str, **offer: Any) -> Executor:
    set_quiet()
    try:
        from probescout.runtime.theory_prefect import PrefectExecutor
    except ModuleNotFoundError as error:
        raise _missing(error, "prefect") from error
    return PrefectExecutor(desk, where or POOL, **offer)


EXECUTORS: Mapping[str, Callable[..., Executor]] = {"local": _local, "dask": _dask, "prefect": _prefect}
"""Makes an executor of a desk, where its cluster is, and what it offers."""


def _missing(error: ModuleNotFoundError, extra: str) -> Exception:
    """Return what to raise where an executor cannot be imported: the install line, unless a module is ours."""
    if (error.name or "").startswith("probescout"):
        return error
    return MissingExtra(
        Reason.MISSING_EXTRA,
        f"--executor {extra} needs {error.name}, which is not installed: pip install 'probescout[{extra}]'",
    )


def _ready_line(address: Address, worker: Worker, engines: Sequence[str]) -> str:
    return json.dumps(
        {
            "ready": True,
            "server": address.target,
            "worker_id": worker.id,
            "engines": list(engines),
            "slots": worker.n_slots,
            "executor": worker.executor,
            "pid": os.getpid(),
        }
    )


def _runnable() -> tuple[str, ...]:
    """Return the names of the engines that can run here; they are asked in a process of their own, for what they load.

    Raises:
        InvalidInput: FIELD_INVALID when there is none.
    """
    try:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            lacking = pool.submit(_lacking).result()
    except BrokenProcessPool as error:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            "an installed engine ends its process when it is asked for its version; name the others",
            field="--engines",
        ) from error
    for name, why in lacking.items():
        _log.info("no jobs for engine %s are taken: %s", name, why)
    engines = tuple(info.name for info in installed(THEORY) if info.name not in lacking)
    if not engines:
        why = "; ".join(lacking.values()) or "none is installed"
        raise InvalidInput(Reason.FIELD_INVALID, f"no engine can run here: {why}", field="--engines")
    return engines


def _lacking() -> dict[str, str]:
    """Return what keeps engines from running here, by name."""
    lacking = {}
    for info in installed(THEORY):
        try:
            info.load()().version()
        except TypeError:
            # It has settings without defaults, and cannot be asked; its jobs will tell.
            continue
        except (MissingExtra, ProbescoutError) as error:
            lacking[info.name] = error.message
        except Exception as error:
            # A plug-in may fail in any way; the others run all the same.
            lacking[info.name] = f"{info.name} cannot be asked for its version: {type(error).__name__}: {error}"
    return lacking
