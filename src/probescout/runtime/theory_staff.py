"""Runs theory jobs in this process's own executor, from the first job on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from probescout.core.errors import ProbescoutError
from probescout.core.registry import THEORY, installed
from probescout.runtime.settings import Settings
from probescout.runtime.theory_watch import OWN_WORKER

if TYPE_CHECKING:
    from probescout.core.theory import Executor
    from probescout.runtime.theory_broker import TheoryBroker

FIRST_RETRY_S, LONGEST_RETRY_S = 1.0, 300.0
"""Between tries to begin after a fault that nobody foresaw."""
_log = logging.getLogger(__name__)


class TheoryStaff:
    """Keeps the local executor, which is not even imported before a job waits."""

    def __init__(
        self,
        broker: TheoryBroker,
        settings: Settings,
        cache: Path | None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Prepare.

        Args:
            broker: Where jobs are.
            settings: How many run at once, and with how much memory.
            cache: Directory of known results; None keeps none.
            pause: Waits for so many seconds.
        """
        self._pause = pause
        self._broker = broker
        self._settings = settings
        self._cache = cache
        self._work: asyncio.Task[None] | None = None
        self._executor: Executor | None = None

    def start(self) -> None:
        """Wait for the first job in the background, unless this process is to run none."""
        if self._settings.theory_slots:
            self._work = asyncio.create_task(self._begin())

    async def _begin(self) -> None:
        n_failed = 0
        while self._executor is None:
            try:
                await self._broker.wanted()
                self._executor = await self._started()
            except (ProbescoutError, ImportError, OSError) as error:
                # The jobs wait for another executor; campaigns go on without their numbers.
                _log.error("theory jobs cannot be run here, and wait for workers elsewhere: %s", error)
                return
            except Exception:
                wait_s = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2.0**n_failed)
                _log.exception("theory jobs are not run here yet; trying again in %g s", wait_s)
                await self._pause(wait_s)
                n_failed += 1

    async def _started(self) -> Executor:
        from probescout.runtime.theory_local import LocalExecutor

        executor = LocalExecutor(
            self._broker,
            # Names only: the engines are imported in the processes of their jobs.
            engines=[info.name for info in installed(THEORY)],
            n_slots=self._settings.theory_slots,
            memory_bytes=self._settings.theory_memory_bytes,
            cache=self._cache,
            worker_id=OWN_WORKER,
        )
        await executor.start()
        return executor

    async def stop(self) -> None:
        """Take no more jobs and end those that run; they are done again after the next start."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait([self._work])
        if self._executor is not None:
            await self._executor.stop()
            self._executor = None
