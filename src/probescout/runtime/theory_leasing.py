"""What all executors share: they take jobs of a desk as slots are free, attempt each, and end all when they stop."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import ClassVar

from probescout.core.clock import Clock, SystemClock
from probescout.core.errors import InvalidInput, Reason
from probescout.core.theory import Desk, JobOrder
from probescout.runtime.framing import pack
from probescout.runtime.theory_attempt import Attempt, Run

MIN_MEMORY_BYTES = 256 << 20
"""Python and NumPy alone take half of it, in address space."""
WAIT_S = 30.0
"""How long one call waits for a job."""
LONGEST_PAUSE_S = 30.0
"""Between calls to a desk that fails."""
_log = logging.getLogger(__name__)
Pause = Callable[[float], Awaitable[None]]


class LeasingExecutor(ABC):
    """Takes jobs of a desk and runs them where its subclass says."""

    kind: ClassVar[str]
    """Begins the name that the desk knows it by."""

    def __init__(
        self,
        desk: Desk,
        *,
        engines: Sequence[str],
        n_slots: int = 1,
        memory_bytes: int = 4 << 30,
        cache: Path | None = None,
        lease_s: float = 30.0,
        allowed: Sequence[str] = (),
        worker_id: str = "",
        clock: Clock | None = None,
        pause: Pause = asyncio.sleep,
    ) -> None:
        """Take jobs of `desk` once started.

        Args:
            desk: Where jobs come from and results go.
            engines: Names of installed engines (entry points) whose jobs are taken.
            n_slots: Most jobs that run at once.
            memory_bytes: Address space of every process of a job.
            cache: Directory of results that are known; None: everything is calculated.
            lease_s: Asked for every job; renewed each third of it.
            allowed: Engines that are no entry points, as "module:Class", whose jobs are taken too. For tests: none else
                is ever imported by name.
            worker_id: What the desk calls this executor; empty: made of host and process.
            clock: Its monotonic time decides.
            pause: Waits for so many seconds.

        Raises:
            InvalidInput: FIELD_INVALID with the field.
        """
        _check(engines, allowed, n_slots, memory_bytes, lease_s)
        self._desk = desk
        self._engines = (*engines, *allowed)
        self._allowed = tuple(allowed)
        self._n_slots = n_slots
        self._memory_bytes = memory_bytes
        self._cache = str(cache.absolute()) if cache is not None else ""
        self._lease_s = lease_s
        self._worker_id = worker_id or f"{self.kind}-{socket.gethostname()}-{os.getpid()}"
        self._clock: Clock = clock or SystemClock()
        self._pause = pause
        self._jobs: set[asyncio.Task[None]] = set()
        self._taker: asyncio.Task[None] | None = None

    @property
    def n_running(self) -> int:
        """Number of jobs that run or are being ended or handed in."""
        return len(self._jobs)

    async def start(self) -> None:
        """Begin to take jobs; once begun it changes nothing."""
        if self._taker is None:
            self._taker = asyncio.create_task(self._take())

    async def stop(self) -> None:
        """Take no more, end what runs without handing anything in, and leave no process behind."""
        taker, self._taker = self._taker, None
        tasks = [*self._jobs] if taker is None else [taker, *self._jobs]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._leave()

    @abstractmethod
    async def _begin(self, order: JobOrder) -> Run:
        """Begin a job, which has an engine of ours.

        Raises:
            InvalidInput: It cannot be run by this kind of executor.
            OSError: It could not be begun.
        """

    async def _reach(self) -> None:  # noqa: B027 (nothing to do where jobs run here)
        """Raise what is wrong when no job could be begun now: none is taken then."""

    async def _leave(self) -> None:  # noqa: B027
        """Let go of what `_reach` has got hold of."""

    async def _take(self) -> None:
        """Keep as many jobs running as there are slots."""
        n_failed = 0
        while True:
            while self.n_running >= self._n_slots:
                await asyncio.wait(self._jobs, return_when=asyncio.FIRST_COMPLETED)
            begin = self._clock.monotonic()
            try:
                await self._reach()
                orders = await self._acquire(self._n_slots - self.n_running)
                n_failed = 0
            except Exception as error:
                # Whatever ails the desk or the way to it, simulations begin again when it is over.
                _log.warning("no jobs can be taken: %r; trying again", error, exc_info=n_failed == 0)
                await self._pause(min(LONGEST_PAUSE_S, 0.25 * 2.0 ** min(n_failed, 10)))
                n_failed += 1
                continue
            for order in orders:
                task = asyncio.create_task(self._run(order))
                self._jobs.add(task)
                task.add_done_callback(self._jobs.discard)
            if not orders and self._clock.monotonic() - begin < 0.5 * WAIT_S:
                # A desk that does not wait must not be asked without end.
                await self._pause(1.0)

    async def _acquire(self, count: int) -> Sequence[JobOrder]:
        async with asyncio.timeout(WAIT_S + self._lease_s):
            orders = await self._desk.acquire(self._worker_id, self._engines, count, self._lease_s, wait_s=WAIT_S)
        if len(orders) > count:
            _log.warning("%d jobs came where %d were asked for; the others go back by their lease", len(orders), count)
        return orders[:count]

    async def _run(self, order: JobOrder) -> None:
        try:
            await Attempt(order, self._desk, self._begin_checked, self._clock, self._pause).run()
        except Exception:
            # The job goes back to the queue when its lease ends; the other jobs go on.
            _log.exception("attempt %d at %s is given up", order.attempt, order.name)

    async def _begin_checked(self, order: JobOrder) -> Run:
        if order.engine not in self._engines:
            raise InvalidInput(
                Reason.FIELD_INVALID,
                f"a job for '{order.engine[:200]}', which this executor did not ask for; it runs: "
                f"{', '.join(self._engines)}",
                field="engine",
            )
        return await self._begin(order)

    async def _frame(self, order: JobOrder) -> bytes:
        """Return a job as its process reads it: numbers and JSON."""
        patch = order.patch if order.structure is None else None
        return await asyncio.to_thread(
            pack,
            {
                "engine": order.engine,
                "settings": dict(order.settings),
                "allowed": list(self._allowed),
                "cache": self._cache,
                "structure": None if order.structure is None else dict(order.structure),
                "patch": None
                if patch is None
                else {"image": patch.image, "pixel_size_m": patch.pixel_size_m, "place": patch.place},
            },
        )


def _check(engines: Sequence[str], allowed: Sequence[str], n_slots: int, memory_bytes: int, lease_s: float) -> None:
    """Refuse what can never work.

    Raises:
        InvalidInput: FIELD_INVALID.
    """
    faults = {
        "engines": "name at least one engine" if not (engines or allowed) else "",
        "allowed": "".join(f"'{a}' is not 'module:Class'; " for a in allowed if a.count(":") != 1),
        "n_slots": f"{n_slots} jobs at once; at least 1" if n_slots < 1 else "",
        "memory_bytes": f"{memory_bytes} bytes a process; at least {MIN_MEMORY_BYTES}"
        if memory_bytes < MIN_MEMORY_BYTES
        else "",
        "lease_s": f"a lease of {lease_s} s; a finite number above 0" if not 0.0 < lease_s < math.inf else "",
    }
    for name, fault in faults.items():
        if fault:
            raise InvalidInput(Reason.FIELD_INVALID, f"{name}: {fault}", field=name)
