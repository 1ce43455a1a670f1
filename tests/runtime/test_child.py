"""Worker processes: they answer, fail, hang and die without taking anything along."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probescout.core.errors import InvalidInput, Overloaded, Reason, Unavailable, WrongState
from probescout.runtime.child import MAX_QUEUED, Child, WorkerFault
from probescout.runtime.seats import InlineMind, Seats
from probescout.runtime.settings import Settings

VALID = {"scalarizer": {"name": "band_sum", "params": {"low": 0, "high": 1}}, "policy": {"name": "ucb", "params": {}}}


def is_running(pid: int) -> bool:
    """Return whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_answers_and_errors_come_back(lab: Any) -> None:
    async def work() -> None:
        child = await Child.start("campaign")
        inline = InlineMind()
        assert await child.ask("validate", **VALID) == await inline.ask("validate", **VALID)
        unknown = {**VALID, "policy": {"name": "ucbb", "params": {}}}
        for mind in (child, inline):
            with pytest.raises(InvalidInput, match="did you mean 'ucb'") as caught:
                await mind.ask("validate", **unknown)
            assert (caught.value.reason, caught.value.field) == (Reason.PLUGIN_UNKNOWN, "spec.policy.name")
            with pytest.raises(WrongState):
                await mind.ask("fit_request")
            with pytest.raises(WorkerFault, match="KeyError"):
                await mind.ask("no such thing")
            with pytest.raises(InvalidInput):
                odd = {"name": "band_sum", "params": {"$array": ["<f8", [10**15]]}}
                await mind.ask("validate", scalarizer=odd, policy=VALID["policy"])
        # A request that cannot be packed is the caller's fault and leaves nothing behind.
        with pytest.raises(TypeError):
            child.ask("validate", scalarizer=object())
        assert child.n_waiting == 0 and child.is_alive and child.pid > 0
        await child.stop()
        assert not child.is_alive and not is_running(child.pid)
        with pytest.raises(WorkerFault, match="has ended"):
            child.ask("validate", **VALID)

    asyncio.run(work())


def test_a_hanging_worker_holds_up_nobody_else(lab: Any) -> None:
    async def work() -> None:
        hung, sound = await Child.start("campaign"), await Child.start("campaign")
        await hung.ask("validate", **VALID)
        os.kill(hung.pid, signal.SIGSTOP)
        waiting = [hung.ask("validate", **VALID) for _ in range(MAX_QUEUED)]
        with pytest.raises(Overloaded) as caught:
            hung.ask("validate", **VALID)
        assert caught.value.reason is Reason.QUEUE_FULL
        assert (await sound.ask("validate", **VALID))["axis_unit"] == (await sound.ask("validate", **VALID))[
            "axis_unit"
        ]
        assert not any(w.done() for w in waiting) and hung.is_alive
        os.kill(hung.pid, signal.SIGCONT)
        assert len(await asyncio.gather(*waiting)) == MAX_QUEUED, "it answers all, in order, when it goes on"
        os.kill(hung.pid, signal.SIGSTOP)
        late = hung.ask("validate", **VALID)
        await hung.stop()
        with pytest.raises(WorkerFault, match="died"):
            await late
        assert not is_running(hung.pid)
        await sound.kill()
        assert not sound.is_alive

    asyncio.run(work())


def test_a_large_array_passes(lab: Any) -> None:
    async def work() -> None:
        child = await Child.start("campaign")
        big = np.arange(3_000_000, dtype=np.float64)
        assert "axis_unit" in await child.ask("validate", **VALID, unused=big)
        await child.stop()

    asyncio.run(work())


def test_children_die_with_a_parent_that_is_killed() -> None:
    code = (
        "import asyncio\n"
        "from probescout.runtime.child import Child\n"
        "async def main():\n"
        "    child = await Child.start('campaign')\n"
        "    spare = await Child.start('campaign')\n"
        f"    await child.ask('validate', **{VALID!r})\n"
        "    print(child.pid, spare.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(p) for p in parent.stdout.readline().split()]
    assert len(pids) == 2 and all(is_running(p) for p in pids)
    # Even one that cannot read the end of its pipe must go.
    os.kill(pids[0], signal.SIGSTOP)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    end = time.monotonic() + 10
    while any(is_running(p) for p in pids) and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(is_running(p) for p in pids)


def test_a_spare_that_cannot_start_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        seats = Seats(Settings())
        real, fails = Child.start, [True]

        async def start(role: str) -> Child:
            if fails:
                fails.pop()
                raise BlockingIOError("no more processes")
            return await real(role)

        monkeypatch.setattr(Child, "start", start)
        with pytest.raises(Unavailable) as caught:
            await seats.ask("validate", **VALID)
        assert caught.value.reason is Reason.WORKER_UNAVAILABLE
        assert "axis_unit" in await seats.ask("validate", **VALID)
        await seats.close()

    asyncio.run(work())


class Sleeper:
    """A campaign that holds a mind and gives it up when told."""

    def __init__(self, seats: Seats, last_asked: float) -> None:
        self.seats, self.last_asked, self.is_idle, self.n_naps = seats, last_asked, True, 0

    async def sleep(self) -> None:
        self.n_naps += 1
        await self.seats.give_back(self)


def test_seats_are_taken_in_turn() -> None:
    async def work() -> None:
        seats = Seats(Settings(max_workers=2, hang_s=1.0))
        a, b, c = (Sleeper(seats, t) for t in (2.0, 1.0, 3.0))
        minds = [await seats.take(a), await seats.take(b)]
        assert len({m.pid for m in minds}) == 2
        await seats.take(c)
        assert (a.n_naps, b.n_naps) == (0, 1), "the one that was idle longest makes room"
        a.is_idle = c.is_idle = False
        waiting = asyncio.ensure_future(seats.take(b))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        a.is_idle = True
        seats.nudge()
        assert (await waiting).is_alive and a.n_naps == 1
        b.is_idle = False
        with pytest.raises(Unavailable, match="all 2 campaign workers are busy"):
            await seats.take(a)
        # One that stops waiting must not take the spare process from the others.
        impatient = asyncio.ensure_future(seats.take(a))
        await asyncio.sleep(0)
        impatient.cancel()
        await asyncio.wait([impatient])
        c.is_idle = True
        assert (await seats.take(a)).is_alive
        await seats.close()

    asyncio.run(work())


def test_a_cancelled_taker_leaves_the_spare_to_others() -> None:
    async def work() -> None:
        seats = Seats(Settings())
        a, b = Sleeper(seats, 1.0), Sleeper(seats, 2.0)
        first = asyncio.ensure_future(seats.take(a))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        mind = await seats.take(b)
        assert "axis_unit" in await mind.ask("validate", **VALID)
        await seats.close()

    asyncio.run(work())
