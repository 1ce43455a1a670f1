"""The journal on disk: conformance, reopening, locking, refused changes, a sick disk."""

import os
import sqlite3
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probescout.core.errors import HistoryMismatch, InvalidInput, NotFound, Reason, Unavailable, WrongState
from probescout.core.ports import Head, NewEvent, Receipt
from probescout.store import database, witness
from probescout.store.journal import Journal
from probescout.testing.event_store import EventStoreSuite


def fill(journal, n, *, start=0):
    for i in range(start, start + n):
        receipt = Receipt(f"r{i}", f"d{i}", b"reply %d" % i)
        journal.append(
            [NewEvent("Observed", {"i": i}, bytes([i % 256]) * 40)], time=i + 0.5, principal="p", receipts=[receipt]
        )


class TestJournal(EventStoreSuite):
    @pytest.fixture
    def store_factory(self, tmp_path):
        return lambda: Journal.open(tmp_path / "campaign")


def test_reopening_gives_everything_back(tmp_path):
    with Journal.open(tmp_path) as journal:
        fill(journal, 70)
        records, head = list(journal.read()), journal.head
    with Journal.open(tmp_path) as journal:
        assert (journal.head, list(journal.read())) == (head, records)
        assert journal.receipt("r69") == Receipt("r69", "d69", b"reply 69")
        assert [journal.hash_at(seq) for seq in (0, 1, 70, 71, -1)] == ["", records[0].hash, head.hash, None, None]
        fill(journal, 1, start=70)
        assert journal.head.seq == 71


def test_commits_are_synced_to_the_log(tmp_path):
    with Journal.open(tmp_path) as journal:
        assert journal._writer.execute("PRAGMA journal_mode").fetchone() == (b"wal",)
        assert journal._writer.execute("PRAGMA synchronous").fetchone() == (2,)


_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=40, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    payload=st.dictionaries(st.text(), _values, max_size=5),
    data=st.none() | st.binary(max_size=64),
    kind=st.text(st.characters(exclude_categories=["Cs"])),
    time=st.floats(allow_nan=False, allow_infinity=False),
    reply=st.binary(max_size=64),
)
def test_any_payload_survives_reopening(tmp_path_factory, payload, data, kind, time, reply):
    directory = tmp_path_factory.mktemp("round")
    with Journal.open(directory) as journal:
        journal.append([NewEvent(kind, payload, data)], time=time, principal=kind, receipts=[Receipt(kind, "d", reply)])
    with Journal.open(directory) as journal:
        [record] = journal.read()
        assert (record.kind, record.payload, record.data, record.time, record.principal) == (
            kind,
            payload,
            data,
            time,
            kind,
        )
        assert journal.receipt(kind) == Receipt(kind, "d", reply)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET kind = 'x' WHERE seq = 1",
        "UPDATE events SET hash = hash",
        "DELETE FROM events WHERE seq = 3",
        "UPDATE receipts SET reply = x'00'",
        "DELETE FROM receipts",
        "INSERT OR REPLACE INTO events SELECT * FROM events WHERE seq = 1",
    ],
)
def test_update_and_delete_are_refused_by_the_database(tmp_path, statement):
    with Journal.open(tmp_path) as journal:
        fill(journal, 3)
        before = list(journal.read())
        stranger = sqlite3.connect(tmp_path / database.NAME)
        stranger.execute("PRAGMA recursive_triggers = ON")
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            stranger.execute(statement)
        stranger.close()
        assert list(journal.read()) == before


def test_an_event_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("probescout.store.chain.MAX_EVENT_BYTES", 1000)
    with Journal.open(tmp_path) as journal:
        with pytest.raises(InvalidInput, match="1002 bytes, 1000 are allowed"):
            journal.append([NewEvent("A", {}, b"x" * 1000)], time=0.0, principal="")
        journal.append([NewEvent("A", {}, b"x" * 998)], time=0.0, principal="")


def test_a_second_opener_is_told_who_holds_it(tmp_path):
    with Journal.open(tmp_path), pytest.raises(WrongState, match=f"process {os.getpid()};") as caught:
        Journal.open(tmp_path)
    assert caught.value.reason == Reason.JOURNAL_LOCKED
    Journal.open(tmp_path).close()


def test_another_process_holds_it_until_it_dies(tmp_path):
    code = (
        "import sys, pathlib; from probescout.store.journal import Journal;"
        "j = Journal.open(pathlib.Path(sys.argv[1]));"
        "print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout.readline() == b"open\n"
        with pytest.raises(WrongState, match=f"process {child.pid};"):
            Journal.open(tmp_path)
        child.kill()
    Journal.open(tmp_path).close()


def test_the_witness_follows_every_16_events_and_at_close(tmp_path):
    journal = Journal.open(tmp_path)
    seen = []
    for i in range(40):
        fill(journal, 1, start=i)
        seen.append(witness.load(tmp_path).events.seq)
    assert seen == [0] * 15 + [16] * 16 + [32] * 9
    journal.close()
    last = witness.load(tmp_path)
    assert (last.events, last.receipts.seq) == (journal.head, 40)


def test_a_witness_that_cannot_be_written_does_not_refuse_a_committed_event(tmp_path, monkeypatch, caplog):
    with Journal.open(tmp_path) as journal:
        fill(journal, 15)

        def refuse(*args):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(witness, "save", refuse)
        fill(journal, 3, start=15)
        assert journal.head.seq == 18
        assert "the head witness stays at event 0" in caplog.text
        monkeypatch.undo()
        fill(journal, 1, start=18)
        assert witness.load(tmp_path).events.seq == 19


def test_opening_reads_beside_a_salvage(tmp_path):
    with Journal.open(tmp_path) as journal:
        fill(journal, 5)
        assert list(Journal.salvage(tmp_path)) == list(journal.read())
    with pytest.raises(NotFound):
        list(Journal.salvage(tmp_path / "elsewhere"))


def test_a_full_database_refuses_and_recovers_without_restart(tmp_path):
    with Journal.open(tmp_path) as journal:
        fill(journal, 20)
        before = list(journal.read())
        pages = journal._writer.execute("PRAGMA page_count").fetchone()[0]
        journal._writer.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(Unavailable) as caught:
            journal.append(
                [NewEvent("Big", {}, b"x" * 50_000)], time=0.0, principal="", receipts=[Receipt("big", "", b"")]
            )
        assert caught.value.reason == Reason.STORE_UNAVAILABLE
        assert (journal.head, list(journal.read())) == (Head(20, before[-1].hash), before)
        assert journal.receipt("big") is None
        # A new handle has no limit any more: the "disk" is well again.
        journal.append([NewEvent("Big", {}, b"x" * 50_000)], time=0.0, principal="", receipts=[Receipt("big", "", b"")])
        head = journal.head
    with Journal.open(tmp_path) as journal:
        assert journal.head == head == Head(21, head.hash)


class FailingCommit:
    """A handle whose commit reaches the disk and reports an error all the same, as a failed sync may."""

    def __init__(self, connection):
        self.connection = connection

    def execute(self, statement, *args):
        result = self.connection.execute(statement, *args)
        if statement == "COMMIT":
            raise sqlite3.OperationalError("disk I/O error")
        return result

    def close(self):
        self.connection.close()


def test_a_refused_event_that_reached_the_disk_is_not_history(tmp_path):
    with Journal.open(tmp_path) as journal:
        fill(journal, 3)
        before = list(journal.read())
        journal._writer = FailingCommit(journal._writer)
        with pytest.raises(Unavailable, match="disk I/O error"):
            fill(journal, 1, start=3)
        assert (journal.head.seq, list(journal.read())) == (3, before)
        assert journal.receipt("r3") is None
        fill(journal, 1, start=3)
        assert [r.payload["i"] for r in journal.read()] == [0, 1, 2, 3]
        assert journal.receipt("r3") is not None
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            journal._writer.execute("DELETE FROM events")
    with Journal.open(tmp_path) as journal:
        assert journal.head.seq == 4


def test_a_tail_that_changed_during_a_disk_error_is_not_written_on(tmp_path):
    with Journal.open(tmp_path) as journal:
        fill(journal, 5)
        journal._writer = FailingCommit(journal._writer)
        with pytest.raises(Unavailable):
            fill(journal, 1, start=5)
        stranger = sqlite3.connect(tmp_path / database.NAME)
        stranger.execute("DROP TRIGGER events_no_update")
        stranger.execute("UPDATE events SET payload = '{\"i\":9}' WHERE seq = 4")
        stranger.commit()
        stranger.close()
        for _ in range(2):
            with pytest.raises(HistoryMismatch, match="damaged from event 4 on"):
                fill(journal, 1, start=5)


def test_an_interrupted_append_leaves_nothing(tmp_path, monkeypatch):
    with Journal.open(tmp_path) as journal:
        fill(journal, 2)

        def interrupt(*args):
            raise KeyboardInterrupt

        monkeypatch.setattr(database, "insert_receipt", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fill(journal, 1, start=2)
        monkeypatch.undo()
        assert journal.head.seq == 2
        fill(journal, 1, start=2)
        assert [r.payload["i"] for r in journal.read()] == [0, 1, 2]
