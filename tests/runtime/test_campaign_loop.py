"""A campaign in this process from the first seed to the last probe, and everything that may change on the way."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from probescout.core.errors import AlreadyExists, InvalidInput, NotFound, Reason, WrongState
from probescout.core.events import Amended, Control
from probescout.core.geometry import Affine, Position, distance
from probescout.core.jsonable import to_json
from probescout.core.leasing import StopCause
from probescout.core.observations import ObservationStatus, ScoreState
from probescout.core.specs import Budget, Limits, PluginSpec
from probescout.core.spectra import Spectrum
from probescout.core.suggestions import Source, SuggestionState
from probescout.runtime.driver import Ask
from probescout.runtime.ledger import Ledger
from probescout.runtime.works import Caller


def model_rows(driver: Any) -> list[list[float]]:
    """Return what the model was taught, as it says itself."""
    return sorted(driver.modeller.ask("state").result()["taught"])


def journal_rows(driver: Any) -> list[list[float]]:
    return sorted([o.candidate, o.target, o.target_variance] for o in driver.state.observations.values() if o.is_taught)


def written(state: Any) -> str:
    """Return a whole state as text, in which NaN equals itself and the order of parameters does not count."""
    return json.dumps(to_json(state), sort_keys=True, default=sorted)


def assert_model_knows_the_journal(driver: Any) -> None:
    np.testing.assert_array_equal(np.array(model_rows(driver)), np.array(journal_rows(driver)))


async def settled(lab: Any, driver: Any) -> None:
    await lab.until(lambda: driver.modeller.is_ready and driver.modeller.is_idle_but_fits)


@pytest.fixture(autouse=True)
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tests wait until nothing but a (never-ending) fit is under way."""
    from probescout.runtime.modeller import Modeller

    def is_idle_but_fits(self: Any) -> bool:
        return self._tasks <= {self._fitting} and (self._mind is None or self._mind.n_waiting == 0)

    monkeypatch.setattr(Modeller, "is_idle_but_fits", property(is_idle_but_fits), raising=False)


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
        assert_model_knows_the_journal(driver)
        again = Ledger.recover(driver.ledger.store, driver.ledger.blobs, planner.clock)
        assert written(again.state) == written(state), "the journal folds to what is live"
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


def test_amended_and_withdrawn_data_are_unlearnt(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        await lab.warm_up(driver, 8)
        assert_model_knows_the_journal(driver)
        await driver.amend(Amended("o-s5", "recalibrated", value=77.0, variance=4.0), lab.ME)
        await settled(lab, driver)
        assert [driver.state.observations["o-s5"].candidate, 77.0, 4.0] in model_rows(driver)
        await driver.amend(Amended("o-s6", "wrong corner", y=0.01, x=0.01), lab.ME)
        await driver.retract("o-s2", "dirt", lab.ME)
        await settled(lab, driver)
        assert len(model_rows(driver)) == 7
        assert_model_knows_the_journal(driver)
        assert 0 in {row[0] for row in model_rows(driver)}

    inline(work)


def test_a_new_scalarizer_scores_everything_anew(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        await lab.warm_up(driver, 8)
        before = {o.id: o.target for o in driver.state.observations.values()}
        spec = replace(driver.state.spec, scalarizer=PluginSpec("band_sum", {"low": 0.0, "high": 4.0}))
        await driver.update(spec, ("scalarizer",), driver.state.spec.etag, "narrower", lab.ME)
        await lab.until(lambda: all(o.score_state is ScoreState.SCORED for o in driver.state.observations.values()))
        await settled(lab, driver)
        for o in driver.state.observations.values():
            s = driver.state.suggestions[o.suggestion]
            assert o.target == lab.spectrum(s.y, s.x, s.ordinal).values[:5].sum() < before[o.id]
        assert_model_knows_the_journal(driver)
        told, handed = await lab.measure(driver, list(driver.state.suggestions.values())[-1])
        assert handed.suggestions[0].source is Source.PLANNER
        assert told.observation.target < max(before.values())

    inline(work)


def test_a_scalarizer_that_cannot_be_built_changes_nothing(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        seq, etag = driver.ledger.head.seq, driver.state.spec.etag
        for plugin, reason in (
            (PluginSpec("band_som"), Reason.PLUGIN_UNKNOWN),
            (PluginSpec("band_sum", {"low": "x"}), Reason.PARAM_INVALID),
            (PluginSpec("band_sum", {"$array": ["<f8", [3]]}), Reason.PARAM_INVALID),
        ):
            with pytest.raises(InvalidInput) as caught:
                new = replace(driver.state.spec, scalarizer=plugin)
                await driver.update(new, ("scalarizer",), etag, "", lab.ME)
            assert caught.value.reason is reason
        assert (driver.ledger.head.seq, driver.state.spec.etag) == (seq, etag)

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


def test_steps_stay_within_reach(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        reach = 0.2
        driver = await lab.campaign(planner, limits=Limits(max_step=reach), seed_design=lab.SeedDesign(count=1))
        handed = await driver.suggest(Ask(1, "me"), lab.ME)
        path = list(handed.suggestions)
        for _ in range(9):
            _, handed = await lab.measure(driver, path[-1], client_id="me")
            path += handed.suggestions
        batch = await driver.suggest(Ask(4, "me"), lab.ME)
        assert not batch.degraded, "the policy itself must chain its points"
        path += batch.suggestions
        steps = [distance(Position(a.y, a.x), Position(b.y, b.x)) for a, b in zip(path, path[1:], strict=False)]
        assert len(steps) == 13 and max(steps) <= reach * (1 + 1e-9)
        assert {s.source for s in path[3:]} == {Source.PLANNER}

    inline(work)


def test_no_point_within_reach_is_said(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner, limits=Limits(max_step=1e-3))
        await driver.suggest(Ask(1, "me"), lab.ME)
        handed = await driver.suggest(Ask(1, "me"), lab.ME)
        assert not handed.suggestions and handed.stop.cause is StopCause.MAX_STEP

    inline(work)


def test_the_rate_is_kept(lab: Any, inline: Any) -> None:
    clock = lab.FakeClock()

    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner, limits=Limits(max_rate_hz=0.5))
        handed = await driver.suggest(Ask(3), lab.ME)
        assert len(handed.suggestions) == 1
        assert (handed.stop.cause, handed.stop.is_final) == (StopCause.RATE, False)
        clock.seconds += 1.5
        handed = await driver.suggest(Ask(1), lab.ME)
        assert not handed.suggestions and handed.stop.cause is StopCause.RATE
        assert handed.stop.retry_after_s == pytest.approx(0.5)
        clock.seconds += 0.5
        handed = await driver.suggest(Ask(1), lab.ME)
        assert len(handed.suggestions) == 1 and handed.stop is None

    inline(work, clock)


def test_budgets_bound_what_is_leased(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner, budget=Budget(probes=4))
        handed = await driver.suggest(Ask(6), lab.ME)
        assert len(handed.suggestions) == 4 and handed.stop.cause is StopCause.BUDGET_PROBES
        handed = await driver.suggest(Ask(1), lab.ME)
        assert not handed.suggestions and not handed.stop.is_final
        slow = await lab.campaign(planner, "slow", budget=Budget(seconds=10.0))
        handed = await slow.suggest(Ask(3), lab.ME)
        assert len(handed.suggestions) == 1, "before the first measurement nobody knows what one costs"
        seen, s = lab.spectrum(0.5, 0.5), handed.suggestions[0]
        await slow.tell(lab.draft("o1", s, dwell_s=4.0), seen, s.token, lab.ME)
        handed = await slow.suggest(Ask(3), lab.ME)
        assert len(handed.suggestions) == 1 and handed.stop.cause is StopCause.BUDGET_SECONDS

    inline(work)


def test_pause_resume_abort(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        s = await lab.warm_up(driver, 1)
        await driver.control(Control.PAUSE, "tea", lab.ME)
        told, handed = await lab.measure(driver, s)
        assert told.observation.score_state is ScoreState.SCORED and not told.observation.is_late
        assert not handed.suggestions and handed.stop.cause is StopCause.PAUSED
        await driver.control(Control.RESUME, "", lab.ME)
        [s] = (await driver.suggest(Ask(), lab.ME)).suggestions
        await driver.control(Control.ABORT, "smoke", lab.ME)
        assert driver.state.suggestions[s.id].state is SuggestionState.RELEASED and driver.leases.left(s.id) == 0
        told, handed = await lab.measure(driver, s)
        assert told.observation.is_late and handed.stop.cause is StopCause.ABORTED

    inline(work)


def test_leases_run_out_and_the_point_returns(lab: Any, inline: Any) -> None:
    clock = lab.FakeClock()

    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner, lease_s=60.0)
        a, b = (await driver.suggest(Ask(2), lab.ME)).suggestions
        clock.seconds += 50.0
        await driver.renew((b.id,), (b.token,), lab.ME)
        assert (driver.leases.left(a.id), driver.leases.left(b.id)) == (10.0, 60.0)
        clock.seconds += 11.0
        driver.leases.grant([])
        await lab.until(lambda: a.id not in driver.state.pending)
        assert driver.state.suggestions[a.id].state is SuggestionState.EXPIRED
        assert list(driver.state.pending) == [b.id] and driver.state.use.probes_reserved == 1
        [again] = (await driver.suggest(Ask(1), lab.ME)).suggestions
        assert (again.candidate, again.source) == (a.candidate, Source.SEED_DESIGN) and again.id != a.id
        with pytest.raises(WrongState) as caught:
            await driver.renew((a.id,), (a.token,), lab.ME)
        assert caught.value.reason is Reason.LEASE_STALE
        told = await driver.tell(lab.draft("late", a), lab.spectrum(a.y, a.x), a.token, lab.ME)
        assert told.observation.is_late and told.observation.score_state is ScoreState.SCORED

    inline(work, clock)


def test_release_gives_the_point_back(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        [s] = (await driver.suggest(Ask(), lab.ME)).suggestions
        with pytest.raises(WrongState):
            await driver.release((s.id,), ("stolen",), "", lab.ME)
        await driver.release((s.id,), (s.token,), "not today", lab.ME)
        assert not driver.state.pending and driver.leases.left(s.id) == 0
        [again] = (await driver.suggest(Ask(), lab.ME)).suggestions
        assert again.candidate == s.candidate

    inline(work)


def test_drift_moves_points_and_data_find_home(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        s = await lab.warm_up(driver, 4)
        await driver.update_frame("f1", Affine(y0=0.05), (), "drift", lab.ME)
        moved = driver.state.suggestions[s.id]
        assert (moved.y, moved.x) == (pytest.approx(s.y + 0.05), s.x)
        told, handed = await lab.measure(driver, moved)
        assert (told.observation.candidate, told.observation.frame_revision) == (s.candidate, 2)
        for p in handed.suggestions:
            y, x = driver.state.candidates.position(p.candidate)
            assert (p.y, p.x) == (pytest.approx(y + 0.05), pytest.approx(x))

    inline(work)


def test_failed_measurements_are_tried_again_once(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner, size=2, seed_design=lab.SeedDesign(count=0), policy=PluginSpec("grid"))
        for i in range(8):
            [s] = (await driver.suggest(Ask(), lab.ME)).suggestions
            draft = lab.draft(f"o{i}", s, status=ObservationStatus.FAILED)
            await driver.tell(draft, None, s.token, lab.ME)
        assert set(driver.state.tries.values()) == {2} and len(driver.state.tries) == 4
        handed = await driver.suggest(Ask(), lab.ME)
        assert not handed.suggestions and handed.stop.is_final and handed.stop.cause is StopCause.NO_CANDIDATES

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


def test_refusals_append_nothing(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        desk = await planner.create("c", lab.spec(), lab.new_request())
        driver = desk.driver
        with pytest.raises(WrongState) as caught:
            await driver.suggest(Ask(), lab.ME)
        assert caught.value.reason is Reason.NO_FRAME
        await lab.add_frame(driver)
        seq = driver.ledger.head.seq
        with pytest.raises(WrongState):
            await lab.add_frame(driver)
        for ask in (Ask(0), Ask(65), Ask(1, "", -1.0), Ask(1, "", math.nan)):
            with pytest.raises(InvalidInput):
                await driver.suggest(ask, lab.ME)
        bad = Spectrum(np.array([1.0, math.nan] * 5), ("channel",), (lab.ENERGY,))
        with pytest.raises(InvalidInput):
            await driver.tell(lab.draft("o1", (0.5, 0.5)), bad, "", lab.ME)
        with pytest.raises(NotFound):
            await driver.retract("o1", "why", lab.ME)
        with pytest.raises(NotFound):
            driver.find_suggestion("s1")
        assert driver.ledger.head.seq == seq

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


def test_a_restart_goes_on_with_full_grace(lab: Any, tmp_path: Any) -> None:
    from probescout.runtime.planner import Planner
    from probescout.runtime.settings import Settings

    async def first(clock: Any) -> Any:
        planner = Planner(tmp_path, Settings(is_inline=True), clock)
        planner.pool = lab.NoFits()
        await planner.start()
        driver = await lab.campaign(planner)
        s = await lab.warm_up(driver, 5)
        clock.seconds += 100.0
        assert driver.leases.left(s.id) == pytest.approx(20.0)
        await planner.close()
        return driver.state, s

    async def second(clock: Any, before: Any, s: Any) -> None:
        clock.seconds += 1e6
        planner = Planner(tmp_path, Settings(is_inline=True), clock)
        planner.pool = lab.NoFits()
        await planner.start()
        driver = planner.desk("c").driver
        assert written(driver.state) == written(before), "a restart changes nothing"
        assert driver.leases.left(s.id) == 120.0, "nobody knows how long clients have waited"
        told, handed = await lab.measure(driver, driver.state.suggestions[s.id])
        assert not told.observation.is_late and handed.suggestions[0].source is Source.PLANNER
        assert_model_knows_the_journal(driver)
        await planner.close()

    clock = lab.FakeClock()
    before, s = asyncio.run(first(clock))
    asyncio.run(second(clock, before, s))


def test_pending_scores_are_caught_up_after_a_restart(lab: Any, tmp_path: Any) -> None:
    from probescout.core.events import Observed
    from probescout.runtime.ledger import Change
    from probescout.runtime.planner import Planner
    from probescout.runtime.settings import Settings

    async def first() -> None:
        planner = Planner(tmp_path, Settings(is_inline=True))
        planner.pool = lab.NoFits()
        await planner.start()
        driver = await lab.campaign(planner)
        admitted = await driver._admit(lab.draft("o1", (0.5, 0.5)), lab.spectrum(0.5, 0.5), "")
        await driver.ledger.commit([Change(Observed(admitted.observation), admitted.data)], principal="me")
        await planner.close()

    async def second() -> None:
        planner = Planner(tmp_path, Settings(is_inline=True))
        planner.pool = lab.NoFits()
        await planner.start()
        driver = planner.desk("c").driver
        await lab.until(lambda: driver.state.observations["o1"].score_state is ScoreState.SCORED)
        await planner.close()

    asyncio.run(first())
    asyncio.run(second())


def test_receipts_name_the_caller(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        await lab.warm_up(driver, 4)
        await driver.control(Control.PAUSE, "", Caller("operator"))
        by = {r.kind: r.principal for r in driver.ledger.store.read()}
        assert (by["Observed"], by["Controlled"]) == ("me", "operator")

    inline(work)
