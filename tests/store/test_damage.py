"""G10: damage is seen and located, or it touched nothing; never is history quietly different."""

import random
import shutil
import struct

import pytest

from probescout.core.errors import HistoryMismatch, Reason, Unavailable
from probescout.core.ports import NewEvent, Receipt
from probescout.store import chain, database, recovery, wal, witness
from probescout.store.blob_names import blob_name
from probescout.store.blobs import Blobs
from probescout.store.journal import Journal
from probescout.store.verify import verify

N_EVENTS = 30


def fill(journal, n):
    for i in range(n):
        data = random.Random(i).randbytes(300)
        receipt = Receipt(f"request-{i}", f"digest-{i}", b"reply-%d" % i)
        event = NewEvent("Observed", {"mark": f"payload-{i + 1:03d}"}, data)
        journal.append([event], time=float(i), principal="p", receipts=[receipt])


def contents(directory):
    with Journal.open(directory) as journal:
        return list(journal.read()), [journal.receipt(f"request-{i}") for i in range(N_EVENTS)]


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    """Give a directory whose log is folded into the database."""
    directory = tmp_path_factory.mktemp("closed")
    with Journal.open(directory) as journal:
        fill(journal, N_EVENTS)
    return directory


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """Give a copy of a directory in use, as a kill leaves it: all events are in the log, the witness is at 16."""
    directory = tmp_path_factory.mktemp("live")
    journal = Journal.open(directory)
    fill(journal, N_EVENTS)
    copy = directory.with_name("killed")
    shutil.copytree(directory, copy)
    journal.close()
    return copy


def damaged_copy(source, target, name, position, *, mask=0xFF, n=1):
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    raw = bytearray((target / name).read_bytes())
    for i in range(position, position + n):
        raw[i] ^= mask
    (target / name).write_bytes(raw)
    return target


def commit_ends(directory):
    """Return the offset in the log behind each commit."""
    raw = recovery.wal_of(directory).read_bytes()
    page_size = struct.unpack(">I", raw[8:12])[0]
    ends = []
    for at in range(32, len(raw), 24 + page_size):
        if struct.unpack(">I", raw[at + 4 : at + 8])[0]:
            ends.append(at + 24 + page_size)
    return ends


@pytest.mark.parametrize("seq", [1, 2, 17, N_EVENTS])
def test_a_changed_event_is_named_and_the_rest_before_it_can_be_salvaged(closed, tmp_path, seq):
    position = (closed / database.NAME).read_bytes().index(f"payload-{seq:03d}".encode())
    broken = damaged_copy(closed, tmp_path / "c", database.NAME, position, mask=1)
    before = (broken / database.NAME).read_bytes()
    with pytest.raises(HistoryMismatch, match=f"from event {seq} on") as caught:
        Journal.open(broken)
    assert caught.value.reason == Reason.JOURNAL_CORRUPT
    assert [r.seq for r in Journal.salvage(broken)] == list(range(1, seq))
    report = verify(broken)
    assert report.n_events == seq - 1
    assert f"from event {seq} on" in report.problems[0]
    assert (broken / database.NAME).read_bytes() == before


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_no_flipped_byte_of_the_database_changes_history_unseen(closed, tmp_path, mask):
    want = contents(closed)
    size = (closed / database.NAME).stat().st_size
    rng = random.Random(mask)
    n_seen = 0
    positions = [*rng.sample(range(size), 60), *rng.sample(range(120), 20)]
    for position in positions:
        broken = damaged_copy(closed, tmp_path / "c", database.NAME, position, mask=mask)
        problems = verify(broken).problems
        try:
            found = contents(broken)
        except HistoryMismatch:
            n_seen += 1
            assert problems, f"byte {position}: opening refuses it, verify does not"
        except Unavailable:
            assert position == 18  # says that only reading is allowed: no damage to a reader
        else:
            assert found == want, f"byte {position} changed history unseen"
    assert n_seen > len(positions) / 4


def test_an_event_removed_from_the_middle_is_named(closed, tmp_path):
    for table, column, what in (("events", "seq", "from event 7 on: it is missing"), ("receipts", "n", "receipt 7")):
        shutil.copytree(closed, tmp_path / table)
        connection = database.connect(tmp_path / table / database.NAME)
        connection.execute(f"DROP TRIGGER {table}_no_delete")
        connection.execute(f"DELETE FROM {table} WHERE {column} = 7")
        connection.execute(database.SCHEMA[f"{table}_no_delete"])
        connection.close()
        with pytest.raises(HistoryMismatch, match=what):
            Journal.open(tmp_path / table)
        assert what in verify(tmp_path / table).problems[0]


def test_a_history_written_anew_with_a_good_chain_is_seen_by_the_witness(closed, tmp_path):
    shutil.copytree(closed, tmp_path / "c")
    connection = database.connect(tmp_path / "c" / database.NAME)
    connection.execute("DROP TRIGGER events_no_delete")
    connection.execute("DELETE FROM events WHERE seq = ?", (N_EVENTS,))
    connection.execute(database.SCHEMA["events_no_delete"])
    [last] = database.scan(connection, chain.Head(N_EVENTS - 2, contents(closed)[0][N_EVENTS - 3].hash))
    entry = chain.extend(chain.Head(last.seq, last.hash), [NewEvent("Forged", {})], time=0.0, principal="p")[0]
    database.insert(connection, entry)
    connection.close()
    with pytest.raises(HistoryMismatch, match=f"event {N_EVENTS} has another hash than the head witness saw"):
        Journal.open(tmp_path / "c")
    assert "another hash than the head witness saw" in verify(tmp_path / "c").problems[0]


def test_a_removed_trigger_is_seen(closed, tmp_path):
    shutil.copytree(closed, tmp_path / "c")
    connection = database.connect(tmp_path / "c" / database.NAME)
    connection.execute("DROP TRIGGER events_no_update")
    connection.close()
    with pytest.raises(HistoryMismatch, match="tables or triggers"):
        Journal.open(tmp_path / "c")


def test_a_killed_directory_opens_whole(closed, live, tmp_path):
    shutil.copytree(live, tmp_path / "c")
    assert witness.load(live).events.seq == 16
    assert wal.inspect(recovery.wal_of(live)) is None
    assert contents(tmp_path / "c") == contents(closed)


def test_no_flipped_byte_of_the_log_loses_more_than_the_last_commit_unseen(closed, live, tmp_path):
    want = contents(closed)
    ends = commit_ends(live)
    rng = random.Random(3)
    before_last = [*range(32), *rng.sample(range(32, ends[-2]), 60), *range(ends[-2] - 64, ends[-2])]
    for position in before_last:
        broken = damaged_copy(live, tmp_path / "c", recovery.wal_of(live).name, position)
        kept = {path.name: path.read_bytes() for path in broken.iterdir() if not path.name.endswith("-shm")}
        with pytest.raises(HistoryMismatch):
            Journal.open(broken)
        assert verify(broken).problems
        assert kept == {p.name: p.read_bytes() for p in broken.iterdir() if not p.name.endswith("-shm")}
    for position in rng.sample(range(ends[-2], ends[-1]), 12):
        broken = damaged_copy(live, tmp_path / "c", recovery.wal_of(live).name, position)
        assert contents(broken)[0] in (want[0], want[0][:-1])  # as after a crash; only a client can know better


@pytest.mark.parametrize("lost_from", [3, 20, N_EVENTS - 1])
def test_a_damaged_commit_in_the_log_is_named(live, tmp_path, lost_from):
    position = commit_ends(live)[lost_from - 1] - 2000  # in the last page of the commit of that event
    broken = damaged_copy(live, tmp_path / "c", recovery.wal_of(live).name, position, n=64)
    with pytest.raises(HistoryMismatch, match=f"from event {lost_from} on: frame .* commits behind it are lost"):
        Journal.open(broken)
    assert [r.seq for r in Journal.salvage(broken)] == list(range(1, lost_from))


def test_a_cleanly_cut_log_is_seen_by_the_witness(live, tmp_path):
    for n_left, is_seen in ((5, True), (15, True), (16, False), (18, False)):
        target = tmp_path / str(n_left)
        shutil.copytree(live, target)
        with open(recovery.wal_of(target), "r+b") as file:
            file.truncate(commit_ends(live)[n_left - 1])
        if is_seen:
            with pytest.raises(HistoryMismatch, match=f"from event {n_left + 1} on: the tail is lost"):
                Journal.open(target)
            assert any("the tail is lost" in problem for problem in verify(target).problems)
        else:
            with Journal.open(target) as journal:
                assert journal.head.seq == n_left


def test_a_log_torn_in_the_last_commit_is_a_crash_and_no_damage(live, tmp_path):
    ends = commit_ends(live)
    for cut in (1, 4000, 4119, 4121):
        target = tmp_path / str(cut)
        shutil.copytree(live, target)
        with open(recovery.wal_of(target), "r+b") as file:
            file.truncate(ends[-1] - cut)
        with Journal.open(target) as journal:
            assert journal.head.seq == N_EVENTS - 1
            assert journal.receipt(f"request-{N_EVENTS - 1}") is None


def test_a_lost_database_or_witness_is_seen(closed, tmp_path):
    for name, what in ((database.NAME, "events.db is missing"), (witness.NAME, "head.json is missing although")):
        shutil.copytree(closed, tmp_path / name)
        (tmp_path / name / name).unlink()
        with pytest.raises(HistoryMismatch, match=what):
            Journal.open(tmp_path / name)
    assert "head.json is missing" in verify(tmp_path / witness.NAME).problems[0]


def test_every_flipped_byte_of_the_witness_is_seen(closed, tmp_path):
    raw = (closed / witness.NAME).read_bytes()
    good = witness.load(closed)
    for position in range(len(raw)):
        for mask in (0x01, 0x20):
            broken = bytearray(raw)
            broken[position] ^= mask
            (tmp_path / witness.NAME).write_bytes(broken)
            try:
                assert witness.load(tmp_path) == good  # white space
            except HistoryMismatch as error:
                assert error.reason == Reason.JOURNAL_CORRUPT
    broken_journal = damaged_copy(closed, tmp_path / "c", witness.NAME, raw.index(b'"seq"') + 7, mask=1)
    with pytest.raises(HistoryMismatch, match="head witness"):
        Journal.open(broken_journal)
    assert "head witness" in verify(broken_journal).problems[0]


def test_a_foreign_file_in_its_place_is_not_touched(tmp_path):
    (tmp_path / database.NAME).write_bytes(b"not a database " * 400)
    with pytest.raises(HistoryMismatch):
        Journal.open(tmp_path)
    assert (tmp_path / database.NAME).read_bytes() == b"not a database " * 400


def test_verify_finds_damaged_and_missing_blobs_that_events_name(tmp_path):
    with Journal.open(tmp_path) as journal:
        blobs = Blobs.open(tmp_path)
        good, bad, missing = (blobs.put(word).digest for word in (b"good", b"bad", b"missing"))
        names = {"list": [{"image": blob_name(good)}, blob_name(bad)], "text": f"see {blob_name(missing)}, please"}
        journal.append([NewEvent("Other", {}), NewEvent("FrameAdded", names)], time=0.0, principal="p")
        assert verify(tmp_path).problems == ()  # beside the open journal
        (tmp_path / "blobs" / bad[:2] / bad).write_bytes(b"bat")
        (tmp_path / "blobs" / missing[:2] / missing).unlink()
        report = verify(tmp_path)
    assert report.n_events == 2
    assert report.problems == (
        f"blob blobs/sha256-{bad}, named by event 2, is damaged",
        f"blob blobs/sha256-{missing}, named by event 2, is missing",
    )
