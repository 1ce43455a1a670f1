"""Whatever a policy does, the score is kept and no point leaves the limits."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probescout.core.geometry import Position, distance, pixel_centers
from probescout.core.observations import ScoreState
from probescout.core.regions import is_allowed
from probescout.core.specs import Budget, Limits, PluginSpec, Polygon
from probescout.core.suggestions import Source
from probescout.runtime.driver import Ask
from probescout.runtime.planner import Planner
from probescout.runtime.settings import Settings

SIZE = 12


class Hostile:
    """A policy that misbehaves as a test tells it to."""

    name = "hostile"
    summary = "Does what it should not."
    params_schema: ClassVar[dict[str, Any]] = {"type": "object", "properties": {}, "additionalProperties": False}
    needs_model = False
    moods: ClassVar[list[str]] = ["nan"]
    n_asked: ClassVar[int] = 0

    def score(self, belief: Any, rng: np.random.Generator) -> Any:
        mood = self.moods[Hostile.n_asked % len(self.moods)]
        Hostile.n_asked += 1
        n = len(belief.positions)
        if mood == "raise":
            raise RuntimeError("no idea")
        if mood == "write":
            belief.available[:] = True
        return {
            "nan": np.full(n, np.nan),
            "inf": np.full(n, np.inf),
            "some inf": np.where(rng.random(n) < 0.5, np.inf, rng.random(n)),
            "short": np.zeros(n - 1),
            "matrix": np.zeros((n, 2)),
            "text": "best",
            "none": None,
            "integers": np.arange(n),
            "prefers the taken": np.where(belief.available, 0.0, 1e9),
            "one point": np.where(np.arange(n) == 0, 1.0, np.nan),
            "write": rng.random(n),
            "good": rng.random(n),
        }[mood]


MOODS = ["nan", "inf", "some inf", "short", "matrix", "text", "none", "integers", "prefers the taken", "one point",
         "raise", "write", "good"]  # fmt: skip


@pytest.mark.parametrize("mood", MOODS)
def test_the_score_is_kept_and_an_answer_comes(lab: Any, inline: Any, install: Any, mood: str) -> None:
    install("hostile", Hostile)

    async def work(planner: Any) -> None:
        Hostile.moods = [mood]
        driver = await lab.campaign(planner, policy=PluginSpec("hostile"), seed_design=lab.SeedDesign(count=2))
        handed = await driver.suggest(Ask(), lab.ME)
        for _ in range(5):
            told, handed = await lab.measure(driver, handed.suggestions[0])
            assert told.observation.score_state is ScoreState.SCORED, told.observation.score_message
            [s] = handed.suggestions
        # "one point" can be proposed once.
        is_useful = mood in ("some inf", "integers", "prefers the taken", "good")
        assert s.source is (Source.PLANNER if is_useful else Source.FALLBACK)
        assert bool(handed.degraded) is not is_useful
        if mood == "raise":
            assert any("planner 'hostile' raised RuntimeError('no idea')" in d for d in handed.degraded)
        if not is_useful and mood != "one point":
            assert s.degraded == handed.degraded and any("PLUGIN_BROKEN" in d for d in handed.degraded)

    inline(work)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moods=st.lists(st.sampled_from(MOODS), min_size=1, max_size=5),
    seed=st.integers(0, 2**20),
    max_step=st.sampled_from([0.0, 0.25]),
    probes=st.integers(3, 12),
    counts=st.lists(st.integers(1, 4), min_size=6, max_size=6),
)
def test_no_point_leaves_the_limits(
    lab: Any, install: Any, moods: list[str], seed: int, max_step: float, probes: int, counts: list[int]
) -> None:
    install("hostile", Hostile)
    rng = np.random.default_rng(seed)
    mask = rng.random((SIZE, SIZE)) < 0.7
    allowed = Polygon((0.0, 0.1, 1.0, 0.9), (0.0, 0.95, 1.0, 0.05))
    forbidden = Polygon((0.4, 0.4, 0.6, 0.6), (0.3, 0.7, 0.7, 0.3))
    limits = Limits((allowed,), (forbidden,), max_step, border=0.04)
    free = [is_allowed(limits, mask, y, x) for y, x in pixel_centers(SIZE, SIZE)]
    if not any(free):
        return

    async def work() -> None:
        Hostile.moods = moods
        planner = Planner(None, Settings(is_inline=True))
        planner.pool = lab.NoFits()
        await planner.start()
        driver = await lab.campaign(
            planner, "c", SIZE, mask, limits=limits, budget=Budget(probes=probes), seed=seed,
            policy=PluginSpec("hostile"), seed_design=lab.SeedDesign(count=2),
        )  # fmt: skip
        path: dict[str, list[Position]] = {"a": [], "b": []}
        for i, count in enumerate(counts):
            client = "ab"[i % 2]
            handed = await driver.suggest(Ask(count, client), lab.ME)
            for s in handed.suggestions:
                assert free[s.candidate] and (s.y, s.x) == driver.state.candidates.position(s.candidate)
                path[client].append(Position(s.y, s.x))
            for s in handed.suggestions[: count // 2 + 1]:
                await driver.tell(lab.draft(f"o{s.id}", s), lab.spectrum(s.y, s.x), s.token, lab.ME)
        state = driver.state
        assert len({s.candidate for s in state.suggestions.values()}) == state.n_suggested <= probes
        for steps in path.values():
            gaps = [distance(a, b) for a, b in zip(steps, steps[1:], strict=False)]
            assert not max_step or not gaps or max(gaps) <= max_step * (1 + 1e-9)
        assert {o.score_state for o in state.observations.values()} <= {ScoreState.SCORED}
        await planner.close()

    asyncio.run(work())


def test_a_policy_whose_package_is_gone_degrades_and_says_so(lab: Any, tmp_path: Any, install: Any) -> None:
    """The server restarts without a plug-in: the campaign opens, takes data, and works again with another policy."""
    from dataclasses import replace

    from probescout.core import registry

    async def first() -> None:
        planner = Planner(tmp_path, Settings(is_inline=True))
        planner.pool = lab.NoFits()
        await planner.start()
        Hostile.moods = ["good"]
        driver = await lab.campaign(planner, policy=PluginSpec("hostile"))
        await lab.warm_up(driver, 4)
        await planner.close()

    async def second() -> None:
        planner = Planner(tmp_path, Settings(is_inline=True))
        planner.pool = lab.NoFits()
        await planner.start()
        driver = planner.desk("c").driver
        told = await driver.tell(lab.draft("new", (0.5, 0.5)), lab.spectrum(0.5, 0.5), "", lab.ME)
        assert told.observation.score_state is ScoreState.PENDING
        handed = await driver.suggest(Ask(), lab.ME)
        assert handed.suggestions[0].source is Source.FALLBACK
        assert any("no planner named 'hostile'" in d for d in handed.degraded), handed.degraded
        spec = replace(driver.state.spec, policy=PluginSpec("ucb"))
        await driver.update(spec, ("policy",), driver.state.spec.etag, "the other is gone", lab.ME)
        handed = await driver.suggest(Ask(), lab.ME)
        assert handed.suggestions[0].source is Source.PLANNER and not handed.degraded
        assert driver.state.observations["new"].score_state is ScoreState.SCORED
        await planner.close()

    install("hostile", Hostile)
    asyncio.run(first())
    from importlib.metadata import entry_points

    registry.entry_points = entry_points  # undone with the patch of `install`
    asyncio.run(second())
