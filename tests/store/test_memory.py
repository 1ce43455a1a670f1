"""The store without a disk, and the conformance suite over it."""

import pytest

from probescout.core.errors import NotFound
from probescout.store.memory import MemoryBlobs, MemoryJournal
from probescout.testing.event_store import EventStoreSuite


class TestMemoryJournal(EventStoreSuite):
    @pytest.fixture
    def store_factory(self):
        return MemoryJournal


def test_blobs_in_memory():
    blobs = MemoryBlobs()
    info = blobs.put(b"abc")
    assert info.digest == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-4 example
    assert (info.size, blobs.get(info.digest), blobs.has(info.digest)) == (3, b"abc", True)
    with pytest.raises(NotFound):
        blobs.get("0" * 64)
