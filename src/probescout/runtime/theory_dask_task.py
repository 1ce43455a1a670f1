"""What a worker of Dask runs for `theory_dask`: one task is one attempt at one job."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import Any

from distributed import get_worker
from distributed.diagnostics.plugin import WorkerPlugin

from probescout.runtime.theory_far import carry_out, write
from probescout.runtime.theory_process import Limits

TOPIC = "probescout-theory"
"""Of the events by which tasks tell how far they are; it also begins their keys and names the plugin."""
BEGUN, ENDED = "begun", "ended"


def run_attempt(key: str, frame: bytes, memory_bytes: int, cpu_s: int, deadline_s: float) -> str:
    """Run one attempt and return its result as JSON; empty when it was ended because nobody waits for it.

    Args:
        key: Of the task.
        frame: The job: numbers and JSON, as `framing.pack` writes them.
        memory_bytes: As `Limits`.
        cpu_s: As `Limits`.
        deadline_s: As `Limits`; counted from the start of the process, wherever the task waited before.
    """
    worker = get_worker()
    plugin = worker.plugins[TOPIC]
    assert isinstance(plugin, Unwanted)

    def tell(kind: str, share: float = 0.0, doing: str = "") -> None:
        worker.log_event(TOPIC, {"key": key, "kind": kind, "share": share, "doing": doing})

    async def work() -> str:
        unwanted = asyncio.wrap_future(plugin.flag(key))
        limits = Limits(memory_bytes, cpu_s, deadline_s)
        result = await carry_out(frame, limits, unwanted, lambda share, doing: tell(BEGUN, share, doing))
        return "" if result is None else write(result)

    try:
        return asyncio.run(work())
    finally:
        plugin.drop(key)
        tell(ENDED)


class Unwanted(WorkerPlugin):
    """Ends the jobs that the scheduler lets go of, which Dask itself lets run on until they are done.

    It does so when a task is cancelled, when the client that wanted it is gone, and when the worker closes.
    """

    name = TOPIC
    idempotent = True

    def setup(self, worker: Any) -> None:
        """Begin on a worker."""
        self._lock = threading.Lock()
        self._flags: dict[str, Future[None]] = {}

    def flag(self, key: str) -> Future[None]:
        """Return what is done when nobody waits for a task any more, whichever of them comes first."""
        with self._lock:
            return self._flags.setdefault(key, Future())

    def drop(self, key: str) -> None:
        """Forget a task."""
        with self._lock:
            self._flags.pop(key, None)

    def transition(self, key: Any, start: str, finish: str, **more: Any) -> None:
        """See a task change its state."""
        if not str(key).startswith(TOPIC):
            return
        if start in ("executing", "long-running") and finish == "released":
            _raise(self.flag(key))
        elif finish == "forgotten":
            self.drop(key)

    def teardown(self, worker: Any) -> None:
        """End all jobs of a worker that closes."""
        with self._lock:
            flags = list(self._flags.values())
        for flag in flags:
            _raise(flag)


def _raise(flag: Future[None]) -> None:
    if not flag.done():
        flag.set_result(None)
