"""The load and store benchmark, tiny: real servers, real journals."""

import pytest

from benchmarks.scale_load import COMPUTE_BUDGET_S, first_break, level
from benchmarks.scale_store import Filling, fill, measure
from probescout.core.clock import SystemClock
from probescout.core.observations import ScoreState
from probescout.runtime.ledger import Ledger
from probescout.store.blobs import Blobs
from probescout.store.journal import Journal


def test_a_level_counts_what_the_campaigns_did():
    row = level(n_campaigns=2, max_workers=4, n_steps=2, dwell_s=0.0)
    assert row["steps"] == 4 and sum(row["sources"].values()) == 4
    assert row["refused"] == {} and row["evictions"] == 0
    assert 2 <= row["workers_started"] <= 3, "one for each campaign, and the spare one"
    assert row["front_mib"] > 20.0 and row["workers_mib"] > 20.0


def test_a_written_campaign_is_one_that_the_service_could_have_written(tmp_path):
    directory = tmp_path / "c000"
    assert fill(Filling(str(directory), 30, 0)) == 2 + 3 * 30
    ledger = Ledger.recover(Journal.open(directory), Blobs.open(directory, max_blob_bytes=1 << 30), SystemClock())
    try:
        state = ledger.state
        assert len(state.observations) == 30 and not state.pending
        assert {o.score_state for o in state.observations.values()} == {ScoreState.SCORED}
        assert {o.candidate for o in state.observations.values()} == set(state.taken)
        best = max(o.target for o in state.observations.values())
        assert state.best().target == best
        one = state.observations["o7"]
        [record] = ledger.store.read(ledger._seqs["o7"] - 1, limit=1)
        counts = one.signal.spectrum(record.data).values
        assert one.target == counts[10:21].sum()
    finally:
        ledger.close()


def test_the_store_is_measured_against_an_empty_one(tmp_path):
    told = measure(tmp_path, n_campaigns=2, n_observations=80, n_processes=1)
    assert (told["observations"], told["events"]) == (80, 2 * 2 + 3 * 80)
    assert told["full"]["disk_mib"] > told["empty"]["disk_mib"] > 0
    assert told["ratio"]["disk_mib"] == pytest.approx(told["full"]["disk_mib"] / told["empty"]["disk_mib"], abs=0.01)
    for name in ("start_s", "replay_one_s", "append_ms_p50", "list_campaigns_ms", "events_page_ms"):
        assert told["full"][name] > 0 and name in told["ratio"]


def row(campaigns, **changes):
    return {
        "campaigns": campaigns,
        "max_workers": 4,
        "refused": {},
        "degraded_share": 0.0,
        "step_ms_p99": 50.0,
    } | changes


def test_what_breaks_first_is_the_first_level_that_refuses_degrades_or_is_late():
    good = [row(1), row(5)]
    assert first_break(good) is None
    late = row(10, step_ms_p99=1e3 * COMPUTE_BUDGET_S + 1)
    worse = row(25, refused={"RESOURCE_EXHAUSTED: full": 3}, degraded_share=0.5)
    assert first_break([*good, late, worse])["campaigns"] == 10
    assert first_break([*good, worse])["what"] == [
        "3 calls refused", "50 % of the Steps answered without the model"
    ]  # fmt: skip
