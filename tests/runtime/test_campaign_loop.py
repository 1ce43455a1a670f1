"""A campaign in this process from the first seed to the last probe."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import numpy as np
import pytest

from probescout.core.errors import AlreadyExists, InvalidInput, NotFound
from probescout.core.events import Control
from probescout.core.leasing import StopCause
from probescout.core.observations import ScoreState
from probescout.core.specs import Budget, PluginSpec
from probescout.core.spectra import Spectrum
from probescout.core.suggestions import Source
from probescout.runtime.driver import Ask
from probescout.runtime.ledger import Ledger
from probescout.runtime.works import Caller


def test_the_whole_loop(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner, budget=Budget(probes=15))
        sources, handed = [], await driver.suggest(Ask(), lab.ME)
        while handed.suggestions:
            [s] = handed.suggestions
            sources.append(s.source)
            told, handed = await lab.measure(driver, s)
            assert told.observation.score_state is ScoreState.SCORED
            assert told.observation.target == lab.spectrum(s.y, s.x, s.ordinal).values.sum()
        assert sources == [Source.SEED_DESIGN] * 3 + [Source.PLANNER] * 12
        assert (handed.stop.cause, handed.stop.is_final) == (StopCause.BUDGET_PROBES, True)
        state = driver.state
        assert (len(state.observations), len(state.taken), state.use.probes_reserved) == (15, 15, 0)
        assert state.best().target == max(o.target for o in state.observations.values())
        lab.assert_model_knows_the_journal(driver)
        again = Ledger.recover(driver.ledger.store, driver.ledger.blobs, planner.clock)
        assert lab.written(again.state) == lab.written(state), "the journal folds to what is live"
        told = [s for s in state.suggestions.values() if s.source is Source.PLANNER]
        assert all(s.std > 0 and s.predictive_std >= s.std and math.isfinite(s.acquisition) for s in told)

    inline(work)


def test_several_points_at_once_are_different_and_seeds_come_first(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        await lab.warm_up(driver, 2)
        handed = await driver.suggest(Ask(5, "other"), lab.ME)
        assert len({s.candidate for s in handed.suggestions}) == 5 and handed.stop is None
        assert not handed.degraded, handed.degraded
        assert [s.id for s in handed.suggestions] == ["s4", "s5", "s6", "s7", "s8"]

    inline(work)


def test_seeds_and_policy_share_one_answer_without_clashing(lab: Any, inline: Any) -> None:
    """The policy must know of the seeds handed out in the same call."""

    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner, size=4)
        for i, at in enumerate([(0.1, 0.1), (0.9, 0.9), (0.1, 0.9)]):
            await driver.tell(lab.draft(f"extra{i}", at), lab.spectrum(*at), "", lab.ME)
        n_seeds = len(driver.state.seeds)
        handed = await driver.suggest(Ask(n_seeds + 4), lab.ME)
        sources = [s.source for s in handed.suggestions]
        assert not handed.degraded
        assert sources == [Source.SEED_DESIGN] * n_seeds + [Source.PLANNER] * 4
        assert len({s.candidate for s in handed.suggestions}) == n_seeds + 4

    inline(work)


def test_a_minimising_campaign_seeks_the_low(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        found = {}
        for name, is_minimizing in (("high", False), ("low", True)):
            driver = await lab.campaign(planner, name, is_minimizing=is_minimizing, seed=3)
            s = await lab.warm_up(driver, 14)
            found[name] = [o.target for o in driver.state.observations.values()]
            assert driver.state.best().target == (min if is_minimizing else max)(found[name])
            assert s.mean > 0, "predictions are in target units, not negated"
        assert np.median(found["low"][3:]) < np.median(found["high"][3:]) / 2

    inline(work)


def test_a_signal_that_cannot_be_scored_is_kept_and_says_why(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner, scalarizer=PluginSpec("band_sum", {"low": 100.0, "high": 200.0}))
        s = await lab.warm_up(driver, 2)
        o = driver.state.observations["o-s1"]
        assert o.score_state is ScoreState.FAILED and "holds no element" in o.score_message
        assert (await driver.ledger.raw(o)) == lab.spectrum(
            *(driver.state.suggestions["s1"].y, driver.state.suggestions["s1"].x), 1
        ).values.tobytes()
        assert s.source is Source.SEED_DESIGN

    inline(work)


@pytest.mark.parametrize("answer", [None, math.nan, math.inf, "text", RuntimeError("boom"), 1e300])
def test_whatever_a_scalarizer_returns_the_campaign_goes_on(lab: Any, inline: Any, install: Any, answer: Any) -> None:
    class Broken:
        name = "broken"
        summary = "Returns nonsense."
        params_schema = {"type": "object", "properties": {}, "additionalProperties": False}
        n_dims = 1
        axis_unit = None

        def __call__(self, spectrum: Spectrum) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer if answer is None else type("S", (), {"value": answer, "variance": 1.0, "unit": "V"})()

    install("broken", Broken)

    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner, scalarizer=PluginSpec("broken"), seed_design=lab.SeedDesign(count=1))
        s = await lab.warm_up(driver, 2)
        assert {o.score_state for o in driver.state.observations.values()} == {ScoreState.FAILED}
        assert all(o.score_message for o in driver.state.observations.values())
        assert s.source is Source.FALLBACK and driver.modeller.is_ready

    inline(work)


def test_preview_leases_nothing_and_is_kept_by_suggest(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        s = await lab.warm_up(driver, 6)
        await driver.tell(lab.draft("last", s), lab.spectrum(s.y, s.x), s.token, lab.ME)
        seq = driver.ledger.head.seq
        shown = await driver.preview(3)
        assert driver.ledger.head.seq == seq and not driver.state.pending
        handed = await driver.suggest(Ask(3), lab.ME)
        assert [p.candidate for p in shown.suggestions] == [p.candidate for p in handed.suggestions]

    inline(work)


def test_maps_and_explanations(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        s = await lab.warm_up(driver, 6)
        told = await driver.maps()
        mean = told["maps"]["mean"]
        assert mean.shape == (12, 12) and sum(told["weights"].values() if isinstance(told["weights"], dict) else
                                              [w["weight"] for w in told["weights"]]) == pytest.approx(1.0)  # fmt: skip
        why = await driver.explain(s.candidate)
        assert why["mean"] == pytest.approx(float(mean.ravel()[s.candidate]), rel=1e-4)

    inline(work)


def test_campaigns_are_created_once_and_found(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        request = lab.new_request()
        first, second = await asyncio.gather(*(planner.create("", lab.spec(), request) for _ in range(2)))
        assert first is second and first.driver.state.id.startswith("c-")
        with pytest.raises(AlreadyExists):
            await planner.create(first.driver.state.id, lab.spec(), lab.new_request())
        with pytest.raises(NotFound):
            planner.desk("nowhere")
        with pytest.raises(InvalidInput):
            await planner.create("bad", lab.spec(policy=PluginSpec("no such")), lab.new_request())
        assert planner.desks() == [first]

    inline(work)


def test_receipts_name_the_caller(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        await lab.warm_up(driver, 4)
        await driver.control(Control.PAUSE, "", Caller("operator"))
        by = {r.kind: r.principal for r in driver.ledger.store.read()}
        assert (by["Observed"], by["Controlled"]) == ("me", "operator")

    inline(work)
