"""Commits events to the journal and only then applies them; the one place where a campaign changes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from probescout.core.campaign import apply, create
from probescout.core.candidates import CandidateSet
from probescout.core.clock import Clock
from probescout.core.errors import HistoryMismatch, Reason
from probescout.core.events import Created, Event, FrameAdded, Observed, decode, encode
from probescout.core.instructions import Instruction
from probescout.core.observations import Observation, SignalRecord
from probescout.core.ports import BlobStore, EventStore, Head, Receipt, Record
from probescout.core.specs import CandidateKind
from probescout.core.state import Campaign

_log = logging.getLogger(__name__)


MakeReceipt = Callable[[int, Campaign], Receipt]


@dataclass(frozen=True)
class Change:
    """An event on its way into the journal, with the raw bytes that belong to it."""

    event: Event
    data: bytes | None = None


Decide = Callable[[Campaign], Sequence[Change]]
"""Draws up changes from the state that they will meet; refuses by raising."""


@dataclass(frozen=True)
class Commit:
    """What a commit did."""

    head: Head
    instructions: tuple[Instruction, ...]
    seconds: float
    """How long the synced write took."""


def load_array(blobs: BlobStore, record: SignalRecord) -> np.ndarray[Any, Any]:
    """Return the array that a frame's record names, read from its blob."""
    return np.asarray(record.spectrum(blobs.get(record.blob)).values)


class Ledger:
    """Journal, blobs and present state of one campaign."""

    directory: Path | None = None
    """Where snapshots of the model may lie; None keeps none."""

    def __init__(self, store: EventStore, blobs: BlobStore, state: Campaign, clock: Clock) -> None:
        """Wrap a journal whose events have been folded into `state`."""
        self.store = store
        self.blobs = blobs
        self.state = state
        self._clock = clock
        self._lock = asyncio.Lock()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._moved = asyncio.Event()
        self._seqs: dict[str, int] = {}
        self.on_commit: Callable[[Sequence[Event], Sequence[Instruction]], None] = lambda events, instructions: None
        """Called after each commit, before any other can be made, whatever became of the caller."""

    @classmethod
    def recover(cls, store: EventStore, blobs: BlobStore, clock: Clock) -> Ledger:
        """Return the ledger of a journal on disk, by folding all its events.

        Raises:
            HistoryMismatch: JOURNAL_CORRUPT.
        """
        state: Campaign | None = None
        seqs: dict[str, int] = {}
        for record in store.read():
            event = decode(record)
            if isinstance(event, Created):
                state = create(event)
            elif state is not None:
                state = _fold(state, event, blobs)[0]
            if isinstance(event, Observed):
                seqs[event.observation.id] = record.seq
        if state is None:
            raise HistoryMismatch(Reason.JOURNAL_CORRUPT, "the journal has no Created event; it holds no campaign")
        ledger = cls(store, blobs, state, clock)
        ledger._seqs = seqs
        return ledger

    @classmethod
    def begin(
        cls, store: EventStore, blobs: BlobStore, event: Created, clock: Clock, *, principal: str, receipt: MakeReceipt
    ) -> Ledger:
        """Journal the first event of a new campaign and return its ledger."""
        state = create(event)
        store.append([encode(event)], time=event.time, principal=principal, receipts=[receipt(1, state)])
        return cls(store, blobs, state, clock)

    @property
    def head(self) -> Head:
        """Sequence number and hash of the newest event."""
        return self.store.head

    async def commit(
        self, changes: Sequence[Change] | Decide, *, principal: str, receipt: MakeReceipt | None = None
    ) -> Commit:
        """Write, sync and apply events; a caller that is cancelled meanwhile does not tear the two apart.

        Args:
            changes: Events in order, or what draws them up once all earlier commits are through: two calls at once
                then cannot both decide on a state that the other is about to change.
            principal: Who caused them.
            receipt: Makes the receipt to store with them from the sequence number and state that they lead to.

        Raises:
            Unavailable: STORE_UNAVAILABLE; nothing was appended and nothing changed.
        """
        decide: Decide = changes if callable(changes) else lambda _: changes
        return await asyncio.shield(self._commit(decide, principal, receipt))

    async def _commit(self, decide: Decide, principal: str, receipt: MakeReceipt | None) -> Commit:
        async with self._lock:
            started = time.perf_counter()
            changes = decide(self.state)
            if not changes:
                return Commit(self.head, (), 0.0)
            new = [encode(c.event, c.data) for c in changes]
            state, instructions = self.state, list[Instruction]()
            for change in changes:
                state, more = _fold(state, change.event, self.blobs)
                instructions += more
            receipts = [receipt(self.head.seq + len(new), state)] if receipt is not None else []
            now = self._clock.now()
            await asyncio.get_running_loop().run_in_executor(
                self._writer,
                lambda: self.store.append(new, time=now, principal=principal, receipts=receipts),
            )
            for seq, change in enumerate(changes, self.head.seq - len(changes) + 1):
                if isinstance(change.event, Observed):
                    self._seqs[change.event.observation.id] = seq
            self.state = state
            seconds = time.perf_counter() - started
            moved, self._moved = self._moved, asyncio.Event()
            moved.set()
            self.on_commit([c.event for c in changes], instructions)
            return Commit(self.store.head, tuple(instructions), seconds)

    async def read(self, after_seq: int, limit: int) -> list[Record]:
        """Return up to `limit` journal records after a sequence number, without blocking the event loop."""
        return await asyncio.get_running_loop().run_in_executor(
            None, lambda: list(self.store.read(after_seq, limit=limit))
        )

    def hash_at(self, seq: int) -> str:
        """Return the chained hash of an event; empty when there is no such event."""
        if seq == self.head.seq:
            return self.head.hash
        if not 0 < seq < self.head.seq:
            return ""
        return next(iter(self.store.read(seq - 1, limit=1))).hash

    async def raw(self, observation: Observation) -> bytes | None:
        """Return the bytes of an observation's signal, from its blob or from the journal; None without a signal."""
        if observation.signal is None:
            return None
        loop = asyncio.get_running_loop()
        if observation.signal.blob:
            return await loop.run_in_executor(None, self.blobs.get, observation.signal.blob)
        [record] = await self.read(self._seqs[observation.id] - 1, 1)
        return record.data

    @property
    def moved(self) -> asyncio.Event:
        """What is set once the next commit has been applied to `state`."""
        return self._moved

    async def wait_beyond(self, seq: int) -> None:
        """Return once the journal is longer than seq."""
        while self.head.seq <= seq:
            await self._moved.wait()

    def close(self) -> None:
        """Finish writing and release the journal."""
        self._writer.shutdown(wait=True)
        self.store.close()


def _fold(state: Campaign, event: Event, blobs: BlobStore) -> tuple[Campaign, tuple[Instruction, ...]]:
    new, instructions = apply(state, event)
    if isinstance(event, FrameAdded) and new.spec.candidates.kind is not CandidateKind.PIXELS:
        assert event.positions is not None
        new = replace(new, candidates=CandidateSet.of_positions(load_array(blobs, event.positions)))
    return new, instructions
