"""`probescout inspect`: reads beside a live server, after a kill and through damage, and changes nothing."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from probescout_client.wire.v1 import probescout_pb2 as pb

from probescout.replay.recording import Recording


def inspect(*arguments: object) -> tuple[int, dict[str, Any], str]:
    command = [sys.executable, "-m", "probescout.cli", "inspect", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


def measure(server: Any, wire: Any, campaign: str, n: int) -> None:
    for i in range(n):
        [point] = server.suggest(campaign).suggestions
        told = wire.observation(campaign, f"o-{i}", point, seed=i)
        server.call("Tell", pb.TellRequest(request_id=wire.new_id(), campaign=campaign, observation=told))


@pytest.fixture
def measured(make_server: Callable[..., Any], wire: Any) -> Any:
    """A server with a campaign of four observations and one pending suggestion, and an empty campaign."""
    server = make_server()
    campaign = server.campaign("gold", budget=pb.Budget(probes=9), title="Gold on carbon")
    server.campaign("spare")
    measure(server, wire, campaign, 4)
    server.suggest(campaign)
    return server


def check_gold(row: dict[str, Any], told: pb.Campaign) -> None:
    """Compare with what the server says."""
    assert row["is_sound"] is True and row["problems"] == []
    assert (row["id"], row["status"], row["title"]) == ("gold", "running", "Gold on carbon")
    assert (row["n_observations"], row["n_scored"], row["n_pending"], row["n_suggested"]) == (4, 4, 1, 5)
    assert row["n_candidates"] == told.n_candidates == 256
    assert row["budget"]["probes"] == {"limit": 9, "spent": 4, "reserved": 1}
    assert row["budget"]["seconds"]["spent"] == pytest.approx(told.use.seconds_spent)
    assert row["best"]["target"] == told.best.target
    assert row["best"]["std"] == pytest.approx(told.best.target_variance**0.5)
    assert f"campaigns/gold/observations/{row['best']['observation']}" == told.best.name
    assert (row["n_events"], row["event_hash"]) == (told.version.event_seq, told.version.event_hash)


def inspect_at_rest(server: Any) -> tuple[pb.Campaign, tuple[int, dict[str, Any], str]]:
    """Inspect while nothing happens: targets are scored and models are fitted when the server likes."""
    while True:
        before = server.call("GetCampaign", pb.GetCampaignRequest(name="campaigns/gold"))
        found = inspect(server.data)
        after = server.call("GetCampaign", pb.GetCampaignRequest(name="campaigns/gold"))
        if before.version == after.version and found[1]["campaigns"][0]["n_scored"] == 4:
            return after, found


def test_beside_a_live_server_then_after_a_kill(measured: Any) -> None:
    told, (code, report, text) = inspect_at_rest(measured)
    assert code == 0 and report["kind"] == "data", text
    gold, spare = report["campaigns"]
    check_gold(gold, told)
    assert (spare["id"], spare["n_observations"], spare["best"]) == ("spare", 0, None)
    assert "gold" in text and "4 of 9" in text and "nothing scored yet" in text
    # The server goes on writing, undisturbed.
    measured.suggest("campaigns/gold")
    measured.kill()
    code, report, text = inspect("gold", "--data", measured.data)
    assert code == 0 and report["kind"] == "campaign", text
    assert report["campaigns"][0]["n_pending"] == 2
    assert "2 suggestions pending of 6" in text and "4 of 9 probes" in text


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_nothing_on_disk_changes(measured: Any) -> None:
    assert measured.stop() == 0
    before = tree(measured.data)
    assert len(before) > 6
    assert inspect(measured.data)[0] == 0
    assert inspect(measured.data / "campaigns" / "gold")[0] == 0
    after = tree(measured.data)
    assert {name: after.get(name) for name in before} == before
    # SQLite's own index of a log, and the log, which is empty.
    new = set(after) - set(before)
    assert all(name.endswith(("events.db-shm", "events.db-wal")) for name in new)
    assert not any(after[name] for name in new if name.endswith("-wal"))


def test_a_damaged_event_is_named_and_what_comes_before_is_told(measured: Any) -> None:
    assert measured.stop() == 0
    home = measured.data / "campaigns" / "gold"
    database = sqlite3.connect(home / "events.db")
    kinds = [kind for (kind,) in database.execute("SELECT kind FROM events ORDER BY seq")]
    # The third observation: what is told then are the two before it.
    bad = [n for n, kind in enumerate(kinds, 1) if kind == "Observed"][2]
    [payload] = database.execute("SELECT payload FROM events WHERE seq = ?", [bad]).fetchone()
    database.close()
    raw = (home / "events.db").read_bytes()
    assert raw.count(payload.encode()) == 1
    (home / "events.db").write_bytes(raw.replace(payload.encode(), payload.replace("o-2", "o-7", 1).encode()))
    code, report, text = inspect(measured.data)
    gold, spare = report["campaigns"]
    assert code == 1 and gold["is_sound"] is False and spare["is_sound"] is True
    assert any(f"event {bad}" in problem for problem in gold["problems"])
    assert (gold["n_events"], gold["n_observations"]) == (bad - 1, 2)
    assert "DAMAGED" in text and "copy the whole directory" in text


def test_a_lost_journal_and_a_lost_blob(measured: Any) -> None:
    assert measured.stop() == 0
    home = measured.data / "campaigns" / "gold"
    [blob] = [p for p in (home / "blobs").rglob("*") if p.is_file()]
    blob.unlink()
    code, report, _ = inspect(home)
    assert code == 1 and report["campaigns"][0]["n_observations"] == 4
    assert any(blob.name in problem and "event 2" in problem for problem in report["campaigns"][0]["problems"])
    (home / "events.db").unlink()
    code, report, text = inspect(home)
    assert code == 1 and report["campaigns"][0]["status"] == "unreadable"
    assert "there is no journal" in text


def test_an_event_of_a_newer_program(measured: Any) -> None:
    from probescout.core.ports import NewEvent
    from probescout.store.journal import Journal

    assert measured.stop() == 0
    home = measured.data / "campaigns" / "gold"
    with Journal.open(home) as journal:
        n = journal.head.seq
        journal.append([NewEvent("Teleported", {"v": 9})], time=0.0, principal="later")
    code, report, _ = inspect(home)
    [row] = report["campaigns"]
    assert code == 1 and (row["n_events"], row["n_observations"]) == (n, 4)
    assert any("Teleported" in problem for problem in row["problems"])


def test_a_recording(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    recording = Recording(image=rng.random((5, 6)), targets={"height": rng.random((5, 6))})
    recording.save(tmp_path / "case.nc")
    code, report, text = inspect(tmp_path / "case.nc")
    assert code == 0, text
    assert (report["kind"], report["image"]["shape"], list(report["targets"])) == ("recording", [5, 6], ["height"])
    assert "30 of 30 pixels" in text


def test_what_is_not_there_or_nothing_of_ours(tmp_path: Path) -> None:
    code, report, text = inspect("unheard", "--data", tmp_path)
    assert code == 1 and not report and "neither unheard nor" in text
    (tmp_path / "note.nc").write_text("no recording")
    code, report, text = inspect(tmp_path / "note.nc")
    assert code == 2 and not report and text.startswith("error FILE_UNREADABLE")
