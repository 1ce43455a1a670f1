"""A new version of the model is brought on between answers; corrections of much data likewise."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from probescout.core.events import Amended
from probescout.core.suggestions import Source
from probescout.runtime.planner import Planner
from probescout.runtime.settings import Settings
from probescout.surrogates import learning, model
from probescout.surrogates.fitting import fit


class HeldBack:
    """A pool that fits at once, but gives the result only when it is let go."""

    pid = 0

    def __init__(self) -> None:
        self.let_go, self.n_fits = asyncio.Event(), 0

    async def warm(self) -> None:
        pass

    async def fit(self, request: Any) -> Any:
        result = fit(request)
        await self.let_go.wait()
        self.n_fits += 1
        return result

    async def close(self) -> None:
        pass


def bites_of(driver: Any) -> list[str]:
    """Return a list that will hold what the mind is asked, in order."""
    asked: list[str] = []
    mind = driver.modeller._mind
    real = mind.ask

    def ask(op: str, **payload: Any) -> Any:
        asked.append(op)
        return real(op, **payload)

    mind.ask = ask
    return asked


def test_steps_are_answered_between_the_bites_of_a_swap(lab: Any, tmp_path: Path) -> None:
    async def work() -> None:
        planner = Planner(tmp_path, Settings(compute_budget_s=20.0))
        planner.pool = pool = HeldBack()
        await planner.start()
        try:
            driver = await lab.campaign(planner, size=128)
            s = await lab.warm_up(driver, 60)
            asked = bites_of(driver)
            pool.let_go.set()
            await lab.until(lambda: "swap" in asked)
            version = driver.state.model_version
            while driver.state.model_version == version:
                handed = (await lab.measure(driver, s))[1]
                s = handed.suggestions[0]
                assert s.source is Source.PLANNER and not handed.degraded
            order = asked[asked.index("swap") : asked.index("fitted")]
            assert order.count("advance") > 4
            first, last = order.index("advance"), len(order) - 1 - order[::-1].index("advance")
            assert "step" in order[first:last], "a step was answered while the version was being built"
            known = sorted((await driver.modeller.ask("state"))["taught"])
            assert len(known) == len(driver.state.observations)
        finally:
            await planner.close()

    asyncio.run(work())


def test_a_correction_of_much_data_degrades_and_ends(lab: Any, inline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "REBUILT_AT_ONCE", 100)
    monkeypatch.setattr(model, "BITE_WORK", 10_000)

    async def work(planner: Planner) -> None:
        driver = await lab.campaign(planner)
        s = await lab.warm_up(driver, 30)
        asked = bites_of(driver)
        await driver.amend(Amended("o-s7", "recalibrated", value=500.0, variance=4.0), lab.ME)
        assert driver.modeller.problems == [] or "rebuilt" in driver.modeller.problems[0]
        await lab.settled(driver)
        assert asked.count("advance") > 5 and not driver.modeller.problems
        lab.assert_model_knows_the_journal(driver)
        handed = (await lab.measure(driver, s))[1]
        assert handed.suggestions[0].source is Source.PLANNER and not handed.degraded

    inline(work)


def test_answers_say_that_the_model_still_knows_what_was_corrected(lab: Any, inline: Any) -> None:
    async def work(planner: Planner) -> None:
        driver = await lab.campaign(planner)
        s = await lab.warm_up(driver, 8)
        driver.modeller.news["is_outdated"] = True
        assert any("corrected" in p for p in driver.modeller.problems)
        handed = (await lab.measure(driver, s))[1]
        assert not any("corrected" in d for d in handed.degraded), "the news of this very answer count"

    inline(work)


def test_a_correction_that_cannot_be_worked_in_loads_the_model_anew(
    lab: Any, inline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "REBUILT_AT_ONCE", 100)
    monkeypatch.setattr(model, "BITE_WORK", 10_000)

    async def work(planner: Planner) -> None:
        driver = await lab.campaign(planner)
        s = await lab.warm_up(driver, 30)
        mind = driver.modeller._mind
        real = model.Model.learn_one
        monkeypatch.setattr(model.Model, "learn_one", refuse)
        await driver.retract("o-s7", "dirt", lab.ME)
        await lab.until(lambda: not mind.is_alive)
        monkeypatch.setattr(model.Model, "learn_one", real)
        handed = (await lab.measure(driver, s))[1]
        assert driver.modeller._mind is not mind and handed.suggestions
        await lab.settled(driver)
        lab.assert_model_knows_the_journal(driver)

    inline(work)


def refuse(self: Any, *_: Any) -> None:
    from probescout.core.errors import InvalidInput, Reason

    raise InvalidInput(Reason.FIELD_INVALID, "not positive definite")


def test_a_restart_while_a_version_is_built_proposes_the_same(lab: Any, tmp_path: Path) -> None:
    async def first() -> tuple[list[int], int]:
        planner = Planner(tmp_path, Settings(compute_budget_s=20.0))
        planner.pool = pool = HeldBack()
        await planner.start()
        driver = await lab.campaign(planner, size=96)
        await lab.warm_up(driver, 40)
        asked = bites_of(driver)
        pool.let_go.set()
        await lab.until(lambda: asked.count("advance") >= 3)
        found = await driver.preview(3)
        is_built = "fitted" in asked
        await driver.modeller.save_snapshot()
        os.kill(driver.modeller._mind.pid, 9)
        for task in list(driver.modeller._tasks):
            task.cancel()
        await planner.close()
        return [s.candidate for s in found.suggestions], is_built

    async def second() -> list[int]:
        planner = Planner(tmp_path, Settings(compute_budget_s=20.0))
        planner.pool = lab.NoFits()
        await planner.start()
        driver = planner.desk("c").driver
        found = await driver.preview(3)
        await planner.close()
        return [s.candidate for s in found.suggestions]

    before, is_built = asyncio.run(first())
    assert not is_built, "the version was still on its way"
    assert asyncio.run(second()) == before


def test_freed_versions_leave_the_memory_of_a_worker(lab: Any) -> None:
    async def work() -> None:
        planner = Planner(None, Settings(compute_budget_s=20.0))
        planner.pool = lab.NoFits()
        await planner.start()
        try:
            driver = await lab.campaign(planner, size=180)
            await lab.warm_up(driver, 70)
            pid = driver.modeller._mind.pid
            before = resident(pid)
            for k in range(1, 5):
                await driver.amend(Amended(f"o-s{k + 5}", "recalibrated", value=70.0 + k, variance=4.0), lab.ME)
                await lab.settled(driver)
            assert resident(pid) < before + 40.0, "each version takes 36 MiB"
        finally:
            await planner.close()

    asyncio.run(work())


def resident(pid: int) -> float:
    """Return the resident memory of a process, MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_a_fit_gives_way_to_answers(lab: Any) -> None:
    async def work() -> None:
        planner = Planner(None, Settings())
        await planner.pool.warm()
        await planner.pool._child.ask("ping")
        assert os.getpriority(os.PRIO_PROCESS, planner.pool.pid) == os.getpriority(os.PRIO_PROCESS, 0) + 10
        await planner.close()

    asyncio.run(work())
