"""Files that are either whole and on the disk, or not there."""

from __future__ import annotations

import os
from pathlib import Path


def write(path: Path, data: bytes, *, scratch: Path) -> None:
    """Write a file by way of `scratch` (same file system), synced before it takes its name.

    After a crash `path` holds its old content or the new one, never a part.

    Raises:
        OSError: When the disk refuses; `path` is as before and the scratch file is gone.
    """
    try:
        with open(scratch, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


def sync_directory(path: Path) -> None:
    """Sync the names in a directory: without it a power loss may forget a rename.

    Raises:
        OSError: When the disk refuses.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Sync the content of a file.

    Raises:
        OSError: When the disk refuses.
    """
    sync_directory(path)  # fsync takes any descriptor
