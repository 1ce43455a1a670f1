"""Readers of instruments' own files, one module per family; `read_signals` finds the right one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py

from probescout.core.errors import InvalidInput, Reason
from probescout.replay.readers import electron, nanonis, nsid, numpy_files
from probescout.replay.readers.signal import Signal, unique_names, warnings_logged

__all__ = ["Signal", "read_signals"]


def read_signals(path: str | Path) -> list[Signal]:
    """Return every signal of a file, in the file's order, without reading the data of the large ones.

    NumPy and NSID files need nothing more than Probescout; the others need the extra `readers`.

    Raises:
        InvalidInput: FILE_UNREADABLE when the file is missing, damaged, of an unknown format or holds no signal.
        MissingExtra: When the package that reads it is not installed.
    """
    path = Path(path)
    if not path.exists():
        raise InvalidInput(Reason.FILE_UNREADABLE, f"{path} does not exist; check the name", field="path")
    with warnings_logged(path):
        signals = _reader(path)(path)
    if not signals:
        raise InvalidInput(
            Reason.FILE_UNREADABLE, f"{path} was read and holds no numeric array; give another file", field="path"
        )
    return unique_names(signals)


def _reader(path: Path) -> Callable[[Path], list[Signal]]:
    suffix = path.suffix.lower()
    if suffix == ".3ds":
        return nanonis.read
    if suffix in (".npy", ".npz"):
        return numpy_files.read
    if path.is_file() and h5py.is_hdf5(path) and nsid.is_nsid(path):
        return nsid.read
    return electron.read
