"""What a worker of Prefect runs for `theory_prefect`: one flow run is one attempt at one job.

Prefect holds the job in the parameters and the result in an artifact, both as text, until they are fetched; it pickles
nothing of ours.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed

from probescout.runtime.theory_far import carry_out, write
from probescout.runtime.theory_process import Limits

PROGRESS, RESULT = "progress", "probescout-result"
"""Types of artifacts: Prefect's own, which its page draws as a bar, and what the job came to."""
LOOK_S = 2.0
"""Between two words to the executor, and two looks whether it is there."""
_log = logging.getLogger(__name__)


def encode(frame: bytes) -> str:
    """Return a frame as text."""
    return base64.b64encode(zlib.compress(frame)).decode("ascii")


def decode(text: str) -> bytes:
    """Return the frame that `encode` made this of."""
    return zlib.decompress(base64.b64decode(text, validate=True))


@flow(name="probescout-theory-job", persist_result=False, result_serializer="json", retries=0)
async def run_attempt(frame: str, memory_bytes: int, cpu_s: int, deadline_s: float, beat: str, silence_s: float) -> Any:
    """Run one attempt; its result is an artifact.

    Args:
        frame: The job: numbers and JSON, by `encode`.
        memory_bytes: As `Limits`.
        cpu_s: As `Limits`.
        deadline_s: As `Limits`; counted from the start of the process, however long the run was scheduled.
        beat: Variable that the executor changes as long as it lives.
        silence_s: The job ends when it has not changed for so long.
    """
    unwanted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    async with get_client() as client:
        watch = Watch(client, beat, silence_s, unwanted)
        async with watch.watching():
            result = await carry_out(decode(frame), Limits(memory_bytes, cpu_s, deadline_s), unwanted, watch.tell)
        if result is None:
            return Cancelled(message=f"the executor that wanted it has been silent for {silence_s:g} s")
        made = ArtifactCreate(type=RESULT, data=write(result), flow_run_id=flow_run.id)
        await client.create_artifact(made)
    return Completed(message=f"the job has {result.state}: {result.failure or 'its numbers are handed in'}")


class Watch:
    """Says how far a job is, which says that it lives, and looks whether its executor does."""

    def __init__(self, client: Any, beat: str, silence_s: float, unwanted: asyncio.Future[None]) -> None:
        """Prepare; see `run_attempt`."""
        self._client, self._beat, self._silence_s, self._unwanted = client, beat, silence_s, unwanted
        self._share, self._doing = 0.0, ""

    def tell(self, share: float, doing: str) -> None:
        """Take in progress."""
        self._share, self._doing = share, doing

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch for as long as it is entered."""
        made = ArtifactCreate(type=PROGRESS, data=0.0, description="", flow_run_id=flow_run.id)
        artifact = await self._client.create_artifact(made)
        task = asyncio.create_task(self._watch(artifact.id))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _watch(self, artifact: Any) -> None:
        loop = asyncio.get_running_loop()
        last, since = None, loop.time()
        while True:
            try:
                news = ArtifactUpdate(data=100.0 * self._share, description=self._doing)
                await self._client.update_artifact(artifact, news)
                found = await self._client.read_variable_by_name(self._beat)
            except httpx.HTTPError as error:
                # Only silence that was heard counts: an executor may live although Prefect's server is away.
                _log.warning("Prefect's server does not answer: %r", error)
                since = loop.time()
            else:
                value = found.value if found else None
                if value != last:
                    last, since = value, loop.time()
                elif loop.time() - since > self._silence_s and not self._unwanted.done():
                    self._unwanted.set_result(None)
                    return
            await asyncio.sleep(LOOK_S)
