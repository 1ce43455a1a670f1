"""What a run of a campaign file would do, in words and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from probescout.campaigns.rounds import campaign_id
from probescout.campaigns.spec import CampaignFile
from probescout.core.jsonable import to_json
from probescout.core.specs import Budget


def described(file: CampaignFile) -> dict[str, Any]:
    """Return the file with its defaults, its digest, and the ids of the campaigns of a run without a key."""
    return {
        "digest": file.digest,
        "directory": str(file.directory),
        "data": str(file.data),
        "campaigns": {region.name: campaign_id(file, region) for region in file.regions},
        "file": file.to_json(),
    }


def lines(file: CampaignFile) -> Iterator[str]:
    """Yield what a run would do."""
    scalarizer = file.scalarizer
    goal = "smallest" if scalarizer.minimize else "largest"
    kinds = ", ".join(f"{i.label} ({i.kind})" for i in file.all_instruments)
    yield f"{file.campaign.name}: {len(file.regions)} regions on {kinds}"
    for instrument in file.all_instruments:
        if instrument.budget is not None:
            yield f"  instrument {instrument.label}: {_budget(instrument.budget)} of each region"
    yield f"  target: {goal} {_named(scalarizer.name, scalarizer.params)}"
    for objective in file.objectives:
        yield f"  beside: {'smallest' if objective.minimize else 'largest'} {_named(objective.name, objective.params)}"
    for stage in file.policy:
        until = "".join(f", until {key} {value}" for key, value in stage.until.items())
        yield f"  policy: {_named(stage.name, stage.params)}{until}"
    for region in file.regions:
        who = f", by {', '.join(region.instruments)}" if region.instruments else ""
        name = f"campaigns/{campaign_id(file, region)}"
        yield f"  region {region.name}: {_budget(file.budget_of(region))}, as {name}{who}"
    rules = ", ".join(f"{rule.name} {rule.bound:g}" for rule in file.stop_rules)
    if rules:
        acts = "written down only" if file.stop.when == "advise" else f"{file.stop.when} of them ends a region"
        yield f"  stop rules: {rules} ({acts})"
    if file.theory is not None:
        yield f"  theory: {file.theory.quantity} by {_named(file.theory.engine, file.theory.settings)}"
    if file.confirm.required:
        yield f"  a person is asked first: {file.confirm.question}"
    yield f"  results: {file.directory} (report.json, {', '.join(file.outputs.formats) or 'nothing else'})"
    if file.schedule.cron:
        yield f"  schedule: {file.schedule.cron} {file.schedule.timezone or 'UTC'}, by Prefect"
    yield f"  digest: {file.digest}"


def _named(name: str, params: Any) -> str:
    text = ", ".join(f"{key} {value}" for key, value in params.items())
    return f"{name} ({text})" if text else name


def _budget(budget: Budget) -> str:
    parts = [f"{amount:g} {name.replace('_', '-')}" for name, amount in to_json(budget).items() if amount]
    return "at most " + ", ".join(parts) if parts else "without limit"
