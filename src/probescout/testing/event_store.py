"""What every event store must do; run it over yours.

class TestMyStore(EventStoreSuite):
    @pytest.fixture
    def store_factory(self): ...  # a callable that returns a new, empty store
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from probescout.core.errors import InvalidInput, Reason, Unavailable
from probescout.core.ports import EventStore, Head, NewEvent, Receipt, Record


def expected_hash(previous: str, record: Record) -> str:
    """Return the hash of a record from the documented rule, without the code under test."""
    payload = json.dumps(record.payload, sort_keys=True, separators=(",", ":"))
    data = None if record.data is None else hashlib.sha256(record.data).hexdigest()
    parts = [previous, record.seq, record.kind, repr(record.time), record.principal, payload, data]
    return hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest()


class EventStoreSuite:
    """Derive from it and give the fixture `store_factory`."""

    @pytest.fixture
    def store(self, store_factory: Callable[[], EventStore]) -> Iterator[EventStore]:
        """Return an empty store, closed afterwards."""
        store = store_factory()
        yield store
        store.close()

    def test_a_new_store_is_empty(self, store: EventStore) -> None:
        """No events, no receipts, head 0."""
        assert store.head == Head(0, "")
        assert list(store.read()) == []
        assert store.receipt("none") is None

    def test_append_returns_what_read_yields(self, store: EventStore) -> None:
        """Sequence from 1 without gaps, head at the last, fields as given."""
        first = store.append([NewEvent("A", {"x": 1.5}), NewEvent("B", {}, b"\x00\xff")], time=12.5, principal="p")
        second = store.append([NewEvent("C", {"n": None, "t": [True, "µ"]}, b"")], time=13.0, principal="q")
        assert [r.seq for r in first + second] == [1, 2, 3]
        assert store.head == Head(3, second[-1].hash)
        assert list(store.read()) == first + second
        assert [(r.kind, r.time, r.principal, r.data) for r in store.read()] == [
            ("A", 12.5, "p", None),
            ("B", 12.5, "p", b"\x00\xff"),
            ("C", 13.0, "q", b""),
        ]
        assert second[0].payload == {"n": None, "t": [True, "µ"]}

    def test_the_chain_is_the_documented_one(self, store: EventStore) -> None:
        """Anyone can recompute it; absent and empty data differ."""
        store.append(
            [NewEvent("A", {"b": 1, "a": -0.0}), NewEvent("B", {"u": "\ud800\x00"}, b"")], time=-0.0, principal=""
        )
        store.append([NewEvent("B", {"u": "é"}, b"d")], time=1e300, principal="é")
        previous = ""
        for record in store.read():
            assert record.hash == expected_hash(previous, record)
            previous = record.hash
        assert previous == store.head.hash != ""

    def test_read_from_the_middle(self, store: EventStore) -> None:
        """After any event, with any limit."""
        for start in range(0, 200, 50):
            store.append([NewEvent("A", {"i": i}) for i in range(start, start + 50)], time=0.0, principal="")
        for after in (0, 1, 63, 64, 65, 199, 200, 201):
            for limit in (None, 0, 1, 64, 65, 1000):
                want = list(range(after + 1, 201))[:limit]
                assert [r.seq for r in store.read(after, limit=limit)] == want

    def test_raw_bytes_are_left_out_on_request(self, store: EventStore) -> None:
        """Everything else is as with them."""
        store.append([NewEvent("A", {"x": 1}, b"raw"), NewEvent("B", {})], time=1.0, principal="p")
        bare = list(store.read(with_data=False))
        assert [r.data for r in bare] == [None, None]
        assert [(r.seq, r.kind, r.payload, r.hash) for r in bare] == [
            (r.seq, r.kind, r.payload, r.hash) for r in store.read()
        ]

    def test_read_ends_at_the_head_of_its_first_step(self, store: EventStore) -> None:
        """A reader that appends does not chase its own tail."""
        store.append([NewEvent("A", {})], time=0.0, principal="")
        seen = []
        for record in store.read():
            seen.append(record.seq)
            store.append([NewEvent("B", {})], time=0.0, principal="")
        assert seen == [1]
        assert store.head.seq == 2

    def test_receipts_come_back(self, store: EventStore) -> None:
        """With events, and alone."""
        with_events = [Receipt("r1", "d1", b"reply"), Receipt("r2", "d2", b"")]
        store.append([NewEvent("A", {})], time=0.0, principal="", receipts=with_events)
        store.append([], time=0.0, principal="", receipts=[Receipt("r3", "d3", b"\x00")])
        assert [store.receipt(name) for name in ("r1", "r2")] == with_events
        assert store.receipt("r3") == Receipt("r3", "d3", b"\x00")
        assert store.receipt("r4") is None
        assert store.head.seq == 1

    def test_a_second_receipt_of_one_request_is_refused(self, store: EventStore) -> None:
        """And its events with it."""
        store.append([NewEvent("A", {})], time=0.0, principal="", receipts=[Receipt("r", "d", b"1")])
        for receipts in ([Receipt("r", "d", b"2")], [Receipt("s", "d", b""), Receipt("s", "d", b"")]):
            with pytest.raises(InvalidInput) as caught:
                store.append([NewEvent("B", {})], time=0.0, principal="", receipts=receipts)
            assert caught.value.reason == Reason.REQUEST_ID_REUSED
        assert [r.kind for r in store.read()] == ["A"]
        assert store.receipt("r") == Receipt("r", "d", b"1")
        assert store.receipt("s") is None

    @pytest.mark.parametrize(
        ("payload", "reason", "field"),
        [
            ({"a": {"b": [1.0, float("nan")]}}, Reason.NON_FINITE, "events[1].payload.a.b[1]"),
            ({"a": float("inf")}, Reason.NON_FINITE, "events[1].payload.a"),
            ({"a": -float("inf")}, Reason.NON_FINITE, "events[1].payload.a"),
            ({"a": b"bytes"}, Reason.FIELD_INVALID, "events[1].payload"),
            ({"a": {1, 2}}, Reason.FIELD_INVALID, "events[1].payload"),
            ({1: "a", "1": "b"}, Reason.FIELD_INVALID, "events[1].payload"),
        ],
    )
    def test_bad_payloads_append_nothing(
        self, store: EventStore, payload: dict[str, Any], reason: Reason, field: str
    ) -> None:
        """Not even the good event before them, nor the receipt."""
        events = [NewEvent("A", {}), NewEvent("B", payload)]
        with pytest.raises(InvalidInput) as caught:
            store.append(events, time=0.0, principal="", receipts=[Receipt("r", "d", b"")])
        assert (caught.value.reason, caught.value.field) == (reason, field)
        assert store.head == Head()
        assert list(store.read()) == []
        assert store.receipt("r") is None

    def test_deep_and_circular_payloads_append_nothing(self, store: EventStore) -> None:
        """They could be written and then not be read."""
        deep: list[Any] = []
        for _ in range(100):
            deep = [deep]
        very_deep: list[Any] = []
        for _ in range(100_000):
            very_deep = [very_deep]
        circular: dict[str, Any] = {}
        circular["again"] = [circular, circular]
        for payload in ({"deep": deep}, {"deep": very_deep}, circular):
            with pytest.raises(InvalidInput) as caught:
                store.append([NewEvent("A", payload)], time=0.0, principal="")
            assert caught.value.reason == Reason.FIELD_INVALID
        assert store.head == Head()

    @pytest.mark.parametrize("time", [float("nan"), float("inf")])
    def test_a_time_that_is_not_finite_is_refused(self, store: EventStore, time: float) -> None:
        """It would not survive storage."""
        with pytest.raises(InvalidInput) as caught:
            store.append([NewEvent("A", {})], time=time, principal="")
        assert caught.value.reason == Reason.NON_FINITE

    def test_text_that_is_not_unicode_is_refused(self, store: EventStore) -> None:
        """In kind, principal and receipt."""
        bad = "\ud800"
        for kind, principal, request_id in ((bad, "", "r"), ("A", bad, "r"), ("A", "", bad)):
            with pytest.raises(InvalidInput) as caught:
                store.append(
                    [NewEvent(kind, {})], time=0.0, principal=principal, receipts=[Receipt(request_id, "", b"")]
                )
            assert caught.value.reason == Reason.FIELD_INVALID
        assert store.head == Head()

    def test_history_cannot_be_changed_through_a_payload(self, store: EventStore) -> None:
        """Neither that of the caller nor that of a record."""
        payload = {"x": [1]}
        [record] = store.append([NewEvent("A", payload)], time=0.0, principal="")
        payload["x"].append(2)
        record.payload["x"].append(3)
        next(store.read()).payload["x"].append(4)
        assert next(store.read()).payload == {"x": [1]}

    def test_nothing_to_append_is_nothing(self, store: EventStore) -> None:
        """No event, no receipt."""
        assert store.append([], time=0.0, principal="") == []
        assert store.head == Head()

    def test_threads_append_and_read_without_gaps(self, store: EventStore) -> None:
        """Each event once, in one chain, while others read."""
        failures: list[BaseException] = []

        def work(name: str) -> None:
            try:
                for i in range(25):
                    event = NewEvent("A", {"from": name, "i": i})
                    [record] = store.append(
                        [event], time=0.0, principal=name, receipts=[Receipt(f"{name}{i}", "", b"")]
                    )
                    seqs = [r.seq for r in store.read(max(0, record.seq - 3))]
                    assert seqs[:1] == [max(0, record.seq - 3) + 1]
                    assert store.receipt(f"{name}{i}") is not None
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        records = list(store.read())
        assert [r.seq for r in records] == list(range(1, 101))
        for name in "abcd":
            assert [r.payload["i"] for r in records if r.principal == name] == list(range(25))
        previous = ""
        for record in records:
            assert record.hash == expected_hash(previous, record)
            previous = record.hash

    def test_a_closed_store_refuses(self, store_factory: Callable[[], EventStore]) -> None:
        """Closing twice is harmless."""
        store = store_factory()
        store.append([NewEvent("A", {})], time=0.0, principal="")
        store.close()
        store.close()
        with pytest.raises(Unavailable):
            store.append([NewEvent("A", {})], time=0.0, principal="")
        with pytest.raises(Unavailable):
            list(store.read())
        with pytest.raises(Unavailable):
            store.receipt("r")
