"""What a reader finds in an instrument's file."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, MissingExtra, Reason
from probescout.core.spectra import Axis, ValueKind
from probescout.replay.recording import ArrayOnDisk

log = logging.getLogger("probescout.replay.readers")

QUIET_WARNINGS = (ImportWarning, DeprecationWarning, PendingDeprecationWarning, FutureWarning, ResourceWarning)
"""About the reader's own code: of no use to the person who converts a file, so logged at level info."""


@dataclass(frozen=True)
class Signal:
    """One array of a file with the meaning of its dimensions; the data are read when they are indexed."""

    name: str
    """Unique in its file."""
    dims: tuple[str, ...]
    """One name per dimension in the order of `data`; the two of the frame are called "y" and "x"."""
    data: ArrayOnDisk
    axes: tuple[Axis, ...] = ()
    """Physical axes, those of y and x included; a dimension without one is a bare index."""
    unit: str = ""
    kind: ValueKind = ValueKind.UNKNOWN
    recorded: NDArray[np.bool_] | None = None
    """(y, x), true where the instrument recorded something; None: everywhere."""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each dimension, in the order of `dims`."""
        return tuple(int(n) for n in self.data.shape)

    @property
    def has_frame(self) -> bool:
        """Whether it covers a frame: has both y and x."""
        return {"y", "x"} <= set(self.dims)

    @property
    def is_map(self) -> bool:
        """Whether it is an image or scalar map: y, x and nothing else."""
        return self.has_frame and len(self.dims) == 2

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Lengths of y and x; only for a signal that has a frame."""
        return (self.shape[self.dims.index("y")], self.shape[self.dims.index("x")])

    @property
    def signal_dims(self) -> tuple[str, ...]:
        """Names of the dimensions besides y and x."""
        return tuple(d for d in self.dims if d not in ("y", "x"))

    @property
    def shape_text(self) -> str:
        """Shape and dimensions for a message."""
        return f"shape {self.shape} over ({', '.join(self.dims)})"

    def axis(self, dim: str) -> Axis | None:
        """Return the physical axis of a dimension, or None when it has none."""
        return next((a for a in self.axes if a.dim == dim), None)

    def read(self) -> NDArray[Any]:
        """Return the whole array (y, x, *signal_dims) in the byte order of this computer."""
        order = [self.dims.index(d) for d in ("y", "x", *self.signal_dims)]
        values = np.transpose(np.asarray(self.data[...]), order)
        return np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))


def unique_names(signals: list[Signal]) -> list[Signal]:
    """Return the signals with a number appended to every name that was there before."""
    seen: dict[str, int] = {}
    named = []
    for signal in signals:
        n = seen[signal.name] = seen.get(signal.name, 0) + 1
        named.append(signal if n == 1 else replace(signal, name=f"{signal.name} ({n})"))
    return named


def pick(signals: Sequence[Signal], wanted: str | int, path: Path, *, field: str = "signal") -> Signal:
    """Return the signal of that name (upper and lower case alike) or number.

    Raises:
        InvalidInput: FIELD_MISSING with the names that there are.
    """
    for signal in signals:
        if signal.name.lower() == str(wanted).lower():
            return signal
    text = str(wanted)
    if text.isascii() and text.isdigit() and int(text) < len(signals):
        return signals[int(text)]
    known = ", ".join(f"{i} '{s.name}'" for i, s in enumerate(signals))
    raise InvalidInput(
        Reason.FIELD_MISSING, f"{path} has no signal '{wanted}'; choose by number or name: {known}", field=field
    )


def missing_readers(path: Path, package: str) -> MissingExtra:
    """Return the error that says which package reads this file and how to install it."""
    return MissingExtra(
        Reason.MISSING_EXTRA,
        f'{path} is read by {package}, which is not installed; run: pip install "probescout[readers]"',
        field="path",
    )


@contextmanager
def warnings_logged(path: Path) -> Iterator[None]:
    """Log what a reader warns about, so that it is neither lost nor fatal."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            for warning in caught:
                level = logging.INFO if issubclass(warning.category, QUIET_WARNINGS) else logging.WARNING
                log.log(level, "while reading %s: %s: %s", path, warning.category.__name__, warning.message)
