"""Chooses the next points of a campaign, and degrades rather than be late.

The ladder: points that people asked for, seed design, exact posterior of the present model, positions that the model
kept ready, space-filling rule. Every rung passes the same guard, and every answer below the third says why in
`degraded`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.advice import StopAdvice
from probescout.core.errors import ProbescoutError
from probescout.core.jsonable import from_json
from probescout.core.leasing import StopCause, StopReport, budget_shortage, budget_stop, status_stop
from probescout.core.state import Campaign
from probescout.core.suggestions import Source
from probescout.runtime.child import Reply
from probescout.runtime.choosing import Chooser, Picks, Wish
from probescout.runtime.modeller import Modeller


async def choose(
    state: Campaign, mask: NDArray[np.bool_] | None, wish: Wish, modeller: Modeller, asked: Reply | None
) -> Picks:
    """Return points for a wish, by the deadline.

    Args:
        state: The campaign.
        mask: (y, x) where probing is allowed; None: everywhere.
        wish: What is wanted.
        modeller: The campaign's model.
        asked: A request for the points that is under way already; None: ask here.
    """
    started = time.perf_counter()
    chooser = Chooser(state, mask, wish)
    chooser.take_points()
    chooser.take_seeds()
    if chooser.missing:
        await _from_model(chooser, wish, modeller, asked)
    if chooser.missing:
        chooser.fill_space()
    return chooser.finish(time.perf_counter() - started)


async def _from_model(chooser: Chooser, wish: Wish, modeller: Modeller, asked: Reply | None) -> None:
    try:
        if modeller.is_rescoring:
            # What was asked of the model before was answered for the old targets.
            asked = None
            assert modeller.rescoring is not None
            await asyncio.wait([modeller.rescoring], timeout=max(0.0, wish.deadline - time.monotonic()))
        if modeller.is_rescoring:
            chooser.degraded += modeller.problems
            return
        if not modeller.is_ready:
            loading = modeller.wake()
            await asyncio.wait([loading], timeout=max(0.0, wish.deadline - time.monotonic()))
            if asked is not None and asked.done() and asked.exception() is not None:
                asked = None
        if asked is None and time.monotonic() >= wish.deadline:
            chooser.degraded.append("the model was busy for as long as the compute budget allows")
        else:
            asked = asked or modeller.ask("suggest", **chooser.plan_request())
            await _take_answer(chooser, wish, asked)
    except ProbescoutError as error:
        chooser.degraded.append(f"{error.reason}: {error.message}")
    chooser.degraded += modeller.problems
    chooser.take_rows(modeller.spares, Source.PREFETCH)


async def _take_answer(chooser: Chooser, wish: Wish, asked: Reply) -> None:
    done, _ = await asyncio.wait([asked], timeout=max(0.0, wish.deadline - time.monotonic()))
    if not done:
        chooser.degraded.append("the model did not answer within the compute budget")
        return
    reply = asked.result()
    if reply["refusal"]:
        chooser.degraded.append(reply["refusal"])
    elif reply["is_cold"]:
        chooser.degraded.append("the model has not seen two different values yet")
    unit = chooser.target_unit
    for told in reply["advice"]:
        advice = from_json(StopAdvice, told)
        chooser.advice += (replace(advice, unit=advice.unit.replace("target", unit) if unit else advice.unit),)
    chooser.take_rows(reply["picks"], Source.PLANNER)


def confirmed(
    state: Campaign,
    mask: NDArray[np.bool_] | None,
    picks: Picks,
    wish: Wish,
    n_asked: int,
    spares: Sequence[Mapping[str, Any]],
) -> tuple[Picks, StopReport | None]:
    """Return what may still be leased, just before it is: the guard's last look.

    While the model was thinking the operator may have paused, tightened the limits or moved the frame, and others may
    have measured; what they took is made up for without the model.

    Args:
        state: The campaign that the lease will meet.
        mask: (y, x) where probing is allowed; None: everywhere.
        picks: Chosen for an earlier state.
        wish: That they were chosen for.
        n_asked: How many points the client asked for; the wish may be smaller.
        spares: Rows of points that the model keeps ready.
    """
    stop = status_stop(state)
    if stop is not None:
        return replace(picks, suggestions=()), stop
    room, spent = budget_stop(state)
    wanted = len(picks.suggestions) if picks.stop is not None else wish.count
    now = Chooser(state, mask, replace(wish, count=wanted if room is None else min(wanted, room)))
    now.degraded = list(picks.degraded)
    # The rules may be others by now.
    rules = {(rule.name, rule.bound) for rule in state.spec.stop_rules}
    now.advice = tuple(one for one in picks.advice if (one.rule, one.bound) in rules)
    now.take_again(picks.suggestions)
    if now.missing and picks.stop is None:
        now.degraded.append("chosen points were taken or forbidden meanwhile")
        now.take_rows(spares, Source.PREFETCH)
        now.fill_space()
    kept = now.finish(picks.compute_s)
    n = len(kept.suggestions)
    if n == n_asked:
        return kept, None
    if picks.stop is not None:
        return kept, picks.stop
    if room is not None and room <= n:
        return kept, spent or budget_shortage(state, n_asked, n)
    if n == wish.count and state.spec.limits.max_rate_hz:
        return kept, too_fast(state.spec.limits.max_rate_hz, 1.0 / state.spec.limits.max_rate_hz)
    return kept, kept.stop


def too_fast(rate_hz: float, wait_s: float) -> StopReport:
    """Return the report of a rate limit."""
    return StopReport(
        StopCause.RATE, f"at most {rate_hz:g} suggestions a second; ask again in {wait_s:.3f} s", False, wait_s
    )
