"""What a policy is told beside the model: cost, place, budget, honesty, further targets, stop rules."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from probescout.core.geometry import Position, distance
from probescout.core.observations import ScoreState
from probescout.core.specs import Budget, MotionCost, Objective, PluginSpec, StopRule
from probescout.runtime.driver import Ask
from probescout.runtime.situation import cost_s

SEEN: list[Any] = []


class Spy:
    """Keep the belief, prefer the cheapest."""

    name: ClassVar[str] = "spy"
    summary: ClassVar[str] = "spy"
    params_schema: ClassVar[dict[str, Any]] = {"type": "object", "additionalProperties": False}
    needs_model: ClassVar[bool] = False
    chosen_by = "the spy's second stage"

    def score(self, belief: Any, rng: Any) -> np.ndarray:
        SEEN.append(belief)
        return -belief.cost_s if belief.cost_s is not None else np.zeros(len(belief.positions))


@pytest.fixture(autouse=True)
def _forget() -> None:
    SEEN.clear()


def test_a_move_costs_dwell_settling_and_its_way() -> None:
    positions = np.random.default_rng(0).random((50, 2))
    motion = MotionCost(settle_s=0.2, dwell_s=0.3, diagonals_per_s=0.25)
    expected = [0.5 + distance(Position(0.1, 0.9), Position(*p)) / 0.25 for p in positions]
    np.testing.assert_allclose(cost_s(motion, positions, (0.1, 0.9)), expected, rtol=1e-12)
    for at, free in ((None, motion), ((0.1, 0.9), MotionCost(0.2, 0.3))):
        np.testing.assert_array_equal(cost_s(free, positions, at), np.full(50, 0.5))


def test_a_policy_learns_where_each_client_is(lab: Any, inline: Any, install: Any) -> None:
    install("spy", Spy)

    async def work(planner: Any) -> None:
        driver = await lab.campaign(
            planner,
            policy=PluginSpec("spy"),
            motion=MotionCost(0.0, 1.0, 0.5),
            budget=Budget(probes=40),
        )
        s = await lab.warm_up(driver, 6, client_id="me")
        assert s.policy == "the spy's second stage"
        SEEN.clear()
        y, x = driver.state.last_at["me"]
        batch = (await driver.suggest(Ask(3, client_id="me"), lab.ME)).suggestions
        assert [b.last_position for b in SEEN] == [(y, x), *((b.y, b.x) for b in batch[:2])], "each from the one before"
        first = SEEN[0]
        assert first.n_budget == 40 and first.calibration.n == driver.modeller.calibration.n
        assert len(first.objectives) == 1
        here = int(np.argmin(first.cost_s))
        assert first.cost_s[here] == pytest.approx(1.0) and here == s.candidate
        gaps = [distance(Position(y, x), Position(batch[0].y, batch[0].x))]
        gaps += [distance(Position(a.y, a.x), Position(b.y, b.x)) for a, b in zip(batch, batch[1:], strict=False)]
        assert max(gaps) < 0.15, "the cheapest point is a near one"
        SEEN.clear()
        await driver.suggest(Ask(client_id="another"), lab.ME)
        assert SEEN[0].last_position is None and set(SEEN[0].cost_s) == {1.0}

    inline(work)


def test_further_targets_reach_the_policy_with_larger_better(lab: Any, inline: Any, install: Any) -> None:
    install("spy", Spy)

    async def work(planner: Any) -> None:
        low, high = PluginSpec("band_sum", {"low": 0.0, "high": 2.0}), PluginSpec("band_sum", {"low": 7.0, "high": 9.0})
        driver = await lab.campaign(
            planner, policy=PluginSpec("spy"), objectives=(Objective(low), Objective(high, is_minimizing=True))
        )
        await lab.warm_up(driver, 6)
        first, second, third = SEEN[-1].objectives
        told = [o for o in driver.state.observations.values() if o.score_state is ScoreState.SCORED]
        assert len(told) == 6
        np.testing.assert_allclose(first.values, [o.target for o in told], rtol=1e-9)
        np.testing.assert_allclose(second.values, [o.further[0].value for o in told], rtol=1e-9)
        np.testing.assert_allclose(third.values, [-o.further[1].value for o in told], rtol=1e-9)
        np.testing.assert_array_equal(second.measured, first.measured)
        np.testing.assert_array_equal(third.available, first.available)
        # Their models are taught anew with the first after a withdrawal.
        await driver.retract(told[0].id, "dirt", lab.ME)
        await driver.suggest(Ask(), lab.ME)
        assert [len(b.values) for b in SEEN[-1].objectives] == [5, 5, 5]

    inline(work)


def test_a_target_that_fails_is_missing_from_its_model_alone(lab: Any, inline: Any, install: Any) -> None:
    install("spy", Spy)

    async def work(planner: Any) -> None:
        broken, sound = (
            PluginSpec("band_sum", {"low": 80.0, "high": 90.0}),
            PluginSpec("peak_position", {"low": 0, "high": 9}),
        )
        driver = await lab.campaign(planner, policy=PluginSpec("spy"), objectives=(Objective(broken), Objective(sound)))
        await lab.warm_up(driver, 5)
        assert [len(b.values) for b in SEEN[-1].objectives] == [5, 0, 5]
        o = next(iter(driver.state.observations.values()))
        assert o.score_state is ScoreState.SCORED and o.further[0].error and not o.further[1].error

    inline(work)


def test_a_target_of_the_first_that_fails_leaves_the_further_ones(lab: Any, inline: Any, install: Any) -> None:
    install("spy", Spy)

    async def work(planner: Any) -> None:
        broken = PluginSpec("band_sum", {"low": 80.0, "high": 90.0})
        sound = Objective(PluginSpec("band_sum", {"low": 0.0, "high": 9.0}))
        driver = await lab.campaign(planner, scalarizer=broken, policy=PluginSpec("spy"), objectives=(sound,))
        await lab.warm_up(driver, 4)
        assert [len(b.values) for b in SEEN[-1].objectives] == [0, 4]
        assert {o.score_state for o in driver.state.observations.values()} == {ScoreState.FAILED}

    inline(work)


def test_a_change_of_the_first_scalarizer_keeps_the_further_targets(lab: Any, inline: Any, install: Any) -> None:
    install("spy", Spy)

    async def work(planner: Any) -> None:
        further = Objective(PluginSpec("peak_position", {"low": 0, "high": 9}))
        driver = await lab.campaign(planner, policy=PluginSpec("spy"), objectives=(further,))
        await lab.warm_up(driver, 4)
        before = [o.further for o in driver.state.observations.values()]
        spec = replace(driver.state.spec, scalarizer=PluginSpec("band_sum", {"low": 0.0, "high": 3.0}))
        await driver.update(spec, ("scalarizer",), driver.state.spec.etag, "", lab.ME)
        await lab.settled(driver)
        assert [o.further for o in driver.state.observations.values()] == before
        await driver.suggest(Ask(), lab.ME)
        assert [len(b.values) for b in SEEN[-1].objectives] == [4, 4]

    inline(work)


def test_stop_rules_are_answered_with_evidence_and_stop_nothing(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        rules = (StopRule("expected_regret", 1e9), StopRule("map_error", 0.0))
        driver = await lab.campaign(planner, stop_rules=rules)
        handed = await driver.suggest(Ask(), lab.ME)
        assert driver.state.advice == (), "nothing is known yet"
        for _ in range(22):
            _, handed = await lab.measure(driver, handed.suggestions[0])
        met, unmet = driver.state.advice
        assert (met.rule, met.is_met, met.bound, met.unit) == ("expected_regret", True, 1e9, "counts") and met.message
        assert not unmet.is_met and unmet.value > 0 and math.isfinite(unmet.value)
        assert handed.suggestions and handed.stop is None, "advice is all it is"

    inline(work)
