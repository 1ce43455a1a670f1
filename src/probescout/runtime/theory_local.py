"""The executor that runs jobs in subprocesses of the computer that the service is on."""

from __future__ import annotations

from typing import ClassVar

from probescout.core.theory import JobOrder
from probescout.runtime.theory_leasing import MIN_MEMORY_BYTES, LeasingExecutor
from probescout.runtime.theory_process import JobProcess, Limits

__all__ = ["MIN_MEMORY_BYTES", "LocalExecutor"]


class LocalExecutor(LeasingExecutor):
    """Takes jobs of a desk and runs each in a process of its own, at the lowest priority and within limits.

    Example:
        >>> import asyncio
        >>> from probescout.testing.bad_engines import MISBEHAVING
        >>> from probescout.testing.recording_desk import RecordingDesk
        >>> async def work():
        ...     desk = RecordingDesk()
        ...     executor = LocalExecutor(desk, engines=[], allowed=[MISBEHAVING])
        ...     await executor.start()
        ...     name = desk.submit(MISBEHAVING, {"act": "behave"})
        ...     result = await desk.end_of(name)
        ...     await executor.stop()
        ...     return result.state, [(q.name, q.value, q.unit) for q in result.quantities]
        >>> asyncio.run(work())
        (<JobState.SUCCEEDED: 'succeeded'>, [('energy', 1.5, 'eV')])
    """

    kind: ClassVar[str] = "local"

    async def _begin(self, order: JobOrder) -> JobProcess:
        return await JobProcess.start(await self._frame(order), Limits.of(order, self._memory_bytes))
