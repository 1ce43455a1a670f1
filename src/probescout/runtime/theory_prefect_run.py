"""A job that is a flow run of Prefect, seen from the executor."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling, Crashed

from probescout.core.theory import Failure, JobResult
from probescout.runtime.theory_far import read
from probescout.runtime.theory_prefect_flow import PROGRESS, RESULT
from probescout.runtime.theory_results import failed

POLL_S = 1.0
END_S = 60.0
"""How long a worker of Prefect may take to end a flow run that is cancelled."""
NO_WORD_S = 120.0
"""A run that is under way and silent for so long is dead: nobody tells Prefect of a worker that was killed."""
_LATER = (httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS)
_log = logging.getLogger(__name__)


class PrefectRun:
    """A job that is a flow run of Prefect."""

    def __init__(
        self, client: Any, deployed: Callable[[Any], Awaitable[Any]], key: str, parameters: Mapping[str, Any]
    ) -> None:
        """Prepare; `result` asks for the run.

        Args:
            client: Of Prefect.
            deployed: Returns the id of the deployment, made anew if it was the given one, which is gone.
            key: Makes one flow run of the same attempt, however often it is asked for.
            parameters: Of the flow.
        """
        self.share = 0.0
        self.doing = "waits for a worker of Prefect"
        self._client, self._deployed, self._key, self._parameters = client, deployed, key, parameters
        self._creating: asyncio.Task[Any] | None = None
        self._state: Any = None
        self._word: Any = None
        self._heard_s = 0.0
        self._ender: asyncio.Task[None] | None = None

    async def result(self) -> JobResult:
        """Return what became of the job."""
        while True:
            self._creating = asyncio.create_task(self._create())
            try:
                return await self._follow(await asyncio.shield(self._creating))
            except ObjectNotFound:
                # With a deployment go the flow runs that wait.
                _log.warning("somebody has deleted the flow run of %s; it is asked for again", self._key)
            except httpx.HTTPStatusError as error:
                return failed(Failure.CRASHED, f"Prefect takes no flow run: {error.response.text[:1000]}")

    async def _follow(self, run: Any) -> JobResult:
        """Return what became of a flow run.

        Raises:
            ObjectNotFound: It was deleted.
        """
        self._heard_s = _now()
        while True:
            try:
                if await self._look(run):
                    return await self._fetch(run)
            except httpx.HTTPError as error:
                _log.warning("Prefect's server does not answer: %r", error)
                self._heard_s = _now()
            if _now() - self._heard_s > NO_WORD_S:
                return await self._give_up(run)
            await asyncio.sleep(POLL_S)

    async def _create(self) -> Any:
        """Return the id of the flow run; asked again with the same key it is the same one."""
        deployment = gone = None
        while True:
            try:
                deployment = await self._deployed(gone)
                run = await self._client.create_flow_run_from_deployment(
                    deployment, parameters=dict(self._parameters), name=self._key, idempotency_key=self._key
                )
            except (httpx.HTTPError, ObjectNotFound) as error:
                if _is_refusal(error):
                    raise
                if _is_gone(error) and deployment != gone:
                    # Somebody has deleted it since.
                    gone = deployment
                    continue
                _log.warning("Prefect's server takes no flow run yet: %r", error)
                await asyncio.sleep(POLL_S)
            else:
                return run.id

    async def _look(self, run: Any) -> bool:
        """Take in how far the run is; return whether it has ended."""
        found = await self._client.read_flow_run(run)
        word: Any = (found.state.type, found.state.timestamp)
        if found.state.is_running():
            for artifact in await self._artifacts(run):
                if artifact.type == PROGRESS:
                    word = artifact.updated
                    self.share = min(1.0, max(0.0, float(artifact.data) / 100.0))
                    self.doing = str(artifact.description or "")
        # While it is scheduled nobody has it: it may wait as long as it must.
        if word != self._word or found.state.is_scheduled():
            self._word, self._heard_s = word, _now()
        self._state = found.state
        return bool(found.state.is_final())

    async def _artifacts(self, run: Any) -> Any:
        return await self._client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]))
        )

    async def _fetch(self, run: Any) -> JobResult:
        """Return the result of a run that has ended, and let Prefect forget it."""
        for artifact in await self._artifacts(run):
            if artifact.type == RESULT:
                result = read(artifact.data)
                await self._client.delete_artifact(artifact.id)
                return result
        state = self._state
        return failed(Failure.CRASHED, f"the flow run ended without a result, {state.name}: {state.message}"[:4000])

    async def _give_up(self, run: Any) -> JobResult:
        message = f"no word from the flow run for {NO_WORD_S:g} s: its worker was killed, or its computer is away"
        await self._client.set_flow_run_state(run, Crashed(message=message), force=True)
        return failed(Failure.CRASHED, message)

    async def end(self) -> None:
        """Cancel the run if it has not ended, and wait until a worker says that its process is gone."""
        if self._ender is None:
            self._ender = asyncio.create_task(self._cancel())
        await asyncio.shield(self._ender)

    async def _cancel(self) -> None:
        if self._creating is None or (self._state is not None and self._state.is_final()):
            return
        try:
            async with asyncio.timeout(END_S):
                run = await self._creating
                await self._client.set_flow_run_state(run, Cancelling())
                while not await self._look(run):
                    await asyncio.sleep(0.5 * POLL_S)
        except ObjectNotFound:
            _log.info("the flow run of %s is deleted already", self._key)
        except (TimeoutError, httpx.HTTPError) as error:
            # It ends itself when it hears no more of its executor, and at its deadline.
            _log.warning("the flow run of %s could not be cancelled yet: %r", self._key, error)


def _is_gone(error: Exception) -> bool:
    return isinstance(error, ObjectNotFound) or (
        isinstance(error, httpx.HTTPStatusError) and error.response.status_code == httpx.codes.NOT_FOUND
    )


def _is_refusal(error: Exception) -> bool:
    """Return whether a request will never be taken, whatever becomes of the server and of the deployment."""
    if not isinstance(error, httpx.HTTPStatusError) or _is_gone(error):
        return False
    return error.response.is_client_error and error.response.status_code not in _LATER


def _now() -> float:
    return asyncio.get_running_loop().time()
