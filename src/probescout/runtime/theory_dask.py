"""The executor that sends jobs to a cluster of Dask."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from distributed import Client
from distributed import Future as DaskFuture

from probescout.core.errors import Reason, Unavailable
from probescout.core.theory import Desk, Failure, JobOrder, JobResult
from probescout.runtime.theory_dask_task import ENDED, TOPIC, Unwanted, run_attempt
from probescout.runtime.theory_far import read, run_key
from probescout.runtime.theory_leasing import LeasingExecutor
from probescout.runtime.theory_process import Limits
from probescout.runtime.theory_results import failed

CONNECT_S = 10.0
END_S = 15.0
"""How long a worker may take to end a job; the job ends at its deadline all the same."""
_log = logging.getLogger(__name__)


class DaskExecutor(LeasingExecutor):
    """Takes jobs of a desk and sends each as one task to a scheduler of Dask, which never tries one again by itself.

    The desk's lease is the truth: a task whose lease is lost or whose job is cancelled is cancelled, and so is every
    task of an executor that dies. Scheduler and workers need the same installation as this process.
    """

    kind: ClassVar[str] = "dask"

    def __init__(self, desk: Desk, scheduler: str, **more: Any) -> None:
        """Take jobs of `desk` once started.

        Args:
            desk: Where jobs come from and results go.
            scheduler: "tcp://host:port", or the path of a scheduler file, which ends in ".json".
            more: As `LeasingExecutor`; `n_slots` is the number of tasks that the cluster has at once, `cache` a
                directory on its workers.

        Raises:
            InvalidInput: FIELD_INVALID with the field.
        """
        super().__init__(desk, **more)
        self._scheduler = scheduler
        self._client: Client | None = None
        self._runs: dict[str, DaskRun] = {}

    async def _reach(self) -> None:
        """Connect, also again after the scheduler was away.

        Raises:
            OSError: There is no scheduler.
            Unavailable: The connection is lost and may come back.
        """
        if self._client is not None and self._client.status == "closed":
            await self._leave()
        if self._client is None:
            client = Client(
                **self._found(), asynchronous=True, set_as_default=False, timeout=CONNECT_S, name=self._worker_id
            )
            try:
                await client
                await client.register_plugin(Unwanted(), TOPIC)
            except BaseException:
                await client.close()
                raise
            client.subscribe_topic(TOPIC, self._hear)
            self._client = client
        if self._client.status != "running":
            raise Unavailable(
                Reason.WORKER_UNAVAILABLE, f"the scheduler of Dask does not answer ({self._client.status}); start it"
            )

    def _found(self) -> Mapping[str, str]:
        """Return where the scheduler is, in the words of `Client`, which would wait for a file without end.

        Raises:
            FileNotFoundError: No scheduler has written its file.
        """
        if not self._scheduler.endswith(".json"):
            return {"address": self._scheduler}
        if not Path(self._scheduler).exists():
            raise FileNotFoundError(f"no scheduler of Dask has written {self._scheduler}; start one")
        return {"scheduler_file": self._scheduler}

    async def _leave(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def _begin(self, order: JobOrder) -> DaskRun:
        frame, limits = await self._frame(order), Limits.of(order, self._memory_bytes)
        if self._client is None:
            raise OSError("the scheduler of Dask is away")
        key = f"{TOPIC}/{run_key(order, self._worker_id)}"
        future = self._client.submit(
            run_attempt,
            *(key, frame, limits.memory_bytes, limits.cpu_s, order.deadline_s),
            key=key,
            pure=False,
            retries=0,
        )
        run = self._runs[key] = DaskRun(future, lambda: self._runs.pop(key, None))
        return run

    def _hear(self, event: tuple[float, Mapping[str, Any]]) -> None:
        """Take in what a task tells; those of other executors come here too."""
        told = event[1]
        run = self._runs.get(told["key"])
        if run is not None:
            run.hear(told)


class DaskRun:
    """A job that is a task of Dask."""

    def __init__(self, future: DaskFuture[str], forget: Callable[[], object]) -> None:
        """Follow a task that was just sent, until `forget` is called."""
        self.share = 0.0
        self.doing = "waits for a worker of Dask"
        self._future = future
        self._forget = forget
        self._is_begun = False
        self._ended = asyncio.Event()
        self._ender: asyncio.Task[None] | None = None

    def hear(self, told: Mapping[str, Any]) -> None:
        """Take in an event of the task."""
        if told["kind"] == ENDED:
            self._ended.set()
        else:
            self._is_begun = True
            self._ended.clear()
            self.share, self.doing = float(told["share"]), str(told["doing"])

    async def result(self) -> JobResult:
        """Return what became of the job."""
        try:
            return read(await self._future)
        except ImportError as error:
            return failed(
                Failure.MISSING_EXTRA,
                f"a worker of Dask lacks what the job needs ({error}); run there: pip install 'probescout[dask]'",
            )
        except Exception as error:
            # Of Dask's own: its worker died again and again, its scheduler is gone.
            return failed(Failure.CRASHED, f"Dask gave the job up: {type(error).__name__}: {error}"[:4000])

    async def end(self) -> None:
        """Cancel the task if it is not done, and wait until its process is gone."""
        if self._ender is None:
            self._ender = asyncio.create_task(self._cancel())
        await asyncio.shield(self._ender)

    async def _cancel(self) -> None:
        try:
            if not self._future.done():
                await self._future.cancel(reason="unwanted", msg="its lease is over, or its executor stops")
                await self._gone()
        finally:
            self._forget()

    async def _gone(self) -> None:
        """Wait until the worker says that nothing of the job runs; a task that no worker has begun never will."""
        if not self._is_begun:
            return
        try:
            async with asyncio.timeout(END_S):
                await self._ended.wait()
        except TimeoutError:
            _log.warning("no word from the worker of Dask that was told to end %s", self._future.key)
