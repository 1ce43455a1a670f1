"""The hash chain that makes a lost, changed or reordered event visible.

Each event carries the SHA-256 of a JSON array [previous hash, seq, kind, repr(time), principal, payload text, SHA-256
of data or null], written without spaces in ASCII; before the first event the previous hash is "". Anyone can recompute
it with a few lines in any language. Receipts have a chain of their own, [previous hash, n, seq, request id, digest,
SHA-256 of reply], so that a lost receipt, which would let a retry act twice, is seen as well.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from probescout.core.errors import HistoryMismatch, InvalidInput, Reason
from probescout.core.ports import Head, Json, NewEvent, Receipt, Record

MAX_DEPTH = 64
"""Deepest nesting of a payload: one that was written near the recursion limit could not be read back."""
MAX_EVENT_BYTES = 64 * 2**20
"""Largest payload and data of one event together."""


@dataclass(frozen=True)
class Entry:
    """An event with the exact text that its hash covers."""

    record: Record
    payload: str
    """Canonical JSON."""


@dataclass(frozen=True)
class ReceiptEntry:
    """A receipt with its place in the chain of receipts."""

    n: int
    """From 1, without gaps."""
    seq: int
    """Newest event when it was written."""
    receipt: Receipt
    hash: str


def encode(payload: Json, *, field: str = "payload") -> str:
    """Return the canonical JSON of an object: sorted keys, no spaces, ASCII.

    Raises:
        InvalidInput: NON_FINITE for NaN or infinity, FIELD_INVALID for anything that JSON cannot hold.
    """
    try:
        text = json.dumps(dict(payload), sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        path = _non_finite(payload, field)
        if path:
            message = f"{path} is not finite; JSON holds finite numbers only: encode it or leave it out"
            raise InvalidInput(Reason.NON_FINITE, message, field=path) from error
        message = f"{field} cannot be written as JSON ({error}); give strings, numbers, booleans, null, lists, objects"
        raise InvalidInput(Reason.FIELD_INVALID, message, field=field) from error
    # Each level opens one bracket, so few brackets prove a shallow payload without walking it.
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(payload) > MAX_DEPTH:
        message = f"{field} is nested deeper than {MAX_DEPTH} levels; flatten it"
        raise InvalidInput(Reason.FIELD_INVALID, message, field=field)
    return text


def link(previous: str, seq: int, kind: str, time: float, principal: str, payload: str, data: bytes | None) -> str:
    """Return the hash of an event that follows `previous`."""
    return _digest([previous, seq, kind, repr(time), principal, payload, None if data is None else sha256(data)])


def link_receipt(previous: str, n: int, seq: int, receipt: Receipt) -> str:
    """Return the hash of a receipt that follows `previous`."""
    return _digest([previous, n, seq, receipt.request_id, receipt.digest, sha256(receipt.reply)])


def extend(head: Head, events: Sequence[NewEvent], *, time: float, principal: str) -> list[Entry]:
    """Return the entries that continue a chain, without storing them.

    Raises:
        InvalidInput: NON_FINITE for a payload or time that is not finite, FIELD_INVALID for what cannot be stored.
    """
    if not math.isfinite(time):
        raise InvalidInput(
            Reason.NON_FINITE, f"time is {time}; give seconds since 1970 as a finite number", field="time"
        )
    time = float(time) + 0.0  # SQLite stores -0.0 as 0.0, whose repr differs: the chain would not check out
    checked_text(principal, "principal")
    entries: list[Entry] = []
    for index, event in enumerate(events):
        checked_text(event.kind, f"events[{index}].kind")
        payload = encode(event.payload, field=f"events[{index}].payload")
        data = None if event.data is None else bytes(event.data)
        if len(payload) + len(data or b"") > MAX_EVENT_BYTES:
            size, allowed = len(payload) + len(data or b""), MAX_EVENT_BYTES
            message = f"events[{index}] has {size} bytes, {allowed} are allowed; store the array as a blob and name it"
            raise InvalidInput(Reason.FIELD_INVALID, message, field=f"events[{index}]")
        digest = link(head.hash, head.seq + 1, event.kind, time, principal, payload, data)
        head = Head(head.seq + 1, digest)
        # The payload is read back from its text: what is returned is what a restart would read.
        record = Record(head.seq, event.kind, time, principal, json.loads(payload), data, digest)
        entries.append(Entry(record, payload))
    return entries


def extend_receipts(head: Head, receipts: Iterable[Receipt], *, seq: int) -> list[ReceiptEntry]:
    """Return the receipt entries that continue their chain, without storing them.

    Raises:
        InvalidInput: FIELD_INVALID for text that cannot be stored.
    """
    entries: list[ReceiptEntry] = []
    for index, given in enumerate(receipts):
        checked_text(given.request_id, f"receipts[{index}].request_id")
        checked_text(given.digest, f"receipts[{index}].digest")
        receipt = Receipt(given.request_id, given.digest, bytes(given.reply))
        head = Head(head.seq + 1, link_receipt(head.hash, head.seq + 1, seq, receipt))
        entries.append(ReceiptEntry(head.seq, seq, receipt, head.hash))
    return entries


def check(row: Sequence[Any], after: Head) -> Record:
    """Return the record of a stored row that must follow `after`.

    Args:
        row: seq, kind, time, principal, payload, data, hash; text as bytes, so that damaged UTF-8 arrives here.
        after: The event before it.

    Raises:
        HistoryMismatch: JOURNAL_CORRUPT naming the first bad sequence number.
    """
    expected = after.seq + 1
    seq, kind, time, principal, payload, data, digest = row
    if seq != expected:
        raise damaged(expected, f"it is missing; the next stored one is {seq}")
    if not (isinstance(time, float) and isinstance(data, bytes | None)):
        raise damaged(expected, "a column holds a value of the wrong type")
    texts = decoded(expected, kind, principal, payload, digest)
    if link(after.hash, seq, texts[0], time, texts[1], texts[2], data) != texts[3]:
        raise damaged(expected, "its content does not match its hash")
    return Record(seq, texts[0], time, texts[1], json.loads(texts[2]), data, texts[3])


def check_receipt(row: Sequence[Any], after: Head, *, last_seq: int) -> ReceiptEntry:
    """Return the receipt of a stored row (n, seq, request_id, digest, reply, hash) that must follow `after`.

    Raises:
        HistoryMismatch: JOURNAL_CORRUPT naming the sequence number that the receipt belongs to.
    """
    n, seq, request_id, digest, reply, stored = row
    at = seq if isinstance(seq, int) and 0 < seq <= last_seq else last_seq
    if n != after.seq + 1:
        raise damaged(at, f"receipt {after.seq + 1} is missing; the next stored one is {n}")
    if not (isinstance(seq, int) and isinstance(reply, bytes)):
        raise damaged(at, f"receipt {n} holds a value of the wrong type")
    texts = decoded(at, request_id, digest, stored)
    receipt = Receipt(texts[0], texts[1], reply)
    if link_receipt(after.hash, n, seq, receipt) != texts[2]:
        raise damaged(at, f"receipt {n} does not match its hash")
    if seq > last_seq:
        raise damaged(last_seq + 1, f"receipt {n} was written after event {seq}, which is missing")
    return ReceiptEntry(n, seq, receipt, texts[2])


def damaged(seq: int, what: str) -> HistoryMismatch:
    """Return the error for a journal whose first bad event is `seq`."""
    return HistoryMismatch(
        Reason.JOURNAL_CORRUPT,
        f"the journal is damaged from event {seq} on: {what}; stop, keep a copy of the directory, and copy the events "
        f"before {seq} into a new campaign with Journal.salvage",
        field=f"events[{seq}]",
    )


def decoded(seq: int, *values: object) -> list[str]:
    """Return stored text columns as strings.

    Raises:
        HistoryMismatch: JOURNAL_CORRUPT at `seq` when one is not UTF-8 text.
    """
    texts: list[str] = []
    for value in values:
        if not isinstance(value, bytes):
            raise damaged(seq, "a column holds a value of the wrong type")
        try:
            texts.append(value.decode())
        except UnicodeDecodeError as error:
            raise damaged(seq, "a column is not UTF-8 text") from error
    return texts


def sha256(data: bytes) -> str:
    """Return the hex SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def _digest(parts: list[object]) -> str:
    return sha256(json.dumps(parts, separators=(",", ":")).encode())


def reused(request_id: str) -> InvalidInput:
    """Return the error for a second receipt of one request."""
    return InvalidInput(
        Reason.REQUEST_ID_REUSED,
        f"request {request_id!r} has a receipt already; answer it from that, or use a new request id",
        field="request_id",
    )


def checked_text(value: str, field: str) -> str:
    """Return text that can be stored.

    Raises:
        InvalidInput: FIELD_INVALID when it is not valid Unicode.
    """
    try:
        value.encode()
    except UnicodeEncodeError as error:
        message = f"{field} is {value!r}, which is not valid Unicode text; send UTF-8"
        raise InvalidInput(Reason.FIELD_INVALID, message, field=field) from error
    return value


def _children(value: object, path: str) -> Iterable[tuple[str, object]]:
    if isinstance(value, Mapping):
        return ((f"{path}.{key}", child) for key, child in value.items())
    if isinstance(value, list | tuple):
        return ((f"{path}[{index}]", child) for index, child in enumerate(value))
    return ()


def _non_finite(payload: object, field: str) -> str:
    """Return the path of the first NaN or infinity, or ""; level by level, since recursion may be what failed."""
    level = [(field, payload)]
    seen: set[int] = set()
    while level:
        for path, value in level:
            if isinstance(value, float) and not math.isfinite(value):
                return path
        fresh = [(path, value) for path, value in level if id(value) not in seen]  # an object may hold itself
        seen.update(id(value) for _, value in fresh)
        level = [child for path, value in fresh for child in _children(value, path)]
    return ""


def _depth(payload: object) -> int:
    """Return the nesting of a payload, counting no further than is refused."""
    level = [payload]
    depth = 0
    while level and depth <= MAX_DEPTH:
        level = [child for value in level for _, child in _children(value, "")]
        depth += 1
    return depth
