"""Campaign specs between the wire and core."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from probescout_client.wire.v1 import probescout_pb2 as pb

from probescout.core.errors import InvalidInput, Reason
from probescout.core.geometry import Position
from probescout.core.specs import (
    Budget,
    CampaignSpec,
    CandidateKind,
    CandidateSpec,
    Limits,
    MotionCost,
    Objective,
    PluginSpec,
    Polygon,
    SeedDesign,
    SeedKind,
    StopRule,
)
from probescout.core.theory_spec import TheorySpec
from probescout.core.transfer_spec import TransferSpec
from probescout.store.blob_names import blob_name, digest_of

MAX_DEPTH = 48
"""Deepest nesting of a JSON object from a client; the journal takes 64 levels, those of the spec around it included."""
_CANDIDATES = {
    pb.CANDIDATE_KIND_UNSPECIFIED: CandidateKind.PIXELS,
    pb.CANDIDATE_KIND_PIXELS: CandidateKind.PIXELS,
    pb.CANDIDATE_KIND_BOX: CandidateKind.BOX,
    pb.CANDIDATE_KIND_PATCHES: CandidateKind.PATCHES,
}


def read_json(text: str, *, field: str) -> dict[str, Any]:
    """Return a JSON object; empty text is an empty object.

    Raises:
        InvalidInput: FIELD_INVALID when it is not strict JSON of an object, or nested deeper than MAX_DEPTH.
    """
    if not text:
        return {}
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(Reason.FIELD_INVALID, f"not JSON: {error}", field=field) from error
    if not isinstance(value, dict):
        raise InvalidInput(Reason.FIELD_INVALID, f"a JSON object is needed, not {type(value).__name__}", field=field)
    _check_depth(value, field)
    return value


def _check_depth(value: dict[str, Any], field: str) -> None:
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        inner = [list(v.values()) if isinstance(v, dict) else v for v in level]
        level = [child for row in inner for child in row if isinstance(child, dict | list)]
        if not level:
            return
    raise InvalidInput(Reason.FIELD_INVALID, f"nested deeper than {MAX_DEPTH} levels; flatten it", field=field)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:40]} is larger than any number that can be kept")
    return number


def read_spec(m: pb.CampaignSpec) -> CampaignSpec:
    """Return the spec of a message; zeros and empties become the documented defaults.

    Raises:
        InvalidInput: With the field.
    """
    return CampaignSpec(
        scalarizer=_read_plugin(m.scalarizer, "", "spec.scalarizer"),
        policy=_read_plugin(m.policy, "expected_improvement", "spec.policy"),
        title=m.title,
        sample=m.sample,
        instrument=m.instrument,
        operator=m.operator,
        seed_design=_read_seeds(m),
        budget=Budget(m.budget.probes, m.budget.seconds, m.budget.dose, m.budget.core_hours),
        limits=Limits(
            tuple(_read_polygons(m.limits.allowed)),
            tuple(_read_polygons(m.limits.forbidden)),
            m.limits.max_step,
            m.limits.dose_per_area,
            m.limits.max_rate_hz,
            m.limits.border,
        ),
        candidates=_read_candidates(m.candidates),
        seed=m.seed,
        lease_s=m.lease_s or 120.0,
        is_minimizing=m.is_minimizing,
        dose_unit=m.dose_unit or "e/nm^2",
        metadata=read_json(m.metadata_json, field="spec.metadata_json"),
        is_deep_member_disabled=m.is_deep_member_disabled,
        members=tuple(m.members),
        objectives=tuple(_read_objectives(m)),
        stop_rules=tuple(StopRule(rule.name, rule.bound) for rule in m.stop_rules),
        motion=_read_motion(m),
        theory=read_theory(m.theory) if m.HasField("theory") else None,
        transfer=_read_transfer(m),
    )


def _read_plugin(m: Any, default: str, field: str) -> PluginSpec:
    return PluginSpec(m.name or default, read_json(m.params_json, field=f"{field}.params_json"))


def _read_objectives(m: pb.CampaignSpec) -> Iterable[Objective]:
    for i, objective in enumerate(m.objectives):
        plugin = _read_plugin(objective.scalarizer, "", f"spec.objectives[{i}].scalarizer")
        yield Objective(plugin, objective.is_minimizing)


def _read_motion(m: pb.CampaignSpec) -> MotionCost | None:
    if not m.HasField("motion"):
        return None
    return MotionCost(m.motion.settle_s, m.motion.dwell_s, m.motion.diagonals_per_s)


def read_theory(theory: pb.TheorySpec) -> TheorySpec:
    """Return what is declared about simulations, with the defaults of the server in the place of zeros.

    Raises:
        InvalidInput: As `read_json`.
    """
    return TheorySpec(
        PluginSpec(theory.engine, read_json(theory.settings_json, field="spec.theory.settings_json")),
        theory.quantity,
        window_m=theory.window_m or TheorySpec.window_m,
        deadline_s=theory.deadline_s or TheorySpec.deadline_s,
        lease_s=theory.lease_s or TheorySpec.lease_s,
        max_attempts=theory.max_attempts or TheorySpec.max_attempts,
        max_running=theory.max_running or TheorySpec.max_running,
        is_automatic=not theory.is_automatic_disabled,
    )


def _read_transfer(m: pb.CampaignSpec) -> TransferSpec | None:
    if not m.HasField("transfer"):
        return None
    blob = m.transfer.blob
    return TransferSpec(m.transfer.model, digest_of(blob, field="spec.transfer.blob") if blob else "")


def _write_transfer(transfer: TransferSpec) -> pb.TransferSpec:
    return pb.TransferSpec(model=transfer.model, blob=blob_name(transfer.blob) if transfer.blob else "")


def _write_theory(theory: TheorySpec) -> pb.TheorySpec:
    return pb.TheorySpec(
        engine=theory.engine.name,
        settings_json=_dump(theory.engine.params),
        quantity=theory.quantity,
        window_m=theory.window_m,
        deadline_s=theory.deadline_s,
        lease_s=theory.lease_s,
        max_attempts=theory.max_attempts,
        max_running=theory.max_running,
        is_automatic_disabled=not theory.is_automatic,
    )


def _read_seeds(m: pb.CampaignSpec) -> SeedDesign:
    if not m.HasField("seed_design"):
        return SeedDesign()
    design = m.seed_design
    try:
        kind = SeedKind(design.name or "random")
    except ValueError as error:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"'{design.name[:80]}' is no seed design; choose one of {', '.join(SeedKind)}",
            field="spec.seed_design.name",
        ) from error
    return SeedDesign(kind, design.count, tuple(Position(p.y, p.x) for p in design.positions))


def _read_polygons(polygons: Iterable[pb.Polygon]) -> Iterable[Polygon]:
    return (Polygon(tuple(p.y), tuple(p.x)) for p in polygons)


def _read_candidates(m: pb.CandidateSpace) -> CandidateSpec:
    if m.kind not in _CANDIDATES:
        raise InvalidInput(
            Reason.FIELD_INVALID, f"{m.kind} is no CandidateKind of the contract", field="spec.candidates.kind"
        )
    if m.parameters:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            "choosing extra instrument parameters at each point is not built in this server; leave parameters empty",
            field="spec.candidates.parameters",
        )
    return CandidateSpec(_CANDIDATES[m.kind], m.stride or 1)


def write_spec(spec: CampaignSpec) -> pb.CampaignSpec:
    """Return the message of a spec."""
    limits = spec.limits
    return pb.CampaignSpec(
        title=spec.title,
        sample=spec.sample,
        instrument=spec.instrument,
        operator=spec.operator,
        scalarizer=pb.ScalarizerSpec(name=spec.scalarizer.name, params_json=_dump(spec.scalarizer.params)),
        policy=pb.PolicySpec(name=spec.policy.name, params_json=_dump(spec.policy.params)),
        seed_design=pb.SeedDesign(
            name=str(spec.seed_design.kind),
            count=spec.seed_design.count,
            positions=[pb.Position(y=p.y, x=p.x) for p in spec.seed_design.positions],
        ),
        budget=pb.Budget(
            probes=spec.budget.probes,
            seconds=spec.budget.seconds,
            dose=spec.budget.dose,
            core_hours=spec.budget.core_hours,
        ),
        limits=pb.Limits(
            allowed=[pb.Polygon(y=p.y, x=p.x) for p in limits.allowed],
            forbidden=[pb.Polygon(y=p.y, x=p.x) for p in limits.forbidden],
            max_step=limits.max_step,
            dose_per_area=limits.dose_per_area,
            max_rate_hz=limits.max_rate_hz,
            border=limits.border,
        ),
        candidates=pb.CandidateSpace(
            kind=next(k for k, v in reversed(_CANDIDATES.items()) if v is spec.candidates.kind),
            stride=spec.candidates.stride,
        ),
        seed=spec.seed,
        lease_s=spec.lease_s,
        is_minimizing=spec.is_minimizing,
        dose_unit=spec.dose_unit,
        metadata_json=_dump(spec.metadata),
        is_deep_member_disabled=spec.is_deep_member_disabled,
        members=spec.members,
        objectives=[
            pb.Objective(
                scalarizer=pb.ScalarizerSpec(name=o.scalarizer.name, params_json=_dump(o.scalarizer.params)),
                is_minimizing=o.is_minimizing,
            )
            for o in spec.objectives
        ],
        stop_rules=[pb.StopRule(name=rule.name, bound=rule.bound) for rule in spec.stop_rules],
        motion=pb.MotionCost(**vars(spec.motion)) if spec.motion is not None else None,
        theory=_write_theory(spec.theory) if spec.theory is not None else None,
        transfer=_write_transfer(spec.transfer) if spec.transfer is not None else None,
    )


def _dump(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), sort_keys=True, allow_nan=False)
