"""A request acts once, however often it is sent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from probescout.core.errors import InvalidInput, Reason
from probescout.runtime.driver import Ask
from probescout.runtime.once import Once, Request, checked_request_id
from probescout.runtime.works import Caller

ID = "11111111-2222-3333-4444-555555555555"


def test_copies_that_come_together_share_one_effect(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        once = planner.desk("c").once
        request = Request(ID, "a" * 64, "me")

        async def act() -> list[str]:
            handed = await driver.suggest(Ask(), Caller("me", request.receipt))
            return [s.id for s in handed.suggestions]

        got = await asyncio.gather(*(once.run(request, act) for _ in range(5)))
        assert got == [["s1"]] * 5 and list(driver.state.pending) == ["s1"]
        done = once.find(request)
        assert done is not None and done.is_repeat
        assert done.facts["suggestions"] == ["s1"] and done.facts["seq"] == driver.ledger.head.seq

    inline(work)


def test_an_id_stands_for_one_body(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        once: Once = planner.desk("c").once
        first, other = Request(ID, "a" * 64, "me"), Request(ID, "b" * 64, "me")
        gate = asyncio.Event()
        running = asyncio.ensure_future(once.run(first, gate.wait))
        await asyncio.sleep(0)
        with pytest.raises(InvalidInput) as caught:
            await once.run(other, gate.wait)
        assert caught.value.reason is Reason.REQUEST_ID_REUSED
        gate.set()
        await running
        await driver.suggest(Ask(), Caller("me", first.receipt))
        with pytest.raises(InvalidInput) as caught:
            once.find(other)
        assert (caught.value.reason, caught.value.field) == (Reason.REQUEST_ID_REUSED, "request_id")

    inline(work)


def test_work_goes_on_when_its_caller_goes_away(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        once = planner.desk("c").once
        request = Request(ID, "a" * 64, "me")
        gate = asyncio.Event()

        async def act() -> None:
            await gate.wait()
            await driver.suggest(Ask(), Caller("me", request.receipt))

        caller = asyncio.ensure_future(once.run(request, act))
        await asyncio.sleep(0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        gate.set()
        await once.idle()
        assert once.find(request) is not None and len(driver.state.pending) == 1

    inline(work)


def test_a_request_without_effect_may_be_tried_again(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        await lab.campaign(planner)
        once = planner.desk("c").once
        request = Request(ID, "a" * 64, "me")

        async def fail() -> None:
            raise OSError("no")

        for _ in range(2):
            with pytest.raises(OSError, match="no"):
                await once.run(request, fail)
        assert once.find(request) is None

    inline(work)


def test_request_ids_are_uuids() -> None:
    assert checked_request_id(ID.upper().replace("-", "")) == ID
    for text, reason in (("", Reason.FIELD_MISSING), ("x", Reason.ID_INVALID)):
        with pytest.raises(InvalidInput) as caught:
            checked_request_id(text)
        assert caught.value.reason is reason
