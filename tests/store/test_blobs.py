"""Blobs: durable, checked, resumable."""

import hashlib
import os
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probescout.core.errors import HistoryMismatch, InvalidInput, NotFound, Overloaded, Reason, Unavailable
from probescout.store.blob_names import blob_name, digest_of
from probescout.store.blobs import Blobs

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-4 example


class FixedClock:
    def __init__(self, now):
        self._now = now

    def now(self):
        return self._now

    def monotonic(self):
        return 0.0


def sha(data):
    return hashlib.sha256(data).hexdigest()


def files(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def test_put_get_has(tmp_path):
    blobs = Blobs.open(tmp_path)
    for _ in range(2):
        info = blobs.put(b"abc")
        assert (info.digest, info.size) == (ABC, 3)
    assert files(tmp_path) == [f"blobs/ba/{ABC}"]
    again = Blobs.open(tmp_path)
    assert again.get(ABC) == b"abc"
    assert again.has(ABC)
    assert not again.has(sha(b"other"))


@pytest.mark.parametrize("digest", ["", "0" * 64, ABC.upper(), "../../etc/passwd", "../" * 22, ABC + "/x"])
def test_what_is_not_there_is_not_found(tmp_path, digest):
    blobs = Blobs.open(tmp_path)
    blobs.put(b"abc")
    assert not blobs.has(digest)
    for call in (blobs.get, lambda d: list(blobs.chunks(d))):
        with pytest.raises(NotFound) as caught:
            call(digest)
        assert caught.value.reason == Reason.BLOB_NOT_FOUND
    with pytest.raises(NotFound) as caught:
        blobs.write(digest, 0, b"x")
    assert caught.value.reason == Reason.UPLOAD_NOT_FOUND


@pytest.mark.parametrize(
    "change", [lambda raw: b"", lambda raw: raw[:-1], lambda raw: raw + b"x", lambda raw: b"X" + raw[1:]]
)
def test_a_damaged_blob_is_refused_and_writing_it_again_repairs(tmp_path, change):
    blobs = Blobs.open(tmp_path)
    path = tmp_path / "blobs" / "ba" / ABC
    for repair in (lambda: blobs.put(b"abc"), lambda: upload(blobs, b"abc")):
        blobs.put(b"abc")
        path.write_bytes(change(b"abc"))
        for call in (blobs.get, lambda d: list(blobs.chunks(d))):
            with pytest.raises(HistoryMismatch) as caught:
                call(ABC)
            assert caught.value.reason == Reason.DIGEST_MISMATCH
        repair()
        assert blobs.get(ABC) == b"abc"


def upload(blobs, data, piece=2):
    begun = blobs.begin(len(data), sha(data))
    assert not begun.is_complete
    for at in range(begun.received, len(data), piece):
        assert blobs.write(begun.upload_id, at, data[at : at + piece]) == min(at + piece, len(data))
    return blobs.finish(begun.upload_id)


def test_upload_in_pieces_resumed_after_a_restart(tmp_path):
    data = bytes(range(256)) * 40
    blobs = Blobs.open(tmp_path)
    begun = blobs.begin(len(data), sha(data))
    assert (begun.received, begun.is_complete) == (0, False)
    blobs.write(begun.upload_id, 0, data[:1000])
    blobs = Blobs.open(tmp_path)
    assert not blobs.has(sha(data))
    assert blobs.write(begun.upload_id, 1000, data[1000:1500]) == 1500
    assert blobs.begin(len(data), sha(data)).received == 1500
    with pytest.raises(InvalidInput, match="1500 of 10240 bytes are here") as caught:
        blobs.finish(begun.upload_id)
    assert caught.value.reason == Reason.BLOB_INCOMPLETE
    blobs.write(begun.upload_id, 1500, data[1500:])
    for _ in range(2):  # a repeated finish is the same answer
        assert blobs.finish(begun.upload_id).size == len(data)
    assert b"".join(blobs.chunks(sha(data), size=77)) == data
    assert blobs.begin(len(data), sha(data)).is_complete
    assert files(tmp_path) == [f"blobs/{sha(data)[:2]}/{sha(data)}"]


def test_an_empty_blob_can_be_uploaded(tmp_path):
    blobs = Blobs.open(tmp_path)
    assert upload(blobs, b"").size == 0
    assert blobs.get(sha(b"")) == b""


def test_offsets(tmp_path):
    blobs = Blobs.open(tmp_path)
    key = blobs.begin(6, sha(b"abcdef")).upload_id
    assert blobs.write(key, 0, b"abc") == 3
    assert blobs.write(key, 0, b"abc") == 3
    assert blobs.write(key, 1, b"bcd") == 4  # the known bytes are the same, the new one is added
    assert blobs.write(key, 4, b"") == 4
    for offset, data, what in (
        (5, b"f", "go on from offset 4"),
        (-1, b"a", "go on from offset 4"),
        (0, b"aXc", "differ from those received; go on from offset 4"),
        (4, b"efg", "pass the end of the blob of 6 bytes"),
    ):
        with pytest.raises(InvalidInput, match=what) as caught:
            blobs.write(key, offset, data)
        assert caught.value.reason == Reason.FIELD_INVALID
    assert blobs.write(key, 4, b"ef") == 6
    assert blobs.finish(key).digest == sha(b"abcdef")


def test_bytes_other_than_announced_are_dropped(tmp_path):
    blobs = Blobs.open(tmp_path)
    key = blobs.begin(3, ABC).upload_id
    blobs.write(key, 0, b"abd")
    with pytest.raises(InvalidInput) as caught:
        blobs.finish(key)
    assert caught.value.reason == Reason.DIGEST_MISMATCH
    assert files(tmp_path) == []
    with pytest.raises(NotFound):
        blobs.finish(key)
    assert upload(blobs, b"abc").digest == ABC


def test_a_wrong_size_does_not_block_the_right_one(tmp_path):
    blobs = Blobs.open(tmp_path)
    blobs.write(blobs.begin(9, ABC).upload_id, 0, b"zzzz")
    assert upload(blobs, b"abc").digest == ABC


@pytest.mark.parametrize("digest", ["", "abc", ABC.upper(), "../" + ABC, ABC + "\n"])
def test_begin_refuses_what_is_no_digest(tmp_path, digest):
    with pytest.raises(InvalidInput) as caught:
        Blobs.open(tmp_path).begin(3, digest)
    assert (caught.value.reason, caught.value.field) == (Reason.FIELD_INVALID, "sha256")


def test_limits(tmp_path):
    blobs = Blobs.open(tmp_path, max_blob_bytes=10, max_uploads=2)
    for call in (lambda: blobs.put(b"x" * 11), lambda: blobs.begin(11, ABC)):
        with pytest.raises(InvalidInput, match="11 bytes, 10 are allowed") as caught:
            call()
        assert caught.value.reason == Reason.BLOB_TOO_LARGE
    with pytest.raises(InvalidInput):
        blobs.begin(-1, ABC)
    for i in range(2):
        blobs.begin(1, sha(b"%d" % i))
    with pytest.raises(Overloaded) as caught:
        blobs.begin(1, sha(b"2"))
    assert caught.value.reason == Reason.QUEUE_FULL
    assert blobs.begin(1, sha(b"1")).received == 0  # one that is open may go on
    assert upload(blobs, b"1").size == 1
    assert blobs.begin(1, sha(b"2")).received == 0


def test_opening_drops_stale_uploads_and_half_written_files(tmp_path):
    blobs = Blobs.open(tmp_path)
    for word in (b"old", b"new"):
        blobs.write(blobs.begin(3, sha(word)).upload_id, 0, word)
    incoming = tmp_path / "blobs" / "incoming"
    (incoming / "put-7").write_bytes(b"half")
    os.utime(incoming / f"{sha(b'old')}.3", (1000.0, 1000.0))
    os.utime(incoming / f"{sha(b'new')}.3", (5000.0, 5000.0))
    Blobs.open(tmp_path, stale_after_s=2000.0, clock=FixedClock(5500.0))
    assert files(tmp_path) == [f"blobs/incoming/{sha(b'new')}.3"]


def test_a_disk_that_refuses_leaves_no_part(tmp_path, monkeypatch):
    blobs = Blobs.open(tmp_path)
    key = blobs.begin(3, ABC).upload_id
    blobs.write(key, 0, b"abc")

    def refuse(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    for call in (lambda: blobs.put(b"data"), lambda: blobs.finish(key)):
        with pytest.raises(Unavailable) as caught:
            call()
        assert caught.value.reason == Reason.STORE_UNAVAILABLE
    monkeypatch.undo()
    assert files(tmp_path) == [f"blobs/incoming/{ABC}.3"]
    assert blobs.finish(key).digest == ABC


def test_a_piece_that_half_fits_is_not_counted(tmp_path, monkeypatch):
    blobs = Blobs.open(tmp_path)
    key = blobs.begin(6, sha(b"abcdef")).upload_id
    write, n_calls = os.pwrite, 0

    def half(descriptor, data, at):
        nonlocal n_calls
        n_calls += 1
        if n_calls == 2:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[:2], at)

    monkeypatch.setattr(os, "pwrite", half)
    with pytest.raises(Unavailable):
        blobs.write(key, 0, b"abcdef")
    assert blobs.begin(6, sha(b"abcdef")).received == 0
    assert blobs.write(key, 0, b"abcdef") == 6  # in pieces of two
    assert blobs.finish(key).size == 6


def test_content_is_synced_before_it_takes_its_name(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, name=name, real=real: (calls.append(name), real(*args))[1])
    blobs = Blobs.open(tmp_path)
    calls.clear()
    blobs.put(b"abc")
    assert calls[-3:] == ["fsync", "replace", "fsync"]


def test_threads_put_the_same_and_other_blobs(tmp_path):
    blobs = Blobs.open(tmp_path)
    failures = []

    def work():
        try:
            for i in range(20):
                assert blobs.get(blobs.put(b"%d" % i).digest) == b"%d" % i
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(files(tmp_path)) == 20


@settings(max_examples=40, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=60), calls=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 25)), max_size=30))
def test_any_order_of_true_pieces_never_stores_anything_else(tmp_path_factory, data, calls):
    blobs = Blobs.open(tmp_path_factory.mktemp("blobs"))
    key = blobs.begin(len(data), sha(data)).upload_id
    received = 0
    for offset, n in calls:
        piece = data[offset : offset + n]
        if offset <= received:
            received = max(received, offset + len(piece))
            assert blobs.write(key, offset, piece) == received
        else:
            with pytest.raises(InvalidInput):
                blobs.write(key, offset, piece)
    blobs.write(key, received, data[received:])
    blobs.finish(key)
    assert blobs.get(sha(data)) == data


def test_names():
    assert digest_of(blob_name(ABC)) == ABC
    for bad in ("", ABC, "blobs/" + ABC, "blobs/sha256-" + ABC.upper(), "blobs/sha256-../" + ABC):
        with pytest.raises(InvalidInput) as caught:
            digest_of(bad)
        assert caught.value.reason == Reason.ID_INVALID
