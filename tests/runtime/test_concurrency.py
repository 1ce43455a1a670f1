"""Calls that cross: what each decides must hold when its event is written, and model and journal must agree."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from probescout.core.errors import AlreadyExists, ProbescoutError, Reason, WrongState
from probescout.core.events import Amended, Control
from probescout.core.geometry import Affine
from probescout.core.observations import ScoreState
from probescout.core.specs import Budget, Limits, PluginSpec, Polygon
from probescout.runtime import planner as planner_module
from probescout.runtime.driver import Ask
from probescout.store.memory import MemoryJournal


class GatedJournal(MemoryJournal):
    """A journal whose next append of a kind waits until the test lets it go on."""

    def __init__(self) -> None:
        super().__init__()
        self.held = ""
        self.reached, self.gate = threading.Event(), threading.Event()

    def hold(self, kind: str) -> None:
        self.reached.clear()
        self.gate.clear()
        self.held = kind

    def append(self, events: Any, **more: Any) -> Any:
        if self.held and self.held in {e.kind for e in events}:
            self.held = ""
            self.reached.set()
            assert self.gate.wait(20)
        return super().append(events, **more)


@pytest.fixture
def gated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner_module, "MemoryJournal", GatedJournal)


async def held_at(driver: Any, kind: str, work: Any) -> asyncio.Task:
    """Start work and return once its append of a kind is under way."""
    driver.ledger.store.hold(kind)
    task = asyncio.ensure_future(work)
    await asyncio.get_running_loop().run_in_executor(None, driver.ledger.store.reached.wait, 20)
    return task


async def turn() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_two_that_use_one_id_cannot_both_be_kept(lab: Any, inline: Any, gated: None) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        first = await held_at(
            driver, "Observed", driver.tell(lab.draft("o1", (0.2, 0.2)), lab.spectrum(0.2, 0.2), "", lab.ME)
        )
        second = asyncio.ensure_future(driver.tell(lab.draft("o1", (0.8, 0.8)), lab.spectrum(0.8, 0.8), "", lab.ME))
        await turn()
        driver.ledger.store.gate.set()
        await first
        with pytest.raises(AlreadyExists) as caught:
            await second
        assert caught.value.reason is Reason.OBSERVATION_EXISTS
        assert driver.state.observations["o1"].y == 0.2 and driver.state.use.probes_spent == 1
        await driver.modeller.wake()
        known, held = lab.rows(driver)
        assert known == held and len(held) == 1

    inline(work)


def test_observations_that_cross_are_numbered_apart(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        places = np.random.default_rng(0).random((12, 2))
        await asyncio.gather(
            *(
                driver.tell(lab.draft(f"o{i}", (y, x)), lab.spectrum(y, x, i), "", lab.ME)
                for i, (y, x) in enumerate(places.tolist())
            )
        )
        assert sorted(o.ordinal for o in driver.state.observations.values()) == list(range(1, 13))
        await lab.until(lambda: all(o.score_state is ScoreState.SCORED for o in driver.state.observations.values()))
        known, held = lab.rows(driver)
        assert known == held and len(held) == 12

    inline(work)


def test_of_two_updates_with_one_etag_one_wins(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        spec = driver.state.spec
        done = await asyncio.gather(
            driver.update(replace(spec, title="a"), ("title",), spec.etag, "", lab.ME),
            driver.update(replace(spec, sample="b"), ("sample",), spec.etag, "", lab.ME),
            return_exceptions=True,
        )
        assert [type(d) for d in done] == [type(None), WrongState]
        assert (driver.state.spec.title, driver.state.spec.sample) == ("a", "")

    inline(work)


def test_frames_and_revisions_that_cross_are_counted(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        desk = await planner.create("c", lab.spec(), lab.new_request())
        driver = desk.driver
        done = await asyncio.gather(lab.add_frame(driver), lab.add_frame(driver), return_exceptions=True)
        assert sorted(str(type(d).__name__) for d in done) == ["NoneType", "WrongState"]
        await asyncio.gather(*(driver.update_frame("f1", Affine(y0=0.01), (), "", lab.ME) for _ in range(3)))
        assert driver.state.frame.revision == len(driver.state.frame.maps) == 4
        assert driver.state.frame.maps[-1].y0 == pytest.approx(0.03)

    inline(work)


def test_a_lease_meets_the_state_that_it_is_written_to(lab: Any, inline: Any, gated: None) -> None:
    """The point was chosen; before its lease is written the sample drifts, and the lease must follow."""

    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        revising = await held_at(driver, "FrameRevised", driver.update_frame("f1", Affine(y0=0.05), (), "", lab.ME))
        asking = asyncio.ensure_future(driver.suggest(Ask(), lab.ME))
        await turn()
        driver.ledger.store.gate.set()
        await revising
        [s] = (await asking).suggestions
        y, x = driver.state.candidates.position(s.candidate)
        assert (s.y, s.x) == (pytest.approx(y + 0.05), pytest.approx(x))
        assert driver.state.suggestions[s.id] == driver.state.suggestions["s1"]

    inline(work)


@pytest.mark.parametrize("change", ["pause", "forbid", "measure", "budget"])
def test_the_guard_looks_once_more_before_the_lease(lab: Any, inline: Any, gated: None, change: str) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner, budget=Budget(probes=2))
        spec, first = driver.state.spec, driver.state.seeds[0]
        y, x = driver.state.candidates.position(first)
        box = Polygon((y - 0.01, y - 0.01, y + 0.01, y + 0.01), (x - 0.01, x + 0.01, x + 0.01, x - 0.01))
        forbidden = replace(spec, limits=Limits(forbidden=(box,)))
        smaller = replace(spec, budget=Budget(probes=1))
        deeds = {
            "pause": (lambda: driver.control(Control.PAUSE, "", lab.ME), "Controlled"),
            "forbid": (lambda: driver.update(forbidden, ("limits",), spec.etag, "", lab.ME), "Updated"),
            "budget": (lambda: driver.update(smaller, ("budget",), spec.etag, "", lab.ME), "Updated"),
            "measure": (lambda: driver.tell(lab.draft("o1", (y, x)), lab.spectrum(y, x), "", lab.ME), "Observed"),
        }
        deed, event = deeds[change]
        changing = await held_at(driver, event, deed())
        asking = asyncio.ensure_future(driver.suggest(Ask(2), lab.ME))
        await turn()
        driver.ledger.store.gate.set()
        await changing
        handed = await asking
        # What was forbidden is made up for; a pause or a budget is not.
        wanted = {"pause": 0, "forbid": 2, "budget": 1, "measure": 1}[change]
        assert len(handed.suggestions) == wanted
        assert (handed.stop is None) == (change == "forbid")
        assert handed.stop is None or not handed.stop.is_final
        if change in ("forbid", "measure"):
            assert first not in {s.candidate for s in handed.suggestions}
            assert [s.id for s in handed.suggestions] == ["s1", "s2"][:wanted]
        after = await driver.suggest(Ask(1), lab.ME)
        assert all(s.id != "s1" for s in after.suggestions)

    inline(work)


def test_a_renewed_lease_is_not_ended_by_the_clock(lab: Any, inline: Any, gated: None) -> None:
    clock = lab.FakeClock()

    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner, lease_s=60.0)
        [s] = (await driver.suggest(Ask(), lab.ME)).suggestions
        renewing = await held_at(driver, "Renewed", driver.renew((s.id,), (s.token,), lab.ME))
        clock.seconds += 61.0
        driver.leases.grant([])
        await turn()
        driver.ledger.store.gate.set()
        await renewing
        await turn()
        assert list(driver.state.pending) == [s.id] and driver.leases.left(s.id) == 60.0

    inline(work, clock)


def test_a_caller_that_goes_away_tears_nothing_apart(lab: Any, inline: Any, gated: None) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        asking = await held_at(driver, "Leased", driver.suggest(Ask(), lab.ME))
        asking.cancel()
        await turn()
        driver.ledger.store.gate.set()
        await lab.until(lambda: driver.state.pending)
        assert driver.leases.left("s1") > 100, "a lease without a deadline would never end"
        s = driver.state.suggestions["s1"]
        telling = await held_at(
            driver, "Observed", driver.tell(lab.draft("o1", s), lab.spectrum(s.y, s.x), s.token, lab.ME)
        )
        telling.cancel()
        await turn()
        driver.ledger.store.gate.set()
        await lab.until(lambda: "o1" in driver.state.observations)
        assert driver.leases.left("s1") == 0.0
        stepping = await held_at(
            driver,
            "Scored",
            driver.step(lab.draft("o2", (0.3, 0.3)), lab.spectrum(0.3, 0.3), "", Ask(), lab.ME, lab.ME),
        )
        stepping.cancel()
        await turn()
        driver.ledger.store.gate.set()
        driver.modeller.catch_up()
        await lab.until(lambda: all(o.score_state is ScoreState.SCORED for o in driver.state.observations.values()))
        await turn()
        known, held = lab.rows(driver)
        assert known == held and len(held) == 2
        assert [r.kind for r in driver.ledger.store.read()].count("Scored") == 2

    inline(work)


def test_an_update_of_the_scalarizer_outruns_no_score(lab: Any, inline: Any, gated: None) -> None:
    """Scored by the old scalarizer, but not journalled yet when the new one comes: the old score must not count."""

    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        await lab.warm_up(driver, 4)
        spec = driver.state.spec
        narrow = replace(spec, scalarizer=PluginSpec("band_sum", {"low": 0.0, "high": 4.0}))
        seen = lab.spectrum(0.3, 0.3, 99)
        for name, kind in (("a", "Observed"), ("b", "Scored")):
            telling = await held_at(driver, kind, driver.tell(lab.draft(name, (0.3, 0.3)), seen, "", lab.ME))
            to = narrow if name == "a" else spec
            updating = asyncio.ensure_future(driver.update(to, ("scalarizer",), driver.state.spec.etag, "", lab.ME))
            await turn()
            driver.ledger.store.gate.set()
            await asyncio.gather(telling, updating)
            await lab.until(lambda: all(o.score_state is ScoreState.SCORED for o in driver.state.observations.values()))
            n = 5 if name == "a" else 10
            assert driver.state.observations[name].target == seen.values[:n].sum()
            for o in driver.state.observations.values():
                if s := driver.state.suggestions.get(o.suggestion):
                    assert o.target == lab.spectrum(s.y, s.x, s.ordinal).values[:n].sum()
            await lab.until(lambda: lab.rows(driver)[0] == lab.rows(driver)[1])

    inline(work)


@pytest.mark.parametrize("deed", ["amend", "retract"])
def test_unlearning_keeps_what_is_on_its_way(lab: Any, inline: Any, gated: None, deed: str) -> None:
    """The model knows a score that is not journalled yet; rebuilding it from the journal must not lose that score."""

    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        await lab.warm_up(driver, 4)
        tell = driver.tell(lab.draft("new", (0.3, 0.3)), lab.spectrum(0.3, 0.3), "", lab.ME)
        telling = await held_at(driver, "Observed", tell)
        if deed == "amend":
            other = asyncio.ensure_future(driver.amend(Amended("o-s1", "why", value=5.0, variance=1.0), lab.ME))
        else:
            other = asyncio.ensure_future(driver.retract("o-s1", "why", lab.ME))
        await turn()
        driver.ledger.store.gate.set()
        await asyncio.gather(telling, other)
        await lab.until(lambda: driver.state.observations["new"].score_state is ScoreState.SCORED)
        await turn()
        known, held = lab.rows(driver)
        assert known == held and len(held) == (5 if deed == "amend" else 4)

    inline(work)


def test_what_is_withdrawn_while_it_is_scored_is_not_learnt(lab: Any, inline: Any, gated: None) -> None:
    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner)
        await lab.warm_up(driver, 4)
        tell = driver.tell(lab.draft("new", (0.3, 0.3)), lab.spectrum(0.3, 0.3), "", lab.ME)
        telling = await held_at(driver, "Scored", tell)
        other = asyncio.ensure_future(driver.retract("new", "dirt", lab.ME))
        await turn()
        driver.ledger.store.gate.set()
        await asyncio.gather(telling, other)
        await turn()
        known, held = lab.rows(driver)
        assert known == held and len(held) == 4

    inline(work)


def test_random_crossings_leave_model_and_journal_agreed(lab: Any, inline: Any) -> None:
    """Six clients and an operator at once, seeded; afterwards nothing may be lost, doubled or unknown."""

    async def work(planner: Any) -> None:
        driver = await lab.campaign(planner, budget=Budget(probes=60))
        rng = np.random.default_rng(11)

        async def client(name: str) -> None:
            handed = await driver.suggest(Ask(1, name), lab.ME)
            for _ in range(7):
                if not handed.suggestions:
                    handed = await driver.suggest(Ask(1, name), lab.ME)
                    continue
                _, handed = await lab.measure(driver, driver.state.suggestions[handed.suggestions[0].id])

        async def operator() -> None:
            for i in range(12):
                await asyncio.sleep(0.01)
                names = list(driver.state.observations)
                if not names:
                    continue
                name = names[int(rng.integers(len(names)))]
                try:
                    if i % 4 == 0:
                        await driver.amend(Amended(name, "why", value=float(rng.normal()), variance=1.0), lab.ME)
                    elif i % 4 == 1:
                        await driver.retract(name, "why", lab.ME)
                    elif i % 4 == 2:
                        high = float(rng.integers(3, 9))
                        spec = replace(driver.state.spec, scalarizer=PluginSpec("band_sum", {"low": 0, "high": high}))
                        await driver.update(spec, ("scalarizer",), driver.state.spec.etag, "", lab.ME)
                    else:
                        await driver.update_frame("f1", Affine(y0=0.01), (), "", lab.ME)
                except ProbescoutError as error:
                    assert error.reason is Reason.ETAG_MISMATCH

        await asyncio.gather(operator(), *(client(f"c{i}") for i in range(6)))
        await lab.until(
            lambda: not any(o.score_state is ScoreState.PENDING for o in driver.state.observations.values())
        )
        await lab.until(lambda: driver.modeller._tasks <= {driver.modeller._fitting})
        known, held = lab.rows(driver)
        assert known == held
        state = driver.state
        assert len(state.observations) == state.use.probes_spent <= 60
        assert sorted(o.ordinal for o in state.observations.values()) == list(range(1, len(state.observations) + 1))
        n = int(state.spec.scalarizer.params["high"]) + 1
        kinds = [r for r in driver.ledger.store.read() if r.kind == "Amended"]
        amended = {r.payload["observation"] for r in kinds}
        for o in state.observations.values():
            if o.id not in amended and o.is_taught:
                assert o.target == counts_of(driver, o)[:n].sum()

    inline(work)


def counts_of(driver: Any, o: Any) -> np.ndarray:
    """Return the counts as journalled with an observation."""
    [record] = driver.ledger.store.read(driver.ledger._seqs[o.id] - 1, limit=1)
    return np.frombuffer(record.data, "<u2")
