"""The desk over real journals, with real executors and processes that are killed."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probescout.core.errors import InvalidInput, NotFound, ProbescoutError, Reason, Unavailable, WrongState
from probescout.core.events import Control, Controlled, Created, Updated, decode
from probescout.core.observations import SignalRecord
from probescout.core.ports import Receipt
from probescout.core.specs import Budget, CampaignSpec, PluginSpec
from probescout.core.spectra import ValueKind
from probescout.core.theory import Failure, JobResult, JobState, Quantity
from probescout.core.theory_events import TheoryEnded, TheoryQueued, TheoryRequeued
from probescout.core.theory_spec import TheorySpec
from probescout.runtime.ledger import Change, Ledger
from probescout.runtime.theory_broker import TheoryBroker
from probescout.runtime.theory_local import LocalExecutor
from probescout.runtime.theory_watch import OWN_WORKER
from probescout.store.blob_names import blob_name
from probescout.store.journal import Journal
from probescout.store.memory import MemoryBlobs, MemoryJournal
from probescout.testing.bad_engines import MISBEHAVING

SERVER = Path(__file__).with_name("theory_server.py")
GOOD = JobResult(JobState.SUCCEEDED, (Quantity("energy", 1.5, "eV"),), core_hours=0.1, structure={"atoms": 3})


class Clock:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds


def begun(clock: Clock, name: str = "c", **more: Any) -> Ledger:
    theory = TheorySpec(PluginSpec(MISBEHAVING), "energy", **more)
    event = Created(name, CampaignSpec(PluginSpec("given"), theory=theory), 1.0)
    receipt = Receipt("r", "d", b"")
    return Ledger.begin(
        MemoryJournal(), MemoryBlobs(), event, clock, principal="me", receipt=lambda seq, state: receipt
    )


def asked(ledger: Ledger, job: str, act: str = "behave", **more: Any) -> TheoryQueued:
    structure = blob_name(ledger.blobs.put(b'{"job": "%s"}' % job.encode()).digest)
    fields = {"deadline_s": 60.0, "max_attempts": 2, "time": 1.0, "candidate": 3, "structure": structure, **more}
    return TheoryQueued(job, PluginSpec(MISBEHAVING, {"act": act}), f"digest of {job}", **fields)


def run(work: Callable[[TheoryBroker, Ledger, Clock], Coroutine[Any, Any, None]], **more: Any) -> None:
    async def main() -> None:
        clock = Clock()
        broker, ledger = TheoryBroker(clock), begun(clock, **more)
        broker.add(ledger)
        try:
            await asyncio.wait_for(work(broker, ledger, clock), 60)
        finally:
            broker.close()
            ledger.close()

    asyncio.run(main())


def refusing(events: Any, **more: Any) -> Any:
    raise Unavailable(Reason.STORE_UNAVAILABLE, "the disk refuses")


async def refusal(call: Coroutine[Any, Any, Any]) -> tuple[type, Reason]:
    with pytest.raises(ProbescoutError) as caught:
        await call
    return type(caught.value), caught.value.reason


async def expired(ledger: Ledger, clock: Clock, seconds: float) -> None:
    """Turn the clock and wait for what that does to the journal."""
    moved = ledger.moved
    clock.seconds += seconds
    await asyncio.wait_for(moved.wait(), 10)


def test_a_lease_is_journalled_and_its_result_is_taken_once() -> None:
    async def work(broker: TheoryBroker, ledger: Ledger, clock: Clock) -> None:
        await broker.submit("c", asked(ledger, "j1"), "me")
        [order] = await broker.acquire("w", [MISBEHAVING], 4, 30.0)
        assert order.structure == {"job": "j1"} and order.attempt == 1
        assert order.token not in repr(list(ledger.store.read()))
        assert ledger.state.jobs["j1"].state is JobState.RUNNING
        assert await broker.acquire("w", [MISBEHAVING], 4, 30.0) == ()
        assert (await broker.progress(order.name, order.token, 0.5, "half")).expires_in_s == 30.0
        await broker.finish(order.name, order.token, GOOD)
        seq = ledger.head.seq
        await broker.finish(order.name, order.token, GOOD)
        assert ledger.head.seq == seq and ledger.state.jobs["j1"].state is JobState.SUCCEEDED
        ended = ledger.state.jobs["j1"].ended
        assert ended is not None and ledger.blobs.get(ended.structure.removeprefix("blobs/sha256-")) == b'{"atoms":3}'

    run(work)


def test_a_silent_worker_loses_its_job_and_a_reporting_one_keeps_it() -> None:
    async def work(broker: TheoryBroker, ledger: Ledger, clock: Clock) -> None:
        await broker.submit("c", asked(ledger, "j1"), "me")
        # Real seconds pass only as long as the watch sleeps: a short lease keeps that short.
        [order] = await broker.acquire("w", [MISBEHAVING], 1, 0.2)
        clock.seconds += 0.15
        await broker.progress(order.name, order.token, 0.1, "")
        clock.seconds += 0.15
        assert ledger.state.jobs["j1"].state is JobState.RUNNING
        await expired(ledger, clock, 0.2)
        assert ledger.state.jobs["j1"].state is JobState.QUEUED
        assert await refusal(broker.progress(order.name, order.token, 0.2, "")) == (WrongState, Reason.LEASE_STALE)
        assert await refusal(broker.finish(order.name, order.token, GOOD)) == (WrongState, Reason.LEASE_STALE)
        [again] = await broker.acquire("other", [MISBEHAVING], 1, 0.2)
        assert again.token != order.token and again.attempt == 2
        await expired(ledger, clock, 0.3)
        assert ledger.state.jobs["j1"].ended.failure is Failure.LOST  # type: ignore[union-attr]

    run(work)


def test_a_waiting_executor_gets_a_job_the_moment_it_comes() -> None:
    async def work(broker: TheoryBroker, ledger: Ledger, clock: Clock) -> None:
        waiting = asyncio.create_task(broker.acquire("w", [MISBEHAVING], 1, 30.0, wait_s=50.0))
        await asyncio.sleep(0)
        await broker.submit("c", asked(ledger, "j1"), "me")
        assert len(await asyncio.wait_for(waiting, 10)) == 1

    run(work)


def test_the_jobs_of_an_ended_campaign_are_cancelled() -> None:
    async def work(broker: TheoryBroker, ledger: Ledger, clock: Clock) -> None:
        for name in ("j1", "j2"):
            await broker.submit("c", asked(ledger, name), "me")
        [order] = await broker.acquire("w", [MISBEHAVING], 1, 30.0)
        await ledger.commit([Change(Controlled(Control.ABORT, "smoke"))], principal="me")
        while ledger.state.open_jobs:
            await ledger.moved.wait()
        assert {j.state for j in ledger.state.jobs.values()} == {JobState.CANCELLED}
        assert (await broker.progress(order.name, order.token, 0.5, "")).is_cancelled

    run(work)


def test_garbage_fails_the_job_and_is_named() -> None:
    async def work(broker: TheoryBroker, ledger: Ledger, clock: Clock) -> None:
        await broker.submit("c", asked(ledger, "j1", max_attempts=1), "me")
        [order] = await broker.acquire("w", [MISBEHAVING], 1, 30.0)
        bad = JobResult(JobState.SUCCEEDED, (Quantity("energy", float("nan"), "eV"),))
        assert await refusal(broker.finish(order.name, order.token, bad)) == (InvalidInput, Reason.FIELD_INVALID)
        assert ledger.state.jobs["j1"].ended.failure is Failure.GARBAGE  # type: ignore[union-attr]
        assert await refusal(broker.finish("campaigns/c/theoryJobs/no", "t", GOOD)) == (NotFound, Reason.JOB_NOT_FOUND)
        assert await refusal(broker.finish("rubbish", "t", GOOD)) == (InvalidInput, Reason.ID_INVALID)
        assert await refusal(broker.cancel("d", "j1", "", "me")) == (NotFound, Reason.CAMPAIGN_NOT_FOUND)

    run(work)


def test_a_worker_that_reports_for_ever_is_stopped_a_lease_after_the_deadline() -> None:
    async def work(broker: TheoryBroker, ledger: Ledger, clock: Clock) -> None:
        await broker.submit("c", asked(ledger, "j1", deadline_s=60.0), "me")
        [order] = await broker.acquire("w", [MISBEHAVING], 1, 30.0)
        for _ in range(4):
            clock.seconds += 20.0
            assert not (await broker.progress(order.name, order.token, 0.5, "soon")).is_cancelled
        assert broker.heard("c", "j1").share == 0.5 and broker.heard("c", "j1").expires_in_s == 10.0
        clock.seconds += 9.0
        await broker.progress(order.name, order.token, 0.5, "soon")
        clock.seconds += 1.0
        standing = await broker.progress(order.name, order.token, 0.5, "soon")
        assert not standing.expires_in_s
        while ledger.state.open_jobs:
            await asyncio.sleep(0.01)
        ended = ledger.state.jobs["j1"].ended
        assert ended is not None and ended.failure is Failure.TIMED_OUT
        assert ended.core_hours == pytest.approx(60.0 / 3600.0), "no more than was reserved"
        assert broker.heard("c", "j1").share == 0.0

    run(work)


def test_a_damaged_structure_is_not_handed_out() -> None:
    async def work(broker: TheoryBroker, ledger: Ledger, clock: Clock) -> None:
        await broker.submit("c", asked(ledger, "j1", structure="blobs/sha256-" + "0" * 64), "me")
        await broker.submit("c", asked(ledger, "j2"), "me")
        [order] = await broker.acquire("w", [MISBEHAVING], 1, 30.0)
        assert order.name.endswith("j2")
        ended = ledger.state.jobs["j1"].ended
        assert ended is not None and ended.failure is Failure.BAD_INPUT and "cannot be read" in ended.message

    run(work)


def test_the_budget_ends_a_job_before_its_deadline() -> None:
    async def work(broker: TheoryBroker, ledger: Ledger, clock: Clock) -> None:
        spec = dataclasses.replace(ledger.state.spec, budget=Budget(core_hours=0.01))
        await ledger.commit([Change(Updated(spec, ("budget",)))], principal="me")
        await broker.submit("c", asked(ledger, "j1"), "me")
        [order] = await broker.acquire("w", [MISBEHAVING], 1, 0.0)
        assert order.deadline_s == pytest.approx(36.0) and order.lease_s == 60.0, "as the campaign declares"

    run(work)


def test_a_closing_desk_sends_those_who_wait_away() -> None:
    async def work(broker: TheoryBroker, ledger: Ledger, clock: Clock) -> None:
        waiting = asyncio.create_task(broker.acquire("w", [MISBEHAVING], 1, 30.0, wait_s=50.0))
        await asyncio.sleep(0)
        broker.close()
        assert await asyncio.wait_for(waiting, 10) == ()

    run(work)


def test_what_the_service_ran_itself_is_lost_with_it_and_others_get_their_grace() -> None:
    async def work(broker: TheoryBroker, ledger: Ledger, clock: Clock) -> None:
        for name in ("j1", "j2"):
            await broker.submit("c", asked(ledger, name), "me")
        await broker.acquire(OWN_WORKER, [MISBEHAVING], 1, 30.0)
        [other] = await broker.acquire("elsewhere", [MISBEHAVING], 1, 30.0)
        broker.close()
        after = TheoryBroker(clock)
        after.add(ledger)
        while ledger.state.jobs["j1"].state is JobState.RUNNING:
            await asyncio.sleep(0.01)
        last = [decode(r) for r in ledger.store.read()][-1]
        assert isinstance(last, TheoryRequeued) and "started anew" in last.reason
        assert ledger.state.jobs["j2"].state is JobState.RUNNING
        await after.finish(other.name, other.token, GOOD)
        after.close()

    run(work)


def test_what_a_spoilt_result_cost_is_spent() -> None:
    async def work(broker: TheoryBroker, ledger: Ledger, clock: Clock) -> None:
        await broker.submit("c", asked(ledger, "j1", max_attempts=1), "me")
        [order] = await broker.acquire("w", [MISBEHAVING], 1, 30.0)
        loose = JobResult(JobState.SUCCEEDED, (Quantity("energy", 1.0, "eV", is_converged=False),), core_hours=0.9)
        with pytest.raises(InvalidInput):
            await broker.finish(order.name, order.token, loose)
        assert ledger.state.use.core_hours_spent == pytest.approx(0.9)

    run(work)


def test_a_campaign_whose_disk_refuses_keeps_no_other_from_its_jobs() -> None:
    async def work(broker: TheoryBroker, ledger: Ledger, clock: Clock) -> None:
        other = begun(clock, "d")
        broker.add(other)
        for one, name in ((ledger, "c"), (other, "d")):
            await broker.submit(name, asked(one, "j1"), "me")
        append = ledger.store.append
        ledger.store.append = refusing  # type: ignore[method-assign]
        [order] = await broker.acquire("w", [MISBEHAVING], 2, 30.0)
        assert order.name.startswith("campaigns/d/")
        assert await refusal(broker.acquire("w", [MISBEHAVING], 2, 30.0)) == (Unavailable, Reason.STORE_UNAVAILABLE)
        ledger.store.append = append  # type: ignore[method-assign]
        [order] = await broker.acquire("w", [MISBEHAVING], 2, 30.0)
        assert order.name.startswith("campaigns/c/") and order.attempt == 1
        other.close()

    run(work)


def test_jobs_are_cancelled_once_the_disk_takes_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probescout.runtime.theory_watch.RETRY_S", 0.05)

    async def work(broker: TheoryBroker, ledger: Ledger, clock: Clock) -> None:
        await broker.submit("c", asked(ledger, "j1"), "me")
        append, refused = ledger.store.append, asyncio.Event()

        def once(events: Any, **more: Any) -> Any:
            if any(e.kind == "TheoryEnded" for e in events) and not refused.is_set():
                loop.call_soon_threadsafe(refused.set)
                return refusing(events, **more)
            return append(events, **more)

        loop = asyncio.get_running_loop()
        ledger.store.append = once  # type: ignore[method-assign]
        await ledger.commit([Change(Controlled(Control.STOP))], principal="me")
        await asyncio.wait_for(refused.wait(), 10)
        while ledger.state.open_jobs:
            await asyncio.wait_for(ledger.moved.wait(), 10)

    run(work)


def test_campaigns_take_turns() -> None:
    async def work(broker: TheoryBroker, ledger: Ledger, clock: Clock) -> None:
        other = begun(clock, "d")
        broker.add(other)
        for i in range(3):
            await broker.submit("c", asked(ledger, f"j{i}"), "me")
            await broker.submit("d", asked(other, f"j{i}"), "me")
        assert await broker.acquire("w", [MISBEHAVING], 1, 30.0, campaign="e") == ()
        served = [(await broker.acquire("w", [MISBEHAVING], 1, 30.0))[0].name.split("/")[1] for _ in range(4)]
        assert sorted(served[:2]) == sorted(served[2:]) == ["c", "d"]
        other.close()

    run(work)


def test_what_is_handed_out_at_once_fits_into_a_message() -> None:
    async def work(broker: TheoryBroker, ledger: Ledger, clock: Clock) -> None:
        for n, edge in enumerate((1024, 512, 512, 8)):
            image = np.zeros((edge, edge), np.float64)
            blob = ledger.blobs.put(image.tobytes()).digest
            patch = SignalRecord("float64", image.shape, ("y", "x"), "", ValueKind.UNKNOWN, blob=blob)
            await broker.submit("c", asked(ledger, f"j{n}", patch=patch, structure=""), "me")
        sizes = []
        for _ in range(3):
            orders = await broker.acquire("w", [MISBEHAVING], 4, 30.0)
            sizes.append([order.patch.image.nbytes >> 10 for order in orders if order.patch is not None])
        assert sizes == [[8192], [2048], [2048, 0]], "KiB; one alone may be larger"

    run(work, max_running=8)


def test_the_local_executor_works_at_this_desk() -> None:
    async def work(broker: TheoryBroker, ledger: Ledger, clock: Clock) -> None:
        executor = LocalExecutor(broker, engines=[], allowed=[MISBEHAVING], n_slots=2)
        await executor.start()
        for name, act in (("good", "behave"), ("bad", "raise")):
            await broker.submit("c", asked(ledger, name, act), "me")
        while ledger.state.open_jobs:
            await ledger.moved.wait()
        await executor.stop()
        good = ledger.state.jobs["good"]
        assert good.state is JobState.SUCCEEDED and good.core_hours > 0.0
        assert good.ended is not None and good.ended.quantities[0].value == 1.5 and good.ended.key
        assert ledger.state.jobs["bad"].state is JobState.FAILED

    run(work)


def test_killed_with_four_jobs_at_work_every_job_ends_once(tmp_path: Path) -> None:
    def server() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(SERVER), str(tmp_path)], stdout=subprocess.PIPE, text=True, start_new_session=True
        )

    with server() as first:
        assert first.stdout is not None
        for line in first.stdout:
            if line.startswith("4 running"):
                os.killpg(first.pid, signal.SIGKILL)
        assert first.wait() == -signal.SIGKILL
    with server() as second:
        assert second.stdout is not None
        assert second.stdout.read().splitlines()[-1] == "ended"
    with Journal.open(tmp_path) as journal:
        events = [decode(record) for record in journal.read()]
    ended = collections.Counter(e.job for e in events if isinstance(e, TheoryEnded))
    assert ended == {f"j{i}": 1 for i in range(4)}
    assert {e.state for e in events if isinstance(e, TheoryEnded)} == {JobState.SUCCEEDED}


def test_a_desk_that_closes_does_not_say_that_a_job_is_unknown() -> None:
    """A worker drops the result of a job that nobody knows; this one it must offer again after the restart."""

    async def work(broker: TheoryBroker, ledger: Ledger, clock: Clock) -> None:
        await broker.submit("c", asked(ledger, "a"), "me")
        [order] = await broker.acquire("w", [MISBEHAVING], 1, 30.0)
        broker.close()
        with pytest.raises(Unavailable):
            await broker.finish(order.name, order.token, GOOD)
        with pytest.raises(Unavailable):
            await broker.progress(order.name, order.token, 0.5, "half")

    run(work)
