"""NumPy arrays: .npy and .npz. Pickled objects are refused: opening them would run the code inside."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, Reason
from probescout.core.spectra import Axis
from probescout.replay.readers.signal import Signal, log


def read(path: Path) -> list[Signal]:
    """Return the arrays of the file, each field of a structured array as one signal.

    The first two dimensions are taken for y and x; a third one is "channel". In an .npz, a vector whose length fits
    exactly one of the further dimensions becomes its axis, because such files keep their axes that way.

    Raises:
        InvalidInput: FILE_UNREADABLE when the file is damaged or holds Python objects only.
    """
    try:
        arrays = _arrays(path)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InvalidInput(
            Reason.FILE_UNREADABLE,
            f"{path} is not a NumPy file of plain numbers ({error}); save the arrays again without Python objects",
            field="path",
        ) from error
    vectors = {name: values for name, (values, _) in arrays.items() if values.ndim == 1 and path.suffix == ".npz"}
    return [_signal(name, values, unit, vectors) for name, (values, unit) in arrays.items()]


def _arrays(path: Path) -> dict[str, tuple[NDArray[Any], str]]:
    """Return name -> (array, unit)."""
    if path.suffix.lower() == ".npy":
        loaded = {path.stem: np.load(path, mmap_mode="r", allow_pickle=False)}
    else:
        loaded = {}
        # NumPy leaves a damaged archive open when it opens the file itself.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            for name in archive.files:
                try:
                    loaded[name] = archive[name]
                except ValueError as error:
                    log.warning("%s: '%s' left out: %s", path, name, error)
    arrays: dict[str, tuple[NDArray[Any], str]] = {}
    for name, values in loaded.items():
        fields = values.dtype.names
        parts = {name: values} if fields is None else {f"{name}.{f}": values[f] for f in fields}
        for part, array in parts.items():
            text, _, unit = part.partition(" [")
            if array.dtype.kind in "biuf" and array.ndim > 0:
                arrays[text] = (array, unit.rstrip("]"))
            else:
                log.warning("%s: '%s' left out: type %s, shape %s", path, part, array.dtype, array.shape)
    return arrays


def _signal(name: str, values: NDArray[Any], unit: str, vectors: dict[str, NDArray[Any]]) -> Signal:
    if values.ndim == 1:
        return Signal(name, ("channel",), values, unit=unit)
    further = ("channel",) if values.ndim == 3 else tuple(f"dim{i}" for i in range(2, values.ndim))
    lengths = values.shape[2:]
    axes = tuple(
        Axis(dim, np.asarray(vector, dtype=np.float64), vector_name)
        for dim, n in zip(further, lengths, strict=True)
        if lengths.count(n) == 1
        for vector_name, vector in vectors.items()
        if vector.size == n and sum(v.size == n for v in vectors.values()) == 1
    )
    return Signal(name, ("y", "x", *further), values, axes, unit)
