"""What came of the regions of a campaign file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from probescout.campaigns.spec import CampaignFile
from probescout.core.ports import FloatArray

COMPLETE = "complete"
"""Budget spent, nothing left to measure, or a stop rule met."""
STOPPED = "stopped"
"""A person ended it in order."""
ABORTED = "aborted"
"""A person ended it at once."""
UNPARKED = "not parked"
"""The instrument would not be parked: somebody must look at it before anything else is measured. Not over."""
FAILED = "failed"
"""The instrument failed; running the file again takes it up."""
SHARED = "share measured"
"""This run's instruments have spent their shares; others go on with the region."""


@dataclass(frozen=True)
class Part:
    """What came of one instrument in a region."""

    name: str
    state: str
    """complete, failed, not parked, or share measured."""
    message: str = ""
    is_parked: bool = True
    n_new: int = 0
    """Points that it has measured in this run."""


@dataclass(frozen=True)
class TheoryInfluence:
    """What simulations did in a region."""

    engine: str
    quantity: str
    jobs: Mapping[str, int]
    """Number by state."""
    failures: Mapping[str, int]
    """Number by why they failed."""
    n_applied: int
    """Whose numbers inform the model."""
    core_hours: float
    weight: float | None
    """Share of the informed model in what is predicted at the best point, 0 to 0.9; None when the model did not say."""
    largest_shift: float
    """Farthest that they move the predicted map anywhere, in the unit of the target."""

    def line(self, unit: str) -> str:
        """Return it as a line for a person."""
        n, why = sum(self.jobs.values()), ", ".join(f"{n} {name}" for name, n in self.failures.items())
        weight = "unknown" if self.weight is None else f"{self.weight:.2f}"
        return (
            f"{self.quantity} by {self.engine}: {self.n_applied} of {n} jobs applied{f' ({why})' if why else ''}, "
            f"weight {weight}, moves the map by up to {self.largest_shift:.3g} {unit}".rstrip()
        )


@dataclass(frozen=True)
class Region:
    """What came of one region."""

    name: str
    campaign: str
    """campaigns/{c}."""
    state: str
    """complete, stopped, aborted, share measured, failed or not parked; an abort stands also when something is not."""
    message: str = ""
    parts: tuple[Part, ...] = ()
    """One an instrument of this run."""
    n_measured: int = 0
    n_new: int = 0
    """Of these, by this run."""
    best: Mapping[str, float] | None = None
    """target, y, x of the best scored point; None before the first."""
    unit: str = ""
    """Of the target."""
    rows: tuple[Mapping[str, Any], ...] = ()
    """One an observation, by ordinal; see `ROW`."""
    maps: Mapping[str, FloatArray] = field(default_factory=dict)
    """mean, std and, once simulations add something to the mean, prior: each (y, x), NaN where there is no candidate.
    Empty when the model gave none."""
    theory: TheoryInfluence | None = None
    """None for a file without theory."""

    @property
    def is_parked(self) -> bool:
        """Whether every instrument of this run was parked; if not, the message says why."""
        return all(part.is_parked for part in self.parts)

    def to_json(self) -> dict[str, Any]:
        """Return it without rows and maps."""
        names = ("name", "campaign", "state", "message", "is_parked", "n_measured", "n_new", "best", "unit")
        told = {**{name: getattr(self, name) for name in names}, "instruments": [asdict(part) for part in self.parts]}
        return told if self.theory is None else {**told, "theory": asdict(self.theory)}


ROW = (
    "ordinal", "observation", "suggestion", "y", "x", "status", "target", "target_std", "dwell_s", "dose", "is_late",
    "client",
)  # fmt: skip
"""Columns of the table of observations; y and x are fractions, NaN stands for no target. Who measured is `client`: the
name of the instrument where a file has several."""


@dataclass(frozen=True)
class Report:
    """What came of one run of a campaign file."""

    file: CampaignFile
    key: str
    regions: tuple[Region, ...]
    part: str = ""
    """Names of the instruments of this run, where others are driven elsewhere; empty: all of the file."""

    @property
    def state(self) -> str:
        """The worst of the regions' states."""
        states = [region.state for region in self.regions]
        return next((state for state in (ABORTED, UNPARKED, FAILED, SHARED, STOPPED) if state in states), COMPLETE)

    @property
    def ranking(self) -> list[Region]:
        """The regions by their best target, most wanted first; those without one last."""
        sign = 1.0 if self.file.scalarizer.minimize else -1.0
        return sorted(self.regions, key=lambda r: (r.best is None, sign * r.best["target"] if r.best else 0.0))

    def to_json(self) -> dict[str, Any]:
        """Return the report without rows and maps."""
        return {
            "campaign_file": self.file.campaign.name,
            "digest": self.file.digest,
            "run_key": self.key,
            "instrument": self.file.label,
            "state": self.state,
            "ranking": [region.name for region in self.ranking],
            "regions": [region.to_json() for region in self.regions],
        }
