"""What is known of a campaign: frozen, and changed only by `core.campaign.apply`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Any

from probescout.core.advice import StopAdvice
from probescout.core.budgets import BudgetUse
from probescout.core.calibration import Calibration
from probescout.core.candidates import CandidateSet
from probescout.core.events import FrameAdded
from probescout.core.geometry import Affine
from probescout.core.growing import GrowingMap, GrowingSet
from probescout.core.observations import AxisRecord, Observation
from probescout.core.specs import CampaignSpec
from probescout.core.suggestions import PointLine, Suggestion
from probescout.core.theory_events import Job

MAX_TRIES = 2
"""A candidate whose measurement failed this often is left alone."""


class Status(StrEnum):
    """Whether a campaign hands out suggestions."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    ABORTED = "aborted"


@dataclass(frozen=True)
class Frame:
    """The frame in use with its revisions."""

    added: FrameAdded
    revision: int = 1
    maps: tuple[Affine, ...] = (Affine(),)
    """maps[r - 1] takes a position of the image (revision 1) to revision r."""
    position_std: float = 0.0

    def to_instrument(self, y: float, x: float) -> tuple[float, float]:
        """Return where an image position is found in the newest revision."""
        m = self.maps[-1]
        return m.yy * y + m.yx * x + m.y0, m.xy * y + m.xx * x + m.x0

    def to_image(self, y: float, x: float, revision: int) -> tuple[float, float]:
        """Return the image position of what was measured at (y, x) in a revision (0: the newest)."""
        m = self.maps[(revision or self.revision) - 1].inverse()
        return m.yy * y + m.yx * x + m.y0, m.xy * y + m.xx * x + m.x0


@dataclass(frozen=True)
class Signature:
    """What the first raw signal looked like; later ones must match."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    axes: tuple[AxisRecord, ...]


@dataclass(frozen=True)
class Campaign:
    """The state of one campaign; changes only by `apply`."""

    id: str
    spec: CampaignSpec
    created_time: float
    status: Status = Status.RUNNING
    status_reason: str = ""
    frame: Frame | None = None
    suggestions: Mapping[str, Suggestion] = field(default_factory=GrowingMap)
    pending: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Candidate of each open lease, oldest first."""
    seeds: tuple[int, ...] = ()
    """Candidates of the seed design that are still to be handed out."""
    points: PointLine = PointLine()
    """What people want measured and is not yet, in the order of handing out."""
    n_proposed: int = 0
    """Number of such points ever asked for."""
    observations: Mapping[str, Observation] = field(default_factory=GrowingMap)
    tries: Mapping[int, int] = field(default_factory=GrowingMap)
    """Failed attempts a candidate; at MAX_TRIES it is not proposed again."""
    taken: GrowingSet[int] = field(default_factory=GrowingSet)
    """Candidates that are measured or infeasible."""
    doses: Mapping[int, float] = field(default_factory=GrowingMap)
    """Dose that each candidate has had, in the campaign's dose unit; those without any are left out."""
    use: BudgetUse = BudgetUse()
    signature: Signature | None = None
    last_at: Mapping[str, tuple[float, float]] = field(default_factory=lambda: MappingProxyType({}))
    """Last image position handed to each client."""
    data_version: int = 0
    model_version: int = 0
    hyperparameters: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    further_hyperparameters: Mapping[int, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))
    """Those of the models of further objectives, by their number from 1."""
    target_unit: str = ""
    candidates: CandidateSet | None = None
    calibration: Calibration | None = None
    """How honest the model was when it last chose a point or was fitted; None before."""
    advice: tuple[StopAdvice, ...] = ()
    """What the stop rules said when the model last planned."""
    jobs: Mapping[str, Job] = field(default_factory=GrowingMap)
    """Simulations by id, in the order of asking."""
    open_jobs: Mapping[str, bool] = field(default_factory=lambda: MappingProxyType({}))
    """Those without an end: whether each is at work; those that wait in the order of their turn."""
    applied: Mapping[str, bool] = field(default_factory=GrowingMap)
    """Those that succeeded, in the order of their end: whether their numbers count."""
    computed: Mapping[str, str] = field(default_factory=GrowingMap)
    """Which job that succeeded has the numbers for a digest or key."""

    @property
    def n_suggested(self) -> int:
        """Number of suggestions ever handed out."""
        return len(self.suggestions)

    @cached_property
    def done(self) -> frozenset[int]:
        """Candidates that are never proposed again: measured, infeasible, or failed too often."""
        return self.taken.frozen() | {c for c, n in self.tries.items() if n >= MAX_TRIES}

    @cached_property
    def blocked(self) -> frozenset[int]:
        """Candidates that must not be proposed: done or pending."""
        return self.done | set(self.pending.values())

    def best(self) -> Observation | None:
        """Return the best scored observation."""
        return self._best

    @cached_property
    def _best(self) -> Observation | None:
        # Every listing of campaigns asks for it, and most campaigns have not changed since the last one.
        taught = [o for o in self.observations.values() if o.is_taught]
        if not taught:
            return None
        return (min if self.spec.is_minimizing else max)(taught, key=lambda o: o.target)
