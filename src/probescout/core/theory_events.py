"""What can happen to a simulation of a patch: events of the journal like those in `events`."""

from __future__ import annotations

from dataclasses import dataclass

from probescout.core.observations import SignalRecord
from probescout.core.plugin_spec import PluginSpec
from probescout.core.theory import Failure, JobState, Quantity


@dataclass(frozen=True)
class TheoryQueued:
    """A simulation was asked for: everything that is needed to run it, once or again."""

    job: str
    """Id."""
    engine: PluginSpec
    """Which engine, with its settings."""
    digest: str
    """SHA-256 of patch or structure, engine and settings; equal ones give equal numbers."""
    deadline_s: float
    max_attempts: int
    time: float
    """Seconds since 1970 UTC."""
    candidate: int = -1
    """What its numbers are evidence for; -1: nothing."""
    patch: SignalRecord | None = None
    """(y, x) in a blob; None when a structure was given."""
    pixel_size_m: float = 0.0
    """Edge of a pixel of the patch, metres."""
    place: tuple[float, float] = (0.5, 0.5)
    """Fractional (y, x) of the patch: where the candidate is."""
    structure: str = ""
    """blobs/sha256-{hex} of the JSON that the engine runs; empty: prepared from the patch."""
    key: str = ""
    """SHA-256 of structure, engine, settings and code version, when known already."""
    reason: str = ""
    is_automatic: bool = False
    """Whether the planner chose it."""


@dataclass(frozen=True)
class TheoryLeased:
    """A worker took a job."""

    job: str
    worker: str
    attempt: int
    """From 1."""
    token_digest: str
    """SHA-256 of the token that fences the result; the token itself is the worker's alone."""
    lease_s: float
    time: float
    """Seconds since 1970 UTC."""
    core_hours: float = 0.0
    """Reserved."""


@dataclass(frozen=True)
class TheoryRequeued:
    """An attempt came to nothing, and there are more."""

    job: str
    attempt: int
    failure: Failure
    reason: str = ""
    core_hours: float = 0.0
    """Spent in the attempt."""


@dataclass(frozen=True)
class TheoryEnded:
    """A job reached its final state; this happens to every job once."""

    job: str
    state: JobState
    attempt: int
    """That ended it; 0 when none was made."""
    time: float
    """Seconds since 1970 UTC."""
    quantities: tuple[Quantity, ...] = ()
    failure: Failure | None = None
    message: str = ""
    core_hours: float = 0.0
    """Spent in the attempt."""
    wall_s: float = 0.0
    key: str = ""
    structure: str = ""
    """blobs/sha256-{hex} of what was simulated, as JSON."""
    cached_from: str = ""
    """Job whose numbers these are; empty when they were computed."""


@dataclass(frozen=True)
class EvidenceSet:
    """Somebody applied the numbers of a job, or took them back."""

    job: str
    is_applied: bool
    reason: str = ""


@dataclass(frozen=True)
class Job:
    """A simulation as it stands."""

    queued: TheoryQueued
    state: JobState = JobState.QUEUED
    attempt: int = 0
    """Number of times that a worker took it."""
    lease: TheoryLeased | None = None
    """The newest; it counts while the job runs, and tells a cancelled worker from a stranger."""
    settled: str = ""
    """Digest of the token whose result was taken last."""
    core_hours: float = 0.0
    """Spent in all attempts."""
    ended: TheoryEnded | None = None

    @property
    def id(self) -> str:
        """Id."""
        return self.queued.job


@dataclass(frozen=True)
class Evidence:
    """A computed number that informs the model."""

    candidate: int
    engine: str
    value: float
    """In `unit`."""
    std: float
    """What the engine says of its error; NaN when it says nothing."""
    job: str
    quantity: str
    unit: str = ""
