"""The append-only journal of a campaign, on SQLite.

Durability is that of SQLite in WAL mode with synchronous=FULL (https://www.sqlite.org/wal.html): a commit returns after
the log is synced. What SQLite alone cannot see, a history that was changed or whose tail is lost, is seen by a hash
chain, a head witness outside the database and an inspection of the log.
"""

from __future__ import annotations

import dataclasses
import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from probescout.core.errors import Reason, Unavailable
from probescout.core.ports import EventStore, Head, NewEvent, Receipt, Record
from probescout.store import chain, database, failpoints, recovery, witness
from probescout.store.lock import DirectoryLock

WITNESS_EVERY = 16
"""Events between two head witnesses."""
_BATCH = 64
"""Records fetched at once: a slow reader holds neither the lock nor an old state of the log."""
_BATCH_BYTES = 8 * 2**20
_TAIL = 64
"""Events checked again after the disk refused one."""

_log = logging.getLogger(__name__)


class Journal(EventStore):
    """The journal in one directory; may be used from any thread.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Journal.open(Path(folder)) as journal:
    ...     [record] = journal.append([NewEvent("Observed", {"y": 0.5})], time=0.0, principal="me")
    ...     record.seq, [found.payload for found in journal.read()]
    (1, [{'y': 0.5}])
    """

    def __init__(self, directory: Path, lock: DirectoryLock, found: recovery.Recovered, *, witness_every: int) -> None:
        """Take over what was opened; use `Journal.open`."""
        self.directory = directory
        self.head = found.events
        self._receipts = found.receipts
        self._witnessed = Head()
        self._witness_every = witness_every
        self._lock = lock
        self._write_lock = threading.RLock()
        self._read_lock = threading.Lock()
        self._is_closed = False
        # The reader lives as long as the journal: reads go on when the writer had to be closed on a sick disk, and
        # SQLite keeps its index of the log, in which a refused commit has no part.
        self._reader = found.reader
        self._writer: sqlite3.Connection | None = found.writer
        self._save_witness()

    @classmethod
    def open(cls, directory: Path, *, witness_every: int = WITNESS_EVERY) -> Self:
        """Open the journal of a directory, made if needed, and check all of it.

        Raises:
            WrongState: JOURNAL_LOCKED naming the process that has it open.
            HistoryMismatch: JOURNAL_CORRUPT naming the first bad sequence number, or saying that the tail is lost.
            Unavailable: STORE_UNAVAILABLE when the disk refuses.
        """
        try:
            directory.mkdir(parents=True, exist_ok=True)
            lock = DirectoryLock(directory / "lock")
        except OSError as error:
            raise database.translated(error, seq=1) from error
        try:
            return cls(directory, lock, recovery.recover(directory), witness_every=witness_every)
        except BaseException:
            lock.release()
            raise

    @staticmethod
    def salvage(directory: Path) -> Iterator[Record]:
        """Yield the records before the first bad one; changes nothing and needs no lock.

        Raises:
            NotFound: CAMPAIGN_NOT_FOUND when there is no journal.
        """
        return recovery.salvage(directory)

    def __enter__(self) -> Self:
        """Return the open journal."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def append(
        self, events: Sequence[NewEvent], *, time: float, principal: str, receipts: Sequence[Receipt] = ()
    ) -> list[Record]:
        """Commit and sync events and receipts in one transaction; return the records.

        Raises:
            InvalidInput: NON_FINITE or FIELD_INVALID for what cannot be stored, REQUEST_ID_REUSED for a request that
                has a receipt; nothing was appended.
            Unavailable: STORE_UNAVAILABLE when the disk refuses; nothing was appended. The next append tries the disk
                again. Should the process die before that, a refused event that reached the disk all the same is
                there on restart, with its receipt.
            HistoryMismatch: JOURNAL_CORRUPT when the disk, after refusing, no longer holds the history.
        """
        with self._write_lock:
            entries = chain.extend(self.head, events, time=time, principal=principal)
            head = Head(entries[-1].record.seq, entries[-1].record.hash) if entries else self.head
            self._refuse_known(receipts)
            receipt_entries = chain.extend_receipts(self._receipts, receipts, seq=head.seq)
            if entries or receipt_entries:
                failpoints.passing("before_append")
                self._commit(entries, receipt_entries)
                failpoints.passing("after_commit")
                self.head = head
                if receipt_entries:
                    self._receipts = Head(receipt_entries[-1].n, receipt_entries[-1].hash)
                if self.head.seq - self._witnessed.seq >= self._witness_every:
                    self._save_witness()
            return [entry.record for entry in entries]

    def read(self, after_seq: int = 0, *, limit: int | None = None, with_data: bool = True) -> Iterator[Record]:
        """Yield records with seq > after_seq in order, up to the head at the first step, checking the chain.

        Without `with_data` the raw bytes are checked and dropped one by one.

        Raises:
            HistoryMismatch: JOURNAL_CORRUPT naming the first bad sequence number.
            Unavailable: STORE_UNAVAILABLE when the disk cannot be read, or the journal is closed.
        """
        end = self.head.seq
        start = max(0, after_seq)
        end = end if limit is None else min(end, start + max(0, limit))
        if start >= end:
            return
        position = Head(start, self.hash_at(start) or "")
        while position.seq < end:
            batch = self._batch(position, end, with_data)
            yield from batch
            position = Head(batch[-1].seq, batch[-1].hash)

    def hash_at(self, seq: int) -> str | None:
        """Return the hash of an event, "" for 0, None when there is no such event.

        Raises:
            HistoryMismatch: JOURNAL_CORRUPT when the event cannot be read.
            Unavailable: STORE_UNAVAILABLE when the disk cannot be read, or the journal is closed.
        """
        if not 0 < seq <= self.head.seq:
            return "" if seq == 0 else None
        row = self._one("SELECT hash FROM events WHERE seq = ?", seq, at=seq)
        if row is None:
            raise chain.damaged(seq, "it is missing")
        return chain.decoded(seq, row[0])[0]

    def receipt(self, request_id: str) -> Receipt | None:
        """Return the stored receipt of a request, or None.

        Raises:
            HistoryMismatch: JOURNAL_CORRUPT when it is damaged.
            Unavailable: STORE_UNAVAILABLE when the disk cannot be read, or the journal is closed.
        """
        at = self.head.seq
        query = f"SELECT {database.RECEIPT_COLUMNS} FROM receipts WHERE request_id = ?"
        row = self._one(query, chain.checked_text(request_id, "request_id"), at=at)
        if row is None or row[0] > self._receipts.seq:  # behind the head lies what was refused
            return None
        before = self._one("SELECT hash FROM receipts WHERE n = ?", row[0] - 1, at=at)
        previous = chain.decoded(at, before[0])[0] if before else ""
        return chain.check_receipt(row, Head(row[0] - 1, previous), last_seq=self.head.seq).receipt

    def close(self) -> None:
        """Write the witness, fold the log into the database and let go; harmless when closed already."""
        with self._write_lock, self._read_lock:
            if self._is_closed:
                return
            self._is_closed = True
            try:
                self._save_witness()
                self._reader.close()
                if self._writer is not None:
                    database.empty_wal(self._writer)
            except database.ERRORS as error:
                _log.warning(
                    "%s is closed without emptying its log, which is read on opening: %s", self.directory, error
                )
            finally:
                if self._writer is not None:
                    self._writer.close()
                self._lock.release()

    def _refuse_known(self, receipts: Sequence[Receipt]) -> None:
        seen: set[str] = set()
        for given in receipts:
            if given.request_id in seen or self.receipt(given.request_id) is not None:
                raise chain.reused(given.request_id)
            seen.add(given.request_id)

    def _commit(self, entries: list[chain.Entry], receipts: list[chain.ReceiptEntry]) -> None:
        """Write one transaction; whatever goes wrong, the handle is closed and the tail is checked before the next."""
        try:
            writer = self._ready_writer()
            writer.execute("BEGIN IMMEDIATE")
            for entry in entries:
                database.insert(writer, entry)
            failpoints.passing("after_append")
            for receipt in receipts:
                database.insert_receipt(writer, receipt)
            failpoints.passing("before_commit")
            writer.execute("COMMIT")
        except BaseException as error:
            if self._writer is not None:
                self._writer.close()  # rolls back
                self._writer = None
            if isinstance(error, database.ERRORS):
                raise database.translated(error, seq=self.head.seq + 1) from error
            raise

    def _ready_writer(self) -> sqlite3.Connection:
        """Return the writing handle, opened and checked anew after the disk refused something."""
        self._refuse_closed()
        if self._writer is None:
            writer = database.connect(self.directory / database.NAME)
            try:
                self._recheck(writer)
            except BaseException:
                writer.close()
                raise
            self._writer = writer
        return self._writer

    def _recheck(self, writer: sqlite3.Connection) -> None:
        """Check that the tail on the disk is the one that was acknowledged; remove what was refused and is there."""
        start = max(0, self.head.seq - _TAIL)
        last = Head(start, self.hash_at(start) or "")
        for record in database.scan(writer, last, limit=self.head.seq - start):
            last = Head(record.seq, record.hash)
        if last != self.head:
            raise chain.damaged(last.seq + 1, f"after a disk error it no longer leads to event {self.head.seq}")
        n_events = writer.execute("SELECT max(seq) FROM events").fetchone()[0] or 0
        n_receipts = writer.execute("SELECT max(n) FROM receipts").fetchone()[0] or 0
        if n_receipts < self._receipts.seq:
            raise chain.damaged(self.head.seq, f"after a disk error receipt {self._receipts.seq} is gone")
        if n_events > self.head.seq or n_receipts > self._receipts.seq:
            _log.warning("%s: removing what the disk kept of a refused append", self.directory)
            database.discard_after(writer, self.head, self._receipts)
        if not database.empty_wal(writer):
            raise Unavailable(
                Reason.STORE_UNAVAILABLE,
                f"another process reads {self.directory} and holds its log, which must be emptied after a disk error; "
                "end that process, then try again",
            )
        _log.warning("%s: the disk takes events again", self.directory)

    def _save_witness(self) -> None:
        """Write the head witness; a disk that refuses it is tried again at the next event."""
        if self._witnessed == self.head and self.head.seq:
            return
        try:
            witness.save(self.directory, witness.Witness(self.head, self._receipts))
        except OSError as error:
            _log.warning("%s: the head witness stays at event %d: %s", self.directory, self._witnessed.seq, error)
        else:
            self._witnessed = self.head

    def _batch(self, position: Head, end: int, with_data: bool) -> list[Record]:
        """Return the next records, at least one."""
        batch: list[Record] = []
        n_bytes = 0
        with self._read_lock:
            self._refuse_closed()
            for record in database.scan(self._reader, position, limit=min(_BATCH, end - position.seq)):
                batch.append(record if with_data else dataclasses.replace(record, data=None))
                n_bytes += len(record.data or b"")
                if n_bytes > _BATCH_BYTES:
                    break
        if not batch:
            raise chain.damaged(position.seq + 1, "it is missing")
        return batch

    def _one(self, query: str, value: int | str, *, at: int) -> tuple[Any, ...] | None:
        with self._read_lock:
            self._refuse_closed()
            try:
                found: tuple[Any, ...] | None = self._reader.execute(query, (value,)).fetchone()
            except database.ERRORS as error:
                raise database.translated(error, seq=at) from error
        return found

    def _refuse_closed(self) -> None:
        if self._is_closed:
            raise Unavailable(Reason.STORE_UNAVAILABLE, f"the journal of {self.directory} is closed; open it again")
