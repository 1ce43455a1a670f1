"""Several points in one answer: chosen together where the policy can, and handed out along a short route."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

from probescout.core.errors import InvalidInput, Reason
from probescout.core.specs import Limits, MotionCost, PluginSpec, SeedDesign
from probescout.core.suggestions import Source
from probescout.runtime.batching import together, visiting_order
from probescout.runtime.driver import Ask
from probescout.runtime.routing import order_route, route_length
from probescout.testing.fake_belief import fake_belief

BELIEF = fake_belief()
FREE = np.flatnonzero(BELIEF.available)
TAKEN = np.flatnonzero(~BELIEF.available)


class Joint:
    """Choose what a test tells it to."""

    name: ClassVar[str] = "joint"
    summary: ClassVar[str] = "joint"
    params_schema: ClassVar[dict[str, Any]] = {"type": "object", "additionalProperties": False}
    needs_model: ClassVar[bool] = False
    chosen: ClassVar[Any] = None

    def score(self, belief: Any, rng: Any) -> np.ndarray:
        return -np.arange(len(belief.available), dtype=float)

    def score_batch(self, belief: Any, rng: Any, count: int) -> Any:
        if isinstance(self.chosen, str):
            raise RuntimeError("no idea")
        return np.flatnonzero(belief.available)[-count:] if self.chosen is None else self.chosen


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ("raise", "no idea"),
        (FREE[:4], "asked for 1 to 3"),
        (FREE[:0], "asked for 1 to 3"),
        (FREE[:3].astype(float), "float64"),
        (FREE[:3][None], "shape"),
        (np.repeat(FREE[:1], 2), "different available"),
        (TAKEN[:2], "different available"),
        (np.array([FREE[0], len(BELIEF.mean)]), "different available"),
        (np.array([-1]), "different available"),
    ],
)
def test_a_batch_that_is_of_no_use_is_the_fault_of_the_policy(
    monkeypatch: pytest.MonkeyPatch, chosen: Any, words: str
) -> None:
    monkeypatch.setattr(Joint, "chosen", chosen)
    with pytest.raises(InvalidInput) as refused:
        together(Joint(), BELIEF, np.random.default_rng(0), 3)  # type: ignore[arg-type]
    assert refused.value.reason is Reason.PLUGIN_BROKEN and words in refused.value.message


def test_the_route_is_short_unless_a_step_of_it_is_too_long() -> None:
    there_and_back = np.array([[0.5, 0.3], [0.5, 0.7], [0.5, 0.35], [0.5, 0.75]])
    assert list(visiting_order(there_and_back, (0.5, 0.2), None, None)) == [0, 2, 1, 3]
    assert list(visiting_order(there_and_back, None, None, None)) == [0, 2, 1, 3]
    # Through 0 and 2 the way to 1 is 0.25 diagonals long; as given no step is longer than 0.283.
    assert list(visiting_order(there_and_back, (0.5, 0.2), None, 0.283)) == [0, 2, 1, 3]
    assert list(visiting_order(there_and_back, (0.5, 0.2), None, 0.24)) == [0, 1, 2, 3]
    # A frame twice as high as wide: its rows are far apart.
    corners = np.array([[0.1, 0.1], [0.4, 0.1], [0.1, 0.6]])
    assert list(visiting_order(corners, (0.1, 0.1), (100, 100), None)) == [0, 1, 2]
    assert list(visiting_order(corners, (0.1, 0.1), (400, 100), None)) == [0, 2, 1]


def test_a_campaign_hands_out_the_set_that_is_best_together(lab: Any, inline: Any) -> None:
    found: dict[str, list[int]] = {}

    def batch_of(policy: str) -> None:
        async def work(planner: Any) -> None:
            driver = await lab.campaign(planner, size=24, policy=PluginSpec(policy), motion=MotionCost(0.1, 0.1, 0.5))
            await lab.warm_up(driver, 8, client_id="me")
            start = driver.state.last_at["me"]
            handed = (await driver.suggest(Ask(5, client_id="me"), lab.ME)).suggestions
            assert {(s.source, s.policy) for s in handed} == {(Source.PLANNER, policy)}
            at = np.array([driver.state.candidates.position(s.candidate) for s in handed])
            shortest = route_length(at[order_route(at, start)], start)
            assert route_length(at, start) == pytest.approx(shortest), "along a short route from where the probe is"
            found[policy] = [s.candidate for s in handed]

        inline(work)

    batch_of("expected_improvement")
    batch_of("batch_expected_improvement")
    greedy, joint = found.values()
    assert len(set(joint)) == 5
    assert set(joint) != set(greedy), "with the same scores of single points, chosen one at a time"


def test_what_a_policy_chooses_together_is_what_is_leased(lab: Any, inline: Any, install: Any) -> None:
    install("joint", Joint)

    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner, policy=PluginSpec("joint"))
        await lab.warm_up(driver, 4)
        handed = (await driver.suggest(Ask(3), lab.ME)).suggestions
        assert {s.candidate for s in handed} == {141, 142, 143} and all(np.isfinite(s.acquisition) for s in handed)
        [one] = (await driver.suggest(Ask(), lab.ME)).suggestions
        assert one.candidate < 20, "a single point goes by the scores"

    inline(work)


def test_steps_of_a_batch_stay_within_reach_whatever_is_chosen_together(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        policy = PluginSpec("batch_expected_improvement")
        seeds = SeedDesign(count=1)
        driver = await lab.campaign(planner, policy=policy, limits=Limits(max_step=0.2), seed_design=seeds)
        await lab.warm_up(driver, 8, client_id="me")
        for client in ("me", "somewhere"):
            route = [driver.state.last_at[client]] if client in driver.state.last_at else []
            handed = await driver.suggest(Ask(6, client_id=client), lab.ME)
            assert {s.source for s in handed.suggestions} == {Source.PLANNER} and not handed.degraded
            route += [driver.state.candidates.position(s.candidate) for s in handed.suggestions]
            steps = np.linalg.norm(np.diff(np.array(route), axis=0), axis=1) / np.sqrt(2)
            assert len(handed.suggestions) == 6 and steps.max() <= 0.2 + 1e-9

    inline(work)
