"""Points that people ask for, handed out before the planner's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from probescout.core.errors import InvalidInput
from probescout.core.geometry import Position
from probescout.core.leasing import StopCause
from probescout.core.specs import Budget, Limits
from probescout.core.suggestions import Source
from probescout.runtime.driver import Ask
from probescout.runtime.modeller import Modeller


def pixel(i: int, size: int = 12) -> Position:
    return Position((i // size + 0.5) / size, (i % size + 0.5) / size)


async def ask_for(driver: Any, lab: Any, *candidates: int, urgent: bool = False) -> list[str]:
    points = await driver.propose([pixel(c) for c in candidates], "a bright spot", urgent, lab.ME)
    return [p.id for p in points]


def test_they_come_before_seeds_and_policy_and_the_model_learns_from_them(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        await ask_for(driver, lab, 40, 41)
        await ask_for(driver, lab, 100, urgent=True)
        handed = await driver.suggest(Ask(5), lab.ME)
        found = [(s.source, s.candidate) for s in handed.suggestions]
        assert found[:3] == [(Source.OPERATOR, c) for c in (100, 40, 41)]
        assert [source for source, _ in found[3:]] == [Source.SEED_DESIGN] * 2
        assert not handed.degraded and all(not s.degraded for s in handed.suggestions)
        for s in handed.suggestions:
            await lab.measure(driver, s)
        assert driver.state.points == () and driver.state.n_proposed == 3
        later = (await driver.suggest(Ask(), lab.ME)).suggestions[0]
        assert later.source is Source.PLANNER and later.policy == "ucb"
        lab.assert_model_knows_the_journal(driver)
        await ask_for(driver, lab, 60)
        _, handed = await lab.measure(driver, later)
        assert [(s.source, s.candidate) for s in handed.suggestions] == [(Source.OPERATOR, 60)], "by Step too"

    inline(work)


def test_they_need_no_model(lab: Any, inline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_model(*_: Any, **__: Any) -> None:
        raise AssertionError("nobody was to be asked")

    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        await lab.warm_up(driver, 5)
        await ask_for(driver, lab, 40, 41)
        monkeypatch.setattr(Modeller, "ask", no_model)
        handed = await driver.suggest(Ask(2), lab.ME)
        assert [s.candidate for s in handed.suggestions] == [40, 41] and not handed.degraded

    inline(work)


def test_one_out_of_reach_waits_and_the_answer_says_so(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner, limits=Limits(max_step=0.12))
        s = await lab.warm_up(driver, 5, client_id="me")
        far = 143 if s.y < 0.5 else 0
        [name] = await ask_for(driver, lab, far)
        _, handed = await lab.measure(driver, s, client_id="me")
        assert handed.suggestions[0].source is not Source.OPERATOR
        assert any(f"point '{name}'" in why and "max_step" in why for why in handed.degraded)
        assert [p.id for p in driver.state.points] == [name]
        other = await driver.suggest(Ask(client_id="another"), lab.ME)
        assert [x.candidate for x in other.suggestions] == [far], "a client that is elsewhere may go there"

    inline(work)


def test_what_the_limits_forbid_later_is_not_handed_out_and_comes_when_they_allow_it(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        await ask_for(driver, lab, 0)
        for border, source in ((0.2, Source.SEED_DESIGN), (0.0, Source.OPERATOR)):
            spec = replace(driver.state.spec, limits=Limits(border=border))
            await driver.update(spec, ("limits",), driver.state.spec.etag, "", lab.ME)
            handed = await driver.suggest(Ask(), lab.ME)
            s = handed.suggestions[0]
            if s.source is Source.SEED_DESIGN:
                assert any("allowed region" in why for why in handed.degraded)
            else:
                assert s.candidate == 0
            assert s.source in (source, Source.PLANNER, Source.FALLBACK)
        with pytest.raises(InvalidInput):
            await ask_for(driver, lab, 0)

    inline(work)


def test_the_budget_counts_them(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner, budget=Budget(probes=2))
        await ask_for(driver, lab, 5, 6, 7)
        handed = await driver.suggest(Ask(3), lab.ME)
        assert [s.candidate for s in handed.suggestions] == [5, 6]
        assert handed.stop is not None and handed.stop.cause is StopCause.BUDGET_PROBES
        for s in handed.suggestions:
            await lab.measure(driver, s)
        end = await driver.suggest(Ask(), lab.ME)
        assert end.stop is not None and end.stop.is_final and [p.candidate for p in driver.state.points] == [7]

    inline(work)


def test_a_point_withdrawn_while_others_are_chosen_is_not_leased(
    lab: Any, inline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        names = await ask_for(driver, lab, 40, 41)
        commit = driver._commit

        async def late(changes: Any, *more: Any) -> Any:
            monkeypatch.setattr(driver, "_commit", commit)
            await driver.withdraw(names[:1], "not that one", lab.ME)
            return await commit(changes, *more)

        monkeypatch.setattr(driver, "_commit", late)
        handed = await driver.suggest(Ask(2), lab.ME)
        found = [(s.source, s.candidate) for s in handed.suggestions]
        assert found[0] == (Source.OPERATOR, 41) and len(found) == 2 and 40 not in [c for _, c in found]

    inline(work)


def test_many_that_wait_give_one_reason(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner, limits=Limits(max_step=0.12))
        s = await lab.warm_up(driver, 5, client_id="me")
        far = range(108, 144) if s.y < 0.5 else range(36)
        taken = {p for p in driver.state.blocked}
        names = await ask_for(driver, lab, *[c for c in far if c not in taken])
        _, handed = await lab.measure(driver, s, client_id="me")
        waiting = [why for why in handed.degraded if "wait" in why]
        assert len(waiting) == 1 and waiting[0].startswith(f"{len(names)} points wait; the first, point '{names[0]}'")

    inline(work)
