"""What a campaign file declares: instruments, regions, and how each of these is planned."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from probescout_client.theory import TheoryPlan

from probescout.core.jsonable import SPARSE, to_json
from probescout.core.specs import Budget, StopRule

Polygon = tuple[tuple[float, float], ...]
FORMATS = ("csv", "netcdf", "png")


@dataclass(frozen=True)
class About:
    """Section [campaign]: what it is, for people."""

    name: str
    """Begins the id of every campaign: letters, digits, dot, dash and underscore."""
    title: str = ""
    sample: str = ""
    operator: str = ""
    """Person, preferably an ORCID."""
    seed: int = 0
    """Of every random choice of the planner."""


@dataclass(frozen=True)
class Instrument:
    """Section [instrument], or one of several [[instruments]]: what measures."""

    kind: str
    """Entry point of the group `probescout.instruments`, for example "twin" or "recorded"."""
    name: str = ""
    """Which one it is; one run at a time holds an instrument. Empty: its kind."""
    params: Mapping[str, Any] = field(default_factory=dict)
    park_after_s: float = 0.0
    """Seconds without the planner after which it is parked; 0: never for silence."""
    budget: Budget | None = field(default=None, metadata=SPARSE)
    """Most that it may spend of a region's budget, where others share it; None: as much as there is."""

    @property
    def label(self) -> str:
        """What it is called."""
        return self.name or self.kind


@dataclass(frozen=True)
class Region:
    """One [[regions]]: a frame and a campaign of its own."""

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    """Laid over those of the instrument."""
    allowed: tuple[Polygon, ...] = ()
    """Polygons of (y, x) fractions; a point must lie in one; none: the whole frame."""
    forbidden: tuple[Polygon, ...] = ()
    """Polygons of (y, x) fractions; a point must lie outside all."""
    budget: Budget | None = None
    """None: that of the file."""
    instruments: tuple[str, ...] | None = field(default=None, metadata=SPARSE)
    """Names of those that measure it together; None: all."""


@dataclass(frozen=True)
class Scalarizing:
    """Section [scalarizer], and each [[objectives]]: what makes a target of a signal."""

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    minimize: bool = False


@dataclass(frozen=True)
class Stage:
    """One [[policy]]: a rule that scores candidates, and how long it does."""

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    until: Mapping[str, Any] = field(default_factory=dict)
    """One condition of the policy "staged"; the last stage has none."""


@dataclass(frozen=True)
class Initial:
    """Section [initial]: the first points."""

    count: int = 10
    design: str = "random"
    """random or grid."""


@dataclass(frozen=True)
class Limits:
    """Section [limits]: what no suggestion may exceed; 0: no limit."""

    border: float = 0.0
    """Margin of the frame that is never probed, as a fraction."""
    max_step: float = 0.0
    """Largest move, as a fraction of the frame diagonal."""
    dose_per_area: float = 0.0
    """Of one pixel, in `dose_unit`."""
    max_rate_hz: float = 0.0
    dose_unit: str = "e/nm^2"
    lease_s: float = 120.0
    """Longest that one point may take."""


@dataclass(frozen=True)
class Stop:
    """Section [stop]: rules that say when a region is understood, and whether to act on them."""

    rules: Mapping[str, float] = field(default_factory=dict)
    """Bound by name, for example {expected_regret = 0.1}."""
    when: str = "advise"
    """any or all rules end the region; "advise": they are only written down."""


@dataclass(frozen=True)
class Model:
    """Section [model]."""

    deep: bool = True
    members: tuple[str, ...] = ()
    """Members of the committee that take part; none: all."""
    transfer: str | None = field(default=None, metadata=SPARSE)
    """NAME or NAME@VERSION of an earlier campaign's model in the server's registry, which joins the committee."""
    compute_budget_s: float = 2.0
    """Time that the planner may think about a point before it answers degraded."""


@dataclass(frozen=True)
class Server:
    """Section [server]: the planner, where the command names no address."""

    data: str = ""
    """Folder of the campaigns; empty: "data" in the folder of the outputs."""
    patience_s: float = 60.0
    """Time without a planner after which the run ends, to be taken up later."""


@dataclass(frozen=True)
class Confirm:
    """Section [confirm]: whether a person must agree before the instrument moves."""

    required: bool = False
    question: str = "Is the instrument ready, and is nobody else using it?"
    timeout_s: float = 3600.0
    """Longest that a scheduled run waits for the answer."""


@dataclass(frozen=True)
class Outputs:
    """Section [outputs]."""

    directory: str = "campaign-result"
    """Relative to the campaign file."""
    formats: tuple[str, ...] = ("csv", "png")
    """Of FORMATS, beside report.json."""


@dataclass(frozen=True)
class Schedule:
    """Section [schedule]: how Prefect runs the file; `campaign run` does not look at it."""

    cron: str = ""
    timezone: str = ""
    """IANA name; empty: UTC."""
    again: bool = True
    """Whether a run that finds everything done begins anew, instead of having nothing to do."""
    retries: int = 2
    """Of a run that fails, for example because the planner was gone; each takes the campaign up."""
    retry_delay_s: float = 30.0
    skip_after_s: float = 3600.0
    """A run that begins later than this after its time is skipped; 0: never."""


@dataclass(frozen=True)
class CampaignFile:
    """A whole campaign file."""

    campaign: About
    scalarizer: Scalarizing
    regions: tuple[Region, ...]
    budget: Budget
    instrument: Instrument | None = field(default=None, metadata=SPARSE)
    """The only one; either this or `instruments` is given."""
    instruments: tuple[Instrument, ...] | None = field(default=None, metadata=SPARSE)
    """Several that look at the same field of the same sample."""
    policy: tuple[Stage, ...] = (Stage("expected_improvement"),)
    objectives: tuple[Scalarizing, ...] = ()
    initial: Initial = Initial()
    limits: Limits = Limits()
    stop: Stop = Stop()
    theory: TheoryPlan | None = None
    """Section [theory]: what a script would declare, under the same names."""
    model: Model = Model()
    server: Server = Server()
    confirm: Confirm = Confirm()
    outputs: Outputs = Outputs()
    schedule: Schedule = Schedule()
    folder: Path = field(default=Path(), compare=False)
    """Where the file lies: paths in it are relative to this."""

    @property
    def digest(self) -> str:
        """Hex SHA-256 of what decides which points are measured and how.

        Where results go, who is asked and when it runs do not belong to it, so that changing these still takes up what
        was begun.
        """
        plain = {name: value for name, value in self.to_json().items() if name in DECISIVE}
        return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return all sections, defaults included."""
        return {name: value for name, value in to_json(self).items() if name != "folder"}

    @property
    def all_instruments(self) -> tuple[Instrument, ...]:
        """The only one, or the several."""
        return (self.instrument,) if self.instrument is not None else self.instruments or ()

    @property
    def label(self) -> str:
        """What the instruments are called together."""
        return ", ".join(instrument.label for instrument in self.all_instruments)

    def instruments_of(self, region: Region) -> tuple[Instrument, ...]:
        """Return those that measure a region together."""
        return tuple(i for i in self.all_instruments if region.instruments is None or i.label in region.instruments)

    @property
    def directory(self) -> Path:
        """Folder of the outputs."""
        return self.folder / self.outputs.directory

    @property
    def data(self) -> Path:
        """Folder of the planner's campaigns."""
        return self.folder / self.server.data if self.server.data else self.directory / "data"

    @property
    def policy_spec(self) -> tuple[str, dict[str, Any]]:
        """Name and parameters of the policy: the only one, or "staged" for a schedule."""
        if len(self.policy) == 1:
            return self.policy[0].name, dict(self.policy[0].params)
        stages: list[dict[str, Any]] = []
        for stage in self.policy:
            one: dict[str, Any] = {"policy": {"name": stage.name, "params": dict(stage.params)}}
            stages.append({**one, "until": dict(stage.until)} if stage.until else one)
        return "staged", {"stages": stages}

    def budget_of(self, region: Region) -> Budget:
        """Return what a region may spend."""
        return region.budget or self.budget

    @property
    def stop_rules(self) -> tuple[StopRule, ...]:
        """The rules as the core knows them."""
        return tuple(StopRule(name, float(bound)) for name, bound in self.stop.rules.items())


DECISIVE = (
    "campaign", "instrument", "instruments", "scalarizer", "regions", "budget", "policy", "objectives", "initial",
    "limits", "stop", "theory", "model",
)  # fmt: skip
"""Sections that the digest covers."""
