"""Measurements on disk between the instrument and the server's acknowledgement: a crash of the client loses none.

One file a measurement, named by time and request id, in one folder a campaign: magic, SHA-256 of the payload, payload.
It is written under a temporary name, synced and renamed, so that it exists whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import time
from dataclasses import dataclass
from typing import List, Optional, Set

from probescout_client.errors import InvalidInput, ProbescoutError
from probescout_client.wire.v1 import probescout_pb2 as pb

log = logging.getLogger("probescout_client")

ENVIRONMENT_NAME = "PROBESCOUT_OUTBOX"
MAGIC = b"PSOUT1\n"
SUFFIX = ".step"


@dataclass(frozen=True)
class Entry:
    """One measurement that the server has not acknowledged."""

    path: str
    request: pb.StepRequest
    """As it is first sent; the array is inline whatever its size."""


class Outbox:
    """The unacknowledged measurements of one campaign.

    Several threads may use it; `in flight` entries belong to the thread that put them and are not listed by `left`.
    """

    def __init__(self, root: str, campaign_id: str) -> None:
        """Open or make the folder of a campaign.

        Args:
            root: Folder of all outboxes; "~" is the home directory.
            campaign_id: Last part of the campaign's name.

        Raises:
            InvalidInput: FILE_UNREADABLE when the folder cannot be made, ID_INVALID when the id is no file name.
        """
        if campaign_id in ("", ".", "..") or "/" in campaign_id or os.sep in campaign_id:
            raise InvalidInput("ID_INVALID", "'{}' is not the id of a campaign".format(campaign_id), "campaign_id")
        self.folder = os.path.join(os.path.expanduser(root), campaign_id)
        self._lock = threading.Lock()
        self._in_flight: Set[str] = set()
        try:
            os.makedirs(os.path.join(self.folder, "rejected"), mode=0o700, exist_ok=True)
        except OSError as error:
            raise InvalidInput(
                "FILE_UNREADABLE",
                "the outbox '{}' cannot be made: {}; give connect(outbox=...) a folder on a local disk".format(
                    self.folder, error
                ),
                "outbox",
            ) from error

    def put(self, request: pb.StepRequest) -> Entry:
        """Write a measurement to disk and sync it; it is in flight until `defer` or `remove`.

        Raises:
            OSError: When the disk refuses; nothing was sent, the data are still with the caller.
        """
        payload = request.SerializeToString()
        name = "{:020d}-{}{}".format(time.time_ns(), request.request_id, SUFFIX)
        path = os.path.join(self.folder, name)
        with self._lock:
            self._in_flight.add(path)
        entry = Entry(path, request)
        try:
            with open(path + ".tmp", "wb") as file:
                file.write(MAGIC + hashlib.sha256(payload).digest() + payload)
                file.flush()
                os.fsync(file.fileno())
            os.replace(path + ".tmp", path)
            _sync_folder(self.folder)
        except OSError:
            self.defer(entry)
            raise
        return entry

    def remove(self, entry: Entry) -> None:
        """Forget an acknowledged measurement."""
        try:
            os.unlink(entry.path)
        except FileNotFoundError:
            # Another process of the same campaign has sent it and removed it first.
            log.info("outbox entry %s was already removed", entry.path)
        self.defer(entry)

    def defer(self, entry: Entry) -> None:
        """Hand a measurement that could not be sent to whoever sends what is left."""
        with self._lock:
            self._in_flight.discard(entry.path)

    def left(self) -> List[Entry]:
        """Return what is on disk and not in flight, oldest first; a damaged entry is set aside, never skipped."""
        entries = []
        with self._lock:
            names = [name for name in sorted(os.listdir(self.folder)) if name.endswith(SUFFIX)]
            paths = [os.path.join(self.folder, name) for name in names]
            paths = [path for path in paths if path not in self._in_flight]
        for path in paths:
            entry = self._read(path)
            if entry is not None:
                entries.append(entry)
        return entries

    def reject(self, entry: Entry, error: ProbescoutError) -> str:
        """Set aside a measurement that the server will never take, with the reason, and return its new path."""
        path = self._set_aside(entry.path, str(error))
        self.defer(entry)
        return path

    def set_aside_all(self, why: str) -> int:
        """Set aside everything, because it belongs to an earlier campaign of the same name; return how many."""
        entries = self.left()
        for entry in entries:
            self._set_aside(entry.path, why)
        return len(entries)

    def remember(self, version: pb.StateVersion) -> None:
        """Keep the newest state of the journal that was heard of; if a crash loses it, an older one serves too."""
        path = os.path.join(self.folder, "version.json")
        temporary = "{}.{}.tmp".format(path, os.getpid())
        with open(temporary, "w") as file:
            json.dump({"event_seq": version.event_seq, "event_hash": version.event_hash}, file)
        os.replace(temporary, path)

    def last_version(self) -> Optional[pb.StateVersion]:
        """Return the state that was remembered, or None."""
        path = os.path.join(self.folder, "version.json")
        try:
            with open(path) as file:
                kept = json.load(file)
            return pb.StateVersion(event_seq=int(kept["event_seq"]), event_hash=str(kept["event_hash"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            log.warning("the state in %s is unreadable after a crash and is not used: %s", path, error)
            return None

    def forget_version(self) -> None:
        """Drop the remembered state of an earlier campaign of the same name."""
        path = os.path.join(self.folder, "version.json")
        if os.path.exists(path):
            os.unlink(path)

    def _read(self, path: str) -> Optional[Entry]:
        try:
            with open(path, "rb") as file:
                content = file.read()
        except FileNotFoundError:
            # Another process of the same campaign has sent it since the folder was listed.
            return None
        start = len(MAGIC) + 32
        digest, payload = content[len(MAGIC) : start], content[start:]
        if content[: len(MAGIC)] != MAGIC or hashlib.sha256(payload).digest() != digest:
            self._set_aside(path, "the file is damaged: its digest does not fit; recover by hand what can be recovered")
            return None
        return Entry(path, pb.StepRequest.FromString(payload))

    def _set_aside(self, path: str, why: str) -> str:
        new = os.path.join(self.folder, "rejected", os.path.basename(path))
        with open(new + ".txt", "w", encoding="utf-8") as file:
            file.write(why + "\n")
        os.replace(path, new)
        log.error("measurement set aside as %s: %s", new, why)
        return new


def default_root() -> str:
    """Return the folder of all outboxes when the caller names none."""
    return os.environ.get(ENVIRONMENT_NAME) or os.path.join("~", ".probescout", "outbox")


def _sync_folder(folder: str) -> None:
    """Make a rename durable; Windows cannot open folders and needs no such step."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
