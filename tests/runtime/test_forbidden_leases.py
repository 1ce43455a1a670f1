"""What becomes of leases, values and stop reports when the rules change under them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from probescout.core.events import Amended
from probescout.core.geometry import Affine
from probescout.core.leasing import StopCause
from probescout.core.observations import ObservationStatus, ScoreState
from probescout.core.specs import Budget, Limits, PluginSpec, Polygon
from probescout.core.suggestions import SuggestionState
from probescout.runtime.driver import Ask

EVERYWHERE = Polygon((0, 0, 1, 1), (0, 1, 1, 0))


def test_tighter_limits_take_leases_back(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        held = (await driver.suggest(Ask(3), lab.ME)).suggestions
        lost = held[0]
        around = Polygon(
            (lost.y - 0.01, lost.y - 0.01, lost.y + 0.01, lost.y + 0.01),
            (lost.x - 0.01, lost.x + 0.01, lost.x + 0.01, lost.x - 0.01),
        )
        spec = replace(driver.state.spec, limits=Limits(forbidden=(around,)))
        await driver.update(spec, ("limits",), driver.state.spec.etag, "a crack", lab.ME)
        assert list(driver.state.pending) == [s.id for s in held[1:]] and driver.state.use.probes_reserved == 2
        assert driver.state.suggestions[lost.id].state is SuggestionState.RELEASED
        assert driver.leases.left(lost.id) == 0 and driver.leases.left(held[1].id) > 0

    inline(work)


def test_the_mask_counts_when_limits_change(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        mask = np.ones((12, 12), dtype=bool)
        driver = await lab.campaign(planner, mask=mask)
        [a, b] = (await driver.suggest(Ask(2), lab.ME)).suggestions
        # As if a lease of before the mask was looked at were still open.
        driver._mask[divmod(a.candidate, 12)] = False
        spec = replace(driver.state.spec, limits=Limits(allowed=(EVERYWHERE,)))
        await driver.update(spec, ("limits",), driver.state.spec.etag, "", lab.ME)
        assert list(driver.state.pending) == [b.id]

    inline(work)


def test_drift_takes_leases_back(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        held = (await driver.suggest(Ask(3), lab.ME)).suggestions
        lowest = max(held, key=lambda s: s.y)
        shift = 1.0 - lowest.y + 0.01
        stay = [s.id for s in held if s.y + shift <= 1.0]
        await driver.update_frame("f1", Affine(y0=shift), (), "drift", lab.ME)
        assert list(driver.state.pending) == stay and lowest.id not in stay
        assert driver.leases.left(lowest.id) == 0

    inline(work)


def test_an_amended_value_outlives_a_switch(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        await lab.warm_up(driver, 4)
        ready = lab.draft("ready", (0.5, 0.5), value=50.0, value_scalarizer="band_sum")
        await driver.tell(ready, None, "", lab.ME)
        await driver.amend(Amended("o-s2", "recalibrated", value=77.0, variance=4.0), lab.ME)
        spec = replace(driver.state.spec, scalarizer=PluginSpec("center_of_mass", {}))
        await driver.update(spec, ("scalarizer",), driver.state.spec.etag, "", lab.ME)
        await lab.until(
            lambda: all(o.score_state is not ScoreState.PENDING for o in driver.state.observations.values())
        )
        await lab.settled(driver)
        told = driver.state.observations
        assert (told["o-s2"].score_state, told["o-s2"].target) == (ScoreState.SCORED, 77.0)
        assert told["ready"].score_state is ScoreState.FAILED and "band_sum" in told["ready"].score_message
        lab.assert_model_knows_the_journal(driver)

    inline(work)


def test_probes_that_fail_for_nothing_do_not_open_the_budget(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner, budget=Budget(dose=10.0))
        handed = await driver.suggest(Ask(64), lab.ME)
        [s] = handed.suggestions
        await driver.tell(lab.draft("o0", s, status=ObservationStatus.FAILED), None, s.token, lab.ME)
        while (handed := await driver.suggest(Ask(64), lab.ME)).suggestions:
            for s in handed.suggestions:
                await driver.tell(lab.draft(f"o-{s.id}", s, dose=1.0), lab.spectrum(s.y, s.x), s.token, lab.ME)
        assert driver.state.use.dose_spent == 10.0
        assert (handed.stop.cause, handed.stop.is_final) == (StopCause.BUDGET_DOSE, True)

    inline(work)


def test_the_stop_report_says_what_blocks(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner, limits=Limits(dose_per_area=3.0))
        [s] = (await driver.suggest(Ask(), lab.ME)).suggestions
        await driver.tell(lab.draft("o1", s, dose=4.0), lab.spectrum(s.y, s.x), s.token, lab.ME)
        handed = await driver.suggest(Ask(), lab.ME)
        assert not handed.suggestions and "dose_per_area" in handed.stop.message and handed.stop.is_final
        away = await lab.campaign(planner, "away")
        await away.suggest(Ask(), lab.ME)
        await away.update_frame("f1", Affine(y0=2.0), (), "lost", lab.ME)
        handed = await away.suggest(Ask(), lab.ME)
        assert not handed.suggestions and "drifted out" in handed.stop.message and handed.stop.is_final

    inline(work)


def test_reach_is_not_final_while_others_hold_what_is_near(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner, size=4, limits=Limits(max_step=0.18), seed_design=lab.SeedDesign(count=1))
        [s] = (await driver.suggest(Ask(1, "me"), lab.ME)).suggestions
        await driver.tell(lab.draft("o1", s), lab.spectrum(s.y, s.x), s.token, lab.ME)
        for i in range(15):
            await driver.suggest(Ask(1, f"she{i}"), lab.ME)
        handed = await driver.suggest(Ask(1, "me"), lab.ME)
        assert not handed.suggestions and not handed.stop.is_final and "leased" in handed.stop.message

    inline(work)


def test_a_strangers_data_leave_the_lease_with_its_holder(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        [s] = (await driver.suggest(Ask(1, "me"), lab.ME)).suggestions
        told = await driver.tell(lab.draft("theirs", s), lab.spectrum(s.y, s.x), "guess", lab.ME)
        assert told.observation.is_late and told.observation.score_state is ScoreState.SCORED
        assert list(driver.state.pending) == [s.id] and driver.leases.left(s.id) > 0
        told = await driver.tell(lab.draft("mine", s), lab.spectrum(s.y, s.x), s.token, lab.ME)
        assert not told.observation.is_late and not driver.state.pending
        assert driver.state.suggestions[s.id].state is SuggestionState.MEASURED

    inline(work)
