"""A fit that fails, returns garbage, dies or cannot be written degrades a campaign and never stops it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from probescout.core.errors import Reason
from probescout.core.suggestions import Source
from probescout.runtime import planner as planner_module
from probescout.runtime.child import WorkerFault
from probescout.runtime.driver import Ask
from probescout.runtime.planner import Planner
from probescout.runtime.settings import Settings


class Scripted:
    """A fit pool that answers from a script, then never again."""

    pid = 0

    def __init__(self, *answers: Any) -> None:
        self.answers, self.n_asked = list(answers), 0

    async def warm(self) -> None:
        pass

    async def fit(self, request: Any) -> Any:
        self.n_asked += 1
        if not self.answers:
            await asyncio.Event().wait()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "answer",
    [WorkerFault("the fit worker 7 died (exit -9)"), ValueError("not positive definite"), {}, {"members": "nonsense"},
     {"members": {"xy": {"lengthscale": float("nan")}}}, None],
)  # fmt: skip
def test_a_failed_fit_is_said_and_the_campaign_goes_on(lab: Any, inline: Any, answer: Any) -> None:
    pool = Scripted(answer)

    async def work(planner: Planner) -> None:
        driver = await lab.campaign(planner)
        s = await lab.warm_up(driver, 12)
        assert pool.n_asked >= 1 and s.source is Source.PLANNER
        assert driver.modeller.fit_problem.startswith("the last fit failed: ")
        told, handed = await lab.measure(driver, s)
        assert any(d.startswith("the last fit failed: ") for d in handed.degraded)
        assert handed.suggestions[0].source is Source.PLANNER and driver.state.model_version == 0

    inline(work, fits=pool)


def test_a_fit_takes_effect_when_it_is_written(lab: Any, inline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner_module, "MemoryJournal", lab.FailingJournal)
    from probescout.surrogates.fitting import fit

    pool = Scripted(WorkerFault("no luck"), fit, fit)

    async def work(planner: Planner) -> None:
        driver = await lab.campaign(planner)
        driver.ledger.store.refused_kinds = {"ModelSwapped"}
        s = await lab.warm_up(driver, 8)
        for _ in range(20):
            if driver.ledger.store.n_refused:
                break
            s = (await lab.measure(driver, s))[1].suggestions[0]
        await lab.until(lambda: driver.ledger.store.n_refused == 1)
        await lab.until(lambda: not driver.modeller.is_ready)
        assert driver.state.model_version == 0, "what is not written has not happened, so the model is loaded anew"
        driver.ledger.store.refused_kinds = set()
        for _ in range(20):
            if driver.state.model_version:
                break
            handed = (await lab.measure(driver, s))[1]
            s = handed.suggestions[0]
        await lab.until(lambda: driver.state.model_version == 1)
        assert not driver.modeller.fit_problem
        [record] = [r for r in driver.ledger.store.read() if r.kind == "ModelSwapped"]
        assert record.payload["hyperparameters"]["members"].keys() >= {"xy", "bank"}
        handed = await driver.suggest(Ask(1, "", 20.0), lab.ME)
        assert handed.suggestions[0].model_version == 1 and not handed.degraded

    inline(work, fits=pool)


def test_a_fit_process_that_is_killed_is_started_again(lab: Any, tmp_path: Path) -> None:
    async def work() -> None:
        planner = Planner(tmp_path, Settings(compute_budget_s=20.0))
        await planner.start()
        old = planner.pool.pid
        assert old > 0
        # Stopped before it can answer, then killed in the middle of its first fit.
        os.kill(old, signal.SIGSTOP)
        driver = await lab.campaign(planner)
        s = await lab.warm_up(driver, 8)
        await lab.until(lambda: planner.pool._child.n_waiting == 1)
        assert s.source is Source.PLANNER and not s.degraded
        os.kill(old, signal.SIGKILL)
        await lab.until(lambda: driver.modeller.fit_problem)
        told, handed = await lab.measure(driver, s)
        assert any("fit worker" in d and "died" in d for d in handed.degraded)
        for _ in range(40):
            if driver.state.model_version:
                break
            told, handed = await lab.measure(driver, handed.suggestions[0])
            assert handed.suggestions[0].source is Source.PLANNER
            await lab.until(lambda: driver.state.model_version or driver.modeller._fitting.done(), 40)
        assert driver.state.model_version == 1 and not driver.modeller.fit_problem
        assert planner.pool.pid not in (0, old)
        await planner.close()
        assert planner.pool.pid == 0

    asyncio.run(work())


def test_a_fit_that_takes_too_long_is_given_up(lab: Any) -> None:
    async def work() -> None:
        planner = Planner(None, Settings(fit_timeout_s=0.2))
        await planner.pool.warm()
        pid = planner.pool.pid
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(WorkerFault, match="longer than 0.2 s") as caught:
            await planner.pool.fit({})
        assert caught.value.reason is Reason.WORKER_UNAVAILABLE and planner.pool.pid == 0
        await planner.close()

    asyncio.run(work())
