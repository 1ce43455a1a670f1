"""One writer a directory."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from probescout.core.errors import Reason, WrongState


class DirectoryLock:
    """An exclusive lock that the kernel drops when its holder dies."""

    def __init__(self, path: Path) -> None:
        """Take the lock.

        Raises:
            WrongState: JOURNAL_LOCKED naming the process that holds it.
            OSError: When the file cannot be made.
        """
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError as error:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise WrongState(
                Reason.JOURNAL_LOCKED,
                f"{path.parent} is in use by process {holder}; one process writes a campaign: stop that one first",
            ) from error
        except BaseException:
            os.close(self._descriptor)
            raise

    def release(self) -> None:
        """Let another process in."""
        os.close(self._descriptor)
