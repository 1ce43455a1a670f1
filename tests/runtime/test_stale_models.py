"""A model that no longer fits the campaign is rebuilt, or says so; it is never passed off as the present one."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probescout.core.errors import HistoryMismatch, ProbescoutError, Unavailable
from probescout.core.specs import PluginSpec
from probescout.core.suggestions import Source
from probescout.runtime.driver import Ask
from probescout.runtime.planner import Planner
from probescout.runtime.settings import Settings


async def with_planner(lab: Any, folder: Path, check: Any) -> Any:
    """Return what `check` makes of an inline planner on disk."""
    planner = Planner(folder, Settings(is_inline=True))
    planner.pool = lab.NoFits()
    await planner.start()
    try:
        return await check(planner)
    finally:
        await planner.close()


async def changed(lab: Any, driver: Any, **fields: Any) -> None:
    spec = driver.state.spec
    await driver.update(replace(spec, **fields), tuple(fields), spec.etag, "", lab.ME)


@pytest.mark.parametrize("field", ["is_minimizing", "is_deep_member_disabled"])
def test_another_kind_of_model_learns_the_same_targets(lab: Any, inline: Any, field: str) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        await lab.warm_up(driver, 12)
        before = (await driver.maps())["maps"]["mean"].copy()
        await changed(lab, driver, **{field: not getattr(driver.state.spec, field)})
        await lab.settled(driver)
        lab.assert_model_knows_the_journal(driver)
        after = (await driver.maps())["maps"]["mean"]
        assert np.std(after) > 0.2 * np.std(before)
        assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.9

    inline(work)


def test_a_turned_campaign_is_turned_after_a_restart(lab: Any, tmp_path: Path) -> None:
    async def first(planner: Planner) -> list[float]:
        driver = await lab.campaign(planner)
        await lab.warm_up(driver, 10)
        await changed(lab, driver, is_minimizing=True)
        await lab.settled(driver)
        return (await driver.maps())["maps"]["mean"].ravel().tolist()

    async def second(planner: Planner) -> list[float]:
        return (await planner.desk("c").driver.maps())["maps"]["mean"].ravel().tolist()

    before = asyncio.run(with_planner(lab, tmp_path, first))
    np.testing.assert_allclose(asyncio.run(with_planner(lab, tmp_path, second)), before, rtol=1e-4)


def test_suggestions_degrade_while_the_targets_are_recomputed(lab: Any, tmp_path: Path) -> None:
    async def work() -> None:
        planner = Planner(tmp_path, Settings(compute_budget_s=0.3))
        planner.pool = lab.NoFits()
        await planner.start()
        try:
            driver = await lab.campaign(planner)
            await lab.warm_up(driver, 8, compute_budget_s=20.0)
            os.kill(driver.modeller._mind.pid, signal.SIGSTOP)
            await changed(lab, driver, scalarizer=PluginSpec("value_at", {"channel": 2}))
            handed = await driver.suggest(Ask(), lab.ME)
            assert handed.suggestions[0].source is Source.FALLBACK
            assert "the targets are being recomputed after a change of the scalarizer" in handed.degraded
            os.kill(driver.modeller._mind.pid, signal.SIGCONT)
            handed = await driver.suggest(Ask(1, "", 20.0), lab.ME)
            assert handed.suggestions[0].source is Source.PLANNER and not handed.degraded
            assert handed.suggestions[0].mean < 400, "counts of one channel, not of ten"
        finally:
            await planner.close()

    asyncio.run(work())


def test_a_long_patience_is_its_owners_only(lab: Any, tmp_path: Path) -> None:
    async def work() -> None:
        planner = Planner(tmp_path, Settings())
        planner.pool = lab.NoFits()
        await planner.start()
        driver = await lab.campaign(planner)
        s = await lab.warm_up(driver, 5, compute_budget_s=20.0)
        os.kill(driver.modeller._mind.pid, signal.SIGSTOP)
        patient = asyncio.ensure_future(driver.suggest(Ask(1, "a", 3000.0), lab.ME))
        await asyncio.sleep(0)
        started = time.monotonic()
        handed = await driver.suggest(Ask(1, "b", 0.3), lab.ME)
        _, stepped = await lab.measure(driver, s, compute_budget_s=0.3)
        assert time.monotonic() - started < 5.0 and handed.suggestions and stepped.suggestions
        # Nor does it keep the server from ending: the call is answered without the model.
        await asyncio.wait_for(planner.close(), 20.0)
        assert (await patient).suggestions or patient.done()

    asyncio.run(work())


def test_one_id_told_twice_at_once_keeps_the_worker(lab: Any, tmp_path: Path) -> None:
    async def work() -> None:
        planner = Planner(tmp_path, Settings())
        planner.pool = lab.NoFits()
        await planner.start()
        try:
            driver = await lab.campaign(planner)
            await lab.warm_up(driver, 4, compute_budget_s=20.0)
            pid = driver.modeller._mind.pid
            calls = [driver.tell(lab.draft("same", (0.5, 0.5)), lab.spectrum(0.5, 0.5), "", lab.ME) for _ in range(6)]
            done = await asyncio.gather(*calls, return_exceptions=True)
            assert sum(not isinstance(d, ProbescoutError) for d in done) == 1
            assert driver.modeller.is_ready and driver.modeller._mind.pid == pid
        finally:
            await planner.close()

    asyncio.run(work())


def test_a_copied_campaign_does_not_take_over_the_original(lab: Any, tmp_path: Path) -> None:
    async def make(planner: Planner) -> None:
        await lab.warm_up(await lab.campaign(planner), 2)

    async def look(planner: Planner) -> None:
        assert planner.desk("c").driver.ledger.directory == tmp_path / "campaigns" / "c"
        with pytest.raises(HistoryMismatch, match="copy of campaign 'c'"):
            planner.desk("d")

    asyncio.run(with_planner(lab, tmp_path, make))
    shutil.copytree(tmp_path / "campaigns" / "c", tmp_path / "campaigns" / "d")
    asyncio.run(with_planner(lab, tmp_path, look))


def test_one_bad_directory_does_not_stop_the_others(lab: Any, tmp_path: Path) -> None:
    async def make(planner: Planner) -> None:
        await lab.campaign(planner, "good")
        await lab.campaign(planner, "bad")

    async def look(planner: Planner) -> None:
        assert planner.desk("good").driver.state.frame is not None
        with pytest.raises(Unavailable, match="'bad' could not be opened when the server started"):
            planner.desk("bad")

    asyncio.run(with_planner(lab, tmp_path, make))
    bad = tmp_path / "campaigns" / "bad"
    (bad / "events.db").unlink()
    (bad / "events.db").mkdir()
    asyncio.run(with_planner(lab, tmp_path, look))
