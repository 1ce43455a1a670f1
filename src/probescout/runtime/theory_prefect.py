"""The executor that sends jobs to a work pool of Prefect."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import logging
from typing import Any, ClassVar

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import VariableCreate, VariableUpdate, WorkPoolCreate
from prefect.deployments.runner import DeploymentApplyError
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.settings import get_current_settings
from prefect.types.entrypoint import EntrypointType

from probescout.core.errors import InvalidInput, Reason, Unavailable
from probescout.core.theory import Desk, JobOrder
from probescout.runtime.theory_far import run_key
from probescout.runtime.theory_leasing import LeasingExecutor
from probescout.runtime.theory_prefect_flow import encode, run_attempt
from probescout.runtime.theory_prefect_run import PrefectRun
from probescout.runtime.theory_process import Limits

SILENCE_S = 30.0
"""A job ends when its executor has been silent for so long; a lease, where that is longer."""
ROOM_BYTES = 4096
"""For all parameters but the frame."""
_log = logging.getLogger(__name__)


class PrefectExecutor(LeasingExecutor):
    """Takes jobs of a desk and makes each one flow run of a deployment, which Prefect never tries again by itself.

    The desk's lease is the truth. A flow run whose lease is lost or whose job is cancelled is cancelled; one whose
    executor died ends itself. Prefect's workers need the same installation as this process.
    """

    kind: ClassVar[str] = "prefect"

    def __init__(self, desk: Desk, pool: str, **more: Any) -> None:
        """Take jobs of `desk` once started.

        Args:
            desk: Where jobs come from and results go.
            pool: Work pool whose workers run them; one of type process is made if there is none of that name.
            more: As `LeasingExecutor`; `n_slots` is the number of flow runs at once, `cache` a directory on the
                computers of the workers.

        Raises:
            InvalidInput: FIELD_INVALID with the field; no address of a server of Prefect is set.
        """
        super().__init__(desk, **more)
        if not get_current_settings().api.url:
            raise InvalidInput(
                Reason.FIELD_INVALID,
                "no server of Prefect is set: start one with `prefect server start`, and set PREFECT_API_URL, for "
                "example to http://127.0.0.1:4200/api",
                field="PREFECT_API_URL",
            )
        self._pool = pool
        self._client: Any = None
        self._deployment: Any = None
        self._deploying = asyncio.Lock()
        self._beat = f"probescout_theory_{hashlib.sha256(self._worker_id.encode()).hexdigest()[:16]}"
        self._beating: asyncio.Task[None] | None = None

    async def _reach(self) -> None:
        """Connect, and make the deployment.

        Raises:
            Unavailable: Prefect's server does not answer.
        """
        if self._client is None:
            client = get_client()
            await client.__aenter__()
            self._client = client
        fault = await self._client.api_healthcheck()
        if fault is not None:
            raise Unavailable(
                Reason.WORKER_UNAVAILABLE, f"Prefect's server at {self._client.api_url} does not answer: {fault!r}"
            )
        await self._deployed(None)
        if self._beating is None or self._beating.done():
            await self._beat_once(0)
            self._beating = asyncio.create_task(self._keep_beating())

    async def _deployed(self, gone: Any) -> Any:
        """Return the id of the deployment; it is made if there is none, or if the one we know is `gone`."""
        async with self._deploying:
            if self._deployment is None or self._deployment == gone:
                await self._make_pool()
                made = await run_attempt.ato_deployment(
                    name=self._pool,
                    work_pool_name=self._pool,
                    entrypoint_type=EntrypointType.MODULE_PATH,
                    tags=["probescout"],
                    description="One attempt at one theory job, for `probescout theory-worker --executor prefect`.",
                )
                try:
                    self._deployment = await made.aapply()
                except DeploymentApplyError as error:
                    # Prefect wraps whatever went wrong on the way, also what is worth trying again.
                    raise error.__cause__ or error from None
            return self._deployment

    async def _make_pool(self) -> None:
        """Make the work pool, unless there is one."""
        try:
            await self._client.read_work_pool(self._pool)
        except ObjectNotFound:
            # A worker that starts on it fills in the rest.
            try:
                await self._client.create_work_pool(WorkPoolCreate(name=self._pool, type="process"))
            except ObjectAlreadyExists:
                _log.info("somebody else has made the work pool %s", self._pool)

    async def _leave(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.wait([self._beating])
            self._beating = None
        if self._client is not None:
            client, self._client, self._deployment = self._client, None, None
            try:
                await client.delete_variable_by_name(self._beat)
            except (httpx.HTTPError, ObjectNotFound) as error:
                _log.info("variable %s stays: %r", self._beat, error)
            await client.__aexit__(None, None, None)

    async def _keep_beating(self) -> None:
        """Let flow runs know that somebody waits for them."""
        for number in itertools.count(1):
            await asyncio.sleep(self._silence_s / 6.0)
            try:
                await self._beat_once(number)
            except Exception as error:
                # Whatever ails Prefect: without this word its flow runs would end themselves for good.
                _log.warning("Prefect's server takes no word of ours: %r", error)

    async def _beat_once(self, number: int) -> None:
        if await self._client.read_variable_by_name(self._beat) is None:
            await self._client.create_variable(VariableCreate(name=self._beat, value=number))
        else:
            await self._client.update_variable(VariableUpdate(name=self._beat, value=number))

    @property
    def _silence_s(self) -> float:
        return max(SILENCE_S, self._lease_s)

    async def _begin(self, order: JobOrder) -> PrefectRun:
        frame, limits = encode(await self._frame(order)), Limits.of(order, self._memory_bytes)
        most = get_current_settings().server.api.max_parameter_size
        if most and len(frame) > most - ROOM_BYTES:
            raise InvalidInput(
                Reason.FIELD_INVALID,
                f"the job is {len(frame)} bytes as text, and a flow run of Prefect takes {most - ROOM_BYTES}: make the "
                "patch smaller, run the job locally or on Dask, or raise PREFECT_SERVER_API_MAX_PARAMETER_SIZE, of the "
                "server and of this worker",
                field="patch",
            )
        parameters = {
            "frame": frame,
            "memory_bytes": limits.memory_bytes,
            "cpu_s": limits.cpu_s,
            "deadline_s": order.deadline_s,
            "beat": self._beat,
            "silence_s": self._silence_s,
        }
        return PrefectRun(self._client, self._deployed, run_key(order, self._worker_id), parameters)
