"""Evidence that comes faster than the model takes it in."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

import probescout.runtime.modeller as modeller_module
from probescout.runtime.modeller import Modeller
from probescout.runtime.settings import Settings


class SlowMind:
    """Answers when it is told to."""

    is_alive = True

    def __init__(self) -> None:
        self.asked: list[tuple[list[Any], asyncio.Future[Any]]] = []

    def ask(self, op: str, **payload: Any) -> asyncio.Future[Any]:
        assert op == "inform"
        self.asked.append((payload["evidence"], asyncio.get_running_loop().create_future()))
        return self.asked[-1][1]

    async def answer(self, n: int) -> None:
        self.asked[n][1].set_result({})
        for _ in range(10):
            await asyncio.sleep(0)


def test_results_that_come_meanwhile_are_sent_together_and_what_is_taken_back_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # No rest: the test turns the model's answers by hand.
    monkeypatch.setattr(modeller_module, "LEARNING_SHARE", 1.0)

    async def scene() -> None:
        evidence: list[list[Any]] = []
        ledger: Any = SimpleNamespace(state=SimpleNamespace(id="c"))
        seats: Any = SimpleNamespace(nudge=lambda: None)
        pool: Any = None
        modeller, mind = Modeller(ledger, seats, pool, Settings(is_inline=True)), SlowMind()
        modeller._mind = mind  # type: ignore[assignment]
        monkeypatch.setattr(modeller_module, "evidence", lambda state: [list(row) for row in evidence])
        for i in range(50):
            evidence.append([i, 1.0, "xtb:energy"])
            modeller.evidence_changed(is_more=True)
        assert [len(rows) for rows, _ in mind.asked] == [1], "one request at a time"
        await mind.answer(0)
        assert [len(rows) for rows, _ in mind.asked] == [1, 50], "nothing is forgotten"
        evidence.append([50, 1.0, "xtb:energy"])
        modeller.evidence_changed(is_more=True)
        del evidence[0]
        modeller.evidence_changed()
        assert mind.asked[2][0] == evidence, "what is taken back does not wait"
        await mind.answer(1)
        await mind.answer(2)
        assert len(mind.asked) == 3, "what was sent is not sent again"

    asyncio.run(scene())


def test_after_evidence_was_learnt_the_model_has_time_for_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    ticks = iter([10.0, 10.1])

    async def rest(seconds: float) -> None:
        rests.append(seconds)

    async def scene() -> None:
        modeller = Modeller(SimpleNamespace(state=SimpleNamespace(id="c")), None, None, Settings(is_inline=True))  # type: ignore[arg-type]
        reply: Any = asyncio.get_running_loop().create_future()
        reply.set_result({})
        monkeypatch.setattr(modeller_module.time, "monotonic", lambda: next(ticks))
        monkeypatch.setattr(modeller_module.asyncio, "sleep", rest)
        await modeller._informed(reply)
        monkeypatch.undo()

    asyncio.run(scene())
    assert rests == [pytest.approx(0.9)], "a tenth of its time"
