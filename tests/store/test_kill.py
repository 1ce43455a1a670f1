"""G1: a process that is killed at any moment loses no acknowledged event and leaves no half of a transaction."""

import collections
import os
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from probescout.store import database, failpoints
from probescout.store.journal import Journal
from probescout.store.verify import verify
from probescout.testing.event_store import expected_hash

CHILD = Path(__file__).with_name("appending_child.py")
POINTS = [
    f"{name}:{n}" for name in ("before_append", "after_append", "before_commit", "after_commit") for n in (1, 9, 30)
]
N_RANDOM = 12


def run_until_killed(directory, number, *, failpoint="", kill_after=None):
    """Let a child append until it is killed; return its acknowledgements as (request id, seq, hash)."""
    environment = {**os.environ, failpoints.VARIABLE: failpoint}
    command = [sys.executable, str(CHILD), str(directory), str(number)]
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as child:
        for line in child.stdout:
            lines.append(line)
            if kill_after is not None and len(lines) == kill_after:
                child.kill()
        assert child.wait() == -signal.SIGKILL
    # A line that was cut short was not heard: its request is not acknowledged.
    return [(a, int(b), c) for a, b, c in (line.split() for line in lines if line.endswith("\n"))]


def check(directory, acknowledged):
    """Compare what is there with what was acknowledged; return the request ids that are there, in order."""
    with Journal.open(directory) as journal:
        records = list(journal.read())
        assert [r.seq for r in records] == list(range(1, len(records) + 1))
        previous = ""
        for record in records:
            assert record.hash == expected_hash(previous, record)
            previous = record.hash
        for request_id, seq, digest in acknowledged:
            assert journal.hash_at(seq) == digest
            assert journal.receipt(request_id).reply == request_id.encode()
    counts = collections.Counter(r.payload["request_id"] for r in records)
    assert all(counts[r.payload["request_id"]] == r.payload["n_events"] for r in records)
    connection = sqlite3.connect(directory / database.NAME)
    receipts = [row[0] for row in connection.execute("SELECT request_id FROM receipts ORDER BY n")]
    connection.close()
    assert receipts == list(counts)
    return receipts


def test_killed_at_every_failpoint_and_at_random_moments(tmp_path):
    rng = random.Random(20240611)
    plan = [*POINTS, *[""] * N_RANDOM]
    rng.shuffle(plan)
    acknowledged = []
    there = []
    for number, point in enumerate(plan):
        kill_after = None if point else rng.randint(1, 60)
        new = run_until_killed(tmp_path, number, failpoint=point, kill_after=kill_after)
        acknowledged += new
        before, there = there, check(tmp_path, acknowledged)
        assert there[: len(before)] == before
        name, _, n = point.partition(":")
        if name == "after_commit":  # committed, and the reply never left
            assert (len(new), len(there) - len(before)) == (int(n) - 1, int(n))
        elif name:
            assert (len(new), len(there) - len(before)) == (int(n) - 1, int(n) - 1)
        else:  # at most one request was under way
            assert len(there) - len(before) - len(new) in (0, 1)
    assert verify(tmp_path).problems == ()


@pytest.mark.parametrize("setting", ["nowhere", "after_commit:0", "after_commit:x", "after_commit:-1"])
def test_an_unknown_failpoint_is_refused(setting):
    with pytest.raises(ValueError, match="before_append, after_append"):
        failpoints.armed(setting)


def test_without_setting_a_passage_does_nothing():
    assert failpoints.armed("")("after_commit") is None
    assert failpoints.armed("after_commit")("before_commit") is None
