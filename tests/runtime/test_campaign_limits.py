"""Budgets, rates, reach, leases and controls of a campaign in this process."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from probescout.core.errors import InvalidInput, NotFound, Reason, WrongState
from probescout.core.events import Control
from probescout.core.geometry import Position, distance
from probescout.core.leasing import StopCause
from probescout.core.observations import ObservationStatus, ScoreState
from probescout.core.specs import Budget, Limits, PluginSpec
from probescout.core.spectra import Spectrum
from probescout.core.suggestions import Source, SuggestionState
from probescout.runtime.driver import Ask


def test_steps_stay_within_reach(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        reach = 0.2
        driver = await lab.campaign(planner, limits=Limits(max_step=reach), seed_design=lab.SeedDesign(count=1))
        handed = await driver.suggest(Ask(1, "me"), lab.ME)
        path = list(handed.suggestions)
        for _ in range(9):
            _, handed = await lab.measure(driver, path[-1], client_id="me")
            path += handed.suggestions
        batch = await driver.suggest(Ask(4, "me"), lab.ME)
        assert not batch.degraded, "the policy itself must chain its points"
        path += batch.suggestions
        steps = [distance(Position(a.y, a.x), Position(b.y, b.x)) for a, b in zip(path, path[1:], strict=False)]
        assert len(steps) == 13 and max(steps) <= reach * (1 + 1e-9)
        assert {s.source for s in path[3:]} == {Source.PLANNER}

    inline(work)


def test_no_point_within_reach_is_said(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner, limits=Limits(max_step=1e-3))
        await driver.suggest(Ask(1, "me"), lab.ME)
        handed = await driver.suggest(Ask(1, "me"), lab.ME)
        assert not handed.suggestions and handed.stop.cause is StopCause.MAX_STEP

    inline(work)


def test_the_rate_is_kept(lab: Any, inline: Any) -> None:
    clock = lab.FakeClock()

    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner, limits=Limits(max_rate_hz=0.5))
        handed = await driver.suggest(Ask(3), lab.ME)
        assert len(handed.suggestions) == 1
        assert (handed.stop.cause, handed.stop.is_final) == (StopCause.RATE, False)
        clock.seconds += 1.5
        handed = await driver.suggest(Ask(1), lab.ME)
        assert not handed.suggestions and handed.stop.cause is StopCause.RATE
        assert handed.stop.retry_after_s == pytest.approx(0.5)
        clock.seconds += 0.5
        handed = await driver.suggest(Ask(1), lab.ME)
        assert len(handed.suggestions) == 1 and handed.stop is None

    inline(work, clock)


def test_budgets_bound_what_is_leased(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner, budget=Budget(probes=4))
        handed = await driver.suggest(Ask(6), lab.ME)
        assert len(handed.suggestions) == 4 and handed.stop.cause is StopCause.BUDGET_PROBES
        handed = await driver.suggest(Ask(1), lab.ME)
        assert not handed.suggestions and not handed.stop.is_final
        slow = await lab.campaign(planner, "slow", budget=Budget(seconds=10.0))
        handed = await slow.suggest(Ask(3), lab.ME)
        assert len(handed.suggestions) == 1, "before the first measurement nobody knows what one costs"
        seen, s = lab.spectrum(0.5, 0.5), handed.suggestions[0]
        await slow.tell(lab.draft("o1", s, dwell_s=4.0), seen, s.token, lab.ME)
        handed = await slow.suggest(Ask(3), lab.ME)
        assert len(handed.suggestions) == 1 and handed.stop.cause is StopCause.BUDGET_SECONDS

    inline(work)


def test_pause_resume_abort(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        s = await lab.warm_up(driver, 1)
        await driver.control(Control.PAUSE, "tea", lab.ME)
        told, handed = await lab.measure(driver, s)
        assert told.observation.score_state is ScoreState.SCORED and not told.observation.is_late
        assert not handed.suggestions and handed.stop.cause is StopCause.PAUSED
        await driver.control(Control.RESUME, "", lab.ME)
        [s] = (await driver.suggest(Ask(), lab.ME)).suggestions
        await driver.control(Control.ABORT, "smoke", lab.ME)
        assert driver.state.suggestions[s.id].state is SuggestionState.RELEASED and driver.leases.left(s.id) == 0
        told, handed = await lab.measure(driver, s)
        assert told.observation.is_late and handed.stop.cause is StopCause.ABORTED

    inline(work)


def test_leases_run_out_and_the_point_returns(lab: Any, inline: Any) -> None:
    clock = lab.FakeClock()

    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner, lease_s=60.0)
        a, b = (await driver.suggest(Ask(2), lab.ME)).suggestions
        clock.seconds += 50.0
        await driver.renew((b.id,), (b.token,), lab.ME)
        assert (driver.leases.left(a.id), driver.leases.left(b.id)) == (10.0, 60.0)
        clock.seconds += 11.0
        driver.leases.grant([])
        await lab.until(lambda: a.id not in driver.state.pending)
        assert driver.state.suggestions[a.id].state is SuggestionState.EXPIRED
        assert list(driver.state.pending) == [b.id] and driver.state.use.probes_reserved == 1
        [again] = (await driver.suggest(Ask(1), lab.ME)).suggestions
        assert (again.candidate, again.source) == (a.candidate, Source.SEED_DESIGN) and again.id != a.id
        with pytest.raises(WrongState) as caught:
            await driver.renew((a.id,), (a.token,), lab.ME)
        assert caught.value.reason is Reason.LEASE_STALE
        told = await driver.tell(lab.draft("late", a), lab.spectrum(a.y, a.x), a.token, lab.ME)
        assert told.observation.is_late and told.observation.score_state is ScoreState.SCORED

    inline(work, clock)


def test_release_gives_the_point_back(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        [s] = (await driver.suggest(Ask(), lab.ME)).suggestions
        with pytest.raises(WrongState):
            await driver.release((s.id,), ("stolen",), "", lab.ME)
        await driver.release((s.id,), (s.token,), "not today", lab.ME)
        assert not driver.state.pending and driver.leases.left(s.id) == 0
        [again] = (await driver.suggest(Ask(), lab.ME)).suggestions
        assert again.candidate == s.candidate

    inline(work)


def test_failed_measurements_are_tried_again_once(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner, size=2, seed_design=lab.SeedDesign(count=0), policy=PluginSpec("grid"))
        for i in range(8):
            [s] = (await driver.suggest(Ask(), lab.ME)).suggestions
            draft = lab.draft(f"o{i}", s, status=ObservationStatus.FAILED)
            await driver.tell(draft, None, s.token, lab.ME)
        assert set(driver.state.tries.values()) == {2} and len(driver.state.tries) == 4
        handed = await driver.suggest(Ask(), lab.ME)
        assert not handed.suggestions and handed.stop.is_final and handed.stop.cause is StopCause.NO_CANDIDATES

    inline(work)


def test_refusals_append_nothing(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        desk = await planner.create("c", lab.spec(), lab.new_request())
        driver = desk.driver
        with pytest.raises(WrongState) as caught:
            await driver.suggest(Ask(), lab.ME)
        assert caught.value.reason is Reason.NO_FRAME
        await lab.add_frame(driver)
        seq = driver.ledger.head.seq
        with pytest.raises(WrongState):
            await lab.add_frame(driver)
        for ask in (Ask(0), Ask(65), Ask(1, "", -1.0), Ask(1, "", math.nan)):
            with pytest.raises(InvalidInput):
                await driver.suggest(ask, lab.ME)
        bad = Spectrum(np.array([1.0, math.nan] * 5), ("channel",), (lab.ENERGY,))
        with pytest.raises(InvalidInput):
            await driver.tell(lab.draft("o1", (0.5, 0.5)), bad, "", lab.ME)
        with pytest.raises(NotFound):
            await driver.retract("o1", "why", lab.ME)
        with pytest.raises(NotFound):
            driver.find_suggestion("s1")
        assert driver.ledger.head.seq == seq

    inline(work)
