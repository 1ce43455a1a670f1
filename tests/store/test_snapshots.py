"""Snapshots: exact, disposable, ignored when anything differs."""

import hashlib
import math
import random

import numpy as np
import pytest

from probescout.core.errors import InvalidInput, Reason, Unavailable
from probescout.core.ports import NewEvent
from probescout.store import durable, snapshots
from probescout.store.journal import Journal
from probescout.store.verify import verify

VERSIONS = {"probescout": "0.1.0", "numpy": "2"}
HASHES = {0: "", 5: "h5", 6: "h6", 7: "h7"}


def save(directory, seq, **state):
    return snapshots.save(directory, seq=seq, event_hash=HASHES[seq], versions=VERSIONS, state=state)


def load(directory, hashes=None, versions=None):
    find = (HASHES if hashes is None else hashes).get
    return snapshots.load_latest(directory, seq_hash_of=find, versions=VERSIONS if versions is None else versions)


def test_state_comes_back_exactly(tmp_path):
    rng = np.random.default_rng(1)
    state = {
        "factor": np.asfortranarray(rng.normal(size=(4, 3))),
        "members": [{"name": "µ", "weights": rng.normal(size=2).astype(np.float32)}, {"array": "a0", "value": None}],
        "empty": np.zeros((0, 3), np.int16),
        "scalar": np.array(2.5),
        "special": np.array([np.nan, np.inf, -0.0]),
        "flags": np.array([True, False]),
        "names": np.array(["a", "bc"]),
        "numbers": [1, 2.5, math.inf, True, None, "text"],
        "a/b": {"": {}, "list": []},
        "big": 2**80,
        "numpy": np.float32(0.5),
        "header": "mine",
    }
    save(tmp_path, 5, **state)
    seq, found = load(tmp_path)
    assert seq == 5
    np.testing.assert_equal(found, state)
    assert found["factor"].dtype == np.float64
    assert found["members"][0]["weights"].dtype == np.float32
    assert type(found["numpy"]) is float
    assert math.copysign(1, found["special"][2]) == -1


def test_the_newest_two_are_kept_and_the_newest_is_loaded(tmp_path):
    assert load(tmp_path) is None
    for seq in (5, 6, 7):
        save(tmp_path, seq, x=seq)
    assert [path.name[:12] for path in snapshots.newest_first(tmp_path)] == ["000000000007", "000000000006"]
    assert len(list((tmp_path / "snapshots").iterdir())) == 2
    assert load(tmp_path) == (7, {"x": 7})


def test_saving_the_same_event_again_keeps_the_later(tmp_path):
    save(tmp_path, 5, x=1)
    save(tmp_path, 6, x=2)
    save(tmp_path, 6, x=3)
    save(tmp_path, 6, x=3)
    assert load(tmp_path)[0] == 6
    assert len(snapshots.newest_first(tmp_path)) == 2


def test_every_flipped_byte_is_seen_and_the_older_one_serves(tmp_path, caplog):
    save(tmp_path, 5, x=np.arange(3.0))
    path = save(tmp_path, 6, x=np.arange(4.0))
    raw = path.read_bytes()
    for position in random.Random(0).sample(range(len(raw)), 60):
        broken = bytearray(raw)
        broken[position] ^= 1
        path.write_bytes(broken)
        assert load(tmp_path)[0] == 5
    assert "is ignored: its content does not match" in caplog.text
    for broken in (b"", raw[:-1], raw + b"x"):
        path.write_bytes(broken)
        assert load(tmp_path)[0] == 5


def test_a_file_that_is_no_snapshot_is_ignored_though_its_digest_is_right(tmp_path):
    (tmp_path / "snapshots").mkdir()
    for junk in (b"", b"PK\x03\x04 junk", b"\x80\x04K\x01."):  # the last is a pickle
        (tmp_path / "snapshots" / f"{5:012d}-{hashlib.sha256(junk).hexdigest()}.npz").write_bytes(junk)
    assert len(snapshots.newest_first(tmp_path)) == 3
    assert load(tmp_path) is None


def test_another_history_or_version_is_ignored(tmp_path, caplog):
    save(tmp_path, 6, x=1)
    assert load(tmp_path, hashes={6: "other"}) is None
    assert load(tmp_path, hashes={}) is None
    assert "event 6 of the journal differs" in caplog.text
    assert load(tmp_path, versions={**VERSIONS, "numpy": "3"}) is None
    assert load(tmp_path, versions={}) is None
    assert "it was made with" in caplog.text
    assert load(tmp_path) is not None


@pytest.mark.parametrize(
    ("value", "reason", "field"),
    [
        (np.array([None]), Reason.DTYPE_MISMATCH, "state/x/0"),
        (np.zeros(1, [("a", object)]), Reason.DTYPE_MISMATCH, "state/x/0"),
        (b"bytes", Reason.FIELD_INVALID, "state/x/0"),
        (object(), Reason.FIELD_INVALID, "state/x/0"),
        ({1: 2}, Reason.FIELD_INVALID, "state/x/0"),
    ],
)
def test_what_would_need_pickle_is_refused(tmp_path, value, reason, field):
    with pytest.raises(InvalidInput) as caught:
        save(tmp_path, 5, x=[value])
    assert (caught.value.reason, caught.value.field) == (reason, field)
    assert load(tmp_path) is None


def test_a_disk_that_refuses_keeps_the_old_one(tmp_path, monkeypatch):
    save(tmp_path, 5, x=1)

    def refuse(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable.os, "fsync", refuse)
    with pytest.raises(Unavailable):
        save(tmp_path, 6, x=2)
    monkeypatch.undo()
    assert load(tmp_path) == (5, {"x": 1})
    assert len(list((tmp_path / "snapshots").iterdir())) == 1


def test_with_a_journal_and_verify(tmp_path):
    with Journal.open(tmp_path) as journal:
        [record] = journal.append([NewEvent("A", {})], time=0.0, principal="")
        path = snapshots.save(tmp_path, seq=1, event_hash=record.hash, versions=VERSIONS, state={"x": 1})
        assert snapshots.load_latest(tmp_path, seq_hash_of=journal.hash_at, versions=VERSIONS) == (1, {"x": 1})
        assert verify(tmp_path).problems == ()
        snapshots.save(tmp_path, seq=0, event_hash="other", versions=VERSIONS, state={})
        path.write_bytes(path.read_bytes()[:-1])
        problems = verify(tmp_path).problems
    assert len(problems) == 2
    assert "is damaged" in problems[0]
    assert "belongs to another history" in problems[1]
