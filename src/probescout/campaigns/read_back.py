"""What the server holds of a region: observations, maps, and what simulations had to say."""

from __future__ import annotations

import logging
import math
from collections import Counter
from typing import Any

import numpy as np
import probescout_client as ps
from probescout_client.wire.v1 import probescout_pb2 as pb

from probescout.campaigns import results
from probescout.campaigns.spec import CampaignFile, Region

MAPS = ("mean", "std")
INFORMED = "+theory"
"""Ends the names of the members of the committee that listen to simulations."""
_log = logging.getLogger(__name__)


def read_back(run: ps.Run, file: CampaignFile, region: Region, state: str, message: str) -> results.Region:
    """Return what the server holds of a region.

    Raises:
        ProbescoutError: Of the client, as the server answers.
    """
    maps: dict[str, Any] = {}
    if run.status().n_observations:
        kinds = MAPS if file.theory is None else (*MAPS, "prior")
        try:
            # The model answers after it has learned all that was told, so that no score below is pending.
            maps = {name: np.asarray(array, dtype=np.float64) for name, array in run.maps(kinds).items()}
        except ps.ProbescoutError as error:
            # Maps can be asked for again at any time; the observations are what must come home.
            _log.warning("%s gives no maps: %s", run.name, error)
    rows = [_row(o) for o in run.observations()]
    now = run.status()
    best = now.best if now.HasField("best") else None
    return results.Region(
        name=region.name,
        campaign=run.name,
        state=state,
        message=message,
        n_measured=len(rows),
        best=None if best is None else {"target": best.target, "y": best.measured_at.y, "x": best.measured_at.x},
        unit=best.target_unit if best else "",
        rows=tuple(sorted(rows, key=lambda row: row["ordinal"])),
        maps=maps,
        theory=None if file.theory is None else _theory(run, file.theory, best, maps),
    )


def _row(o: pb.Observation) -> dict[str, Any]:
    is_scored = o.score_state == pb.SCORE_STATE_SCORED
    status = pb.ObservationStatus.Name(o.status).rpartition("_")[2].lower()
    return {
        "ordinal": int(o.ordinal),
        "observation": o.name.rpartition("/")[2],
        "suggestion": o.suggestion.rpartition("/")[2],
        "y": o.measured_at.y,
        "x": o.measured_at.x,
        "status": "complete" if status == "unspecified" else status,
        "target": o.target if is_scored else math.nan,
        "target_std": math.sqrt(o.target_variance) if is_scored and o.target_variance >= 0 else math.nan,
        "dwell_s": o.dwell_s,
        "dose": o.dose,
        "is_late": o.is_late,
        "client": o.client_id,
    }


def _theory(
    run: ps.Run, plan: ps.TheoryPlan, best: pb.Observation | None, maps: dict[str, Any]
) -> results.TheoryInfluence:
    jobs = list(run.theory.jobs())
    return results.TheoryInfluence(
        engine=plan.engine,
        quantity=plan.quantity,
        jobs=dict(Counter(job.state for job in jobs)),
        failures=dict(Counter(job.failure for job in jobs if job.failure)),
        n_applied=sum(bool(job.is_applied) for job in jobs),
        core_hours=sum(job.core_hours for job in jobs if job.is_ended),
        weight=0.0 if best is None else _weight(run, best),
        largest_shift=float(np.nanmax(np.abs(maps["prior"]))) if "prior" in maps else 0.0,
    )


def _weight(run: ps.Run, best: pb.Observation) -> float | None:
    """Return the share of the members that listen to simulations in what is predicted at the best point."""
    try:
        told = run.explain((best.measured_at.y, best.measured_at.x))
    except ps.ProbescoutError as error:
        _log.warning("%s does not tell how much theory weighs: %s", run.name, error)
        return None
    return float(sum(member.weight for member in told.members if member.member.endswith(INFORMED)))
