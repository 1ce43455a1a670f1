"""A person corrects the first target while a measurement is scored: the further ones are scored all the same."""

from __future__ import annotations

import asyncio
from typing import Any

from probescout.core.events import Amended, Observed
from probescout.core.specs import Objective, PluginSpec
from probescout.runtime.ledger import Change
from probescout.runtime.planner import Planner
from probescout.runtime.settings import Settings

FURTHER = (Objective(PluginSpec("band_sum", {"low": 0.0, "high": 4.0})),)


async def kept(lab: Any, driver: Any, name: str = "o1") -> Any:
    """Keep a measurement that nobody has asked the model to score; return it and its data."""
    admitted = await driver._admit(lab.draft(name, (0.5, 0.5)), lab.spectrum(0.5, 0.5), "")
    await driver.ledger.commit([Change(Observed(admitted.observation), admitted.data)], principal="me")
    return admitted


def assert_known(lab: Any, driver: Any) -> None:
    o = driver.state.observations["o1"]
    assert (o.target, o.target_variance) == (5.0, 1.0)
    assert [f.value for f in o.further] == [lab.spectrum(0.5, 0.5).values[:5].sum()]
    lab.assert_model_knows_the_journal(driver)
    further = driver.modeller.ask("state").result()["further"]
    assert [row[:2] for row in further[0]["taught"]] == [[o.candidate, o.further[0].value]]


def test_a_score_that_comes_after_the_correction_keeps_the_further_targets(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner, objectives=FURTHER)
        admitted = await kept(lab, driver)
        reply = driver.modeller.score(admitted.observation, admitted.data)
        await driver.amend(Amended("o1", "recalibrated", value=5.0, variance=1.0), lab.ME)
        await driver.modeller.journal_score("o1", await reply)
        await lab.settled(driver)
        assert_known(lab, driver)

    inline(work)


def test_after_a_restart_the_further_targets_are_made_up_for(lab: Any, tmp_path: Any) -> None:
    async def started() -> Planner:
        planner = Planner(tmp_path, Settings(is_inline=True))
        planner.pool = lab.NoFits()
        await planner.start()
        return planner

    async def first() -> None:
        planner = await started()
        driver = await lab.campaign(planner, objectives=FURTHER)
        await kept(lab, driver)
        await driver.amend(Amended("o1", "recalibrated", value=5.0, variance=1.0), lab.ME)
        await planner.close()

    async def second() -> None:
        planner = await started()
        driver = planner.desk("c").driver
        driver.modeller.wake()
        await lab.until(lambda: driver.state.observations["o1"].further)
        await lab.settled(driver)
        assert_known(lab, driver)
        await planner.close()

    asyncio.run(first())
    asyncio.run(second())
