"""Content-addressed bytes of a campaign, and uploads that can be resumed.

A blob lies at `blobs/ab/<sha256>`, written, synced and renamed before any event may name it. An upload lies at
`blobs/incoming/<sha256>.<size>` while it grows, so it outlives the process: begin it again and go on.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from probescout.core.clock import Clock, SystemClock
from probescout.core.errors import InvalidInput, NotFound, Overloaded, Reason
from probescout.core.ports import BlobInfo, BlobStore
from probescout.store import durable
from probescout.store.blob_files import damaged, disk, found, grow, is_whole
from probescout.store.blob_names import is_digest

MAX_BLOB_BYTES = 2**30
MAX_UPLOADS = 16
STALE_UPLOAD_S = 24 * 3600.0

_CHUNK = 2**20


@dataclass(frozen=True)
class Upload:
    """How far an upload is."""

    upload_id: str
    received: int
    """Bytes that are here already: go on from this offset."""
    is_complete: bool
    """The blob exists: nothing needs to be sent."""


class Blobs(BlobStore):
    """The blobs in one directory, beside the journal whose lock covers them; may be used from any thread.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     blobs = Blobs.open(Path(folder))
    ...     blobs.get(blobs.put(b"image").digest)
    b'image'
    """

    def __init__(self, directory: Path, *, max_blob_bytes: int, max_uploads: int) -> None:
        """Use a prepared directory; use `Blobs.open`."""
        self._root = directory / "blobs"
        self._incoming = self._root / "incoming"
        self._max_blob_bytes = max_blob_bytes
        self._max_uploads = max_uploads
        self._lock = threading.RLock()
        self._scratch_numbers = itertools.count()

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        max_blob_bytes: int = MAX_BLOB_BYTES,
        max_uploads: int = MAX_UPLOADS,
        stale_after_s: float = STALE_UPLOAD_S,
        clock: Clock | None = None,
    ) -> Self:
        """Open the blobs of a campaign directory, made if needed; drop what a dead process left half written.

        Args:
            directory: Of the campaign; only the process that holds its journal may open it.
            max_blob_bytes: Largest blob taken.
            max_uploads: Uploads that may be open at once.
            stale_after_s: Uploads that nobody continued for so long are removed.
            clock: Where the time comes from; None: the clock of this computer.

        Raises:
            Unavailable: STORE_UNAVAILABLE when the disk refuses.
        """
        blobs = cls(directory, max_blob_bytes=max_blob_bytes, max_uploads=max_uploads)
        oldest = (clock or SystemClock()).now() - stale_after_s
        with disk():
            blobs._incoming.mkdir(parents=True, exist_ok=True)
            for path in blobs._incoming.iterdir():
                if not is_digest(path.stem) or path.stat().st_mtime < oldest:
                    path.unlink()
            durable.sync_directory(directory)
        return blobs

    def put(self, data: bytes) -> BlobInfo:
        """Write, sync and rename; return once it is durable. Writing the same bytes again is harmless and repairs.

        Raises:
            InvalidInput: BLOB_TOO_LARGE.
            Unavailable: STORE_UNAVAILABLE when the disk refuses; no part of the blob is left.
        """
        self._refuse_large(len(data))
        digest = hashlib.sha256(data).hexdigest()
        path = self._path(digest)
        with disk():
            if not is_whole(path, digest):
                scratch = self._incoming / f"put-{next(self._scratch_numbers)}"
                self._make_shelf(path)
                durable.write(path, data, scratch=scratch)
            # Also for a blob that was here: who wrote it may have died before this sync.
            durable.sync_directory(path.parent)
        return BlobInfo(digest, len(data))

    def get(self, digest: str) -> bytes:
        """Return the bytes, checked against their digest.

        Raises:
            NotFound: BLOB_NOT_FOUND.
            HistoryMismatch: DIGEST_MISMATCH when the file is damaged.
            Unavailable: STORE_UNAVAILABLE when the disk cannot be read.
        """
        with disk(), found(digest):
            data = self._path(digest).read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            raise damaged(digest)
        return data

    def chunks(self, digest: str, *, size: int = _CHUNK) -> Iterator[bytes]:
        """Yield the bytes in pieces, after one pass that checks them: memory does not grow with the blob.

        Raises:
            NotFound: BLOB_NOT_FOUND.
            HistoryMismatch: DIGEST_MISMATCH when the file is damaged.
            Unavailable: STORE_UNAVAILABLE when the disk cannot be read.
        """
        with disk(), found(digest), open(self._path(digest), "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise damaged(digest)
            file.seek(0)
            while piece := file.read(size):
                yield piece

    def has(self, digest: str) -> bool:
        """Return whether the blob is stored; its bytes are checked on reading only."""
        return is_digest(digest) and self._path(digest).is_file()

    def begin(self, size: int, sha256: str) -> Upload:
        """Begin an upload, or find out how far the same one came before.

        Raises:
            InvalidInput: BLOB_TOO_LARGE, or FIELD_INVALID for a size or digest that cannot be one.
            Overloaded: QUEUE_FULL when too many uploads are open.
            Unavailable: STORE_UNAVAILABLE when the disk refuses.
        """
        if not is_digest(sha256):
            message = f"sha256 is {sha256[:80]!r}; give the digest of the whole blob as 64 characters of 0-9 a-f"
            raise InvalidInput(Reason.FIELD_INVALID, message, field="sha256")
        if size < 0:
            raise InvalidInput(Reason.FIELD_INVALID, f"size is {size}; give the number of bytes", field="size")
        self._refuse_large(size)
        with self._lock, disk():
            stored = self._path(sha256)
            if stored.is_file() and stored.stat().st_size == size and is_whole(stored, sha256):
                return Upload(sha256, size, True)
            path = self._incoming / f"{sha256}.{size}"
            if not path.exists():
                self._make_room(sha256)
                path.touch()
            return Upload(sha256, path.stat().st_size, False)

    def write(self, upload_id: str, offset: int, data: bytes) -> int:
        """Add bytes to an upload; return how many are here now. Bytes that came before may come again.

        Raises:
            NotFound: UPLOAD_NOT_FOUND.
            InvalidInput: FIELD_INVALID when the offset leaves a gap, the bytes differ from those received, or they pass
                the end.
            Unavailable: STORE_UNAVAILABLE when the disk refuses; the bytes are not counted.
        """
        with self._lock, disk():
            path, size = self._upload(upload_id)
            received = path.stat().st_size
            if not 0 <= offset <= received:
                message = f"offset is {offset}, and {received} bytes are here; go on from offset {received}"
                raise InvalidInput(Reason.FIELD_INVALID, message, field="offset")
            if offset + len(data) > size:
                message = f"bytes {offset} to {offset + len(data)} pass the end of the blob of {size} bytes"
                raise InvalidInput(Reason.FIELD_INVALID, f"{message}; begin again with the right size", field="data")
            known = min(len(data), received - offset)
            with open(path, "r+b") as file:
                file.seek(offset)
                if file.read(known) != data[:known]:
                    message = f"bytes from offset {offset} differ from those received; go on from offset {received}"
                    raise InvalidInput(Reason.FIELD_INVALID, message, field="data")
                grow(file.fileno(), data[known:], received)
            return received + len(data) - known

    def finish(self, upload_id: str) -> BlobInfo:
        """Check, sync and store a whole upload. A blob that is stored already is the same answer again.

        Raises:
            NotFound: UPLOAD_NOT_FOUND.
            InvalidInput: BLOB_INCOMPLETE when bytes are missing, DIGEST_MISMATCH when they are others than announced;
                the upload is then dropped.
            Unavailable: STORE_UNAVAILABLE when the disk refuses.
        """
        with self._lock, disk():
            stored = self._path(upload_id) if is_digest(upload_id) else None
            if stored and stored.is_file() and not self._find_upload(upload_id):
                durable.sync_directory(stored.parent)
                return BlobInfo(upload_id, stored.stat().st_size)
            path, size = self._upload(upload_id)
            received = path.stat().st_size
            if received != size:
                message = f"{received} of {size} bytes are here; go on from offset {received}, then finish"
                raise InvalidInput(Reason.BLOB_INCOMPLETE, message, field="upload_id")
            if not is_whole(path, upload_id):
                path.unlink()
                message = f"the {size} bytes received do not have the SHA-256 {upload_id}; begin the upload again"
                raise InvalidInput(Reason.DIGEST_MISMATCH, message, field="sha256")
            target = self._path(upload_id)
            self._make_shelf(target)
            durable.sync_file(path)
            path.replace(target)
            durable.sync_directory(target.parent)
            return BlobInfo(upload_id, size)

    def _path(self, digest: str) -> Path:
        return self._root / digest[:2] / digest

    def _make_shelf(self, path: Path) -> None:
        if not path.parent.is_dir():
            path.parent.mkdir(exist_ok=True)
            durable.sync_directory(self._root)

    def _make_room(self, digest: str) -> None:
        """Drop an upload of the same digest and another size; refuse when too many others are open."""
        if other := self._find_upload(digest):
            other.unlink()
        n_open = sum(1 for path in self._incoming.iterdir() if is_digest(path.stem))
        if n_open >= self._max_uploads:
            message = f"{n_open} uploads are open, {self._max_uploads} are allowed; finish one, or try again later"
            raise Overloaded(Reason.QUEUE_FULL, message)

    def _find_upload(self, upload_id: str) -> Path | None:
        return next(self._incoming.glob(f"{upload_id}.*"), None) if is_digest(upload_id) else None

    def _upload(self, upload_id: str) -> tuple[Path, int]:
        path = self._find_upload(upload_id)
        if path is None:
            message = f"there is no open upload {upload_id[:80]!r}; begin it (again): what was received is kept"
            raise NotFound(Reason.UPLOAD_NOT_FOUND, message, field="upload_id")
        return path, int(path.suffix[1:])

    def _refuse_large(self, size: int) -> None:
        if size > self._max_blob_bytes:
            message = f"the blob has {size} bytes, {self._max_blob_bytes} are allowed; crop or bin the array"
            raise InvalidInput(Reason.BLOB_TOO_LARGE, message, field="size")
