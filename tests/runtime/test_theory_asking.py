"""The planner asks for simulations by itself: real journals and the real model; the test plays the executor."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any, ClassVar

import numpy as np
import pytest

from probescout.core import own_jobs
from probescout.core.errors import AlreadyExists, Overloaded
from probescout.core.events import Control, FrameAdded, Leased, decode
from probescout.core.observations import SignalRecord
from probescout.core.specs import Budget, PluginSpec
from probescout.core.spectra import ValueKind
from probescout.core.theory import Failure, JobResult, JobState, Quantity
from probescout.core.theory_spec import TheorySpec
from probescout.runtime.asking import Ask
from probescout.runtime.theorizing import Wanted
from probescout.surrogates.prior.worth import MOST_UNHEARD, N_CALIBRATING

SIZE = 16
PIXEL_M = 2e-10
REFUSED = JobResult(JobState.FAILED, failure=Failure.REFUSED, message="no atoms there")


class Springs:
    name, summary = "springs", "A chain of springs"
    params_schema: ClassVar[Any] = {"type": "object", "additionalProperties": False, "properties": {}}
    quantities: ClassVar[Any] = {"energy": "eV"}


@pytest.fixture(autouse=True)
def _springs(install: Any) -> None:
    install("springs", Springs)


async def begun(
    planner: Any,
    lab: Any,
    *,
    is_automatic: bool = True,
    max_running: int = 2,
    window_m: float = 8 * PIXEL_M,
    **more: Any,
) -> Any:
    """Return a campaign whose pixels have a size, three points measured."""
    theory = TheorySpec(
        PluginSpec("springs"), "energy", window_m=window_m, max_running=max_running, is_automatic=is_automatic
    )
    driver = (await planner.create("c", lab.spec(theory=theory, **more), lab.new_request())).driver
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    image = (np.sin(7 * y + 2) * np.cos(5 * x) + 0.1 * np.sin(19 * x * y)).astype(np.float32)
    info = driver.ledger.blobs.put(image.tobytes())
    record = SignalRecord("float32", image.shape, ("y", "x"), "", ValueKind.UNKNOWN, blob=info.digest)
    size = {"height": SIZE, "width": SIZE, "pixel_size": PIXEL_M * 1e9, "pixel_unit": "nm"}
    await driver.add_frame(FrameAdded("f1", 0.0, record, **size), lab.ME)
    await lab.warm_up(driver, 3)
    return driver


def automatic(state: Any) -> list[Any]:
    return [job for job in state.jobs.values() if job.queued.is_automatic]


async def until(driver: Any, is_so: Any) -> None:
    """Wait, by the journal's own moves, until the state is as wanted."""
    async with asyncio.timeout(30):
        while not is_so(driver.state):
            await driver.ledger.moved.wait()


async def settled(planner: Any, lab: Any) -> None:
    """Wait until the asker of the campaign waits for the journal to move."""
    await lab.until(lambda: planner.desk("c").asker.is_waiting)


async def run_job(planner: Any, result: Any) -> Any:
    """Take the next job, hand in a result (or what `result` makes of the candidate), and return the job."""
    [order] = await planner.theory.acquire("me", ["springs"], 1, 60.0, wait_s=30.0)
    driver = planner.desk("c").driver
    job = driver.state.jobs[order.name.split("/")[-1]]
    await planner.theory.finish(order.name, order.token, result(job.queued.candidate) if callable(result) else result)
    return job


def number(driver: Any) -> Any:
    """Return what gives the energy of a candidate: the target itself, so that theory is right."""
    positions = driver.state.candidates.positions()

    def result(candidate: int) -> JobResult:
        y, x = positions[candidate]
        value = float(np.exp(1.0 + np.sin(7 * y + 2) * np.cos(5 * x)))
        return JobResult(JobState.SUCCEEDED, (Quantity("energy", value, "eV"),), core_hours=1e-4, wall_s=0.2)

    return result


def test_first_it_asks_for_what_is_measured_and_for_no_more_than_may_be_open(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await begun(planner, lab)
        await until(driver, lambda state: len(automatic(state)) == 2)
        await settled(planner, lab)
        jobs = automatic(driver.state)
        measured = {o.candidate for o in driver.state.observations.values()}
        assert len(jobs) == 2 and {job.queued.candidate for job in jobs} <= measured
        assert jobs[0].queued.reason == f"calibration 1 of {N_CALIBRATING}: it is measured"
        assert all(job.queued.patch is not None for job in jobs), "each has the patch around its candidate"

    inline(work)


def test_jobs_go_on_while_probing_and_a_right_theory_is_asked_beyond_what_is_measured(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await begun(planner, lab)
        right = number(driver)
        handed = await driver.suggest(Ask(), lab.ME)
        for _ in range(18):
            _, handed = await lab.measure(driver, handed.suggestions[0])
            await run_job(planner, right)
        events = [decode(record) for record in driver.ledger.store.read(0)]
        weights = [e.theory.weight for e in events if isinstance(e, Leased) and e.theory is not None]
        assert weights and max(weights) > 0.0, "it has earned a say, and the journal tells"
        while all("measured" in job.queued.reason for job in automatic(driver.state)):
            await run_job(planner, right)
        wished = next(j for j in automatic(driver.state) if "measured" not in j.queued.reason)
        assert wished.queued.reason == "it tells most of the 32 best candidates"
        candidates = [job.queued.candidate for job in automatic(driver.state)]
        assert len(set(candidates)) == len(candidates), "no patch twice"

    inline(work)


def test_an_engine_that_gives_no_numbers_is_given_up(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await begun(planner, lab)
        await lab.warm_up(driver, MOST_UNHEARD + 4)
        for _ in range(MOST_UNHEARD):
            await run_job(planner, REFUSED)
        await settled(planner, lab)
        assert len(automatic(driver.state)) == MOST_UNHEARD
        assert all(job.state is JobState.FAILED for job in automatic(driver.state))

    inline(work)


def test_what_was_vetoed_is_not_asked_for_again(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await begun(planner, lab, max_running=1)
        await until(driver, lambda state: len(automatic(state)) == 1)
        [first] = automatic(driver.state)
        await driver.cancel_job(first.id, "not that one", lab.ME)
        await until(driver, lambda state: len(automatic(state)) == 2)
        assert automatic(driver.state)[1].queued.candidate != first.queued.candidate

    inline(work)


def test_it_asks_nothing_when_it_may_not(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await begun(planner, lab, is_automatic=False)
        await settled(planner, lab)
        assert not driver.state.jobs and own_jobs.room(driver.state) == 0

    inline(work)


def test_nothing_is_asked_while_paused_nor_beyond_the_core_hours(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await begun(planner, lab, budget=Budget(core_hours=1e-4), max_running=1)
        await run_job(planner, number(driver))
        await settled(planner, lab)
        assert len(driver.state.jobs) == 1 and own_jobs.room(driver.state) == 0
        await driver.control(Control.PAUSE, "lunch", lab.ME)
        assert own_jobs.room(driver.state) == 0

    inline(work)


def test_no_job_is_begun_that_would_end_after_the_last_probe(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await begun(planner, lab, budget=Budget(probes=8), max_running=1)
        slow = JobResult(JobState.SUCCEEDED, (Quantity("energy", 1.0, "eV"),), wall_s=3600.0)
        await run_job(planner, slow)
        # Probes take no time here, so that those that are left are over long before the next job.
        await settled(planner, lab)
        assert own_jobs.room(driver.state) == 0
        unbound = dataclasses.replace(driver.state, spec=dataclasses.replace(driver.state.spec, budget=Budget()))
        assert own_jobs.room(unbound) == 1 - len(driver.state.open_jobs)

    inline(work)


def test_a_patch_that_somebody_asked_for_meanwhile_is_not_asked_for_again(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await begun(planner, lab, max_running=2)
        await until(driver, lambda state: len(automatic(state)) == 2)
        mine = automatic(driver.state)[0]
        await driver.cancel_job(automatic(driver.state)[1].id, "room for another", lab.ME)
        await until(driver, lambda state: len(automatic(state)) == 3)
        with pytest.raises(Overloaded, match="no room"):
            await driver.submit_job(Wanted(candidate=0, is_automatic=True), lab.ME)
        await driver.cancel_job(mine.id, "room", lab.ME)
        with pytest.raises(AlreadyExists, match=f"job '{mine.id}' .* simulates that patch already"):
            await driver.submit_job(Wanted(candidate=mine.queued.candidate, is_automatic=True), lab.ME)

    inline(work)


def test_a_window_that_cannot_be_cut_condemns_no_place_and_a_better_one_is_asked_for(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await begun(planner, lab, window_m=2 * PIXEL_M)
        await settled(planner, lab)
        assert not driver.state.jobs
        theory = dataclasses.replace(driver.state.spec.theory, window_m=8 * PIXEL_M)
        await driver.update(
            dataclasses.replace(driver.state.spec, theory=theory), ("theory",), driver.state.spec.etag, "", lab.ME
        )
        await until(driver, lambda state: len(automatic(state)) == 2)

    inline(work)


def test_results_that_the_model_has_not_learnt_may_change_its_mind(
    lab: Any, inline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(planner: Any) -> None:
        driver = await begun(planner, lab, max_running=1)
        await until(driver, lambda state: len(automatic(state)) == 1)
        modeller, is_waiting, may_learn = driver.modeller, asyncio.Event(), asyncio.Event()
        ask = modeller.ask

        async def nothing(**more: Any) -> Any:
            return {**(await ask("wish", **more)), "wishes": []}

        async def learning() -> None:
            is_waiting.set()
            await may_learn.wait()
            monkeypatch.setattr(modeller, "ask", ask)

        monkeypatch.setattr(modeller, "ask", lambda op, **more: nothing(**more) if op == "wish" else ask(op, **more))
        monkeypatch.setattr(modeller, "_informing", asyncio.create_task(may_learn.wait()))
        monkeypatch.setattr(modeller, "informed", learning)
        await driver.cancel_job(automatic(driver.state)[0].id, "another", lab.ME)
        await is_waiting.wait()
        may_learn.set()
        await until(driver, lambda state: len(automatic(state)) == 2)

    inline(work)
