"""Simulations in the campaign machine: every job ends exactly once, whatever its worker does."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from probescout.core import jobs
from probescout.core.campaign import apply, create
from probescout.core.errors import (
    AlreadyExists,
    InvalidInput,
    NotFound,
    Overloaded,
    ProbescoutError,
    Reason,
    WrongState,
)
from probescout.core.events import Control, Controlled, Created, Updated, decode, encode
from probescout.core.instructions import EvidenceChanged
from probescout.core.ports import Record
from probescout.core.specs import Budget, CampaignSpec, PluginSpec
from probescout.core.state import Campaign
from probescout.core.theory import Failure, JobResult, JobState, Quantity
from probescout.core.theory_events import EvidenceSet, TheoryEnded, TheoryLeased, TheoryQueued, TheoryRequeued
from probescout.core.theory_spec import TheorySpec

XTB = PluginSpec("xtb", {"accuracy": 1.0})
GOOD = JobResult(
    JobState.SUCCEEDED, (Quantity("energy", -3.5, "eV", 0.1), Quantity("gap", 1.0, "eV")), core_hours=0.25, key="k1"
)
GOLDEN = Path(__file__).parent / "golden" / "without_theory.json"


def campaign(budget: float = 0.0, **more: Any) -> Campaign:
    theory = TheorySpec(XTB, "energy", **more)
    spec = CampaignSpec(PluginSpec("given"), budget=Budget(core_hours=budget), theory=theory)
    return create(Created("c", spec, 1.0))


def asked(job: str = "j1", digest: str = "", **more: Any) -> TheoryQueued:
    fields = {"deadline_s": 3600.0, "max_attempts": 2, "time": 1.0, "candidate": 7, **more}
    return TheoryQueued(job, XTB, digest or f"digest of {job}", **fields)


def after(state: Campaign, *events: Any) -> Campaign:
    for event in events:
        state, _ = apply(state, event)
    return state


def queued(state: Campaign, *names: str) -> Campaign:
    for name in names:
        state = after(state, *jobs.submit(state, asked(name)))
    return state


def leased(state: Campaign, token: str = "t") -> Campaign:
    event = jobs.lease(state, ["xtb"], "w", token, 60.0, 2.0)
    assert isinstance(event, TheoryLeased)
    return after(state, event)


def refusal(call: Any, *args: Any) -> tuple[type, Reason]:
    with pytest.raises(ProbescoutError) as caught:
        call(*args)
    return type(caught.value), caught.value.reason


def test_a_good_job_ends_once_and_informs_the_model() -> None:
    state = leased(queued(campaign(), "j1"))
    [ended] = jobs.finish(state, "j1", "t", GOOD, 3.0)
    state, told = apply(state, ended)
    assert told == (EvidenceChanged(is_more=True),)
    assert state.jobs["j1"].state is JobState.SUCCEEDED and not state.open_jobs
    [found] = jobs.evidence(state)
    assert (found.candidate, found.engine, found.value, found.job) == (7, "xtb", -3.5, "j1")
    # The worker did not hear the answer and hands it in again.
    assert jobs.finish(state, "j1", "t", GOOD, 4.0) == []
    assert refusal(jobs.finish, state, "j1", "other", GOOD, 4.0) == (WrongState, Reason.LEASE_STALE)


def test_a_lost_worker_is_followed_by_another_and_its_late_result_refused() -> None:
    state = leased(queued(campaign(), "j1"), "first")
    state = after(state, *jobs.lost(state, "j1", 1, 3.0))
    assert state.jobs["j1"].state is JobState.QUEUED
    assert refusal(jobs.finish, state, "j1", "first", GOOD, 4.0) == (WrongState, Reason.LEASE_STALE)
    state = leased(state, "second")
    assert refusal(jobs.holder, state, "j1", "first") == (WrongState, Reason.LEASE_STALE)
    # The lease that ran out long ago runs out once more.
    assert jobs.lost(state, "j1", 1, 5.0) == []
    [ended] = jobs.lost(state, "j1", 2, 6.0)
    assert isinstance(ended, TheoryEnded) and ended.failure is Failure.LOST


def test_a_crash_is_tried_again_and_a_refusal_is_not() -> None:
    crashed = JobResult(JobState.FAILED, failure=Failure.CRASHED, message="signal 11", core_hours=0.1)
    state = leased(queued(campaign(), "j1"), "a")
    [event] = jobs.finish(state, "j1", "a", crashed, 3.0)
    assert isinstance(event, TheoryRequeued)
    state = after(state, event)
    assert jobs.finish(state, "j1", "a", crashed, 3.0) == []
    state = leased(state, "b")
    [event] = jobs.finish(state, "j1", "b", crashed, 4.0)
    assert isinstance(event, TheoryEnded) and event.failure is Failure.CRASHED
    assert after(state, event).jobs["j1"].core_hours == pytest.approx(0.2)
    state = leased(queued(campaign(), "j1"))
    [event] = jobs.finish(state, "j1", "t", JobResult(JobState.FAILED, failure=Failure.REFUSED), 3.0)
    assert isinstance(event, TheoryEnded)


def test_a_cancelled_job_takes_no_result() -> None:
    state = leased(queued(campaign(), "j1", "j2"))
    state = after(state, *jobs.cancel_all(state, "enough", 3.0))
    assert not state.open_jobs and {j.state for j in state.jobs.values()} == {JobState.CANCELLED}
    assert jobs.holder(state, "j1", "t").state is JobState.CANCELLED
    assert refusal(jobs.finish, state, "j1", "t", GOOD, 4.0) == (WrongState, Reason.LEASE_STALE)
    assert jobs.cancel(state, "j1", "again", 5.0) == []


def test_an_ended_job_cannot_be_cancelled_nor_a_failed_one_applied() -> None:
    state = leased(queued(campaign(), "j1", "j2"))
    state = after(state, *jobs.finish(state, "j1", "t", GOOD, 3.0))
    assert refusal(jobs.cancel, state, "j1", "", 4.0) == (WrongState, Reason.JOB_STATE_MISMATCH)
    assert refusal(jobs.set_evidence, state, "j2", True, "") == (WrongState, Reason.JOB_STATE_MISMATCH)
    assert refusal(jobs.cancel, state, "nope", "", 4.0) == (NotFound, Reason.JOB_NOT_FOUND)


def test_evidence_is_taken_back_and_applied_again() -> None:
    state = leased(queued(campaign(), "j1"))
    state = after(state, *jobs.finish(state, "j1", "t", GOOD, 3.0))
    before = jobs.evidence(state)
    [event] = jobs.set_evidence(state, "j1", False, "wrong charge")
    state, told = apply(state, event)
    assert jobs.evidence(state) == () and told == (EvidenceChanged(),)
    assert jobs.set_evidence(state, "j1", False, "") == []
    assert jobs.evidence(after(state, EvidenceSet("j1", True))) == before


def test_another_quantity_informs_once_it_is_declared() -> None:
    state = leased(queued(campaign(), "j1"))
    state = after(state, *jobs.finish(state, "j1", "t", GOOD, 3.0))
    spec = CampaignSpec(PluginSpec("given"), theory=TheorySpec(XTB, "gap"))
    state, told = apply(state, Updated(spec, ("theory",)))
    assert EvidenceChanged() in told and [e.value for e in jobs.evidence(state)] == [1.0]


def test_what_is_known_costs_nothing() -> None:
    state = leased(queued(campaign(), "j1"))
    state = after(state, *jobs.finish(state, "j1", "t", GOOD, 3.0))
    again = asked("j2", "digest of j1", candidate=9)
    events = jobs.submit(state, again)
    state = after(state, *events)
    assert state.jobs["j2"].ended is not None and state.jobs["j2"].ended.cached_from == "j1"
    assert state.use.core_hours_spent == pytest.approx(0.25)
    assert [e.candidate for e in jobs.evidence(state)] == [7, 9]


def test_what_was_taken_back_does_not_come_back_by_itself() -> None:
    state = leased(queued(campaign(), "j1"))
    state = after(state, *jobs.finish(state, "j1", "t", GOOD, 3.0))
    state = after(state, *jobs.submit(state, asked("copy", "digest of j1", candidate=9)))
    state = after(state, *jobs.set_evidence(state, "j1", False, "wrong charge"))
    # Its copies are the same numbers.
    assert jobs.evidence(state) == ()
    state = after(state, *jobs.submit(state, asked("j2", "digest of j1")))
    assert state.jobs["j2"].state is JobState.QUEUED
    state = leased(state, "u")
    better = JobResult(JobState.SUCCEEDED, (Quantity("energy", -4.0, "eV"),), core_hours=0.1)
    state = after(state, *jobs.finish(state, "j2", "u", better, 5.0))
    [copied] = jobs.submit(state, asked("j3", "digest of j1", candidate=8))[1:]
    assert isinstance(copied, TheoryEnded) and copied.cached_from == "j2"
    assert [e.value for e in jobs.evidence(after(state, asked("j3", candidate=8), copied))] == [-4.0, -4.0]


def test_what_was_computed_once_counts_once() -> None:
    state = leased(queued(campaign(), "j1"))
    state = after(state, *jobs.finish(state, "j1", "t", GOOD, 3.0))
    for name in ("again", "once more"):
        state = after(state, *jobs.submit(state, asked(name, "digest of j1")))
    assert len(jobs.evidence(state)) == 1


def test_numbers_of_one_engine_are_not_those_of_another() -> None:
    state = leased(queued(campaign(), "j1"))
    state = after(state, *jobs.finish(state, "j1", "t", GOOD, 3.0))
    other = TheoryQueued("j2", PluginSpec("lammps"), "else", 60.0, 2, 1.0, candidate=7, key="k1")
    assert jobs.submit(state, other) == [other]


def test_no_number_of_an_absurd_size_informs() -> None:
    state = leased(queued(campaign(), "j1"))
    wild = JobResult(JobState.SUCCEEDED, (Quantity("energy", 1e150, "eV"),))
    assert jobs.evidence(after(state, *jobs.finish(state, "j1", "t", wild, 3.0))) == ()


def test_a_worker_that_hides_its_cost_is_charged_for_its_time() -> None:
    state = leased(queued(campaign(), "j1"))
    free = JobResult(JobState.SUCCEEDED, GOOD.quantities)
    state = after(state, *jobs.finish(state, "j1", "t", free, 2.0 + 1800.0))
    assert state.use.core_hours_spent == pytest.approx(0.5)


def test_the_same_job_again_changes_nothing_and_another_of_its_name_is_refused() -> None:
    state = queued(campaign(), "j1")
    assert jobs.submit(state, asked("j1")) == []
    assert refusal(jobs.submit, state, asked("j1", "else")) == (AlreadyExists, Reason.JOB_EXISTS)
    assert refusal(jobs.submit, create(Created("c", CampaignSpec(PluginSpec("given")), 1.0)), asked()) == (
        InvalidInput, Reason.FIELD_MISSING,
    )  # fmt: skip
    stopped = after(campaign(), Controlled(Control.STOP))
    assert refusal(jobs.submit, stopped, asked()) == (WrongState, Reason.CAMPAIGN_ENDED)


def test_the_queue_is_bounded() -> None:
    state = queued(campaign(), *(f"j{i}" for i in range(jobs.MAX_WAITING)))
    assert refusal(jobs.submit, state, asked("one more")) == (Overloaded, Reason.QUEUE_FULL)
    for i in range(10_000):
        assert refusal(jobs.submit, state, asked(f"flood {i}")) == (Overloaded, Reason.QUEUE_FULL)


def test_no_more_run_than_declared_and_none_while_paused() -> None:
    state = leased(leased(queued(campaign(max_running=2), "a", "b", "c"), "1"), "2")
    assert jobs.lease(state, ["xtb"], "w", "3", 60.0, 2.0) is None
    state = after(state, *jobs.finish(state, "a", "1", GOOD, 3.0))
    assert jobs.lease(state, ["lammps"], "w", "3", 60.0, 2.0) is None
    paused = after(state, Controlled(Control.PAUSE))
    assert jobs.lease(paused, ["xtb"], "w", "3", 60.0, 2.0) is None
    assert jobs.lease(state, ["xtb"], "w", "3", 60.0, 2.0) is not None


def test_core_hours_are_reserved_settled_and_never_overspent() -> None:
    state = leased(queued(campaign(budget=0.4), "a", "b", "c"), "1")
    assert state.use.core_hours_reserved == pytest.approx(0.4)
    assert jobs.lease(state, ["xtb"], "w", "2", 60.0, 2.0) is None
    state = after(state, *jobs.finish(state, "a", "1", GOOD, 3.0))
    assert (state.use.core_hours_spent, state.use.core_hours_reserved) == pytest.approx((0.25, 0.0))
    # 0.15 are left, the dearest took 0.25: those that wait can no longer be paid for.
    assert refusal(jobs.submit, state, asked("d")) == (WrongState, Reason.BUDGET_SPENT)
    for _ in range(2):
        event = jobs.lease(state, ["xtb"], "w", "2", 60.0, 4.0)
        assert isinstance(event, TheoryEnded) and event.failure is Failure.OVER_BUDGET
        state = after(state, event)
    assert not state.open_jobs


@pytest.mark.parametrize("bad", [JobResult(JobState.RUNNING), JobResult(JobState.FAILED)])
def test_a_result_that_is_none_is_refused(bad: JobResult) -> None:
    state = leased(queued(campaign(), "j1"))
    assert refusal(jobs.finish, state, "j1", "t", bad, 3.0) == (InvalidInput, Reason.FIELD_INVALID)


def test_events_come_back_from_the_journal_as_they_were() -> None:
    state = leased(queued(campaign(), "j1"))
    lease = state.jobs["j1"].lease
    events = [asked(), lease, *jobs.lost(state, "j1", 1, 3.0), *jobs.finish(state, "j1", "t", GOOD, 3.0)]
    events += [EvidenceSet("j1", False, "why")]
    for seq, event in enumerate(events, 1):
        new = encode(event)
        payload = json.loads(json.dumps(new.payload))
        back = decode(Record(seq, new.kind, 0.0, "me", payload, None, ""))
        assert repr(back) == repr(event)


def test_a_campaign_without_theory_is_written_to_the_byte_as_before() -> None:
    golden = json.loads(GOLDEN.read_text(encoding="ascii"))
    specs = [json.loads(text)["spec"] for text in golden["payloads"] if "spec" in json.loads(text)]
    assert specs and all("theory" not in spec for spec in specs)
    for text in golden["payloads"]:
        payload = json.loads(text)
        kind = "Created" if "campaign_id" in payload else "Updated"
        event = decode(Record(1, kind, 0.0, "me", payload, None, ""))
        assert json.dumps(encode(event).payload, sort_keys=True, separators=(",", ":")) == text
    created = [json.loads(text) for text in golden["payloads"] if "campaign_id" in json.loads(text)]
    etags = [decode(Record(1, "Created", 0.0, "me", payload, None, "")).spec.etag for payload in created]
    assert etags == golden["etags"]


@pytest.mark.parametrize("seed", range(20))
def test_however_it_goes_every_job_ends_once(seed: int) -> None:
    rng = random.Random(seed)
    state, ends, tokens = queued(campaign(max_running=3), *(f"j{i}" for i in range(6))), {}, []
    for step in range(400):
        name = f"j{rng.randrange(6)}"
        deed = rng.choice(["lease", "finish", "crash", "lost", "cancel"] if rng.random() < 0.9 else ["cancel"])
        try:
            if deed == "lease":
                tokens.append(f"t{step}")
                event = jobs.lease(state, ["xtb"], "w", tokens[-1], 60.0, float(step))
                events = [] if event is None else [event]
            elif deed in ("finish", "crash"):
                result = GOOD if deed == "finish" else JobResult(JobState.FAILED, failure=Failure.CRASHED)
                events = jobs.finish(state, name, rng.choice([*tokens, "none"]), result, float(step))
            elif deed == "lost":
                events = jobs.lost(state, name, rng.randrange(3), float(step))
            else:
                events = jobs.cancel(state, name, "", float(step)) if rng.random() < 0.05 else []
        except ProbescoutError:
            continue
        for event in events:
            state = after(state, event)
            if isinstance(event, TheoryEnded):
                ends[event.job] = ends.get(event.job, 0) + 1
        assert sum(state.open_jobs.values()) <= 3
        assert set(state.open_jobs) == {n for n, j in state.jobs.items() if not j.state.is_final}
    assert set(ends.values()) == {1} and set(ends) | set(state.open_jobs) == set(state.jobs)
    assert state.use.core_hours_reserved == pytest.approx(sum(state.open_jobs.values()))
