"""Runs theory jobs in this process's own executor, from the first job on."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from probescout.core.errors import ProbescoutError
from probescout.core.registry import THEORY, installed
from probescout.runtime.settings import Settings
from probescout.runtime.theory_watch import OWN_WORKER

if TYPE_CHECKING:
    from probescout.core.theory import Executor
    from probescout.runtime.theory_broker import TheoryBroker

_log = logging.getLogger(__name__)


class TheoryStaff:
    """Keeps the local executor, which is not even imported before a job waits."""

    def __init__(self, broker: TheoryBroker, settings: Settings, cache: Path | None) -> None:
        """Prepare.

        Args:
            broker: Where jobs are.
            settings: How many run at once, and with how much memory.
            cache: Directory of known results; None keeps none.
        """
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
        await self._broker.wanted()
        from probescout.runtime.theory_local import LocalExecutor

        # Names only: the engines are imported in the processes of their jobs.
        engines = [info.name for info in installed(THEORY)]
        try:
            self._executor = LocalExecutor(
                self._broker,
                engines=engines,
                n_slots=self._settings.theory_slots,
                memory_bytes=self._settings.theory_memory_bytes,
                cache=self._cache,
                worker_id=OWN_WORKER,
            )
            await self._executor.start()
        except (ProbescoutError, OSError) as error:
            # The jobs wait for another executor; campaigns go on without their numbers.
            _log.error("theory jobs cannot be run here: %s", error)

    async def stop(self) -> None:
        """Take no more jobs and end those that run; they are done again after the next start."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait([self._work])
        if self._executor is not None:
            await self._executor.stop()
            self._executor = None
