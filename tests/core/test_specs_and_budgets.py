"""What a campaign may declare, and what its budgets leave."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probescout.core.budgets import BudgetUse
from probescout.core.errors import InvalidInput, Reason
from probescout.core.geometry import Position
from probescout.core.specs import (
    UPDATABLE,
    Budget,
    CampaignSpec,
    CandidateKind,
    CandidateSpec,
    Limits,
    MotionCost,
    Objective,
    PluginSpec,
    Polygon,
    SeedDesign,
    SeedKind,
    StopRule,
    check_spec,
    checked_id,
)
from probescout.core.theory_spec import TheorySpec
from probescout.core.transfer_spec import TransferSpec

SPEC = CampaignSpec(PluginSpec("band_sum"))
THEORY = TheorySpec(PluginSpec("xtb"), "energy")
TRIANGLE = Polygon((0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@pytest.mark.parametrize(
    ("changed", "reason", "field"),
    [
        ({"scalarizer": PluginSpec("")}, Reason.FIELD_MISSING, "spec.scalarizer.name"),
        ({"lease_s": 0.5}, Reason.FIELD_INVALID, "spec.lease_s"),
        ({"lease_s": math.nan}, Reason.FIELD_INVALID, "spec.lease_s"),
        ({"lease_s": 1e6}, Reason.FIELD_INVALID, "spec.lease_s"),
        ({"budget": Budget(probes=-1)}, Reason.FIELD_INVALID, "spec.budget.probes"),
        ({"budget": Budget(seconds=math.inf)}, Reason.FIELD_INVALID, "spec.budget.seconds"),
        ({"budget": Budget(dose=math.nan)}, Reason.FIELD_INVALID, "spec.budget.dose"),
        ({"budget": Budget(core_hours=-0.1)}, Reason.FIELD_INVALID, "spec.budget.core_hours"),
        ({"limits": Limits(max_step=-1)}, Reason.FIELD_INVALID, "spec.limits.max_step"),
        ({"limits": Limits(max_rate_hz=math.nan)}, Reason.FIELD_INVALID, "spec.limits.max_rate_hz"),
        ({"limits": Limits(dose_per_area=math.inf)}, Reason.FIELD_INVALID, "spec.limits.dose_per_area"),
        ({"limits": Limits(border=0.5)}, Reason.FIELD_INVALID, "spec.limits.border"),
        ({"limits": Limits((Polygon((0, 1), (0, 1)),))}, Reason.FIELD_INVALID, "spec.limits.allowed[0]"),
        (
            {"limits": Limits((), (TRIANGLE, Polygon((0, 1, 1), (0, 1))))},
            Reason.FIELD_INVALID,
            "spec.limits.forbidden[1]",
        ),
        ({"limits": Limits((Polygon((0, 1, math.nan), (0, 1, 1)),))}, Reason.NON_FINITE, "spec.limits.allowed[0]"),
        ({"theory": replace(THEORY, engine=PluginSpec(""))}, Reason.FIELD_MISSING, "spec.theory.engine"),
        ({"theory": replace(THEORY, quantity="")}, Reason.FIELD_MISSING, "spec.theory.quantity"),
        ({"theory": replace(THEORY, window_m=5.0)}, Reason.FIELD_INVALID, "spec.theory.window_m"),
        ({"theory": replace(THEORY, deadline_s=math.nan)}, Reason.FIELD_INVALID, "spec.theory.deadline_s"),
        ({"theory": replace(THEORY, max_attempts=0)}, Reason.FIELD_INVALID, "spec.theory.max_attempts"),
        ({"theory": replace(THEORY, max_running=10_000)}, Reason.FIELD_INVALID, "spec.theory.max_running"),
        ({"theory": replace(THEORY, lease_s=0.5)}, Reason.FIELD_INVALID, "spec.theory.lease_s"),
        ({"motion": MotionCost(settle_s=1e308, dwell_s=1e308)}, Reason.FIELD_INVALID, "spec.motion.settle_s"),
        ({"motion": MotionCost(dwell_s=1.1e6)}, Reason.FIELD_INVALID, "spec.motion.dwell_s"),
        ({"motion": MotionCost(diagonals_per_s=1e-320)}, Reason.FIELD_INVALID, "spec.motion.diagonals_per_s"),
        ({"candidates": CandidateSpec(CandidateKind.BOX)}, Reason.FIELD_INVALID, "spec.candidates.kind"),
        ({"candidates": CandidateSpec(stride=0)}, Reason.FIELD_INVALID, "spec.candidates.stride"),
        ({"candidates": CandidateSpec(stride=-2)}, Reason.FIELD_INVALID, "spec.candidates.stride"),
        ({"seed": -1}, Reason.FIELD_INVALID, "spec.seed"),
        ({"seed_design": SeedDesign(count=-1)}, Reason.FIELD_INVALID, "spec.seed_design.count"),
        ({"seed_design": SeedDesign(count=10**6)}, Reason.FIELD_INVALID, "spec.seed_design.count"),
        (
            {"seed_design": SeedDesign(SeedKind.GIVEN, 0, (Position(0.5, 0.5), Position(0.5, 1.1)))},
            Reason.FIELD_INVALID,
            "spec.seed_design.positions[1]",
        ),
        (
            {"seed_design": SeedDesign(SeedKind.GIVEN, 0, (Position(math.nan, 0.5),))},
            Reason.FIELD_INVALID,
            "spec.seed_design.positions[0]",
        ),
    ],
)
def test_a_spec_that_can_never_work_is_refused(changed: dict[str, Any], reason: Reason, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_spec(replace(SPEC, **changed))
    assert (caught.value.reason, caught.value.field) == (reason, field)


def test_a_sound_spec_passes() -> None:
    check_spec(SPEC)
    limits = Limits((TRIANGLE,), (TRIANGLE,), 0.1, 5.0, 2.0, 0.49)
    check_spec(replace(SPEC, limits=limits, budget=Budget(1, 2.0, 3.0, 4.0), lease_s=1.0, seed=2**64 - 1))


def test_the_etag_follows_every_field() -> None:
    changes: dict[str, Any] = {
        "scalarizer": PluginSpec("other"),
        "policy": PluginSpec("ucb", {"beta": 2.0}),
        "title": "t",
        "sample": "s",
        "instrument": "i",
        "operator": "o",
        "seed_design": SeedDesign(count=3),
        "budget": Budget(5),
        "limits": Limits(border=0.1),
        "candidates": CandidateSpec(stride=2),
        "seed": 1,
        "lease_s": 10.0,
        "is_minimizing": True,
        "dose_unit": "C/m^2",
        "metadata": {"a": 1},
        "is_deep_member_disabled": True,
        "members": ("xy",),
        "objectives": (Objective(PluginSpec("edge")),),
        "stop_rules": (StopRule("map_error", 0.1),),
        "motion": MotionCost(0.1),
        "theory": THEORY,
        "transfer": TransferSpec("steel@1"),
    }
    assert set(changes) == set(SPEC.__dataclass_fields__)
    tags = {SPEC.etag} | {replace(SPEC, **{k: v}).etag for k, v in changes.items()}
    assert len(tags) == len(changes) + 1
    assert SPEC.etag == CampaignSpec(PluginSpec("band_sum")).etag
    assert "seed" not in UPDATABLE and "policy" in UPDATABLE


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", fullmatch=True))
def test_ids_pass(name: str) -> None:
    assert checked_id(name, field="f") == name


@pytest.mark.parametrize("name", ["", "-a", ".a", "a b", "a/b", "é", "a" * 64, "a\n", "\x00"])
def test_what_is_no_id_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        checked_id(name, field="campaign_id")
    assert (caught.value.reason, caught.value.field) == (Reason.ID_INVALID, "campaign_id")


def test_nothing_limited_means_no_limit() -> None:
    assert BudgetUse(5, 3, 10.0, 2.0).room(Budget()) == (None, "")


def spent(*seconds: float, dose: float = 0.0) -> BudgetUse:
    use = BudgetUse()
    for each in seconds:
        use = use.spend(each, dose)
    return use


@pytest.mark.parametrize(
    ("use", "budget", "room"),
    [
        (BudgetUse(), Budget(probes=3), (3, "probes")),
        (BudgetUse(2, 1), Budget(probes=3), (0, "probes")),
        (BudgetUse(9, 0), Budget(probes=3), (0, "probes")),
        # Before the first measurement nobody knows what one costs: one at a time.
        (BudgetUse(), Budget(seconds=100.0), (1, "seconds")),
        (BudgetUse(0, 1), Budget(seconds=100.0), (0, "seconds")),
        # 10 s a probe so far: 60 s left hold six, of which two are reserved.
        (spent(10.0, 10.0, 10.0, 10.0).reserve(2), Budget(seconds=100.0), (4, "seconds")),
        (spent(10.0, 10.0, 10.0, 10.0).reserve(2), Budget(seconds=95.0), (3, "seconds")),
        (spent(10.0, 10.0, 10.0, 10.0), Budget(seconds=40.0), (0, "seconds")),
        (spent(10.0, dose=2.0), Budget(probes=20, seconds=100.0, dose=5.0), (1, "dose")),
        # The dearest probe counts: those that failed and cost nothing must not make the next look cheap.
        (spent(0.0, 0.0, 0.0, 10.0), Budget(seconds=35.0), (2, "seconds")),
        # As long as all have cost nothing nobody knows what one costs.
        (spent(0.0, 0.0, 0.0, 0.0), Budget(seconds=1.0), (1, "seconds")),
        (spent(0.0, 0.0).reserve(1), Budget(dose=1.0), (0, "dose")),
        # Sums that overflow, in a journal of before the largest cost was limited.
        (spent(1e308, 1e308), Budget(seconds=1e300), (0, "seconds")),
        (spent(1e308, 1e308, dose=1e308).reserve(2), Budget(dose=1.0), (0, "dose")),
        (spent(5e-324), Budget(seconds=1e300), (10**9, "seconds")),
    ],
)
def test_room(use: BudgetUse, budget: Budget, room: tuple[int, str]) -> None:
    assert use.room(budget) == room


@given(
    st.integers(1, 20),
    st.lists(st.floats(0.01, 10.0), min_size=1, max_size=20),
    st.integers(0, 5),
    st.floats(0.1, 200.0),
)
def test_room_is_the_largest_number_that_fits(probes: int, costs: list[float], reserved: int, cap: float) -> None:
    use = BudgetUse().reserve(reserved)
    for cost in costs:
        use = use.spend(cost, 0.0)
    n, name = use.room(Budget(probes=0, seconds=cap))
    dearest = max(costs)
    assert name == "seconds" and n is not None

    def total(m: int) -> float:
        return sum(costs) + (reserved + m) * dearest

    if n:
        assert total(n) <= cap * (1 + 1e-6)
    assert total(n + 1) > cap * (1 - 1e-6)


def test_use_is_settled() -> None:
    use = BudgetUse().reserve(3).free(1).spend(2.0, 0.5)
    assert (use.probes_reserved, use.probes_spent, use.seconds_spent, use.dose_spent) == (2, 1, 2.0, 0.5)
    assert (use.seconds_reserved, use.dose_reserved) == (4.0, 1.0)
    assert use.free(9).probes_reserved == 0


@pytest.mark.parametrize("first", [0.0, 1.0])
def test_leases_that_fit_never_overspend_together(first: float) -> None:
    # The first probe fails before it costs anything, or does not.
    budget, use = Budget(dose=10.0), BudgetUse().spend(0.0, first)
    while room := use.room(budget)[0]:
        use = use.reserve(room)
        for _ in range(room):
            use = use.free(1).spend(0.0, 1.0)
    assert use.dose_spent == 10.0
