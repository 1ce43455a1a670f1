"""Advice is of the rules that hold when a point is leased, not of those that held when it was chosen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from probescout.core.specs import StopRule
from probescout.core.suggestions import Source
from probescout.runtime.driver import Ask


@pytest.mark.parametrize(
    ("rules", "left"),
    [
        ((), []),
        ((StopRule("map_error", 0.5), StopRule("gain_per_second", 1.0)), ["gain_per_second"]),
    ],
)
def test_rules_that_change_while_a_point_is_chosen(
    lab: Any, inline: Any, monkeypatch: pytest.MonkeyPatch, rules: tuple[StopRule, ...], left: list[str]
) -> None:
    async def work(planner: Any) -> None:
        before = (StopRule("map_error", 0.1), StopRule("gain_per_second", 1.0))
        driver = await lab.campaign(planner, stop_rules=before)
        await lab.warm_up(driver, 6)
        assert [a.rule for a in driver.state.advice] == ["map_error", "gain_per_second"]
        commit = driver._commit

        async def late(changes: Any, *more: Any) -> Any:
            monkeypatch.setattr(driver, "_commit", commit)
            spec = driver.state.spec
            await driver.update(replace(spec, stop_rules=rules), ("stop_rules",), spec.etag, "", lab.ME)
            return await commit(changes, *more)

        monkeypatch.setattr(driver, "_commit", late)
        handed = await driver.suggest(Ask(), lab.ME)
        assert handed.suggestions[0].source is Source.PLANNER
        assert [a.rule for a in driver.state.advice] == left

    inline(work)
