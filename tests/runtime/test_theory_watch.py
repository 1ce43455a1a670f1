"""Leases of theory jobs: what ends which attempt, when, and why; the clock is turned by hand."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from probescout.core.errors import ProbescoutError, Reason
from probescout.core.events import Created, ModelSwapped, Updated
from probescout.core.ports import Receipt
from probescout.core.specs import Budget, CampaignSpec, PluginSpec
from probescout.core.theory import Failure, JobOrder, JobResult, JobState, Quantity
from probescout.core.theory_events import TheoryQueued
from probescout.core.theory_spec import TheorySpec
from probescout.runtime.ledger import Change, Ledger
from probescout.runtime.theory_broker import TheoryBroker
from probescout.store.blob_names import blob_name
from probescout.store.memory import MemoryBlobs, MemoryJournal

Work = Callable[[TheoryBroker, Ledger, Any], Coroutine[Any, Any, None]]
GOOD = JobResult(JobState.SUCCEEDED, (Quantity("energy", 1.5, "eV"),), core_hours=0.1, structure={"atoms": 3})
CRASHED = JobResult(JobState.FAILED, failure=Failure.CRASHED, message="exit code 1")


@pytest.fixture
def run(lab: Any) -> Callable[[Work], None]:
    """Run a test's coroutine at the desk of a campaign with one job, j1."""

    def play(work: Work) -> None:
        async def main() -> None:
            clock = lab.FakeClock()
            spec = CampaignSpec(PluginSpec("given"), theory=TheorySpec(PluginSpec("xtb"), "energy"))
            ledger = Ledger.begin(
                MemoryJournal(),
                MemoryBlobs(),
                Created("c", spec, 1.0),
                clock,
                principal="me",
                receipt=lambda seq, state: Receipt("r", "d", b""),
            )
            broker = TheoryBroker(clock)
            broker.add(ledger)
            structure = blob_name(ledger.blobs.put(b'{"n": 1}').digest)
            queued = TheoryQueued("j1", PluginSpec("xtb"), "digest", 60.0, 3, 1.0, candidate=3, structure=structure)
            await broker.submit("c", queued, "me")
            try:
                await asyncio.wait_for(work(broker, ledger, clock), 30)
            finally:
                broker.close()
                ledger.close()

        asyncio.run(main())

    return play


async def taken(broker: TheoryBroker, lease_s: float = 30.0) -> JobOrder:
    [order] = await broker.acquire("w", ["xtb"], 1, lease_s)
    return order


async def settled() -> None:
    """Let everything happen that needs no time."""
    for _ in range(20):
        await asyncio.sleep(0)


async def ended(ledger: Ledger) -> Any:
    while ledger.state.open_jobs:
        await ledger.moved.wait()
    return ledger.state.jobs["j1"].ended


def test_the_end_of_an_old_lease_is_not_that_of_its_successor(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(broker: TheoryBroker, ledger: Ledger, clock: Any) -> None:
        first = await taken(broker, 0.05)
        commit = ledger.commit
        is_expiring, may_expire, is_expired = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def held(*args: Any, **more: Any) -> Any:
            if not is_expiring.is_set():
                is_expiring.set()
                await may_expire.wait()
                done = await commit(*args, **more)
                is_expired.set()
                return done
            done = await commit(*args, **more)
            if ledger.state.jobs["j1"].attempt == 2 and not may_expire.is_set():
                # The new lease is in the journal, and nobody has begun to watch it.
                may_expire.set()
                await is_expired.wait()
            return done

        monkeypatch.setattr(ledger, "commit", held)
        clock.seconds += 1.0
        await is_expiring.wait()
        await broker.finish(first.name, first.token, CRASHED)
        second = await taken(broker)
        assert is_expired.is_set() and second.attempt == 2
        assert ledger.state.jobs["j1"].state is JobState.RUNNING
        assert (await broker.progress(second.name, second.token, 0.5, "")).expires_in_s == 30.0
        await broker.finish(second.name, second.token, GOOD)
        assert ledger.state.jobs["j1"].state is JobState.SUCCEEDED

    run(work)


def test_a_job_that_the_budget_cuts_short_ends_then_and_says_so(run: Any) -> None:
    async def work(broker: TheoryBroker, ledger: Ledger, clock: Any) -> None:
        spec = dataclasses.replace(ledger.state.spec, budget=Budget(core_hours=0.01))
        await ledger.commit([Change(Updated(spec, ("budget",)))], principal="me")
        order = await taken(broker)
        assert order.deadline_s == pytest.approx(36.0)
        for _ in range(3):
            clock.seconds += 20.0
            assert (await broker.progress(order.name, order.token, 0.5, "soon")).expires_in_s > 0.0
        clock.seconds += 6.0
        standing = await broker.progress(order.name, order.token, 0.5, "soon")
        assert not standing.expires_in_s, "36 s of core-hours and a lease of 30 s are over; the deadline is 60 s"
        end = await ended(ledger)
        assert end.failure is Failure.TIMED_OUT
        assert "not done within 36 s" in end.message and "raise budget.core_hours" in end.message

    run(work)


@pytest.mark.parametrize(("core_hours", "advice"), [(0.01, "raise budget.core_hours"), (1.0, "raise the deadline")])
def test_what_an_executor_ended_in_time_gets_the_advice_that_helps(run: Any, core_hours: float, advice: str) -> None:
    async def work(broker: TheoryBroker, ledger: Ledger, clock: Any) -> None:
        spec = dataclasses.replace(ledger.state.spec, budget=Budget(core_hours=core_hours))
        await ledger.commit([Change(Updated(spec, ("budget",)))], principal="me")
        order = await taken(broker)
        late = JobResult(JobState.FAILED, failure=Failure.TIMED_OUT, message=f"not done within {order.deadline_s:g} s")
        await broker.finish(order.name, order.token, late)
        assert advice in (await ended(ledger)).message

    run(work)


@pytest.mark.parametrize("how", ["stale", "cancelled", "repeated"])
def test_a_result_that_is_not_awaited_writes_nothing(run: Any, how: str) -> None:
    async def work(broker: TheoryBroker, ledger: Ledger, clock: Any) -> None:
        order = await taken(broker)
        put, n_puts = ledger.blobs.put, 0

        def counted(data: bytes) -> Any:
            nonlocal n_puts
            n_puts += 1
            return put(data)

        ledger.blobs.put = counted  # type: ignore[method-assign]
        if how == "repeated":
            await broker.finish(order.name, order.token, GOOD)
            await broker.finish(order.name, order.token, GOOD)
            assert n_puts == 1
            return
        if how == "cancelled":
            await broker.cancel("c", "j1", "no use", "me")
        with pytest.raises(ProbescoutError) as caught:
            await broker.finish(order.name, "another" if how == "stale" else order.token, GOOD)
        assert caught.value.reason is Reason.LEASE_STALE
        assert n_puts == 0

    run(work)


def test_what_has_nothing_to_do_with_jobs_wakes_no_worker_that_waits(run: Any) -> None:
    async def work(broker: TheoryBroker, ledger: Ledger, clock: Any) -> None:
        order = await taken(broker)
        queued = dataclasses.replace(ledger.state.jobs["j1"].queued, job="j2", digest="another")
        await broker.submit("c", queued, "me")
        n_asked = 0

        async def take() -> tuple[JobOrder, ...]:
            nonlocal n_asked
            n_asked += 1
            return () if ledger.state.open_jobs.get("j1") else (order,)

        waiting = asyncio.create_task(broker.first(take, 60.0))
        await settled()
        n_before = n_asked
        for version in (1, 2, 3):
            await ledger.commit([Change(ModelSwapped(version))], principal="me")
            await settled()
        assert n_asked == n_before and not waiting.done()
        await broker.finish(order.name, order.token, GOOD)
        assert await waiting == (order,), "the end of a job makes room for the next"

    run(work)


def test_a_lease_whose_worker_is_gone_before_it_is_journalled_runs_out(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(broker: TheoryBroker, ledger: Ledger, clock: Any) -> None:
        commit = ledger.commit
        is_committing, may_commit = asyncio.Event(), asyncio.Event()

        async def slow(*args: Any, **more: Any) -> Any:
            is_committing.set()
            await may_commit.wait()
            return await commit(*args, **more)

        monkeypatch.setattr(ledger, "commit", slow)
        gone = asyncio.create_task(taken(broker))
        await is_committing.wait()
        gone.cancel()
        await asyncio.wait([gone])
        monkeypatch.setattr(ledger, "commit", commit)
        may_commit.set()
        while ledger.state.jobs["j1"].attempt != 1:
            await ledger.moved.wait()
        await settled()
        assert broker.heard("c", "j1").expires_in_s == 30.0, "somebody watches it"

    run(work)
