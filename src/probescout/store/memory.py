"""A journal and blobs without a disk, for use as a library: the same chain, nothing kept after the process."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator, Sequence

from probescout.core.errors import NotFound, Reason, Unavailable
from probescout.core.ports import BlobInfo, BlobStore, EventStore, Head, NewEvent, Receipt, Record
from probescout.store import chain


class MemoryJournal(EventStore):
    """A journal in memory; may be used from any thread.

    >>> journal = MemoryJournal()
    >>> [record] = journal.append([NewEvent("Observed", {"y": 0.5})], time=0.0, principal="me")
    >>> journal.head.seq, journal.head.hash == record.hash
    (1, True)
    """

    def __init__(self) -> None:
        """Begin with no events."""
        self.head = Head()
        self._entries: list[chain.Entry] = []
        self._receipts: dict[str, Receipt] = {}
        self._receipts_head = Head()
        self._lock = threading.Lock()
        self._is_closed = False

    def append(
        self, events: Sequence[NewEvent], *, time: float, principal: str, receipts: Sequence[Receipt] = ()
    ) -> list[Record]:
        """Keep events and receipts together; return the records.

        Raises:
            InvalidInput: NON_FINITE or FIELD_INVALID for what cannot be stored, REQUEST_ID_REUSED for a request that
                has a receipt; nothing was appended.
            Unavailable: STORE_UNAVAILABLE when the journal is closed.
        """
        with self._lock:
            self._refuse_closed()
            entries = chain.extend(self.head, events, time=time, principal=principal)
            head = Head(entries[-1].record.seq, entries[-1].record.hash) if entries else self.head
            kept: dict[str, Receipt] = {}
            for entry in chain.extend_receipts(self._receipts_head, receipts, seq=head.seq):
                request_id = entry.receipt.request_id
                if request_id in kept or request_id in self._receipts:
                    raise chain.reused(request_id)
                kept[request_id] = entry.receipt
                receipts_head = Head(entry.n, entry.hash)
            if kept:
                self._receipts.update(kept)
                self._receipts_head = receipts_head
            self._entries += entries
            self.head = head
            return [_own(entry) for entry in entries]

    def read(self, after_seq: int = 0, *, limit: int | None = None, with_data: bool = True) -> Iterator[Record]:
        """Yield records with seq > after_seq in order, up to the head at the first step; raw bytes only with_data.

        Raises:
            Unavailable: STORE_UNAVAILABLE when the journal is closed.
        """
        self._refuse_closed()
        start = max(0, after_seq)
        end = self.head.seq if limit is None else min(self.head.seq, start + max(0, limit))
        for entry in self._entries[start:end]:
            record = _own(entry)
            yield record if with_data else dataclasses.replace(record, data=None)

    def hash_at(self, seq: int) -> str | None:
        """Return the hash of an event, "" for 0, None when there is no such event."""
        if not 0 < seq <= self.head.seq:
            return "" if seq == 0 else None
        return self._entries[seq - 1].record.hash

    def receipt(self, request_id: str) -> Receipt | None:
        """Return the stored receipt of a request, or None.

        Raises:
            Unavailable: STORE_UNAVAILABLE when the journal is closed.
        """
        self._refuse_closed()
        return self._receipts.get(chain.checked_text(request_id, "request_id"))

    def close(self) -> None:
        """Refuse everything from now on."""
        self._is_closed = True

    def _refuse_closed(self) -> None:
        if self._is_closed:
            raise Unavailable(Reason.STORE_UNAVAILABLE, "the journal in memory is closed; make a new one")


def _own(entry: chain.Entry) -> Record:
    """Return the record with a payload of its own, so that no caller can change history."""
    return dataclasses.replace(entry.record, payload=json.loads(entry.payload))


class MemoryBlobs(BlobStore):
    """Content-addressed bytes in memory.

    >>> blobs = MemoryBlobs()
    >>> blobs.get(blobs.put(b"image").digest)
    b'image'
    """

    def __init__(self) -> None:
        """Begin with no blobs."""
        self._blobs: dict[str, bytes] = {}

    def put(self, data: bytes) -> BlobInfo:
        """Keep the bytes."""
        digest = chain.sha256(data)
        self._blobs.setdefault(digest, bytes(data))
        return BlobInfo(digest, len(data))

    def get(self, digest: str) -> bytes:
        """Return the bytes.

        Raises:
            NotFound: BLOB_NOT_FOUND.
        """
        if digest not in self._blobs:
            message = f"there is no blob {digest!r}; upload it first"
            raise NotFound(Reason.BLOB_NOT_FOUND, message, field="blob")
        return self._blobs[digest]

    def has(self, digest: str) -> bool:
        """Return whether the blob is stored."""
        return digest in self._blobs
