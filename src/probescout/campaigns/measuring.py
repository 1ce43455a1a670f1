"""One instrument in one region: the campaign begun or taken up, and measured until it ends."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import probescout_client as ps
from probescout_client.wire.v1 import probescout_pb2 as pb

from probescout.campaigns import results
from probescout.campaigns.rounds import campaign_id, origin
from probescout.campaigns.share import Share
from probescout.campaigns.spec import CampaignFile, Instrument, Region
from probescout.core.errors import Reason
from probescout.core.ports import Measurement, Microscope
from probescout.replay.wire_session import signal_of

OFFLINE_AFTER_S = 10.0
"""A measurement that cannot be told for so long waits in the outbox, and the patience for the planner begins."""
MOST_REFUSED = 3
"""Readings in a row that the planner may refuse: then something is wrong with the instrument, and the sample pays."""
_log = logging.getLogger(__name__)
Ask = Callable[[], ps.Point | None]
OnPoint = Callable[[float, float], None]
"""Called after every point: seconds that it took at the instrument and at the planner."""


class InstrumentFault(Exception):  # noqa: N818 (a state of affairs, as in core.errors)
    """The instrument raised; the planner is as it was."""


def start(
    planner: ps.Planner, file: CampaignFile, region: Region, key: str, instrument: Instrument, microscope: Microscope
) -> ps.Run:
    """Return an instrument's run of a region: its campaign if there is one, else a new one with a fresh overview.

    Raises:
        InstrumentFault: The overview could not be taken.
        ProbescoutError: Of the client, as the server answers.
    """
    name = campaign_id(file, region, key)
    here: dict[str, Any] = {
        "allowed": region.allowed,
        "forbidden": region.forbidden,
        "max_step": file.limits.max_step,
        "border": file.limits.border,
        "give_up_after_s": file.server.patience_s,
        "offline_after_s": min(file.server.patience_s, OFFLINE_AFTER_S),
        "compute_budget_s": file.model.compute_budget_s,
        "on_park": lambda why: park(microscope, why),
        "park_after_s": instrument.park_after_s or None,
    }
    if _has_frame(planner, name):
        return planner.resume(name, **here)
    with at_instrument("the overview"):
        overview = microscope.overview()
    try:
        return planner.start(
            overview.image,
            pixel_size=None if overview.pixel_size_m is None else (overview.pixel_size_m, "m"),
            mask=overview.mask,
            campaign=name,
            exist_ok=True,
            metadata=origin(file, region, key),
            **_declaration(file, region),
            **here,
        )
    except ps.WrongState as error:
        if error.reason != Reason.FRAME_EXISTS:
            raise
        # Another process of the same file was faster: its overview counts.
        return planner.resume(name, **here)


def _declaration(file: CampaignFile, region: Region) -> dict[str, Any]:
    """Return what the campaign of a region declares, beside its frame and what is checked here as well."""
    limits = file.limits
    policy, policy_params = file.policy_spec
    budget = file.budget_of(region)
    return {
        "title": f"{file.campaign.title or file.campaign.name}: {region.name}",
        "sample": file.campaign.sample,
        "operator": file.campaign.operator,
        "instrument": file.label,
        "scalarizer": file.scalarizer.name,
        "params": dict(file.scalarizer.params),
        "minimize": file.scalarizer.minimize,
        "objectives": [ps.Objective(o.name, dict(o.params), o.minimize) for o in file.objectives],
        "policy": policy,
        "policy_params": policy_params,
        "budget": ps.Budget(budget.probes, budget.seconds, budget.dose, budget.core_hours),
        "seed": file.campaign.seed,
        "n_initial": file.initial.count,
        "initial_design": file.initial.design,
        "dose_per_area": limits.dose_per_area,
        "max_rate_hz": limits.max_rate_hz,
        "dose_unit": limits.dose_unit,
        "lease_s": limits.lease_s,
        "deep": file.model.deep,
        "members": file.model.members,
        "transfer": file.model.transfer or "",
        "stop_rules": {rule.name: rule.bound for rule in file.stop_rules},
        "theory": file.theory,
    }


def _has_frame(planner: ps.Planner, name: str) -> bool:
    """Return whether a campaign exists and got its overview before whoever began it died."""
    try:
        return bool(planner.get(name).frames)
    except ps.NotFound:
        return False


def measure(run: ps.Run, file: CampaignFile, microscope: Microscope, ask: Ask, share: Share, on_point: OnPoint) -> str:
    """Measure until there is no point more; return why this instrument ended before that, empty if it did not.

    What is measured goes through the outbox of the client, so that a killed process loses at most the point under the
    beam. Leaving in any way gives the open point back.

    Raises:
        InstrumentFault: The instrument raised.
        ProbescoutError: Of the client; Unavailable when the planner was gone for longer than the file's patience.
    """
    n_refused = 0
    asked = time.monotonic()
    try:
        while not (why := share.end()) and (point := ask()) is not None:
            met = advised(run.advice, file)
            if met:
                end(run, met)
                break
            began = time.monotonic()
            with at_instrument(f"the point ({point.y:.4f}, {point.x:.4f})"):
                measurement = microscope.measure(point.y, point.x)
            measured = time.monotonic()
            share.add(measurement.dwell_s, measurement.dose)
            n_refused = 0 if tell(run, point, measurement) else n_refused + 1
            if n_refused == MOST_REFUSED:
                raise InstrumentFault(f"{n_refused} readings in a row were refused; the last point tells why")
            told = time.monotonic()
            on_point(measured - began, told - measured + began - asked)
            asked = told
    finally:
        run.release_all("the loop was left")
    return why


def tell(run: ps.Run, point: ps.Point, measurement: Measurement) -> bool:
    """Send what an instrument returned; return False when the planner refuses it: the point is then told as failed.

    The data that were refused stay in the outbox, set aside: the sample has paid for them.

    Raises:
        InstrumentFault: It returned neither data nor an error.
        ProbescoutError: Of the client, other than a refusal.
    """
    cost: dict[str, Any] = {
        "dwell_s": measurement.dwell_s if math.isfinite(measurement.dwell_s) else 0.0,
        "dose": measurement.dose if math.isfinite(measurement.dose) else 0.0,
    }
    where = (measurement.y, measurement.x)
    if measurement.error:
        run.fail(point, measurement.error, measured_at=where, **cost)
        return True
    with at_instrument(f"reading the point ({point.y:.4f}, {point.x:.4f})"):
        signal = signal_of(measurement)
    try:
        run.tell(point, **signal, measured_at=where, **cost)
    except ps.InvalidInput as error:
        _log.error("%s: the reading at %s is refused: %s", run.name, point.name, error)
        # Without its place, which may be what is wrong.
        run.fail(point, f"the planner refused the reading: {error}", **cost)
        return False
    return True


def advised(advice: list[ps.StopAdvice], file: CampaignFile) -> str:
    """Return which stop rules end the region, or nothing."""
    met = [one for one in advice if one.is_met]
    is_enough = {"any": bool(met), "all": bool(met) and len(met) == len(file.stop.rules)}
    return "; ".join(f"{one.rule}: {one.message}" for one in met) if is_enough.get(file.stop.when, False) else ""


def ended(run: ps.Run) -> tuple[str, str] | None:
    """Return state and reason of a campaign that was ended, by whomever; None of one that goes on."""
    now = run.status()
    if now.status == pb.CAMPAIGN_STATUS_ABORTED:
        return results.ABORTED, now.status_reason
    if now.status != pb.CAMPAIGN_STATUS_STOPPED:
        return None
    is_complete = now.status_reason.startswith(results.COMPLETE)
    return (results.COMPLETE if is_complete else results.STOPPED), now.status_reason


def end(run: ps.Run, why: str) -> None:
    """End a campaign as complete, unless somebody was faster."""
    try:
        run.stop(f"{results.COMPLETE}: {why}")
    except ps.WrongState as error:
        if error.reason != Reason.CAMPAIGN_ENDED:
            raise


def park(instrument: Microscope, why: str) -> str:
    """Bring the instrument to where it can be left alone; return what went wrong, empty for nothing.

    Nothing is raised: the results must come home all the same, and the client calls this on threads of its own.
    """
    try:
        with at_instrument("parking it"):
            instrument.park()
    except InstrumentFault as fault:
        _log.exception("instrument %s is NOT PARKED: %s", instrument.name, why)
        return str(fault)
    _log.info("instrument %s is parked: %s", instrument.name, why)
    return ""


@contextmanager
def at_instrument(what: str) -> Iterator[None]:
    """Tell what an instrument raises from what the planner does.

    Raises:
        InstrumentFault: With the instrument's own error as its cause.
    """
    try:
        yield
    except Exception as error:
        raise InstrumentFault(f"{what} failed: {error!r}") from error
