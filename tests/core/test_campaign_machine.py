"""The campaign machine under random histories, against what must always hold."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from probescout.core.admission import Expectation, admit
from probescout.core.campaign import apply, create
from probescout.core.changes import amend, control, retract, revise_frame, update
from probescout.core.errors import WrongState
from probescout.core.events import (
    Amended,
    Control,
    Created,
    Event,
    FrameAdded,
    Leased,
    ModelSwapped,
    Observed,
    Renewed,
    Returned,
    Scored,
    decode,
    encode,
)
from probescout.core.geometry import Affine
from probescout.core.leasing import (
    budget_stop,
    place_violation,
    seed_candidates,
    space_filling,
    status_stop,
    violation,
)
from probescout.core.observations import Observation, ObservationStatus, ScoreState
from probescout.core.ports import Record
from probescout.core.specs import Budget, CampaignSpec, Limits, PluginSpec, SeedDesign
from probescout.core.state import Campaign, Status
from probescout.core.suggestions import Source, Suggestion, SuggestionState

HEIGHT, WIDTH = 5, 6
MASK = np.ones((HEIGHT, WIDTH), dtype=bool)
MASK[2, 3] = False


def through_journal(event: Event) -> Event:
    new = encode(event)
    payload = json.loads(json.dumps(dict(new.payload), allow_nan=False))
    return decode(Record(1, new.kind, 0.0, "me", payload, new.data, ""))


def plain(value: Any) -> Any:
    """Return a state as nested tuples in which NaN equals itself."""
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, Mapping):
        return tuple((k, plain(v)) for k, v in value.items())
    if isinstance(value, tuple | list):
        return tuple(plain(v) for v in value)
    if hasattr(value, "__dataclass_fields__"):
        return type(value).__name__, tuple((f.name, plain(getattr(value, f.name))) for f in fields(value))
    return value


class CampaignHistory(RuleBasedStateMachine):
    """Plays operator, clients, clock and model."""

    @initialize(
        seed=st.integers(0, 99),
        probes=st.sampled_from([0, 4, 12]),
        seconds=st.sampled_from([0.0, 6.0]),
        max_step=st.sampled_from([0.0, 0.3]),
    )
    def start(self, seed: int, probes: int, seconds: float, max_step: float) -> None:
        spec = CampaignSpec(
            PluginSpec("given"),
            seed=seed,
            seed_design=SeedDesign(count=3),
            budget=Budget(probes, seconds),
            limits=Limits(max_step=max_step, border=0.02),
        )
        created = Created("c", spec, 1.0)
        self.live = create(created)
        self.folded = create(through_journal(created))
        self.n_measured = 0
        self.spent = 0.0
        at = np.array([[(r + 0.5) / HEIGHT, (c + 0.5) / WIDTH] for r in range(HEIGHT) for c in range(WIDTH)])
        frame = FrameAdded("f1", 2.0, height=HEIGHT, width=WIDTH, seeds=seed_candidates(spec, at, MASK))
        self.commit(frame)

    def commit(self, event: Event) -> None:
        before = plain(self.live)
        new, instructions = apply(self.live, event)
        assert plain(self.live) == before, "apply changed its input"
        again, same = apply(self.live, copy.deepcopy(event))
        assert plain(again) == plain(new) and same == instructions, "apply is not a function of its input"
        self.live = new
        self.folded = apply(self.folded, through_journal(event))[0]

    # -------------------------------------------------------- clients

    @rule(client=st.sampled_from(["a", "b"]), count=st.integers(1, 3))
    def suggest(self, client: str, count: int) -> None:
        room, _ = budget_stop(self.live)
        if status_stop(self.live) is not None:
            return
        for _ in range(count if room is None else min(count, room)):
            state = self.live
            order = [*state.seeds, *space_filling(state, MASK, client)]
            candidate = next((c for c in order if not violation(state, MASK, c, client)), None)
            if candidate is None:
                return
            assert state.candidates is not None and state.frame is not None
            assert candidate not in state.taken and candidate not in state.pending.values()
            y, x = state.frame.to_instrument(*state.candidates.position(candidate))
            # A feature that moved by +d is suggested at +d, and data from there belong to the same candidate.
            assert state.candidates.nearest(*state.frame.to_image(y, x, 0)) == candidate
            n = state.n_suggested + 1
            s = Suggestion(f"s{n}", "f1", y, x, candidate, f"t{n}", 60.0, Source.FALLBACK, client, ordinal=n)
            self.commit(Leased((s,)))

    @rule(
        pick=st.integers(0, 200),
        status=st.sampled_from(ObservationStatus),
        dwell=st.sampled_from([0.0, 0.5, 2.0]),
        shift=st.sampled_from([0.0, 0.0, 0.3, 2.0]),
        has_token=st.booleans(),
    )
    def tell(self, pick: int, status: ObservationStatus, dwell: float, shift: float, has_token: bool) -> None:
        names = ["", *self.live.suggestions]
        name = names[pick % len(names)]
        s = self.live.suggestions.get(name)
        y, x = (s.y, s.x) if s else (0.37, 0.61)
        draft = Observation(
            f"o{self.n_measured + 1}",
            "",
            y + shift,
            x,
            0,
            name,
            status,
            value=float(pick),
            dwell_s=dwell,
            dose=3 * dwell,
        )
        o = admit(self.live, draft, None, Expectation(), s.token if s and has_token else "")
        assert o.ordinal == self.n_measured + 1
        if s is not None and shift == 0.0 and s.state is SuggestionState.PENDING:
            assert o.candidate == s.candidate, "a measurement where it was asked for belongs to that candidate"
        was_pending = name in self.live.pending
        self.commit(Observed(o))
        assert (name in self.live.pending) == (was_pending and not has_token), "a lease ends with its own token only"
        self.n_measured, self.spent = self.n_measured + 1, self.spent + dwell

    @rule(expired=st.booleans(), pick=st.integers(0, 20))
    def give_back(self, expired: bool, pick: int) -> None:
        names = tuple(self.live.suggestions)
        chosen = names[pick % len(names) :][:2] if names else ()
        if chosen:
            self.commit(Returned(chosen, is_expired=expired))

    @precondition(lambda self: self.live.pending)
    @rule()
    def renew(self) -> None:
        self.commit(Renewed(tuple(self.live.pending)))

    # -------------------------------------------------------- model and operator

    @precondition(lambda self: self.live.observations)
    @rule(pick=st.integers(0, 20), fails=st.booleans())
    def score(self, pick: int, fails: bool) -> None:
        pending = [o for o in self.live.observations.values() if o.score_state is ScoreState.PENDING]
        if pending:
            o = pending[pick % len(pending)]
            self.commit(Scored(o.id, o.value, math.nan, "V", "given", "broken" if fails else ""))

    @precondition(lambda self: self.live.observations)
    @rule(pick=st.integers(0, 20), value=st.sampled_from([None, 3.0]), move=st.booleans())
    def amend(self, pick: int, value: float | None, move: bool) -> None:
        name = list(self.live.observations)[pick % len(self.live.observations)]
        if self.live.observations[name].status in (ObservationStatus.FAILED, ObservationStatus.INFEASIBLE):
            value = None
        if move or value is not None:
            y, x = (0.9, 0.9) if move else (None, None)
            self.commit(amend(self.live, Amended(name, "typo", y, x, value)))

    @precondition(lambda self: self.live.observations)
    @rule(pick=st.integers(0, 20))
    def retract(self, pick: int) -> None:
        name = list(self.live.observations)[pick % len(self.live.observations)]
        self.commit(retract(self.live, name, "dirt"))

    @rule(
        action=st.sampled_from(
            [*[Control.PAUSE, Control.PAUSE_IMMEDIATE, Control.RESUME, Control.RESUME] * 3, Control.STOP]
        )
    )
    def control(self, action: Control) -> None:
        try:
            events = control(self.live, action, "because")
        except WrongState:
            assert self.live.status in (Status.STOPPED, Status.ABORTED)
            return
        for event in events:
            self.commit(event)

    @rule(dy=st.sampled_from([-0.1, 0.0, 0.05]), turn=st.sampled_from([0.0, 0.02]))
    def drift(self, dy: float, turn: float) -> None:
        affine = Affine(math.cos(turn), -math.sin(turn), dy, math.sin(turn), math.cos(turn), 0.0)
        before = {n: self.live.suggestions[n] for n in self.live.pending}
        for event in revise_frame(self.live, "f1", affine, (), "drift", MASK):
            self.commit(event)
        for name, s in before.items():
            now = self.live.suggestions[name]
            if turn == 0.0:
                assert abs(now.y - (s.y + dy)) < 1e-12 and now.x == s.x

    @rule(kind=st.sampled_from(["scalarizer", "budget", "limits"]))
    def update(self, kind: str) -> None:
        spec = self.live.spec
        new = {
            "scalarizer": replace(spec, scalarizer=PluginSpec("given", {"n": self.n_measured})),
            "budget": replace(spec, budget=replace(spec.budget, probes=spec.budget.probes + 2)),
            "limits": replace(spec, limits=replace(spec.limits, border=0.35 if spec.limits.border < 0.1 else 0.02)),
        }[kind]
        if kind != "budget" or spec.budget.probes:
            for event in update(self.live, new, (kind,), spec.etag, "better", MASK):
                self.commit(event)

    @rule()
    def swap(self) -> None:
        self.commit(ModelSwapped(self.n_measured, {"members": {"xy": [0.1, 2]}}))

    # -------------------------------------------------------- what must always hold

    @invariant()
    def the_journal_folds_to_the_live_state(self) -> None:
        assert plain(self.folded) == plain(self.live)

    @invariant()
    def the_books_balance(self) -> None:
        state = self.live
        assert state.use.probes_reserved == len(state.pending)
        assert state.use.probes_spent == self.n_measured == len(state.observations)
        assert state.use.seconds_spent == sum(o.dwell_s for o in state.observations.values())
        assert [o.ordinal for o in state.observations.values()] == list(range(1, self.n_measured + 1))

    @invariant()
    def each_point_is_leased_once(self) -> None:
        state = self.live
        assert len(set(state.pending.values())) == len(state.pending)
        is_pending = {n for n, s in state.suggestions.items() if s.state is SuggestionState.PENDING}
        assert is_pending == set(state.pending)
        assert all(state.suggestions[n].candidate == c for n, c in state.pending.items())

    @invariant()
    def every_lease_may_still_be_measured(self) -> None:
        assert not any(place_violation(self.live, MASK, c) for c in self.live.pending.values())

    @invariant()
    def doses_are_kept_where_they_were_given(self) -> None:
        given: dict[int, float] = {}
        for o in self.live.observations.values():
            given[o.candidate] = given.get(o.candidate, 0.0) + o.dose
        for candidate in range(HEIGHT * WIDTH):
            assert math.isclose(self.live.doses.get(candidate, 0.0), given.get(candidate, 0.0), abs_tol=1e-9)

    @invariant()
    def seeds_wait_in_order_and_are_free(self) -> None:
        state: Campaign = self.live
        if state.frame is None:
            return
        order = [c for c in state.frame.added.seeds if c in state.seeds]
        assert list(state.seeds) == order
        assert not set(state.seeds) & (state.taken | set(state.pending.values()))

    @invariant()
    def leases_stay_within_the_budget(self) -> None:
        state = self.live
        budget, use = state.spec.budget, state.use
        unasked = sum(o.is_late or o.is_unsolicited for o in state.observations.values())
        if budget.probes:
            assert use.probes_reserved + use.probes_spent - unasked <= budget.probes

    @invariant()
    def taken_is_what_was_measured(self) -> None:
        state = self.live
        usable = [o for o in state.observations.values() if o.status is not ObservationStatus.FAILED]
        lie = {o.candidate for o in usable} - {-1}
        asked = {state.suggestions[o.suggestion].candidate for o in usable if o.suggestion}
        assert state.taken == lie | asked

    @invariant()
    def withdrawn_and_outside_data_are_not_taught(self) -> None:
        for o in self.live.observations.values():
            if o.is_outside or o.score_state is not ScoreState.SCORED:
                assert not o.is_taught


TestCampaignHistory = CampaignHistory.TestCase
TestCampaignHistory.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
