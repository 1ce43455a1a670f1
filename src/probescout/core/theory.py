"""Simulations of image patches: what a job is, and what an engine, an executor and the desk between them must offer.

A job is journalled before anything runs. An executor takes it from the desk under a lease, keeps the lease alive by
reporting progress, and hands in one result, fenced by the token of the lease. What the desk no longer expects (late,
twice, of another lease) it refuses, and nothing happens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from probescout.core.policy import Json

LARGEST = 1e100
"""A computed number beyond is no number of physics, and its square no number at all."""
Report = Callable[[float, str], None]
"""Takes the share of the work that is done, 0 to 1, and what is being done, for a person."""


class JobState(StrEnum):
    """How far a job is; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows it."""
        return self not in (JobState.QUEUED, JobState.RUNNING)


class Failure(StrEnum):
    """Why a job gave no number; a closed list."""

    REFUSED = "refused"
    """The patch is no valid structure: data, not a fault; trying again does not help."""
    BAD_INPUT = "bad_input"
    """The structure or the settings cannot be calculated."""
    NOT_CONVERGED = "not_converged"
    """The calculation ended without converging."""
    EXPLODED = "exploded"
    """Atoms flew apart, or a result is not a finite number of a sensible size."""
    MISSING_EXTRA = "missing_extra"
    """The engine is not installed where the job ran."""
    CRASHED = "crashed"
    """The process of the job ended by itself."""
    TIMED_OUT = "timed_out"
    """The job's deadline passed."""
    OUT_OF_MEMORY = "out_of_memory"
    """The job needed more memory than it may have."""
    GARBAGE = "garbage"
    """What came back cannot be read as a result."""
    LOST = "lost"
    """The worker no longer reports: its lease ran out."""
    OVER_BUDGET = "over_budget"
    """The campaign's core-hours are spent."""

    @property
    def is_worth_another_try(self) -> bool:
        """Whether the same job may succeed elsewhere or later."""
        return self in (Failure.CRASHED, Failure.LOST, Failure.GARBAGE)


@dataclass(frozen=True)
class Quantity:
    """One computed number."""

    name: str
    """For example "formation_energy"."""
    value: float
    unit: str
    """For example "eV"."""
    std: float = math.nan
    """What the engine itself says of its error, in `unit`; NaN when it says nothing."""
    is_converged: bool = True


@dataclass(frozen=True)
class TheoryPatch:
    """The window of a frame that is to be simulated."""

    image: NDArray[np.generic]
    """(y, x), in the unit of the frame."""
    pixel_size_m: float
    """Edge of a pixel, metres."""
    place: tuple[float, float] = (0.5, 0.5)
    """Fractional (y, x) of the window: where the probe would be."""


class EngineFailure(Exception):  # noqa: N818 (a calculation that gives no number is an answer, not a fault of ours)
    """A calculation that gives no number, with the reason."""

    def __init__(self, failure: Failure, message: str) -> None:
        """Keep why.

        Args:
            failure: Of the closed list.
            message: For a person: what was found, what is allowed, what to do next.
        """
        super().__init__(message)
        self.failure = failure
        self.message = message


@runtime_checkable
class Engine(Protocol):
    """Turns a patch into something that can be simulated, and simulates it.

    Entry-point group `probescout.theory`; the entry point is a class that is built with its settings as keyword
    arguments, after these were checked against `params_schema`. Importing and building it is cheap: what it stands on
    is loaded in `prepare` and `run`.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    """One line for a person."""
    params_schema: ClassVar[Json]
    """JSON Schema (draft 2020-12) of the settings, with titles, units in descriptions and defaults."""
    quantities: ClassVar[Mapping[str, str]]
    """Unit of every quantity that it can give, by name."""

    def version(self) -> str:
        """Return the versions of engine and library: part of the key under which a result is kept.

        Raises:
            MissingExtra: The library is not installed; the message has the install line.
        """

    def prepare(self, patch: TheoryPatch) -> Json:
        """Return what `run` takes, as JSON values: for atoms symbols, positions (atom, xyz) in angstrom, cell, pbc.

        Raises:
            EngineFailure: REFUSED with the reason when the patch is no valid structure.
            MissingExtra: As `version`.
        """

    def run(self, structure: Json, report: Report) -> Sequence[Quantity]:
        """Calculate, calling `report` about every second.

        Raises:
            EngineFailure: NOT_CONVERGED, EXPLODED or BAD_INPUT; an unconverged result is never a number.
            MissingExtra: As `version`.
        """


@runtime_checkable
class Keeping(Protocol):
    """An engine that calculates things that other jobs need too, such as energies of references."""

    def keep_in(self, directory: Path) -> None:
        """Keep them in a directory from now on; it may be shared by processes, and deleted at any time."""


@dataclass(frozen=True)
class JobOrder:
    """What an executor needs to run a job."""

    name: str
    """campaigns/{c}/theoryJobs/{j}"""
    engine: str
    settings: Mapping[str, Any]
    token: str
    """Of the lease; fences progress and result."""
    attempt: int
    """From 1."""
    deadline_s: float
    """The job may run so long."""
    lease_s: float
    """The lease ends so long after it was given or last renewed."""
    patch: TheoryPatch | None = None
    structure: Json | None = None
    """What `Engine.run` takes, when known already; otherwise it is prepared from the patch."""


@dataclass(frozen=True)
class JobResult:
    """What became of a job."""

    state: JobState
    """SUCCEEDED or FAILED."""
    quantities: tuple[Quantity, ...] = ()
    failure: Failure | None = None
    message: str = ""
    core_hours: float = 0.0
    """Spent in this attempt."""
    wall_s: float = 0.0
    key: str = ""
    """SHA-256 of structure, engine, settings and code version."""
    structure: Json = field(default_factory=dict)
    """What was simulated."""


@dataclass(frozen=True)
class Standing:
    """What a worker learns when it reports progress."""

    is_cancelled: bool
    """Nobody waits for the job any more: stop working on it, hand nothing in."""
    expires_in_s: float


class Desk(Protocol):
    """Where executors take jobs and hand in results: the broker itself, or its face on the network."""

    async def acquire(
        self, worker_id: str, engines: Sequence[str], count: int, lease_s: float, *, wait_s: float = 0.0
    ) -> tuple[JobOrder, ...]:
        """Return up to `count` jobs for these engines, leased; wait up to `wait_s` for the first one."""

    async def progress(self, name: str, token: str, share: float, message: str) -> Standing:
        """Renew the lease.

        Raises:
            WrongState: LEASE_STALE: the lease has ended; stop working on the job.
            NotFound: JOB_NOT_FOUND.
        """

    async def finish(self, name: str, token: str, result: JobResult) -> None:
        """Hand in the result; doing so again with the same token changes nothing.

        Raises:
            WrongState: LEASE_STALE: the lease has ended; the result is not taken.
            NotFound: JOB_NOT_FOUND.
            InvalidInput: FIELD_INVALID for a result that is none (the job fails as GARBAGE).
        """


class Executor(Protocol):
    """Runs jobs of a desk somewhere: in subprocesses here, on a cluster."""

    async def start(self) -> None:
        """Begin to take jobs."""

    async def stop(self) -> None:
        """Take no more, end what runs without handing anything in, and leave no process behind."""
