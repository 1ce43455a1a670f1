"""Everything that can happen to a campaign: one frozen dataclass a kind, journalled as JSON before it is applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, get_args

from probescout.core.advice import StopAdvice
from probescout.core.calibration import Calibration
from probescout.core.errors import HistoryMismatch, Reason
from probescout.core.geometry import Affine
from probescout.core.influence import Influence
from probescout.core.jsonable import SPARSE, from_json, to_json
from probescout.core.observations import FurtherScore, Observation, SignalRecord
from probescout.core.ports import NewEvent, Record
from probescout.core.specs import CampaignSpec
from probescout.core.suggestions import OperatorPoint, Suggestion
from probescout.core.theory_events import EvidenceSet, TheoryEnded, TheoryLeased, TheoryQueued, TheoryRequeued


class Control(StrEnum):
    """What a person or a rule does to a campaign."""

    PAUSE = "pause"
    PAUSE_IMMEDIATE = "pause_immediate"
    RESUME = "resume"
    STOP = "stop"
    ABORT = "abort"


@dataclass(frozen=True)
class Created:
    """The campaign began."""

    campaign_id: str
    spec: CampaignSpec
    time: float


@dataclass(frozen=True)
class Updated:
    """Parts of the spec changed."""

    spec: CampaignSpec
    changed: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True)
class Controlled:
    """Somebody paused, resumed, stopped or aborted."""

    action: Control
    reason: str = ""


@dataclass(frozen=True)
class FrameAdded:
    """An overview image, or positions with patches, came."""

    frame: str
    time: float
    image: SignalRecord | None = None
    """(y, x) or (channel, y, x) in a blob; None when patches came."""
    mask: SignalRecord | None = None
    """(y, x) bool in a blob."""
    patches: SignalRecord | None = None
    """(candidate, channel, y, x) in a blob."""
    positions: SignalRecord | None = None
    """(candidate, 2) float64 (y, x) in a blob, beside `patches`."""
    height: int = 0
    width: int = 0
    n_candidates: int = 0
    pixel_size: float = 0.0
    pixel_unit: str = ""
    rotation_deg: float = 0.0
    seeds: tuple[int, ...] = ()
    """Candidates of the seed design, in order."""


@dataclass(frozen=True)
class FrameRevised:
    """The sample drifted: positions of the previous revision are mapped to the new one."""

    frame: str
    revision: int
    affine: Affine
    """From the previous revision."""
    position_std: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class Leased:
    """Suggestions were handed out."""

    suggestions: tuple[Suggestion, ...]
    calibration: Calibration | None = None
    """What the model said of its honesty meanwhile; None before it was asked."""
    advice: tuple[StopAdvice, ...] = ()
    """What the stop rules said, when the model was asked."""
    theory: Influence | None = field(default=None, metadata=SPARSE)
    """What simulations did to the model meanwhile; None without any."""


@dataclass(frozen=True)
class Renewed:
    """A client holds on to its leases."""

    suggestions: tuple[str, ...]


@dataclass(frozen=True)
class Returned:
    """Leases ended without a measurement; their points return."""

    suggestions: tuple[str, ...]
    is_expired: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Observed:
    """A measurement arrived and is safe."""

    observation: Observation


@dataclass(frozen=True)
class Scored:
    """A scalarizer gave (or refused) a target value."""

    observation: str
    value: float
    variance: float
    unit: str = ""
    scalarizer: str = ""
    error: str = ""
    """Not empty: scalarizing failed; says why."""
    further: tuple[FurtherScore, ...] = ()
    """What the further objectives make of it."""


@dataclass(frozen=True)
class Amended:
    """A person or client corrected an observation."""

    observation: str
    reason: str
    y: float | None = None
    x: float | None = None
    value: float | None = None
    variance: float | None = None


@dataclass(frozen=True)
class Retracted:
    """An observation was withdrawn from the model."""

    observation: str
    reason: str


@dataclass(frozen=True)
class PointsProposed:
    """A person wants points measured before the planner's own."""

    points: tuple[OperatorPoint, ...]


@dataclass(frozen=True)
class PointsWithdrawn:
    """A person no longer wants points measured."""

    points: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True)
class ModelSwapped:
    """Newly fitted hyperparameters are in use."""

    n_observations: int
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    calibration: Calibration | None = None
    """How honest the model was until then."""
    objective: int = 0
    """Whose model it is: 0 the first target's, i the one of the i-th further objective."""


Event = (
    Created
    | Updated
    | Controlled
    | FrameAdded
    | FrameRevised
    | Leased
    | Renewed
    | Returned
    | Observed
    | Scored
    | Amended
    | Retracted
    | PointsProposed
    | PointsWithdrawn
    | ModelSwapped
    | TheoryQueued
    | TheoryLeased
    | TheoryRequeued
    | TheoryEnded
    | EvidenceSet
)
KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Event)}
VERSION = 1
"""Version of the payloads written; readers up-cast older ones."""


def encode(event: Event, data: bytes | None = None) -> NewEvent:
    """Return an event as the journal takes it, with the raw bytes that belong to it."""
    return NewEvent(type(event).__name__, {"v": VERSION, **to_json(event)}, data)


def decode(record: Record) -> Event:
    """Return the event of a journal record.

    Raises:
        HistoryMismatch: JOURNAL_CORRUPT when its kind, version or content is not known to this program.
    """
    kind = KINDS.get(record.kind)
    version = record.payload.get("v")
    if kind is None or not isinstance(version, int) or version > VERSION:
        raise HistoryMismatch(
            Reason.JOURNAL_CORRUPT,
            f"event {record.seq} is a '{record.kind}' of version {version}, which this program does not know; "
            "open the campaign with the program that wrote it, or a newer one",
        )
    try:
        event: Event = from_json(kind, record.payload)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise HistoryMismatch(
            Reason.JOURNAL_CORRUPT,
            f"event {record.seq}, a '{record.kind}', cannot be read: {error!r}; open the campaign with the program "
            "that wrote it",
        ) from error
    return event
