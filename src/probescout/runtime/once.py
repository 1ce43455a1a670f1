"""Makes every retry safe: a request id acts once, however often and from wherever it comes."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from probescout.core.errors import InvalidInput, Reason
from probescout.core.ports import Receipt
from probescout.core.state import Campaign
from probescout.runtime.ledger import Ledger, MakeReceipt

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """A mutating call."""

    id: str
    """UUID chosen by the client."""
    digest: str
    """Hex SHA-256 of method and body."""
    principal: str

    def part(self, name: str) -> Request:
        """Return the request of one part of a call that commits twice."""
        return Request(f"{self.id}/{name}", self.digest, self.principal)

    def must_be(self, digest: str) -> None:
        """Refuse to take the id of this request for that of another.

        Raises:
            InvalidInput: REQUEST_ID_REUSED when the request of that digest had another body.
        """
        if digest != self.digest:
            raise InvalidInput(
                Reason.REQUEST_ID_REUSED,
                f"request_id {self.id} was used for another request; make a new UUID for every new request",
                field="request_id",
            )

    def receipt(self, facts: Mapping[str, Any]) -> MakeReceipt:
        """Return what makes this request's receipt."""

        def make(seq: int, state: Campaign) -> Receipt:
            body = {**facts, "seq": seq, "data_version": state.data_version, "model_version": state.model_version}
            return Receipt(self.id, self.digest, json.dumps(body, allow_nan=False, sort_keys=True).encode())

        return make


def checked_request_id(value: str) -> str:
    """Return a request id in canonical form.

    Raises:
        InvalidInput: FIELD_MISSING or ID_INVALID.
    """
    if not value:
        raise InvalidInput(
            Reason.FIELD_MISSING,
            "a call that changes something needs a request_id: make a UUID and keep it for retries",
            field="request_id",
        )
    try:
        return str(uuid.UUID(value))
    except ValueError as error:
        raise InvalidInput(Reason.ID_INVALID, f"'{value[:80]}' is not a UUID", field="request_id") from error


@dataclass(frozen=True)
class Done:
    """What a request did, now or earlier."""

    facts: Mapping[str, Any]
    is_repeat: bool
    """It was done before; `facts` are those of the first time, with "seq", "data_version" and "model_version"."""


class Once:
    """Remembers the requests of one campaign: those on disk and those under way."""

    def __init__(self, ledger: Ledger) -> None:
        """Start with what is on disk."""
        self._ledger = ledger
        self._running: dict[str, tuple[str, asyncio.Task[Any]]] = {}

    def find(self, request: Request) -> Done | None:
        """Return what a request did earlier, or None.

        Raises:
            InvalidInput: REQUEST_ID_REUSED when it was sent with another body.
        """
        receipt = self._ledger.store.receipt(request.id)
        if receipt is None:
            return None
        request.must_be(receipt.digest)
        return Done(json.loads(receipt.reply), True)

    async def run(self, request: Request, work: Callable[[], Awaitable[T]]) -> T:
        """Return the result of `work`; copies of a request that come while it runs share it.

        The work goes on when the caller goes away: it may have committed already.
        """
        running = self._running.get(request.id)
        if running is None:
            task: asyncio.Task[T] = asyncio.ensure_future(_as_coroutine(work))
            self._running[request.id] = (request.digest, task)
            task.add_done_callback(lambda _: self._running.pop(request.id, None))
        else:
            digest, task = running
            request.must_be(digest)
        return await asyncio.shield(task)

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        while self._running:
            await asyncio.wait([task for _, task in self._running.values()])

    async def end(self, patience_s: float) -> None:
        """Wait so long, then cancel what is still under way; what it has committed stays."""
        tasks = [task for _, task in self._running.values()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=patience_s)
            for task in late:
                task.cancel()
        await self.idle()


async def _as_coroutine(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
