"""Whether a campaign file can work at all: ids, plug-ins, numbers, words of a closed list."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from typing import Any

from probescout_client.theory import to_theory

from probescout.campaigns.instruments import check_instrument
from probescout.campaigns.spec import FORMATS, CampaignFile, Instrument, Polygon, Region
from probescout.core.errors import InvalidInput, Reason
from probescout.core.jsonable import to_json
from probescout.core.plugin_spec import PluginSpec
from probescout.core.specs import Budget, CampaignSpec, Objective, SeedDesign, SeedKind, check_spec, checked_id
from probescout.core.specs import Limits as CoreLimits
from probescout.core.specs import Polygon as CorePolygon
from probescout.core.theory_spec import LARGEST_WINDOW_M, LONGEST_JOB_S, MOST_ATTEMPTS, MOST_RUNNING
from probescout.core.transfer_spec import TransferSpec
from probescout.runtime.validating import validated
from probescout.service.spec_codec import read_theory

MAX_NAME = 24
"""Of the file and of a region: both are parts of an id of at most 63 characters."""
MOST_PROBES = 10**9
"""Of a budget: more points than any frame has pixels."""
MOST_COMPUTE_S = 3600.0
"""Longest that the server lets a planner think about a point."""
MOST_OF_THEORY = {
    "window_m": LARGEST_WINDOW_M,
    "deadline_s": LONGEST_JOB_S,
    "lease_s": LONGEST_JOB_S,
    "max_attempts": MOST_ATTEMPTS,
    "max_running": MOST_RUNNING,
}
"""Of section [theory], where 0 is the server's default; what the wire cannot carry must not get there."""


def check(file: CampaignFile) -> None:
    """Refuse a file that can never work.

    Raises:
        InvalidInput: Naming the field; see `read_file`.
    """
    _check_names(file)
    _check_instruments(file)
    _check_words(file)
    _check_amounts(file)
    for i, region in enumerate(file.regions):
        try:
            _check_plan(file, region)
        except InvalidInput as error:
            raise InvalidInput(error.reason, error.message, field=_in_file(error.field, f"regions[{i}]")) from error
        for where, instrument in _places(file):
            if instrument in file.instruments_of(region):
                field = f"regions[{i}].params" if region.params else f"{where}.params"
                check_instrument(file, instrument, region, where=where, field=field)
        _check_end(file, region, f"regions[{i}].budget" if region.budget else "budget")


def _check_amounts(file: CampaignFile) -> None:
    amounts: list[tuple[str, float, float]] = [
        ("model.compute_budget_s", file.model.compute_budget_s, MOST_COMPUTE_S),
        ("server.patience_s", file.server.patience_s, math.inf),
        ("confirm.timeout_s", file.confirm.timeout_s, math.inf),
        ("schedule.retries", file.schedule.retries, math.inf),
        ("schedule.retry_delay_s", file.schedule.retry_delay_s, math.inf),
        ("schedule.skip_after_s", file.schedule.skip_after_s, math.inf),
        ("budget.probes", file.budget.probes, MOST_PROBES),
    ]
    for where, instrument in _places(file):
        amounts.append((f"{where}.park_after_s", instrument.park_after_s, math.inf))
        spent = to_json(instrument.budget) if instrument.budget is not None else {}
        amounts += [(f"{where}.budget.{name}", amount, MOST_PROBES) for name, amount in spent.items()]
    if file.theory is not None:
        amounts += [(f"theory.{name}", getattr(file.theory, name), most) for name, most in MOST_OF_THEORY.items()]
    own = ((i, region.budget) for i, region in enumerate(file.regions) if region.budget is not None)
    amounts += [(f"regions[{i}].budget.probes", budget.probes, MOST_PROBES) for i, budget in own]
    for where, amount, most in amounts:
        if amount < 0:
            raise InvalidInput(Reason.FIELD_INVALID, f"{amount:g} is negative; give 0 or more", field=where)
        if amount > most:
            raise InvalidInput(Reason.FIELD_INVALID, f"{amount:g} is too much; give at most {most:g}", field=where)


def _places(file: CampaignFile) -> list[tuple[str, Instrument]]:
    """Return every instrument with its place in the file."""
    if file.instrument is not None:
        return [("instrument", file.instrument)]
    return [(f"instruments[{i}]", instrument) for i, instrument in enumerate(file.instruments or ())]


def _check_instruments(file: CampaignFile) -> None:
    """Refuse instruments that cannot be told apart, and regions that none of them measures."""
    if (file.instrument is None) == (file.instruments is None):
        raise InvalidInput(
            Reason.FIELD_MISSING,
            "a file has one [instrument], or several [[instruments]] each with a name; give one of these",
            field="instrument",
        )
    if file.instrument is not None and file.instrument.budget is not None:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            "the only instrument shares with nobody; put its limits into [budget]",
            field="instrument.budget",
        )
    names: list[str] = []
    for where, instrument in _places(file)[: None if file.instrument is None else 0]:
        # The name is that of a client, a lock and a folder.
        checked_id(instrument.name, field=f"{where}.name")
        if instrument.name in names:
            raise InvalidInput(
                Reason.FIELD_INVALID, f"two instruments are named '{instrument.name}'", field=f"{where}.name"
            )
        names.append(instrument.name)
        if instrument.budget is not None and instrument.budget.core_hours:
            raise InvalidInput(
                Reason.FIELD_INVALID,
                "no instrument spends core-hours; leave it out",
                field=f"{where}.budget.core_hours",
            )
    for i, region in enumerate(file.regions):
        for k, name in enumerate(region.instruments or ()):
            _one_of(name, [one.label for one in file.all_instruments], f"regions[{i}].instruments[{k}]")
        if not file.instruments_of(region):
            raise InvalidInput(
                Reason.FIELD_MISSING, "no instrument measures this region", field=f"regions[{i}].instruments"
            )


def _check_names(file: CampaignFile) -> None:
    names = [("campaign.name", file.campaign.name)]
    names += [(f"regions[{i}].name", region.name) for i, region in enumerate(file.regions)]
    for where, name in names:
        checked_id(name, field=where)
        if len(name) > MAX_NAME:
            raise InvalidInput(
                Reason.ID_INVALID, f"'{name}' has {len(name)} characters; give at most {MAX_NAME}", field=where
            )
    seen: set[str] = set()
    for where, name in names[1:]:
        if name in seen:
            raise InvalidInput(Reason.FIELD_INVALID, f"two regions are named '{name}'; rename one", field=where)
        seen.add(name)
    if not file.regions:
        raise InvalidInput(Reason.FIELD_MISSING, "there is no region; add [[regions]] with a name", field="regions")
    if not file.policy:
        raise InvalidInput(
            Reason.FIELD_MISSING, "the list of policies is empty; add one or leave it out", field="policy"
        )


def _check_words(file: CampaignFile) -> None:
    _one_of(file.stop.when, ("advise", "any", "all"), "stop.when")
    _one_of(file.initial.design, ("random", "grid"), "initial.design")
    for i, name in enumerate(file.outputs.formats):
        _one_of(name, FORMATS, f"outputs.formats[{i}]")
    for i, stage in enumerate(file.policy):
        if len(file.policy) == 1 and stage.until:
            raise InvalidInput(
                Reason.FIELD_INVALID, "the only policy takes no 'until'; add the one that follows", field=f"policy[{i}]"
            )


def _one_of(word: str, known: Sequence[str], where: str) -> None:
    if word not in known:
        near = difflib.get_close_matches(word, known, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise InvalidInput(
            Reason.FIELD_INVALID, f"'{word}' is none of {', '.join(known)}; {hint}choose one", field=where
        )


def _check_end(file: CampaignFile, region: Region, where: str) -> None:
    budget = file.budget_of(region)
    if budget == Budget(core_hours=budget.core_hours) and file.stop.when == "advise":
        raise InvalidInput(
            Reason.FIELD_MISSING,
            "nothing ends this region: give probes, seconds or dose, or let a stop rule act (stop.when)",
            field=where,
        )
    if file.stop.when != "advise" and not file.stop.rules:
        raise InvalidInput(Reason.FIELD_MISSING, f"no rule is given to stop by '{file.stop.when}'", field="stop.rules")


def _check_plan(file: CampaignFile, region: Region) -> None:
    """Refuse what the server would refuse later."""
    spec = _core_spec(file, region)
    check_spec(spec)
    message: dict[str, Any] = {
        "scalarizer": {"name": spec.scalarizer.name, "params": spec.scalarizer.params},
        "policy": {"name": spec.policy.name, "params": spec.policy.params},
        "members": spec.members,
        "is_deep_member_disabled": spec.is_deep_member_disabled,
        "stop_rules": [rule.name for rule in spec.stop_rules],
        "objectives": [to_json(objective) for objective in spec.objectives],
    }
    if spec.theory is not None:
        engine = {"name": spec.theory.engine.name, "params": spec.theory.engine.params}
        message["theory"] = {"engine": engine, "quantity": spec.theory.quantity}
    validated(message)


def _core_spec(file: CampaignFile, region: Region) -> CampaignSpec:
    limits, theory = file.limits, to_theory(file.theory)
    return CampaignSpec(
        scalarizer=PluginSpec(file.scalarizer.name, file.scalarizer.params),
        policy=PluginSpec(*file.policy_spec),
        budget=file.budget_of(region),
        seed_design=SeedDesign(SeedKind(file.initial.design), file.initial.count),
        limits=CoreLimits(
            allowed=_polygons(region.allowed),
            forbidden=_polygons(region.forbidden),
            max_step=limits.max_step,
            dose_per_area=limits.dose_per_area,
            max_rate_hz=limits.max_rate_hz,
            border=limits.border,
        ),
        seed=file.campaign.seed,
        lease_s=limits.lease_s,
        is_deep_member_disabled=not file.model.deep,
        members=file.model.members,
        transfer=None if file.model.transfer is None else TransferSpec(file.model.transfer),
        objectives=tuple(Objective(PluginSpec(o.name, o.params), o.minimize) for o in file.objectives),
        stop_rules=file.stop_rules,
        theory=None if theory is None else read_theory(theory),
    )


def _polygons(polygons: tuple[Polygon, ...]) -> tuple[CorePolygon, ...]:
    return tuple(CorePolygon(tuple(y for y, _ in p), tuple(x for _, x in p)) for p in polygons)


def _in_file(field: str, region: str) -> str:
    """Return where in the file a field of the core's spec comes from."""
    for core, ours in (
        ("spec.limits.allowed", f"{region}.allowed"),
        ("spec.limits.forbidden", f"{region}.forbidden"),
        ("spec.policy.params.stages", "policy"),
        ("spec.seed_design", "initial"),
        ("spec.seed", "campaign.seed"),
        ("spec.lease_s", "limits.lease_s"),
        ("spec.stop_rules", "stop.rules"),
        ("spec.transfer.model", "model.transfer"),
        ("spec.", ""),
    ):
        if field.startswith(core):
            return ours + field[len(core) :]
    return field
