"""Opening a journal: everything is checked through a read-only handle before anything may be written.

A writing handle would, on closing, fold the log into the database, and with it destroy what a person needs to look at.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from probescout.core.errors import HistoryMismatch, NotFound, ProbescoutError, Reason
from probescout.core.ports import Head, Record
from probescout.store import chain, database, durable, wal, witness

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recovered:
    """An open database whose history checks out."""

    reader: sqlite3.Connection
    """Read-only."""
    writer: sqlite3.Connection
    events: Head
    receipts: Head


def recover(directory: Path) -> Recovered:
    """Open the database of a directory that this process has locked, made if needed.

    Raises:
        HistoryMismatch: JOURNAL_CORRUPT naming the first bad sequence number.
        Unavailable: STORE_UNAVAILABLE when the disk refuses.
    """
    path = directory / database.NAME
    try:
        seen = witness.load(directory)
        if seen is None and database.is_fresh(path):
            database.create(path)
        reader = _open_existing(path)
        try:
            events, receipts = check(directory, reader, seen)
            if seen is None:
                witness.save(directory, witness.Witness(events, receipts))
                durable.sync_directory(directory)
                durable.sync_directory(directory.parent)
            return Recovered(reader, _open_writer(path), events, receipts)
        except BaseException:
            reader.close()
            raise
    except database.ERRORS as error:
        raise database.translated(error, seq=1) from error


def check(directory: Path, reader: sqlite3.Connection, seen: witness.Witness | None) -> tuple[Head, Head]:
    """Check the whole history; return the heads of events and receipts.

    Args:
        directory: Of the journal.
        reader: Its database.
        seen: The head witness, read before.

    Raises:
        HistoryMismatch: JOURNAL_CORRUPT naming the first bad sequence number.
        sqlite3.Error: When the disk cannot be read.
        OSError: Likewise.
    """
    events = Head()
    marked = ""
    for record in database.scan(reader, Head()):
        events = Head(record.seq, record.hash)
        if seen and record.seq == seen.events.seq:
            marked = record.hash
    if lost := wal.inspect(wal_of(directory)):
        raise chain.damaged(events.seq + 1, str(lost))
    receipts = Head()
    marked_receipt = ""
    for entry in database.scan_receipts(reader, Head(), last_seq=events.seq):
        receipts = Head(entry.n, entry.hash)
        if seen and entry.n == seen.receipts.seq:
            marked_receipt = entry.hash
    if seen is None and (events.seq or receipts.seq):
        raise HistoryMismatch(
            Reason.JOURNAL_CORRUPT,
            f"{directory / witness.NAME} is missing although there are {events.seq} events; without it a lost tail "
            "cannot be seen: restore it from a copy, or salvage the journal into a new campaign",
            field=witness.NAME,
        )
    if seen:
        _compare("event", events, seen.events, marked, bad_seq=events.seq + 1)
        _compare("receipt", receipts, seen.receipts, marked_receipt, bad_seq=events.seq)
    database.check_structure(reader)
    return events, receipts


def salvage(directory: Path) -> Iterator[Record]:
    """Yield the records before the first bad one; changes nothing and needs no lock.

    Raises:
        NotFound: CAMPAIGN_NOT_FOUND when there is no journal.
    """
    path = directory / database.NAME
    if not path.exists():
        raise NotFound(Reason.CAMPAIGN_NOT_FOUND, f"there is no journal at {path}; give the directory that holds one")
    try:
        connection = database.connect(path, is_read_only=True)
        try:
            yield from database.scan(connection, Head())
        finally:
            connection.close()
    except (*database.ERRORS, ProbescoutError) as error:
        _log.warning("salvage of %s ends here: %s", path, error)


def wal_of(directory: Path) -> Path:
    """Return the path of the write-ahead log."""
    return directory / f"{database.NAME}-wal"


def _open_existing(path: Path) -> sqlite3.Connection:
    if not path.exists():
        raise chain.damaged(1, f"{path.name} is missing, and its head witness is there")
    return database.connect(path, is_read_only=True)


def _open_writer(path: Path) -> sqlite3.Connection:
    """Open for writing, prove that it can be written, and leave an empty log behind."""
    writer = database.connect(path)
    try:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute(f"PRAGMA user_version = {database.FORMAT}")  # a write: BEGIN alone does not find all refusals
        writer.execute("ROLLBACK")
        if not database.empty_wal(writer):
            _log.info("another process reads %s; its log is emptied later", path)
    except BaseException:
        writer.close()
        raise
    return writer


def _compare(what: str, found: Head, seen: Head, marked: str, *, bad_seq: int) -> None:
    if found.seq < seen.seq:
        lost = f"the tail is lost: the head witness has seen {what} {seen.seq}, and the last one here is {found.seq}"
        raise chain.damaged(bad_seq, lost)
    if seen.seq and marked != seen.hash:
        raise chain.damaged(min(seen.seq, bad_seq), f"{what} {seen.seq} has another hash than the head witness saw")
