"""What a campaign directory holds, read beside a server at work or from what damage has left.

Nothing that is there is changed. SQLite may leave two empty files of its own beside a journal that no server has open.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from probescout.core.ports import Head
    from probescout.core.state import Campaign

FINISHED = "finished"
OUTCOMES = (FINISHED, "stopped", "aborted", "paused", "running")
"""What came of a campaign: it ended of itself (a campaign file says so), by a person's word, or not yet."""


@dataclass(frozen=True)
class Salvaged:
    """The state that the readable part of a journal leads to."""

    state: Campaign | None
    """None when not even the first event can be read, or there is none."""
    head: Head
    problem: str = ""
    """Why reading ended before the journal did; empty when it did not, or when the journal itself is damaged."""


def salvage(directory: Path) -> Salvaged:
    """Fold the events of a journal up to the first bad one.

    Raises:
        NotFound: CAMPAIGN_NOT_FOUND when there is no journal.
    """
    from probescout.core.errors import HistoryMismatch
    from probescout.core.ports import Head
    from probescout.export.history import folded

    state: Campaign | None = None
    head = Head()
    try:
        for record, _, reached in folded(directory):
            state, head = reached, Head(record.seq, record.hash)
    except HistoryMismatch as error:
        return Salvaged(state, head, error.message)
    return Salvaged(state, head)


def campaign_json(directory: Path) -> dict[str, Any]:
    """Return what a campaign directory holds, and what is wrong with it.

    Raises:
        NotFound: CAMPAIGN_NOT_FOUND when there is no journal.
    """
    from probescout.store.verify import verify

    checked = verify(directory)
    found = salvage(directory)
    problems = [*checked.problems, *([found.problem] if found.problem else [])]
    report: dict[str, Any] = {
        "id": directory.name,
        "path": str(directory),
        "status": "empty" if found.head.seq == 0 and not problems else "unreadable",
        "is_sound": not problems,
        "problems": problems,
        "n_events": found.head.seq,
        "event_hash": found.head.hash,
    }
    return report if found.state is None else {**report, **_state_json(found.state)}


def campaign_row(directory: Path) -> dict[str, Any]:
    """Return what is known of a campaign, were it only that its journal is gone."""
    from probescout.core.errors import NotFound

    try:
        return campaign_json(directory)
    except NotFound as error:
        return {
            "id": directory.name,
            "path": str(directory),
            "status": "unreadable",
            "is_sound": False,
            "problems": [error.message],
            "n_events": 0,
            "event_hash": "",
        }


def _state_json(state: Campaign) -> dict[str, Any]:
    spec = state.spec
    observations = state.observations.values()
    frame = state.frame.added if state.frame is not None else None
    return {
        "id": state.id,
        "status": state.status.value,
        "status_reason": state.status_reason,
        "outcome": _outcome(state),
        "title": spec.title,
        "sample": spec.sample,
        "instrument": spec.instrument,
        "operator": spec.operator,
        "created_time": state.created_time,
        "scalarizer": {"name": spec.scalarizer.name, "params": dict(spec.scalarizer.params)},
        "policy": {"name": spec.policy.name, "params": dict(spec.policy.params)},
        "is_minimizing": spec.is_minimizing,
        "frame": None if frame is None else {"id": frame.frame, "height": frame.height, "width": frame.width},
        "n_candidates": state.candidates.n if state.candidates is not None else 0,
        "n_suggested": state.n_suggested,
        "n_pending": len(state.pending),
        "n_observations": len(observations),
        "n_scored": sum(o.score_state.value == "scored" for o in observations),
        "n_late": sum(o.is_late for o in observations),
        "data_version": state.data_version,
        "model_version": state.model_version,
        "budget": _budget_json(state),
        "best": _best_json(state),
        **_theory_json(state),
        **_origin_json(state),
    }


def _outcome(state: Campaign) -> str:
    """Return one of OUTCOMES: the status, but "finished" for what ended of itself."""
    from probescout.campaigns.results import COMPLETE

    is_finished = state.status.value == "stopped" and state.status_reason.startswith(COMPLETE)
    return FINISHED if is_finished else state.status.value


def _origin_json(state: Campaign) -> dict[str, Any]:
    """Return which campaign file a campaign comes from, and its results here; nothing for any other."""
    from probescout.campaigns.rounds import Origin

    origin = Origin.of(state.spec.metadata)
    if origin is None:
        return {}
    about = {"digest": origin.digest, "region": origin.region, "run_key": origin.run_key}
    return {"campaign_file": about, "results": [str(path) for path in origin.results()]}


def _theory_json(state: Campaign) -> dict[str, Any]:
    """Return what became of theory jobs; nothing for a campaign that never had any."""
    theory = state.spec.theory
    if theory is None and not state.jobs:
        return {}
    counts: dict[str, int] = {}
    for job in state.jobs.values():
        counts[job.state.value] = counts.get(job.state.value, 0) + 1
    use, limit = state.use, state.spec.budget.core_hours
    return {
        "theory": {
            "engine": theory.engine.name if theory is not None else "",
            "quantity": theory.quantity if theory is not None else "",
            "jobs": counts,
            "n_applied": sum(state.applied.values()),
            "core_hours": {
                "limit": limit or None,
                "spent": use.core_hours_spent,
                "reserved": use.core_hours_reserved,
            },
        }
    }


def _budget_json(state: Campaign) -> dict[str, Any]:
    budget, use = state.spec.budget, state.use
    return {
        "probes": {"limit": budget.probes or None, "spent": use.probes_spent, "reserved": use.probes_reserved},
        "seconds": {"limit": budget.seconds or None, "spent": use.seconds_spent, "reserved": use.seconds_reserved},
        "dose": {
            "limit": budget.dose or None,
            "spent": use.dose_spent,
            "reserved": use.dose_reserved,
            "unit": state.spec.dose_unit,
        },
    }


def _best_json(state: Campaign) -> dict[str, Any] | None:
    best = state.best()
    if best is None:
        return None
    return {
        "observation": best.id,
        "y": best.y,
        "x": best.x,
        "target": best.target,
        "std": math.sqrt(best.target_variance) if best.target_variance >= 0 else None,
        "unit": best.target_unit,
    }


def campaign_line(row: dict[str, Any]) -> str:
    """Return one line about a campaign of a list."""
    text = f"{row['id']:<24} {row['status']:<10}"
    if "budget" in row:
        best = row["best"]
        text += f" {_amount(row['budget']['probes'], ''):<14}"
        text += f" best {best['target']:.5g} {best['unit']}" if best else " nothing scored yet"
    return (text if row["is_sound"] else f"{text}  DAMAGED").rstrip()


def campaign_lines(row: dict[str, Any]) -> Iterator[str]:
    """Yield lines about one campaign."""
    yield f"campaign   {row['id']}: {row['status']}" + (
        f" ({row['status_reason']})" if row.get("status_reason") else ""
    )
    yield f"path       {row['path']}"
    yield f"journal    {row['n_events']} events can be read, the last has hash {row['event_hash'][:12] or 'none'}"
    if "budget" in row:
        yield from _planned_lines(row)
    yield from damage_lines(row)


def damage_lines(row: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a campaign, and what to do about it; nothing when all is well."""
    for problem in row["problems"]:
        yield f"PROBLEM    {problem}"
    if row["problems"]:
        yield "           stop the server, copy the whole directory, and only then restore what is named from a backup"


def _planned_lines(row: dict[str, Any]) -> Iterator[str]:
    frame = row["frame"]
    size = f"{frame['height']} x {frame['width']} pixels, " if frame and frame["height"] else ""
    yield f"frame      {frame['id']}: {size}{row['n_candidates']} candidates" if frame else "frame      none yet"
    goal = "smallest" if row["is_minimizing"] else "largest"
    yield f"plan       {goal} {row['scalarizer']['name']} {row['scalarizer']['params']} by {row['policy']['name']}"
    yield (
        f"measured   {row['n_observations']} observations, {row['n_scored']} scored, {row['n_late']} late; "
        f"{row['n_pending']} suggestions pending of {row['n_suggested']}"
    )
    budget = row["budget"]
    parts = [_amount(budget["probes"], "probes")]
    parts += [
        _amount(budget[k], u) for k, u in (("seconds", "s"), ("dose", budget["dose"]["unit"])) if _counts(budget[k])
    ]
    yield f"budget     {', '.join(parts)}"
    if "theory" in row:
        told = row["theory"]
        n_jobs = ", ".join(f"{n} {state}" for state, n in told["jobs"].items()) or "no jobs yet"
        what = f"{told['quantity']} by {told['engine']}: " if told["engine"] else ""
        yield (
            f"theory     {what}{n_jobs}; numbers of {told['n_applied']} applied; "
            f"{_amount(told['core_hours'], 'core-hours')}"
        )
    best = row["best"]
    if best:
        spread = f" ± {best['std']:.2g}" if best["std"] is not None else ""
        where = f"(y {best['y']:.4f}, x {best['x']:.4f})"
        yield f"best       {best['target']:.5g}{spread} {best['unit']} at {where}, {best['observation']}"
    else:
        yield "best       nothing scored yet"


def _counts(entry: dict[str, Any]) -> bool:
    return bool(entry["limit"] or entry["spent"])


def _amount(entry: dict[str, Any], unit: str) -> str:
    of = f" of {entry['limit']:g}" if entry["limit"] else ""
    return f"{entry['spent']:g}{of} {unit}".rstrip()
