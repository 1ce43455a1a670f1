"""The doors of the house: what a plug-in, an instrument or a store must offer.

Implement a protocol, declare an entry point, pass the conformance suite in `probescout.testing`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from probescout.core.policy import (
    Belief,
    Calibrated,
    DelegatingPlanner,
    FloatArray,
    JointPlanner,
    Json,
    Planner,
    present,
)
from probescout.core.spectra import Scalar, Spectrum

__all__ = [
    "Belief", "BlobInfo", "BlobStore", "Calibrated", "DelegatingPlanner", "EventStore", "FloatArray", "Head",
    "JointPlanner", "Json", "Measurement", "Microscope", "NewEvent", "Overview", "Planner", "Receipt", "Record",
    "Scalarizer", "present",
]  # fmt: skip


# ---------------------------------------------------------------- scalarizers


@runtime_checkable
class Scalarizer(Protocol):
    """Turns a raw signal into a target value with variance.

    Entry-point group `probescout.scalarizers`; the entry point is a class that is built with its parameters as keyword
    arguments, after these were checked against `params_schema`.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    """One line for a person."""
    params_schema: ClassVar[Json]
    """JSON Schema (draft 2020-12) of the parameters, with titles, units in descriptions and defaults."""
    n_dims: ClassVar[int]
    """Number of dimensions of the signals that it takes."""

    axis_unit: str | None
    """Unit in which window parameters are given; None: that of the first signal."""

    def __call__(self, spectrum: Spectrum) -> Scalar:
        """Return value and variance, Poisson where the signal holds counts.

        Raises:
            InvalidInput: With AXIS_MISMATCH, AXIS_UNIT_MISMATCH, SHAPE_MISMATCH, PARAM_INVALID or NON_FINITE when the
                signal is not one that it can take.
        """


# ---------------------------------------------------------------- instruments


@dataclass(frozen=True)
class Overview:
    """The structural image that an instrument takes first."""

    image: NDArray[np.generic]
    """(y, x) or (channel, y, x), in `unit`."""
    pixel_size_m: float | None = None
    """Edge of a pixel in metres; None when unknown."""
    unit: str = ""
    mask: NDArray[np.bool_] | None = None
    """(y, x), true where probing is allowed; None: everywhere."""
    name: str = ""
    """What the image shows, for example "HAADF"."""


@dataclass(frozen=True)
class Measurement:
    """What came back from one probe position."""

    y: float
    """Where the probe really was, fraction from the top."""
    x: float
    """Fraction from the left."""
    spectrum: Spectrum | None = None
    """The raw signal; None when the instrument gives a scalar, or failed."""
    scalar: Scalar | None = None
    """A ready scalar (a recorded map of targets)."""
    dwell_s: float = 0.0
    dose: float = 0.0
    """In the campaign's dose unit."""
    error: str = ""
    """Not empty when the measurement failed; says why."""


@runtime_checkable
class Microscope(Protocol):
    """An instrument: real, recorded or simulated.

    Entry-point group `probescout.instruments`; the entry point is built with its parameters as keyword arguments, after
    these were checked against its `params_schema`. A parameter of the schema's format "path" may be relative to the
    campaign file.
    """

    name: str

    def overview(self) -> Overview:
        """Take (or return) the structural image."""

    def measure(self, y: float, x: float) -> Measurement:
        """Move the probe to the fractional position (y, x) and measure there."""

    def park(self) -> None:
        """Bring the instrument to where it can be left alone, for example blank the beam or retract the tip.

        Any thread may call it, at any time and more than once; the next measurement takes the instrument up again.
        """


# ---------------------------------------------------------------- store


@dataclass(frozen=True)
class NewEvent:
    """An event about to be journalled."""

    kind: str
    payload: Json
    """JSON object; floats must be finite or encoded by the caller."""
    data: bytes | None = None
    """Raw bytes that belong to it (a spectrum), covered by the hash."""


@dataclass(frozen=True)
class Record:
    """A journalled event."""

    seq: int
    kind: str
    time: float
    """Seconds since 1970-01-01 UTC."""
    principal: str
    payload: Json
    data: bytes | None
    hash: str
    """Hex SHA-256 chained over all events up to this one."""


@dataclass(frozen=True)
class Head:
    """Where a journal stands."""

    seq: int = 0
    hash: str = ""


@dataclass(frozen=True)
class Receipt:
    """The reply to a mutating call, stored in the same transaction as its events."""

    request_id: str
    digest: str
    """Hex SHA-256 of method and body."""
    reply: bytes
    """Serialized reply."""


class EventStore(Protocol):
    """An append-only journal of one campaign."""

    head: Head

    def append(
        self, events: Sequence[NewEvent], *, time: float, principal: str, receipts: Sequence[Receipt] = ()
    ) -> list[Record]:
        """Commit and sync events and receipts in one transaction; return the records.

        Raises:
            Unavailable: STORE_UNAVAILABLE when the disk refuses; nothing was appended.
        """

    def read(self, after_seq: int = 0, *, limit: int | None = None, with_data: bool = True) -> Iterator[Record]:
        """Yield records with seq > after_seq in order, checking the chain.

        Args:
            after_seq: The newest that is not wanted.
            limit: Most records; None: all.
            with_data: Keep the raw bytes; without, `Record.data` is None and costs no memory.

        Raises:
            HistoryMismatch: JOURNAL_CORRUPT naming the first bad sequence number.
        """

    def receipt(self, request_id: str) -> Receipt | None:
        """Return the stored receipt of a request, or None."""

    def close(self) -> None:
        """Release the file and its lock."""


@dataclass(frozen=True)
class BlobInfo:
    """A stored blob."""

    digest: str
    """Hex SHA-256."""
    size: int
    """Bytes."""
    extra: Json = field(default_factory=dict)


class BlobStore(Protocol):
    """Content-addressed bytes of one campaign."""

    def put(self, data: bytes) -> BlobInfo:
        """Write, sync and rename; return once it is durable. Writing the same bytes again is harmless."""

    def get(self, digest: str) -> bytes:
        """Return the bytes, checked against their digest.

        Raises:
            NotFound: BLOB_NOT_FOUND.
            HistoryMismatch: DIGEST_MISMATCH when the file is damaged.
        """

    def has(self, digest: str) -> bool:
        """Return whether the blob is stored."""
