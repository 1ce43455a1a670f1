"""G9: a full or read-only disk refuses writes, answers reads, and needs no restart once it is well."""

import subprocess

import pytest

from probescout.core.errors import Unavailable
from probescout.core.ports import NewEvent, Receipt
from probescout.store.blobs import Blobs
from probescout.store.journal import Journal
from probescout.store.verify import verify


def run(*command):
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def small_disk(tmp_path):
    """Give a file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)):
        pytest.skip("mounting a small tmpfs needs the right to mount (root)")
    yield folder
    assert run("umount", "-l", str(folder))  # lazily: a test that failed may have left a file open


def append(journal, i, size=3000):
    event = NewEvent("Observed", {"i": i}, bytes(size))
    journal.append([event], time=0.0, principal="p", receipts=[Receipt(f"r{i}", "d", b"")])


def fill_up(journal):
    """Append until the disk refuses; return how many were acknowledged."""
    for i in range(1000):
        try:
            append(journal, i)
        except Unavailable:
            return i
    raise AssertionError("the disk never filled up")


def test_full_and_well_again(small_disk):
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(500_000))
    directory = small_disk / "campaign"
    with Journal.open(directory) as journal:
        blobs = Blobs.open(directory)
        image = blobs.put(b"image")
        n = fill_up(journal)
        assert n > 10
        with open(small_disk / "rest", "wb", buffering=0) as rest, pytest.raises(OSError, match="No space"):
            while True:
                rest.write(bytes(512))
        for _ in range(3):
            with pytest.raises(Unavailable):
                append(journal, n)
            with pytest.raises(Unavailable):
                blobs.put(bytes(10_000))
            assert [r.payload["i"] for r in journal.read()] == list(range(n))
            assert journal.head.seq == n
            assert journal.receipt(f"r{n - 1}") is not None
            assert journal.receipt(f"r{n}") is None
            assert blobs.get(image.digest) == b"image"
        ballast.unlink()
        append(journal, n)
        blobs.put(bytes(10_000))
        assert journal.head.seq == n + 1
    assert verify(directory).problems == ()
    with Journal.open(directory) as journal:
        assert [r.payload["i"] for r in journal.read()] == list(range(n + 1))


def test_killed_while_full(small_disk):
    directory = small_disk / "campaign"
    journal = Journal.open(directory)
    n = fill_up(journal)
    # As after a kill: nothing is closed in order, only the lock goes.
    journal._writer = None
    journal._lock.release()
    journal._reader.close()
    (small_disk / "room").touch()
    assert run("mount", "-o", "remount,size=4m", str(small_disk))
    with Journal.open(directory) as again:
        assert [r.payload["i"] for r in again.read()] == list(range(n))


def test_read_only_and_well_again(small_disk):
    directory = small_disk / "campaign"
    with Journal.open(directory) as journal:
        append(journal, 0)
        journal._writer.close()  # a file open for writing would keep the disk from becoming read-only
        journal._writer = None
        reader = journal._reader
        assert run("mount", "--bind", str(small_disk), str(small_disk))
        try:
            assert run("mount", "-o", "remount,ro,bind", str(small_disk))
            with pytest.raises(Unavailable):
                append(journal, 1)
            assert journal._reader is reader
            assert [r.payload["i"] for r in journal.read()] == [0]
        finally:
            assert run("umount", "-l", str(small_disk))
        append(journal, 1)
    with Journal.open(directory) as journal:
        assert journal.head.seq == 2
