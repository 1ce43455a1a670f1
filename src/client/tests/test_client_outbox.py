import os
import uuid
from pathlib import Path

import pytest
from probescout_client import InvalidInput
from probescout_client.outbox import Outbox
from probescout_client.wire.v1 import probescout_pb2 as pb


def request(n):
    return pb.StepRequest(request_id=str(uuid.UUID(int=n)), campaign="campaigns/c")


def test_entries_come_back_in_order_unless_in_flight(tmp_path):
    outbox = Outbox(str(tmp_path), "c")
    entries = [outbox.put(request(n)) for n in range(4)]
    assert outbox.left() == []
    for entry in entries[:3]:
        outbox.defer(entry)
    assert [entry.request for entry in outbox.left()] == [request(n) for n in range(3)]
    outbox.remove(entries[1])
    outbox.remove(entries[1])
    # Another process sees what this one has in flight: it may be dead.
    assert [entry.request for entry in Outbox(str(tmp_path), "c").left()] == [request(n) for n in (0, 2, 3)]


def test_damage_is_set_aside_and_said(tmp_path, caplog):
    outbox = Outbox(str(tmp_path), "c")
    good, bad, short = (outbox.put(request(n)) for n in range(3))
    content = bytearray(Path(bad.path).read_bytes())
    content[-1] ^= 1
    Path(bad.path).write_bytes(bytes(content))
    Path(short.path).write_bytes(b"PS")
    left = Outbox(str(tmp_path), "c").left()
    assert [entry.request for entry in left] == [request(0)]
    kept = sorted(os.listdir(os.path.join(outbox.folder, "rejected")))
    assert len(kept) == 4 and sum(name.endswith(".txt") for name in kept) == 2
    assert caplog.text.count("digest does not fit") == 2


def test_a_write_that_stopped_halfway_is_no_entry(tmp_path):
    outbox = Outbox(str(tmp_path), "c")
    with open(os.path.join(outbox.folder, "x.step.tmp"), "wb") as file:
        file.write(b"half")
    assert outbox.left() == []


def test_version_is_remembered(tmp_path):
    outbox = Outbox(str(tmp_path), "c")
    assert outbox.last_version() is None
    outbox.remember(pb.StateVersion(event_seq=7, event_hash="ab", data_version=3))
    assert Outbox(str(tmp_path), "c").last_version() == pb.StateVersion(event_seq=7, event_hash="ab")
    outbox.forget_version()
    assert outbox.last_version() is None


@pytest.mark.parametrize("name", ["", "..", "a/b"])
def test_names_that_would_leave_the_folder(tmp_path, name):
    with pytest.raises(InvalidInput):
        Outbox(str(tmp_path), name)
