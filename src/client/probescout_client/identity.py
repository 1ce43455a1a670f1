"""The id under which a run holds leases: kept on disk, so that whoever follows a killed process knows which are left.

An id is one small file in the outbox folder of the campaign, locked by the process that uses it. The system drops the
lock when the process dies in whatever way; the next run takes the id over and with it the leases. A process that lives
keeps its lock, so nobody takes its points away.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
import threading
import uuid
from typing import IO, Optional, Set

log = logging.getLogger("probescout_client")

MAX_IDS = 64
"""Most runs of one computer in one campaign whose ids are kept."""

_VALID = re.compile(r"[A-Za-z0-9_.-]{1,128}")
# A POSIX lock holds between processes only, and closing any handle of the file drops it: within this process the set
# keeps a file from being opened twice.
_used_here: Set[str] = set()
_used_here_lock = threading.Lock()

if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[str]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: IO[str]) -> None:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Identity:
    """The id of one run, chosen when it is first needed: a run that only looks on takes none.

    Example:
        >>> Identity("unused", "titan-1").client_id
        'titan-1'
    """

    def __init__(self, folder: str, name: Optional[str] = None) -> None:
        """Choose nothing yet.

        Args:
            folder: The outbox folder of the campaign; it exists.
            name: Id that the operator gave; None: one of this computer, kept in the folder.
        """
        self._folder = folder
        self._id = name or ""
        self._file: Optional[IO[str]] = None
        self._path = ""
        self._lock = threading.Lock()

    @property
    def client_id(self) -> str:
        """The id, the same on every call; the first one may take over that of a process that died."""
        with self._lock:
            if not self._id:
                self._id = self._take()
            return self._id

    def close(self) -> None:
        """Leave the id to the next run."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
                with _used_here_lock:
                    _used_here.discard(self._path)

    def _take(self) -> str:
        """Return the first id of this computer that no living process uses, or a new one."""
        host = re.sub(r"[^A-Za-z0-9_.-]", "_", socket.gethostname())[:64] or "client"
        fresh = "{}-{}".format(host, uuid.uuid4().hex[:8])
        try:
            for n in range(MAX_IDS):
                path = os.path.realpath(os.path.join(self._folder, "client-{}-{}.id".format(host, n)))
                file = _opened(path)
                if file is not None:
                    self._file, self._path = file, path
                    return _kept(file, fresh)
        except OSError as error:
            log.warning("no client id can be kept in %s, so a crash leaves leases to expire: %s", self._folder, error)
        return fresh


def _opened(path: str) -> Optional[IO[str]]:
    """Return the file, open and locked, or None when it is in use.

    Raises:
        OSError: When the disk keeps no files or no locks.
    """
    with _used_here_lock:
        if path in _used_here:
            return None
        try:
            file = open(path, "a+", encoding="ascii", errors="replace")
        except PermissionError:
            # Another user's, in a folder that is shared.
            return None
        try:
            _lock(file)
        except (BlockingIOError, PermissionError):
            file.close()
            return None
        except OSError:
            file.close()
            raise
        _used_here.add(path)
        return file


def _kept(file: IO[str], fresh: str) -> str:
    """Return the id in a locked file, which is written if there is none or a crash has cut it."""
    file.seek(0)
    kept = file.read()
    if kept.endswith("\n") and _VALID.fullmatch(kept[:-1]):
        return kept[:-1]
    file.truncate(0)
    file.write(fresh + "\n")
    file.flush()
    os.fsync(file.fileno())
    return fresh
