"""What may change while a campaign runs: data, scalarizer, frame, and the server itself."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from probescout.core.errors import InvalidInput, Reason
from probescout.core.events import Amended, Observed
from probescout.core.geometry import Affine
from probescout.core.observations import ScoreState
from probescout.core.specs import PluginSpec
from probescout.core.suggestions import Source
from probescout.runtime.ledger import Change
from probescout.runtime.planner import Planner
from probescout.runtime.settings import Settings


def test_amended_and_withdrawn_data_are_unlearnt(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        await lab.warm_up(driver, 8)
        lab.assert_model_knows_the_journal(driver)
        await driver.amend(Amended("o-s5", "recalibrated", value=77.0, variance=4.0), lab.ME)
        await lab.settled(driver)
        assert [driver.state.observations["o-s5"].candidate, 77.0, 4.0] in lab.model_rows(driver)
        await driver.amend(Amended("o-s6", "wrong corner", y=0.01, x=0.01), lab.ME)
        await driver.retract("o-s2", "dirt", lab.ME)
        await lab.settled(driver)
        assert len(lab.model_rows(driver)) == 7
        lab.assert_model_knows_the_journal(driver)
        assert 0 in {row[0] for row in lab.model_rows(driver)}

    inline(work)


def test_a_new_scalarizer_scores_everything_anew(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        await lab.warm_up(driver, 8)
        before = {o.id: o.target for o in driver.state.observations.values()}
        spec = replace(driver.state.spec, scalarizer=PluginSpec("band_sum", {"low": 0.0, "high": 4.0}))
        await driver.update(spec, ("scalarizer",), driver.state.spec.etag, "narrower", lab.ME)
        await lab.until(lambda: all(o.score_state is ScoreState.SCORED for o in driver.state.observations.values()))
        await lab.settled(driver)
        for o in driver.state.observations.values():
            s = driver.state.suggestions[o.suggestion]
            assert o.target == lab.spectrum(s.y, s.x, s.ordinal).values[:5].sum() < before[o.id]
        lab.assert_model_knows_the_journal(driver)
        told, handed = await lab.measure(driver, list(driver.state.suggestions.values())[-1])
        assert handed.suggestions[0].source is Source.PLANNER
        assert told.observation.target < max(before.values())

    inline(work)


def test_a_scalarizer_that_cannot_be_built_changes_nothing(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        seq, etag = driver.ledger.head.seq, driver.state.spec.etag
        for plugin, reason in (
            (PluginSpec("band_som"), Reason.PLUGIN_UNKNOWN),
            (PluginSpec("band_sum", {"low": "x"}), Reason.PARAM_INVALID),
            (PluginSpec("band_sum", {"$array": ["<f8", [3]]}), Reason.PARAM_INVALID),
        ):
            with pytest.raises(InvalidInput) as caught:
                new = replace(driver.state.spec, scalarizer=plugin)
                await driver.update(new, ("scalarizer",), etag, "", lab.ME)
            assert caught.value.reason is reason
        assert (driver.ledger.head.seq, driver.state.spec.etag) == (seq, etag)

    inline(work)


def test_drift_moves_points_and_data_find_home(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        s = await lab.warm_up(driver, 4)
        await driver.update_frame("f1", Affine(y0=0.05), (), "drift", lab.ME)
        moved = driver.state.suggestions[s.id]
        assert (moved.y, moved.x) == (pytest.approx(s.y + 0.05), s.x)
        told, handed = await lab.measure(driver, moved)
        assert (told.observation.candidate, told.observation.frame_revision) == (s.candidate, 2)
        for p in handed.suggestions:
            y, x = driver.state.candidates.position(p.candidate)
            assert (p.y, p.x) == (pytest.approx(y + 0.05), pytest.approx(x))

    inline(work)


def test_a_restart_goes_on_with_full_grace(lab: Any, tmp_path: Any) -> None:
    async def first(clock: Any) -> Any:
        planner = Planner(tmp_path, Settings(is_inline=True), clock)
        planner.pool = lab.NoFits()
        await planner.start()
        driver = await lab.campaign(planner)
        s = await lab.warm_up(driver, 5)
        clock.seconds += 100.0
        assert driver.leases.left(s.id) == pytest.approx(20.0)
        await planner.close()
        return driver.state, s

    async def second(clock: Any, before: Any, s: Any) -> None:
        clock.seconds += 1e6
        planner = Planner(tmp_path, Settings(is_inline=True), clock)
        planner.pool = lab.NoFits()
        await planner.start()
        driver = planner.desk("c").driver
        assert lab.written(driver.state) == lab.written(before), "a restart changes nothing"
        assert driver.leases.left(s.id) == 120.0, "nobody knows how long clients have waited"
        told, handed = await lab.measure(driver, driver.state.suggestions[s.id])
        assert not told.observation.is_late and handed.suggestions[0].source is Source.PLANNER
        lab.assert_model_knows_the_journal(driver)
        await planner.close()

    clock = lab.FakeClock()
    before, s = asyncio.run(first(clock))
    asyncio.run(second(clock, before, s))


def test_pending_scores_are_caught_up_after_a_restart(lab: Any, tmp_path: Any) -> None:
    async def first() -> None:
        planner = Planner(tmp_path, Settings(is_inline=True))
        planner.pool = lab.NoFits()
        await planner.start()
        driver = await lab.campaign(planner)
        admitted = await driver._admit(lab.draft("o1", (0.5, 0.5)), lab.spectrum(0.5, 0.5), "")
        await driver.ledger.commit([Change(Observed(admitted.observation), admitted.data)], principal="me")
        await planner.close()

    async def second() -> None:
        planner = Planner(tmp_path, Settings(is_inline=True))
        planner.pool = lab.NoFits()
        await planner.start()
        driver = planner.desk("c").driver
        await lab.until(lambda: driver.state.observations["o1"].score_state is ScoreState.SCORED)
        await planner.close()

    asyncio.run(first())
    asyncio.run(second())
