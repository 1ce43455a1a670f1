"""The desk of a server elsewhere: executors on other computers take their jobs through it."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from probescout_client.connection import (
    FIRST_DELAY_S,
    LARGEST_DELAY_S,
    channel_options,
    is_local,
    is_passing,
)
from probescout_client.errors import error_of
from probescout_client.wire.v1 import probescout_pb2 as pb
from probescout_client.wire.v1 import probescout_pb2_grpc as rpc

from probescout.core.clock import Clock, SystemClock
from probescout.core.errors import Denied, NotBuilt, ProbescoutError, Reason, Unauthenticated, Unavailable
from probescout.core.theory import JobOrder, JobResult, Standing
from probescout.service.status import STATUS
from probescout.service.theory_codec import read_order, write_result
from probescout.service.theory_servicer import LONGEST_WAIT_S, MOST_AT_ONCE

CALL_S = 10.0
"""How long an answer may take, beside the waiting that was asked for."""
PATIENCE_S = 10.0
"""How long a call that finds no server is tried again, with the same request id, before its caller learns of it."""
HOPELESS = (Unauthenticated, Denied, NotBuilt)
"""What no retry mends."""
Pause = Callable[[float], Awaitable[None]]


@dataclass(frozen=True)
class Address:
    """Where a server is, and who asks."""

    target: str
    """host:port or unix:path; TLS is spoken to everything but a unix socket and this computer's loopback."""
    token: str = ""
    ca: bytes | None = None
    """PEM authorities to trust; None: those of the system."""
    cert: bytes | None = None
    key: bytes | None = None


class RemoteDesk:
    """Implements `core.theory.Desk` over TheoryService; made where an event loop runs."""

    def __init__(
        self,
        address: Address,
        *,
        new_id: Callable[[], uuid.UUID] = uuid.uuid4,
        clock: Clock | None = None,
        pause: Pause = asyncio.sleep,
    ) -> None:
        """Open a channel; nothing is sent yet.

        Args:
            address: Of the server.
            new_id: Makes the ids of requests.
            clock: Its monotonic time decides how long a call is tried again.
            pause: Waits for so many seconds.
        """
        options = channel_options(address.target)
        if address.ca is None and address.cert is None and is_local(address.target):
            self._channel = grpc.aio.insecure_channel(address.target, options=options)
        else:
            secret = grpc.ssl_channel_credentials(address.ca, address.key, address.cert)
            self._channel = grpc.aio.secure_channel(address.target, secret, options=options)
        self._stub = rpc.TheoryServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._metadata = (("authorization", f"Bearer {address.token}"),) if address.token else ()
        self._new_id = new_id
        self._clock: Clock = clock or SystemClock()
        self._pause = pause
        self.refusal: asyncio.Future[ProbescoutError] = asyncio.get_running_loop().create_future()
        """Why this server will never give a job to this worker, once it says so."""

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()

    async def acquire(
        self, worker_id: str, engines: Sequence[str], count: int, lease_s: float, *, wait_s: float = 0.0
    ) -> tuple[JobOrder, ...]:
        """Return up to `count` jobs, leased; see `core.theory.Desk`.

        Raises:
            ProbescoutError: As the server answers; Unavailable when it does not.
        """
        wait_s = min(wait_s, LONGEST_WAIT_S)
        request = pb.AcquireTheoryJobsRequest(
            request_id=str(self._new_id()),
            worker_id=worker_id,
            engines=engines,
            count=min(count, MOST_AT_ONCE),
            lease_s=lease_s,
            wait_s=wait_s,
        )
        reply = await self._call("AcquireTheoryJobs", request, wait_s)
        return tuple(read_order(job) for job in reply.jobs)

    async def progress(self, name: str, token: str, share: float, message: str) -> Standing:
        """Renew a lease; see `core.theory.Desk`.

        Raises:
            ProbescoutError: As the server answers; Unavailable when it does not.
        """
        request = pb.ReportTheoryProgressRequest(
            request_id=str(self._new_id()), name=name, lease_token=token, progress=share, message=message
        )
        reply = await self._call("ReportTheoryProgress", request)
        return Standing(reply.is_cancelled, reply.expires_in_s)

    async def finish(self, name: str, token: str, result: JobResult) -> None:
        """Hand a result in; see `core.theory.Desk`.

        Raises:
            ProbescoutError: As the server answers; Unavailable when it does not.
        """
        request = write_result(name, token, result)
        request.request_id = str(self._new_id())
        await self._call("FinishTheoryJob", request)

    async def _call(self, method: str, request: Any, wait_s: float = 0.0) -> Any:
        """Return the reply; while the fault is a passing one the same request is sent again."""
        until, delay_s = self._clock.monotonic() + PATIENCE_S, FIRST_DELAY_S
        while True:
            try:
                return await getattr(self._stub, method)(request, metadata=self._metadata, timeout=wait_s + CALL_S)
            except grpc.aio.AioRpcError as fault:
                error = _error_of(fault, method)
                may_pass = is_passing(fault, error_of(fault, method))
                if not may_pass or self._clock.monotonic() + delay_s > until:
                    if isinstance(error, HOPELESS) and not self.refusal.done():
                        self.refusal.set_result(error)
                    raise error from fault
            # With jitter, or all workers would come back at once.
            await self._pause(delay_s * random.uniform(0.5, 1.0))
            delay_s = min(LARGEST_DELAY_S, 2.0 * delay_s)


def _error_of(fault: grpc.aio.AioRpcError, method: str) -> ProbescoutError:
    """Return the error that the server raised, as it is known on this side; Unavailable for what it cannot name."""
    told = error_of(fault, method)
    kind = next((kind for kind, code in STATUS.items() if code is fault.code()), Unavailable)
    known = told.reason in {reason.value for reason in Reason}
    return kind(Reason(told.reason) if known else Reason.WORKER_UNAVAILABLE, told.message, field=told.field)
