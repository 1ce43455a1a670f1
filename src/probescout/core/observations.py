"""Real measurements, never simulations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from probescout.core.spectra import Axis, Spectrum, ValueKind

INLINE_LIMIT = 64 * 1024
"""Most bytes of an array inside a message; larger ones are blobs."""


class ObservationStatus(StrEnum):
    """How the measurement went."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"
    INFEASIBLE = "infeasible"


class ScoreState(StrEnum):
    """What became of its target value."""

    PENDING = "pending"
    SCORED = "scored"
    FAILED = "failed"
    NONE = "none"
    RETRACTED = "retracted"


@dataclass(frozen=True)
class AxisRecord:
    """An axis as journalled: evenly spaced ones by start and step."""

    dim: str
    quantity: str
    unit: str
    size: int
    start: float = 0.0
    step: float = 0.0
    values: tuple[float, ...] = ()

    @classmethod
    def of(cls, axis: Axis) -> AxisRecord:
        """Return the record of an axis; start and step only where they give back the same values to 1e-12."""
        v = axis.values
        if v.size > 1:
            step = float(v[-1] - v[0]) / (v.size - 1)
            even = float(v[0]) + step * np.arange(v.size)
            if step != 0 and bool((np.abs(even - v) <= 1e-12 * max(1e-300, float(np.abs(v).max()))).all()):
                return cls(axis.dim, axis.quantity, axis.unit, v.size, float(v[0]), step)
        return cls(axis.dim, axis.quantity, axis.unit, v.size, values=tuple(float(u) for u in v))

    def axis(self) -> Axis:
        """Return the axis."""
        if self.values:
            values = np.asarray(self.values, dtype=np.float64)
        else:
            values = self.start + self.step * np.arange(self.size, dtype=np.float64)
        return Axis(self.dim, values, self.quantity, self.unit)


@dataclass(frozen=True)
class SignalRecord:
    """A raw signal as journalled, without its bytes."""

    dtype: str
    """NumPy name, little-endian, for example "uint16"."""
    shape: tuple[int, ...]
    dims: tuple[str, ...]
    unit: str
    kind: ValueKind
    axes: tuple[AxisRecord, ...] = ()
    blob: str = ""
    """Hex digest when the bytes are a blob; empty when they lie beside the event."""
    has_mask: bool = False
    """The bytes are followed by one byte an element: 1 where it is valid."""

    @classmethod
    def of(cls, spectrum: Spectrum) -> tuple[SignalRecord, bytes]:
        """Return the record of a spectrum and its bytes."""
        values = np.asarray(spectrum.values)
        data = values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
        if spectrum.mask is not None:
            data += spectrum.mask.astype(np.uint8).tobytes()
        record = cls(
            values.dtype.name,
            tuple(values.shape),
            spectrum.dims,
            spectrum.unit,
            spectrum.kind,
            tuple(AxisRecord.of(a) for a in spectrum.axes),
            has_mask=spectrum.mask is not None,
        )
        return record, data

    def spectrum(self, data: bytes) -> Spectrum:
        """Return the spectrum whose bytes are `data`."""
        dtype = np.dtype(self.dtype).newbyteorder("<")
        n = math.prod(self.shape)
        values = np.frombuffer(data, dtype=dtype, count=n).reshape(self.shape)
        mask = None
        if self.has_mask:
            mask = np.frombuffer(data, dtype=np.uint8, offset=n * dtype.itemsize).astype(bool).reshape(self.shape)
        return Spectrum(values, self.dims, tuple(a.axis() for a in self.axes), self.unit, self.kind, mask)


@dataclass(frozen=True)
class Setting:
    """A setting of the instrument that was used, for example its dwell or bias."""

    name: str
    value: float
    """In `unit`."""
    unit: str = ""


@dataclass(frozen=True)
class FurtherScore:
    """What a further objective makes of a measurement."""

    value: float
    variance: float
    unit: str = ""
    scalarizer: str = ""
    error: str = ""
    """Not empty: there is no value; says why."""


@dataclass(frozen=True)
class Observation:
    """A measurement, without the bytes of its signal."""

    id: str
    frame: str
    y: float
    """Where the probe really was, in the frame revision `frame_revision`."""
    x: float
    frame_revision: int = 1
    suggestion: str = ""
    status: ObservationStatus = ObservationStatus.COMPLETE
    signal: SignalRecord | None = None
    value: float = math.nan
    """Value scalarized by the client, in its own unit; NaN when raw data came."""
    value_variance: float = math.nan
    value_scalarizer: str = ""
    dwell_s: float = 0.0
    dose: float = 0.0
    cost_s: float = 0.0
    measured_time: float = 0.0
    settings: tuple[Setting, ...] = ()
    client_id: str = ""
    message: str = ""
    received_time: float = 0.0
    is_late: bool = False
    is_foreign: bool = False
    """Told without the token of the lease that it names, which therefore stays with its holder."""
    is_unsolicited: bool = False
    is_outside: bool = False
    ordinal: int = 0
    candidate: int = -1
    """Nearest candidate; -1 outside the frame."""
    score_state: ScoreState = ScoreState.PENDING
    target: float = math.nan
    target_variance: float = math.nan
    target_unit: str = ""
    score_message: str = ""
    further: tuple[FurtherScore, ...] = ()
    """What the further objectives of the campaign make of it, one each, once it is scored."""
    is_amended: bool = False
    """A person gave the target value, which no scalarizer replaces."""

    @property
    def has_value(self) -> bool:
        """Whether the client sent a ready value."""
        return not math.isnan(self.value)

    @property
    def is_taught(self) -> bool:
        """Whether the model learns from it."""
        return self.score_state is ScoreState.SCORED and not self.is_outside

    @property
    def is_half_scored(self) -> bool:
        """Whether a person gave its target before it was scored, so that further objectives may still want its signal.

        Only of a campaign with further objectives.
        """
        is_given = self.is_amended and self.score_state is ScoreState.SCORED
        return is_given and not self.further and self.signal is not None

    def is_taught_further(self, objective: int) -> bool:
        """Return whether the model of a further objective learns from it, whatever became of the first target."""
        is_scored = self.score_state in (ScoreState.SCORED, ScoreState.FAILED)
        is_there = objective < len(self.further) and not self.further[objective].error
        return is_scored and is_there and not self.is_outside
