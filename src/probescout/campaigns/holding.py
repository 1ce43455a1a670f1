"""One process of this computer drives an instrument at a time, whatever file and folder it measures for."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from probescout.core.errors import Reason, WrongState

PLACE_NAME = "PROBESCOUT_INSTRUMENT_LOCKS"
"""Environment variable: the folder of the locks, instead of PLACE."""
PLACE = "/tmp"
"""Any user may make files there, and it is the same for all: what TMPDIR names is often a user's own."""
MAX_NOTE = 512
"""Longest note about the holder, bytes."""


class InstrumentLock:
    """A lock on a file that all users share; the kernel drops it when its holder dies, in whatever way."""

    def __init__(self, name: str, purpose: str) -> None:
        """Take the lock.

        Args:
            name: Of the instrument.
            purpose: Shown to whoever finds it held.

        Raises:
            WrongState: INSTRUMENT_HELD, naming the process that drives it.
            OSError: When the file can neither be made nor opened.
        """
        path = lock_path(name)
        while True:
            self._descriptor = _opened(path)
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                holder = os.pread(self._descriptor, MAX_NOTE, 0).decode("utf-8", "replace").strip() or "unknown"
                self.close()
                raise WrongState(
                    Reason.INSTRUMENT_HELD,
                    f"the instrument '{name}' is driven by process {holder}; wait until it ends, or end that one first",
                    field="instrument.name",
                ) from error
            if _is_still(self._descriptor, path):
                break
            # Whoever tidies up temporary files was faster.
            self.close()
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}, {purpose}\n".encode()[:MAX_NOTE], 0)

    def close(self) -> None:
        """Let another process in."""
        os.close(self._descriptor)


@contextmanager
def holding(names: Iterable[str], purpose: str) -> Iterator[None]:
    """Hold instruments by name, all or none.

    Raises:
        WrongState: INSTRUMENT_HELD.
    """
    with ExitStack() as stack:
        # No order could wait for another: a lock that is taken is refused at once.
        for name in names:
            stack.enter_context(closing(InstrumentLock(name, purpose)))
        yield


def lock_path(name: str) -> Path:
    """Return the file of an instrument; names that differ have files that differ."""
    place = Path(os.environ.get(PLACE_NAME) or PLACE)
    readable = re.sub(r"[^A-Za-z0-9.-]", "_", name)[:64]
    return place / f"probescout-instrument-{readable}-{hashlib.sha256(name.encode()).hexdigest()[:8]}.lock"


def _opened(path: Path) -> int:
    """Return a descriptor of a file that any user may lock.

    Linux refuses O_CREAT on another user's file in a folder that all may write, so an existing one is opened without.
    """
    while True:
        try:
            return os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        except FileNotFoundError:
            pass
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
        except FileExistsError:
            continue
        os.fchmod(descriptor, 0o666)  # whatever the umask
        return descriptor


def _is_still(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
