"""A job on a computer that a scheduler chose: the same process, limits and checks as under the local executor.

What crosses the wire is a frame of numbers and JSON on the way there, and JSON on the way back.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
from collections.abc import Callable
from typing import Any

from probescout.core.jsonable import to_json
from probescout.core.theory import Failure, JobOrder, JobResult
from probescout.runtime.theory_process import JobProcess, Limits
from probescout.runtime.theory_results import failed, read_result

TELL_EVERY_S = 1.0


def run_key(order: JobOrder, worker_id: str) -> str:
    """Return the name of one attempt: the same for the same lease of a worker, and another for every other lease.

    The token itself stays here; whoever has it can hand in results.
    """
    lease = hashlib.sha256(f"{worker_id} {order.name} {order.attempt} {order.token}".encode()).hexdigest()
    return f"{order.name}/{order.attempt}/{lease[:16]}"


async def carry_out(
    frame: bytes, limits: Limits, unwanted: asyncio.Future[None], tell: Callable[[float, str], None]
) -> JobResult | None:
    """Run a job in a process of this computer and return its result; nothing of it is left afterwards.

    Args:
        frame: The job, as `JobProcess.start` takes it.
        limits: What it may take.
        unwanted: Done when nobody waits for the job any more: it is ended then, and None is returned.
        tell: Takes share and message of its progress when it starts and whenever they changed, once a second at most.
    """
    try:
        process = await JobProcess.start(frame, limits)
    except OSError as error:
        return failed(Failure.CRASHED, f"no process could be started on {socket.gethostname()}: {error}")
    ending: asyncio.Future[JobResult] = asyncio.create_task(process.result())
    ends: set[asyncio.Future[Any]] = {ending, unwanted}
    told: tuple[float, str] | None = None
    try:
        while not (ending.done() or unwanted.done()):
            if told != (process.share, process.doing):
                told = (process.share, process.doing)
                tell(*told)
            await asyncio.wait(ends, timeout=TELL_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await process.end()
        await asyncio.wait({ending})
    return None if unwanted.done() else ending.result()


def write(result: JobResult) -> str:
    """Return a result as JSON."""
    return json.dumps(to_json(result), allow_nan=False)


def read(text: object) -> JobResult:
    """Return the result that `write` made this of; GARBAGE when it made none."""
    try:
        return read_result(json.loads(str(text)))
    except ValueError as error:
        return failed(Failure.GARBAGE, f"what came back is no result: {str(text)[:80]!r} ({error})")
