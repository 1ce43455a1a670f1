"""Checks a campaign directory from end to end without changing it."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from probescout.core.errors import HistoryMismatch, NotFound, ProbescoutError, Reason
from probescout.core.ports import Head
from probescout.store import chain, database, recovery, snapshots, wal, witness
from probescout.store.blob_names import NAME_ANYWHERE, blob_name, is_digest


@dataclass(frozen=True)
class VerifyReport:
    """What was found."""

    n_events: int
    """Events that check out, from the first one on."""
    problems: tuple[str, ...]
    """One sentence each; empty when all is well."""


def verify(directory: Path) -> VerifyReport:
    """Check hash chains, head witness, database pages, write-ahead log, named blobs and snapshots.

    Also for a campaign in use: it reads beside the server, which goes on writing.

    Raises:
        NotFound: CAMPAIGN_NOT_FOUND when there is no journal.
    """
    path = directory / database.NAME
    if not path.exists():
        raise NotFound(Reason.CAMPAIGN_NOT_FOUND, f"there is no journal at {path}; give the directory that holds one")
    problems: list[str] = []
    seen = _witness(directory, problems)  # before the events, which may go on while this runs
    hashes = [""]
    blobs: dict[str, int] = {}
    try:
        reader = database.connect(path, is_read_only=True)
        try:
            reader.execute("BEGIN")  # one state of the database for all that follows
            for record in database.scan(reader, Head()):
                hashes.append(record.hash)
                for digest in _named(record.payload):
                    blobs.setdefault(digest, record.seq)
            problems += _beside_events(directory, reader, seen, hashes)
        finally:
            reader.close()
    except (*database.ERRORS, ProbescoutError) as error:
        problems.append(str(database.translated(error, seq=len(hashes))))
    problems += (problem for digest, seq in blobs.items() if (problem := _blob_problem(directory, digest, seq)))
    problems += _snapshot_problems(directory, hashes)
    return VerifyReport(len(hashes) - 1, tuple(problems))


def _witness(directory: Path, problems: list[str]) -> witness.Witness | None:
    try:
        seen = witness.load(directory)
    except (HistoryMismatch, OSError) as error:
        problems.append(str(error))
        return None
    if seen is None:
        problems.append(f"{directory / witness.NAME} is missing: a lost tail cannot be seen")
    return seen


def _beside_events(
    directory: Path, reader: sqlite3.Connection, seen: witness.Witness | None, hashes: list[str]
) -> Iterator[str]:
    """Yield the problems of all that is not an event: log, receipts, witness, pages."""
    log = recovery.wal_of(directory)
    lost = wal.inspect(log)
    if lost and lost == wal.inspect(log):  # a writer at work may look like damage once, not twice
        yield str(chain.damaged(len(hashes), str(lost)))
    receipts = [""]
    try:
        receipts += (entry.hash for entry in database.scan_receipts(reader, Head(), last_seq=len(hashes) - 1))
    except HistoryMismatch as error:
        yield str(error)
    for what, head, found in (("event", seen and seen.events, hashes), ("receipt", seen and seen.receipts, receipts)):
        if head and head.seq >= len(found):
            yield f"the tail is lost: the head witness has seen {what} {head.seq}, the last here is {len(found) - 1}"
        elif head and found[head.seq] != head.hash:
            yield f"{what} {head.seq} has another hash than the head witness saw"
    try:
        database.check_structure(reader)
    except HistoryMismatch as error:
        yield str(error)


def _named(value: object) -> Iterator[str]:
    """Yield the digests of the blobs that are named anywhere in a payload."""
    if isinstance(value, str):
        yield from NAME_ANYWHERE.findall(value)
    elif isinstance(value, Mapping):
        # Records of arrays name their blob by its bare digest.
        if isinstance(blob := value.get("blob"), str) and is_digest(blob):
            yield blob
        for child in value.values():
            yield from _named(child)
    elif isinstance(value, list):
        for child in value:
            yield from _named(child)


def _blob_problem(directory: Path, digest: str, seq: int) -> str:
    try:
        with open(directory / "blobs" / digest[:2] / digest, "rb") as file:
            is_whole = hashlib.file_digest(file, "sha256").hexdigest() == digest
    except FileNotFoundError:
        return f"blob {blob_name(digest)}, named by event {seq}, is missing"
    except OSError as error:
        return f"blob {blob_name(digest)}, named by event {seq}, cannot be read: {error}"
    return "" if is_whole else f"blob {blob_name(digest)}, named by event {seq}, is damaged"


def _snapshot_problems(directory: Path, hashes: list[str]) -> Iterator[str]:
    for path in snapshots.newest_first(directory):
        try:
            header, _ = snapshots.read(path)
        except FileNotFoundError:
            continue  # a newer one took its place meanwhile
        except (OSError, ValueError) as error:
            yield f"snapshot {path.name} is damaged: {error}; it is ignored on opening and may be deleted"
        else:
            if header.seq < len(hashes) and hashes[header.seq] != header.event_hash:
                yield f"snapshot {path.name} belongs to another history; it is ignored on opening and may be deleted"
