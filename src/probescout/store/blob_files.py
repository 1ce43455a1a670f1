"""The files that blobs lie in: grown all or nothing, checked against their names, and the errors of their disk."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from probescout.core.errors import HistoryMismatch, NotFound, Reason, Unavailable
from probescout.store.blob_names import blob_name, is_digest


def grow(descriptor: int, data: bytes, received: int) -> None:
    """Append to an upload, all or nothing: what is counted as received is the size of the file."""
    try:
        view = memoryview(data)
        while view:
            view = view[os.pwrite(descriptor, view, received + len(data) - len(view)) :]
    except BaseException:
        os.ftruncate(descriptor, received)
        raise


def is_whole(path: Path, digest: str) -> bool:
    """Return whether a file is there and has a digest."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == digest
    except FileNotFoundError:
        return False


def damaged(digest: str) -> HistoryMismatch:
    """Return the error for a blob whose bytes are not those of its name."""
    message = (
        f"the bytes of blob {blob_name(digest)} do not match its name; restore the file from a copy, or upload it again"
    )
    return HistoryMismatch(Reason.DIGEST_MISMATCH, message, field="blob")


@contextlib.contextmanager
def found(digest: str) -> Iterator[None]:
    """Turn a missing file, or a digest that cannot name one, into NotFound."""
    missing = NotFound(Reason.BLOB_NOT_FOUND, f"there is no blob {digest[:80]!r}; upload it first", field="blob")
    if not is_digest(digest):
        raise missing
    try:
        yield
    except FileNotFoundError as error:
        raise missing from error


@contextlib.contextmanager
def disk() -> Iterator[None]:
    """Turn an error of the disk into ours."""
    try:
        yield
    except OSError as error:
        message = f"the disk refuses the blob ({error}); free space or mend the disk, then try again"
        raise Unavailable(Reason.STORE_UNAVAILABLE, message) from error
