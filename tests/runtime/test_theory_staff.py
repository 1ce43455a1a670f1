"""The executor of the service itself: begun with the first job, and never dead without a word."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from probescout.core.errors import InvalidInput, Reason
from probescout.runtime import theory_local
from probescout.runtime.settings import Settings
from probescout.runtime.theory_staff import TheoryStaff


class Broker:
    """A desk at which a job waits."""

    async def wanted(self) -> None:
        pass


class Executor:
    """Fails to start as often as it is told."""

    faults: list[Exception]
    begun: asyncio.Event
    is_stopped = False

    def __init__(self, broker: Any, **more: Any) -> None:
        pass

    async def start(self) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.begun.set()

    async def stop(self) -> None:
        type(self).is_stopped = True


def begin(monkeypatch: pytest.MonkeyPatch, *faults: Exception) -> list[float]:
    """Begin with an executor that fails so; return how long each pause was, once it has begun or been given up."""
    monkeypatch.setattr(theory_local, "LocalExecutor", Executor)
    monkeypatch.setattr(Executor, "faults", list(faults), raising=False)
    monkeypatch.setattr(Executor, "is_stopped", False)
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async def work() -> None:
        monkeypatch.setattr(Executor, "begun", asyncio.Event(), raising=False)
        broker: Any = Broker()
        staff = TheoryStaff(broker, Settings(theory_slots=1), None, pause)
        before = asyncio.all_tasks()
        staff.start()
        await asyncio.wait_for(asyncio.wait(asyncio.all_tasks() - before), 10)
        await staff.stop()

    asyncio.run(work())
    return pauses


def test_a_fault_that_nobody_foresaw_is_told_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert begin(monkeypatch, KeyError("entry point"), RuntimeError("loop")) == [1.0, 2.0]
    told = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert ["trying again in 1 s" in told[0].getMessage(), "trying again in 2 s" in told[1].getMessage()] == [True] * 2
    assert told[0].exc_info is not None and told[0].exc_info[0] is KeyError
    assert Executor.begun.is_set() and Executor.is_stopped


def test_what_cannot_work_is_told_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    wrong = InvalidInput(Reason.FIELD_INVALID, "memory_bytes: 7 bytes a process", field="memory_bytes")
    assert begin(monkeypatch, wrong) == []
    [told] = caplog.records
    assert "cannot be run here" in told.getMessage() and "7 bytes" in told.getMessage()
    assert not Executor.begun.is_set()
