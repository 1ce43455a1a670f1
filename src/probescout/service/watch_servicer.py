"""PlannerService.WatchEvents: the journal, then what comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
from probescout_client.wire.v1 import probescout_pb2 as pb

from probescout.core.errors import InvalidInput, Reason
from probescout.core.ports import EventStore
from probescout.service.campaign_codec import write_event
from probescout.service.desks import Desks

BATCH = 64
"""Most events read from the journal at once for one watcher; the rest waits on disk, not in memory."""
BATCH_BYTES = 256 * 1024
"""Bytes of messages after which a batch ends: what a watcher that does not read keeps in memory."""


class Watching(Desks):
    """Follows the journal."""

    async def WatchEvents(
        self, request: pb.WatchEventsRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.Event]:
        """Yield the journal from a sequence number, then what comes."""
        ledger = self._desk(request.campaign).driver.ledger
        after = request.after_seq
        if after > ledger.head.seq:
            raise InvalidInput(
                Reason.FIELD_INVALID,
                f"after_seq {after} is beyond the newest event {ledger.head.seq}",
                field="after_seq",
            )
        loop = asyncio.get_running_loop()
        while True:
            for event in await loop.run_in_executor(None, read_batch, ledger.store, after):
                yield event
                after = event.seq
            await ledger.wait_beyond(after)


def read_batch(store: EventStore, after: int) -> list[pb.Event]:
    """Return the messages of the next events: at least one if there is one, and few enough to be kept for long."""
    batch: list[pb.Event] = []
    n_bytes = 0
    for record in store.read(after, limit=BATCH, with_data=False):
        batch.append(write_event(record))
        n_bytes += batch[-1].ByteSize()
        if n_bytes >= BATCH_BYTES:
            break
    return batch
