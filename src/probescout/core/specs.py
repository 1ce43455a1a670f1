"""What a campaign declares when it starts."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from probescout.core.errors import InvalidInput, Reason
from probescout.core.geometry import Position
from probescout.core.jsonable import SPARSE, to_json
from probescout.core.plugin_spec import PluginSpec as PluginSpec
from probescout.core.theory_spec import TheorySpec, check_theory
from probescout.core.transfer_spec import TransferSpec, check_transfer

MAX_COUNT = 64
"""Most suggestions of one call."""
MAX_OBJECTIVES = 5
"""Most objectives beside the first; each costs a model of its own."""
MAX_STOP_RULES = 16
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def checked_id(value: str, *, field: str) -> str:
    """Return the id when it is 1-63 characters of a-z A-Z 0-9 . _ - and starts with a letter or digit.

    Raises:
        InvalidInput: ID_INVALID.
    """
    if not _ID.fullmatch(value):
        raise InvalidInput(
            Reason.ID_INVALID,
            f"'{value[:80]}' is not an id: use 1-63 characters of a-z A-Z 0-9 . _ -, a letter or digit first",
            field=field,
        )
    return value


class SeedKind(StrEnum):
    """How the first points are chosen."""

    RANDOM = "random"
    GRID = "grid"
    GIVEN = "given"


@dataclass(frozen=True)
class SeedDesign:
    """The first points, chosen before the model knows anything."""

    kind: SeedKind = SeedKind.RANDOM
    count: int = 10
    positions: tuple[Position, ...] = ()
    """For `given`, in this order."""


@dataclass(frozen=True)
class Budget:
    """What a campaign may spend; 0 means unlimited."""

    probes: int = 0
    seconds: float = 0.0
    dose: float = 0.0
    core_hours: float = 0.0


@dataclass(frozen=True)
class Polygon:
    """A closed polygon in fractional coordinates."""

    y: tuple[float, ...]
    x: tuple[float, ...]


@dataclass(frozen=True)
class Limits:
    """Hard limits; see Limits in the contract."""

    allowed: tuple[Polygon, ...] = ()
    forbidden: tuple[Polygon, ...] = ()
    max_step: float = 0.0
    """Fraction of the frame diagonal; 0: none."""
    dose_per_area: float = 0.0
    """Cap on the dose of one pixel; 0: none."""
    max_rate_hz: float = 0.0
    border: float = 0.0
    """Margin around the frame, as a fraction, that is never probed."""


class CandidateKind(StrEnum):
    """Where suggestions come from."""

    PIXELS = "pixels"
    BOX = "box"
    PATCHES = "patches"


@dataclass(frozen=True)
class CandidateSpec:
    """The set that suggestions come from."""

    kind: CandidateKind = CandidateKind.PIXELS
    stride: int = 1


GIVEN = "given"
"""Name of the scalarizer of a campaign whose client sends ready values."""


@dataclass(frozen=True)
class Objective:
    """A further target of the same signal, beside the first one."""

    scalarizer: PluginSpec
    is_minimizing: bool = False


@dataclass(frozen=True)
class StopRule:
    """When to advise that the campaign stop."""

    name: str
    bound: float
    """Met when the rule's value is at most this."""


@dataclass(frozen=True)
class MotionCost:
    """What moving and measuring cost the instrument."""

    settle_s: float = 0.0
    dwell_s: float = 0.0
    diagonals_per_s: float = 0.0
    """Speed of a move in frame diagonals a second; 0: moves take no time."""


@dataclass(frozen=True)
class CampaignSpec:
    """Everything that a campaign declares; see CampaignSpec in the contract."""

    scalarizer: PluginSpec
    policy: PluginSpec = PluginSpec("expected_improvement")
    title: str = ""
    sample: str = ""
    instrument: str = ""
    operator: str = ""
    seed_design: SeedDesign = SeedDesign()
    budget: Budget = Budget()
    limits: Limits = Limits()
    candidates: CandidateSpec = CandidateSpec()
    seed: int = 0
    lease_s: float = 120.0
    is_minimizing: bool = False
    dose_unit: str = "e/nm^2"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    is_deep_member_disabled: bool = False
    members: tuple[str, ...] = ()
    """Members of the committee that take part, by name; none: all."""
    objectives: tuple[Objective, ...] = ()
    """Further targets; the first one is that of `scalarizer`."""
    stop_rules: tuple[StopRule, ...] = ()
    motion: MotionCost | None = None
    """None: every point costs the same."""
    theory: TheorySpec | None = field(default=None, metadata=SPARSE)
    """None: no simulations, and a campaign that is to the byte as if there were none in the world."""
    transfer: TransferSpec | None = field(default=None, metadata=SPARSE)
    """None: nothing is taken over from an earlier campaign."""

    @property
    def etag(self) -> str:
        """Digest of the spec; changes with every change of it."""
        text = json.dumps(to_json(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


MOST_SECONDS = 1e6
"""That settling or measuring may take."""
LEAST_SPEED = 1e-9
"""Slowest move, frame diagonals a second."""
UPDATABLE = frozenset(f.name for f in fields(CampaignSpec)) - {
    "seed_design",
    "candidates",
    "seed",
    "metadata",
    "objectives",
    "transfer",
}
"""Fields that UpdateCampaign may change; the others define what has already happened."""


def check_spec(spec: CampaignSpec) -> None:
    """Refuse a spec that can never work.

    Raises:
        InvalidInput: FIELD_MISSING or FIELD_INVALID with the field.
    """
    if not spec.scalarizer.name:
        raise InvalidInput(
            Reason.FIELD_MISSING,
            "a campaign needs a scalarizer, for example band_sum; ListPlugins names them",
            field="spec.scalarizer.name",
        )
    amounts = [("spec.lease_s", spec.lease_s)]
    if spec.motion is not None:
        amounts += [(f"spec.motion.{f.name}", getattr(spec.motion, f.name)) for f in fields(MotionCost)]
    amounts += [(f"spec.stop_rules[{i}].bound", rule.bound) for i, rule in enumerate(spec.stop_rules)]
    amounts += [(f"spec.budget.{f.name}", getattr(spec.budget, f.name)) for f in fields(Budget)]
    for name in ("max_step", "dose_per_area", "max_rate_hz", "border"):
        amounts.append((f"spec.limits.{name}", getattr(spec.limits, name)))
    for name, amount in amounts:
        if not (math.isfinite(amount) and amount >= 0):
            raise InvalidInput(Reason.FIELD_INVALID, f"{amount} is not a finite number >= 0", field=name)
    if spec.motion is not None:
        _check_motion(spec.motion)
    if spec.theory is not None:
        check_theory(spec.theory)
    if spec.transfer is not None:
        check_transfer(spec.transfer)
    if not 1.0 <= spec.lease_s <= 86400.0:
        raise InvalidInput(Reason.FIELD_INVALID, f"lease of {spec.lease_s} s; give 1 to 86400 s", field="spec.lease_s")
    if spec.limits.border >= 0.5:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"a border of {spec.limits.border} leaves nothing; give less than 0.5",
            field="spec.limits.border",
        )
    if spec.candidates.stride < 1:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"a stride of {spec.candidates.stride}; give 1 for every pixel, 2 for every second, ...",
            field="spec.candidates.stride",
        )
    if spec.seed < 0:
        raise InvalidInput(Reason.FIELD_INVALID, f"seed {spec.seed}; give a whole number >= 0", field="spec.seed")
    if spec.candidates.kind is CandidateKind.BOX:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            "tuning in a box of instrument parameters is not built in this server; use pixels or patches",
            field="spec.candidates.kind",
        )
    _check_polygons(spec)
    _check_seeds(spec.seed_design)
    _check_lists(spec)


def _check_lists(spec: CampaignSpec) -> None:
    for name, most in (("objectives", MAX_OBJECTIVES), ("stop_rules", MAX_STOP_RULES)):
        n = len(getattr(spec, name))
        if n > most:
            raise InvalidInput(Reason.FIELD_INVALID, f"{n} {name}; at most {most} are taken", field=f"spec.{name}")
    for i, objective in enumerate(spec.objectives):
        where = f"spec.objectives[{i}].scalarizer.name"
        if not objective.scalarizer.name:
            raise InvalidInput(Reason.FIELD_MISSING, "a further objective needs a scalarizer", field=where)
        if objective.scalarizer.name == GIVEN:
            raise InvalidInput(
                Reason.FIELD_INVALID,
                f"'{GIVEN}' makes no further objective: a client sends one ready value; choose a scalarizer that reads "
                "the signal, or make it the first one",
                field=where,
            )


def _check_motion(motion: MotionCost) -> None:
    """Refuse costs whose sums and quotients could overflow."""
    most = f"give at most {MOST_SECONDS:g} s"
    least = f"give at least {LEAST_SPEED:g} diagonals a second, or 0 for moves that take no time"
    for name, is_wrong, advice in (
        ("settle_s", motion.settle_s > MOST_SECONDS, most),
        ("dwell_s", motion.dwell_s > MOST_SECONDS, most),
        ("diagonals_per_s", 0.0 < motion.diagonals_per_s < LEAST_SPEED, least),
    ):
        if is_wrong:
            message = f"{getattr(motion, name):g} could not be reckoned with; {advice}"
            raise InvalidInput(Reason.FIELD_INVALID, message, field=f"spec.motion.{name}")


def _check_polygons(spec: CampaignSpec) -> None:
    for name in ("allowed", "forbidden"):
        for i, polygon in enumerate(getattr(spec.limits, name)):
            where = f"spec.limits.{name}[{i}]"
            if len(polygon.y) != len(polygon.x) or len(polygon.y) < 3:
                raise InvalidInput(
                    Reason.FIELD_INVALID,
                    f"a polygon needs at least 3 corners with as many y ({len(polygon.y)}) as x ({len(polygon.x)})",
                    field=where,
                )
            if not all(math.isfinite(v) for v in polygon.y + polygon.x):
                raise InvalidInput(Reason.NON_FINITE, "polygon corners must be finite", field=where)


def _check_seeds(design: SeedDesign) -> None:
    if design.kind is SeedKind.GIVEN:
        for i, position in enumerate(design.positions):
            if not position.is_inside:
                raise InvalidInput(
                    Reason.FIELD_INVALID,
                    f"seed position ({position.y}, {position.x}) is outside [0, 1]",
                    field=f"spec.seed_design.positions[{i}]",
                )
    elif not 0 <= design.count <= 10000:
        raise InvalidInput(
            Reason.FIELD_INVALID, f"{design.count} seed points; give 0 to 10000", field="spec.seed_design.count"
        )
