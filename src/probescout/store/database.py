"""The SQLite file of a journal: its tables, how it is opened, how its rows are checked."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from probescout.core.errors import HistoryMismatch, ProbescoutError, Reason, Unavailable
from probescout.core.ports import Head, Record
from probescout.store import chain

NAME = "events.db"
FORMAT = 1
"""Kept in PRAGMA user_version."""

SCHEMA = {
    "events": "CREATE TABLE events (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, time REAL NOT NULL, "
    "principal TEXT NOT NULL, payload TEXT NOT NULL, data BLOB, hash TEXT NOT NULL)",
    "receipts": "CREATE TABLE receipts (n INTEGER PRIMARY KEY, seq INTEGER NOT NULL, request_id TEXT NOT NULL UNIQUE, "
    "digest TEXT NOT NULL, reply BLOB NOT NULL, hash TEXT NOT NULL)",
} | {
    f"{table}_no_{verb.lower()}": f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
    f"BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END"
    for table in ("events", "receipts")
    for verb in ("UPDATE", "DELETE")
}
EVENT_COLUMNS = "seq, kind, time, principal, payload, data, hash"
RECEIPT_COLUMNS = "n, seq, request_id, digest, reply, hash"

ERRORS = (sqlite3.Error, OSError, UnicodeDecodeError)
"""What `translated` takes; the last comes when SQLite quotes a damaged schema in its message."""

_DAMAGE = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
"""Result codes that speak of the file, not of the disk; ERROR is what a damaged schema gives."""


def connect(path: Path, *, is_read_only: bool = False) -> sqlite3.Connection:
    """Open the file, made if needed unless it is only to be read.

    Text comes back as bytes, since damaged text must reach our own checks.

    Raises:
        sqlite3.Error: When it cannot be opened.
    """
    uri = f"{path.resolve().as_uri()}?mode={'ro' if is_read_only else 'rwc'}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=5.0)
    try:
        connection.text_factory = bytes
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        if not is_read_only:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def is_fresh(path: Path) -> bool:
    """Return whether there is no database, or one in which no table was made yet.

    Raises:
        sqlite3.Error: When it cannot be read.
    """
    if not path.exists():
        return True
    connection = connect(path, is_read_only=True)
    try:
        return not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    finally:
        connection.close()


def create(path: Path) -> None:
    """Make the database.

    Raises:
        sqlite3.Error: When the disk refuses.
    """
    connection = connect(path)
    try:
        connection.execute("BEGIN IMMEDIATE")
        for statement in SCHEMA.values():
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute("COMMIT")
    finally:
        connection.close()


def check_structure(connection: sqlite3.Connection) -> None:
    """Check tables, triggers, index and every page.

    Raises:
        HistoryMismatch: JOURNAL_CORRUPT when the file is not as SQLite and we made it.
        sqlite3.Error: When it cannot be read.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != FORMAT:
        raise structural(f"its format is {version}, this version of Probescout reads {FORMAT}")
    rows = connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
    if {bytes(name): bytes(sql) for name, sql in rows} != {k.encode(): v.encode() for k, v in SCHEMA.items()}:
        raise structural("its tables or triggers are not those of a journal")
    faults = [bytes(row[0]).decode("utf-8", "replace") for row in connection.execute("PRAGMA integrity_check(3)")]
    if faults != ["ok"]:
        raise structural("; ".join(" ".join(fault.split()) for fault in faults))


def scan(connection: sqlite3.Connection, after: Head, *, limit: int | None = None) -> Iterator[Record]:
    """Yield the records behind `after`, each checked against the chain.

    Raises:
        HistoryMismatch: JOURNAL_CORRUPT naming the first bad sequence number.
        Unavailable: STORE_UNAVAILABLE when the disk cannot be read.
    """
    query = f"SELECT {EVENT_COLUMNS} FROM events WHERE seq > ? ORDER BY seq LIMIT ?"
    try:
        rows = connection.execute(query, (after.seq, -1 if limit is None else limit))
        for row in rows:
            record = chain.check(row, after)
            after = Head(record.seq, record.hash)
            yield record
    except ERRORS as error:
        raise translated(error, seq=after.seq + 1) from error


def scan_receipts(connection: sqlite3.Connection, after: Head, *, last_seq: int) -> Iterator[chain.ReceiptEntry]:
    """Yield the receipts behind `after`, each checked against its chain.

    Args:
        connection: The database.
        after: The receipt before the first one, as (n, hash).
        last_seq: Newest event; a receipt that was written after a later one shows that events are lost.

    Raises:
        HistoryMismatch: JOURNAL_CORRUPT naming the sequence number that the first bad receipt belongs to.
        Unavailable: STORE_UNAVAILABLE when the disk cannot be read.
    """
    try:
        for row in connection.execute(f"SELECT {RECEIPT_COLUMNS} FROM receipts WHERE n > ? ORDER BY n", (after.seq,)):
            entry = chain.check_receipt(row, after, last_seq=last_seq)
            after = Head(entry.n, entry.hash)
            yield entry
    except ERRORS as error:
        raise translated(error, seq=last_seq) from error


def insert(connection: sqlite3.Connection, entry: chain.Entry) -> None:
    """Add an event inside the open transaction.

    Raises:
        sqlite3.Error: When the disk refuses.
    """
    record = entry.record
    row = (record.seq, record.kind, record.time, record.principal, entry.payload, record.data, record.hash)
    connection.execute(f"INSERT INTO events ({EVENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", row)


def insert_receipt(connection: sqlite3.Connection, entry: chain.ReceiptEntry) -> None:
    """Add a receipt inside the open transaction.

    Raises:
        sqlite3.IntegrityError: When the request id has one.
        sqlite3.Error: When the disk refuses.
    """
    receipt = entry.receipt
    row = (entry.n, entry.seq, receipt.request_id, receipt.digest, receipt.reply, entry.hash)
    connection.execute(f"INSERT INTO receipts ({RECEIPT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", row)


def discard_after(connection: sqlite3.Connection, events: Head, receipts: Head) -> None:
    """Remove what a refused transaction left behind, in one transaction.

    A sync that failed may have reached the disk all the same. Its caller was told that nothing was appended, so it must
    not come back as history that nobody applied. This is the only place where rows are ever removed.

    Raises:
        sqlite3.Error: When the disk refuses; nothing is removed then.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        for table, column, head in (("events", "seq", events), ("receipts", "n", receipts)):
            connection.execute(f"DROP TRIGGER {table}_no_delete")
            connection.execute(f"DELETE FROM {table} WHERE {column} > ?", (head.seq,))
            connection.execute(SCHEMA[f"{table}_no_delete"])
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def empty_wal(connection: sqlite3.Connection) -> bool:
    """Move the write-ahead log into the database and cut it to nothing; return whether no reader was in the way.

    What a refused or torn transaction left behind in the log goes with it.

    Raises:
        sqlite3.Error: When the disk refuses.
    """
    return not connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]


def structural(what: str) -> HistoryMismatch:
    """Return the error for a file whose records check out and whose frame does not."""
    return HistoryMismatch(
        Reason.JOURNAL_CORRUPT,
        f"the journal database is damaged outside its events: {what}; stop, keep a copy of the directory, and copy the "
        "events into a new campaign with Journal.salvage",
        field=NAME,
    )


def translated(error: Exception, *, seq: int) -> ProbescoutError:
    """Return our error for one of SQLite or the operating system.

    Args:
        error: What was caught.
        seq: First event that could not be reached, should the file be damaged.
    """
    if isinstance(error, ProbescoutError):
        return error
    code = getattr(error, "sqlite_errorcode", None)
    if isinstance(error, UnicodeDecodeError) or (isinstance(code, int) and code & 0xFF in _DAMAGE):
        return chain.damaged(seq, str(error))
    return Unavailable(
        Reason.STORE_UNAVAILABLE,
        f"the disk refuses the journal ({error}); free space or mend the disk, then try again: no restart is needed",
    )
