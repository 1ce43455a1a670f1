"""The degrade ladder with real worker processes: killed, stopped, slow; an answer always comes, and says what it is."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from probescout.core.observations import ScoreState
from probescout.core.suggestions import Source
from probescout.runtime.driver import Ask
from probescout.runtime.planner import Planner
from probescout.runtime.settings import Settings

BUDGET_S = 0.4
SLACK_S = 1.0
"""For a busy machine: commits, scheduling, starting processes."""


@pytest.fixture
def live(lab: Any, tmp_path: Path) -> Callable[..., None]:
    """Run a test's coroutine with a planner on disk whose campaigns have worker processes and no fits."""

    def run(work: Callable[[Planner], Coroutine[Any, Any, None]], **settings: Any) -> None:
        async def main() -> None:
            planner = Planner(tmp_path, Settings(**{"compute_budget_s": BUDGET_S, **settings}))
            planner.pool = lab.NoFits()
            await planner.start()
            try:
                await asyncio.wait_for(work(planner), 60)
            finally:
                await planner.close()

        asyncio.run(main())

    return run


async def prepared(lab: Any, planner: Planner) -> Any:
    driver = await lab.campaign(planner)
    s = await lab.warm_up(driver, 6, compute_budget_s=20.0)
    assert s.source is Source.PLANNER and not s.degraded
    return driver


def pid_of(driver: Any) -> int:
    return driver.modeller._mind.pid


async def timed(work: Any) -> tuple[Any, float]:
    started = time.perf_counter()
    result = await work
    return result, time.perf_counter() - started


def rows(told: dict[str, Any]) -> list:
    return sorted(told["state"] and told["taught"])


async def assert_agreed(lab: Any, driver: Any) -> None:
    held = [[o.candidate, o.target, o.target_variance] for o in driver.state.observations.values() if o.is_taught]
    await driver.modeller.wake()
    assert rows(await driver.modeller.ask("state")) == sorted(held)


def test_a_killed_worker_is_bridged_and_replaced(lab: Any, live: Any) -> None:
    async def work(planner: Planner) -> None:
        driver = await prepared(lab, planner)
        old = pid_of(driver)
        os.kill(old, signal.SIGKILL)
        handed, seconds = await timed(driver.suggest(Ask(1, "", 0.05), lab.ME))
        [s] = handed.suggestions
        assert seconds < 0.05 + SLACK_S
        assert s.source in (Source.PREFETCH, Source.FALLBACK) and s.degraded == handed.degraded != ()
        told, handed = await lab.measure(driver, s, compute_budget_s=20.0)
        assert handed.suggestions[0].source is Source.PLANNER and not handed.degraded
        assert pid_of(driver) != old
        await lab.until(lambda: all(o.score_state is ScoreState.SCORED for o in driver.state.observations.values()))
        await assert_agreed(lab, driver)

    live(work)


def test_a_worker_killed_in_the_middle_of_a_step(lab: Any, live: Any) -> None:
    async def work(planner: Planner) -> None:
        driver = await prepared(lab, planner)
        os.kill(pid_of(driver), signal.SIGSTOP)
        [s] = (await driver.suggest(Ask(1, "", 0.01), lab.ME)).suggestions
        step = asyncio.ensure_future(lab.measure(driver, s, compute_budget_s=20.0))
        await lab.until(lambda: f"o-{s.id}" in driver.state.observations)
        os.kill(pid_of(driver), signal.SIGKILL)
        told, handed = await step
        assert handed.suggestions[0].source is Source.PLANNER, "there was time enough to load a new model"
        await lab.until(lambda: driver.state.observations[f"o-{s.id}"].score_state is ScoreState.SCORED)
        await assert_agreed(lab, driver)

    live(work)


def test_a_hung_worker_delays_nothing_beyond_the_budget(lab: Any, live: Any) -> None:
    async def work(planner: Planner) -> None:
        driver = await prepared(lab, planner)
        os.kill(pid_of(driver), signal.SIGSTOP)
        handed, seconds = await timed(driver.suggest(Ask(), lab.ME))
        [s] = handed.suggestions
        assert seconds < BUDGET_S + SLACK_S and s.source in (Source.PREFETCH, Source.FALLBACK)
        assert "the model did not answer within the compute budget" in handed.degraded
        told, seconds = await timed(driver.tell(lab.draft("t", s), lab.spectrum(s.y, s.x), s.token, lab.ME))
        assert seconds < BUDGET_S + SLACK_S
        assert told.observation.score_state is ScoreState.PENDING and "t" in driver.state.observations
        [p] = (await driver.suggest(Ask(), lab.ME)).suggestions
        (told, handed), seconds = await timed(lab.measure(driver, p))
        assert seconds < BUDGET_S + SLACK_S, "tell and suggest of one step share its budget"
        assert told.observation.score_state is ScoreState.PENDING and handed.suggestions
        asks = [driver.suggest(Ask(1, f"c{i}"), lab.ME) for i in range(4)]
        answers, seconds = await timed(asyncio.gather(*asks))
        assert seconds < BUDGET_S + SLACK_S, "those who wait in line do not add up their patience"
        assert all(len(a.suggestions) == 1 for a in answers)
        os.kill(pid_of(driver), signal.SIGCONT)
        await lab.until(lambda: all(o.score_state is ScoreState.SCORED for o in driver.state.observations.values()))
        handed = await driver.suggest(Ask(1, "", 20.0), lab.ME)
        assert handed.suggestions[0].source is Source.PLANNER and not handed.degraded
        await assert_agreed(lab, driver)

    live(work)


def test_data_are_taken_while_the_queue_of_a_hung_worker_is_full(lab: Any, live: Any) -> None:
    async def work(planner: Planner) -> None:
        driver = await prepared(lab, planner)
        os.kill(pid_of(driver), signal.SIGSTOP)
        seen = lab.spectrum(0.5, 0.5)
        tells = [driver.tell(lab.draft(f"many{i}", (0.5, 0.5)), seen, "", lab.ME) for i in range(75)]
        told = await asyncio.gather(*tells)
        assert {t.observation.score_state for t in told} == {ScoreState.PENDING}
        os.kill(pid_of(driver), signal.SIGCONT)
        await lab.until(lambda: all(o.score_state is ScoreState.SCORED for o in driver.state.observations.values()))
        await lab.until(lambda: driver.modeller._mind.n_waiting == 0)
        await assert_agreed(lab, driver)
        assert len(driver.state.observations) == 81

    live(work, compute_budget_s=0.1)


def test_a_worker_that_hangs_for_good_is_replaced(lab: Any, live: Any) -> None:
    async def work(planner: Planner) -> None:
        driver = await prepared(lab, planner)
        old = pid_of(driver)
        os.kill(old, signal.SIGSTOP)
        [s] = (await driver.suggest(Ask(), lab.ME)).suggestions
        await driver.tell(lab.draft("t", s), lab.spectrum(s.y, s.x), s.token, lab.ME)
        await lab.until(lambda: driver.state.observations["t"].score_state is ScoreState.SCORED)
        assert pid_of(driver) != old and not Path(f"/proc/{old}").exists()
        await assert_agreed(lab, driver)

    live(work, hang_s=2.5)


def test_a_stopped_worker_does_not_hold_up_the_end(lab: Any, live: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from probescout.runtime import minding

    monkeypatch.setattr(minding, "SNAPSHOT_S", 0.2)

    async def work(planner: Planner) -> None:
        driver = await prepared(lab, planner)
        os.kill(pid_of(driver), signal.SIGSTOP)
        _, seconds = await timed(planner.close())
        assert seconds < 0.2 + 3.0

    live(work)


SUICIDE = """
import os, signal
class Plugin:
    name, summary, needs_model = "suicide", "Ends its process at a certain signal.", False
    params_schema = {"type": "object", "properties": {}, "additionalProperties": False}
    n_dims, axis_unit = 1, None
    def __call__(self, spectrum):
        from probescout.core.spectra import Scalar
        if spectrum.values[0] == 666:
            os.kill(os.getpid(), signal.SIGKILL)
        return Scalar(float(spectrum.values.sum()), 1.0, "counts")
"""


def test_a_signal_that_kills_its_scalarizer_is_given_up(
    lab: Any, live: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plug-in that crashes its process on one signal must not cost the campaign its model for ever."""
    from dataclasses import replace

    room = tmp_path.parent / f"{tmp_path.name}-plugin"
    (room / "suicide-1.0.dist-info").mkdir(parents=True)
    (room / "suicide_plugin.py").write_text(SUICIDE, encoding="utf-8")
    (room / "suicide-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: suicide\nVersion: 1.0\n")
    points = "[probescout.scalarizers]\nsuicide = suicide_plugin:Plugin\n"
    (room / "suicide-1.0.dist-info" / "entry_points.txt").write_text(points)
    monkeypatch.setenv("PYTHONPATH", str(room))

    async def work(planner: Planner) -> None:
        driver = await lab.campaign(planner, scalarizer=lab.PluginSpec("suicide"))
        s = await lab.warm_up(driver, 4, compute_budget_s=20.0)
        good = lab.spectrum(s.y, s.x)
        values = good.values.copy()
        values[0] = 666
        await driver.tell(lab.draft("bad", s), replace(good, values=values), s.token, lab.ME)
        for _ in range(6):
            await driver.suggest(Ask(1, "", 5.0), lab.ME)
            if driver.state.observations["bad"].score_state is ScoreState.FAILED:
                break
        assert driver.state.observations["bad"].score_state is ScoreState.FAILED
        assert "died" in driver.state.observations["bad"].score_message
        told = await driver.tell(lab.draft("good", (0.4, 0.4)), good, "", lab.ME)
        await lab.until(lambda: driver.state.observations["good"].score_state is ScoreState.SCORED)
        handed = await driver.suggest(Ask(1, "", 20.0), lab.ME)
        assert handed.suggestions[0].source is Source.PLANNER and told.observation.ordinal == 6

    live(work)
