"""A store that refuses: nothing changes, and the model never knows what the journal does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from probescout.core.errors import Reason, Unavailable
from probescout.core.events import Control
from probescout.core.geometry import Affine
from probescout.core.observations import ScoreState
from probescout.core.suggestions import Source
from probescout.runtime import planner as planner_module
from probescout.runtime.driver import Ask


@pytest.fixture
def failing(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner_module, "MemoryJournal", lab.FailingJournal)


@pytest.mark.parametrize("kind", ["Observed", "Leased", "Controlled", "Updated", "FrameRevised", "Renewed", "Returned"])
def test_a_store_that_refuses_changes_nothing(lab: Any, inline: Any, failing: None, kind: str) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        s = await lab.warm_up(driver, 4)
        store, state, seq = driver.ledger.store, driver.state, driver.ledger.head.seq
        calls = {
            "Observed": lambda: driver.tell(lab.draft("n", s), lab.spectrum(s.y, s.x), s.token, lab.ME),
            "Leased": lambda: driver.suggest(Ask(), lab.ME),
            "Controlled": lambda: driver.control(Control.ABORT, "", lab.ME),
            "Updated": lambda: driver.update(replace(state.spec, title="x"), ("title",), state.spec.etag, "", lab.ME),
            "FrameRevised": lambda: driver.update_frame("f1", Affine(y0=0.1), (), "", lab.ME),
            "Renewed": lambda: driver.renew((s.id,), (s.token,), lab.ME),
            "Returned": lambda: driver.release((s.id,), (s.token,), "", lab.ME),
        }
        store.refused_kinds = {kind}
        with pytest.raises(Unavailable) as caught:
            await calls[kind]()
        assert caught.value.reason is Reason.STORE_UNAVAILABLE
        assert driver.state is state and driver.ledger.head.seq == seq and driver.leases.left(s.id) > 0
        store.refused_kinds = set()
        await calls[kind]()
        await driver.modeller.wake()
        known, held = lab.rows(driver)
        assert known == held and driver.ledger.head.seq > seq

    inline(work)


def test_a_score_that_cannot_be_written_is_scored_again_by_a_fresh_model(lab: Any, inline: Any, failing: None) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        s = await lab.warm_up(driver, 4)
        driver.ledger.store.refused_kinds = {"Scored"}
        told = await driver.tell(lab.draft("n1", s), lab.spectrum(s.y, s.x), s.token, lab.ME)
        assert told.observation.score_state is ScoreState.PENDING, "the data are safe and acknowledged"
        assert not driver.modeller.is_ready, "it has learnt what the journal does not hold"
        driver.ledger.store.refused_kinds = set()
        await driver.preview(1)
        assert driver.state.observations["n1"].score_state is ScoreState.SCORED
        driver.ledger.store.refused_kinds = {"Scored"}
        with pytest.raises(Unavailable):
            seen = lab.spectrum(0.4, 0.4)
            await driver.step(lab.draft("n2", (0.4, 0.4)), seen, "", Ask(), lab.ME, lab.ME)
        assert not driver.modeller.is_ready and "n2" in driver.state.observations
        driver.ledger.store.refused_kinds = set()
        [p] = (await driver.suggest(Ask(), lab.ME)).suggestions
        assert p.source is Source.PLANNER
        assert {driver.state.observations[n].score_state for n in ("n1", "n2")} == {ScoreState.SCORED}
        known, held = lab.rows(driver)
        assert known == held and len(held) == 6

    inline(work)
