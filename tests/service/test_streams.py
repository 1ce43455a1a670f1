"""Event streams and the standard ones: they work, they are bounded, and who does not read costs little."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from probescout_client.wire.v1 import probescout_pb2 as pb

from probescout.core.events import Observed, decode, encode
from probescout.core.observations import ObservationStatus, ScoreState
from probescout.core.ports import NewEvent
from probescout.service.guard import MAX_STANDARD_STREAMS
from probescout.service.watch_servicer import BATCH_BYTES, read_batch
from probescout.store.journal import Journal
from probescout.store.memory import MemoryJournal

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


def health(server: Any, service: str = "", timeout: float = 30.0) -> Any:
    return health_pb2_grpc.HealthStub(server.channel).Watch(
        health_pb2.HealthCheckRequest(service=service), timeout=timeout
    )


def log_of(server: Any) -> str:
    return (server.data.parent / f"{server.data.name}.log").read_text()


def test_health_can_be_watched_until_the_end(make_server: Any) -> None:
    server = make_server()
    watch = health(server, "probescout.v1.PlannerService")
    assert next(watch).status == SERVING
    assert next(health(server, "none")).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    server.process.terminate()
    assert next(watch).status == NOT_SERVING
    assert server.stop() == 0
    assert "Traceback" not in log_of(server)


def test_reflection_still_streams(server: Any) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(server.channel)
    ask = reflection_pb2.ServerReflectionRequest(list_services="")
    [reply] = stub.ServerReflectionInfo(iter([ask]), metadata=server.metadata, timeout=20)
    assert "probescout.v1.PlannerService" in {s.name for s in reply.list_services_response.service}


def test_anonymous_watchers_take_no_place_of_ours(make_server: Any) -> None:
    server = make_server()
    name = server.campaign("crowd")
    crowd = [health(server) for _ in range(MAX_STANDARD_STREAMS)]
    assert all(next(w).status == SERVING for w in crowd)
    try:
        next(health(server))
        raise AssertionError("one stream too many was opened")
    except grpc.RpcError as error:
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    ask = pb.WatchEventsRequest(campaign=name)
    ours = [server.planner.WatchEvents(ask, metadata=server.metadata, timeout=30) for _ in range(40)]
    assert all(next(w).kind == "Created" for w in ours)
    for stream in crowd + ours:
        stream.cancel()
    while True:
        try:
            assert next(health(server)).status == SERVING
            break
        except grpc.RpcError as error:
            # The server learns of the cancelled ones a moment after us.
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "Traceback" not in log_of(server)


def test_a_batch_is_bounded_by_bytes_and_holds_no_raw_data() -> None:
    journal = MemoryJournal()
    text = "x" * 60_000
    journal.append([NewEvent("Observed", {"t": text}, b"r" * 60_000) for _ in range(20)], time=0.0, principal="")
    batch = read_batch(journal, 3)
    assert [e.seq for e in batch] == [4, 5, 6, 7, 8]
    assert sum(e.ByteSize() for e in batch) < BATCH_BYTES + 70_000
    journal.append([NewEvent("Created", {"t": text * 10})], time=0.0, principal="")
    assert [e.seq for e in read_batch(journal, 20)] == [21]
    assert read_batch(journal, 21) == []


def resident_mib(pid: int) -> float:
    rows = dict(r.split(":", 1) for r in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(rows["VmRSS"].split()[0]) / 1024


def fatten(directory: Path, n: int) -> None:
    """Append n measurements of 60 kB that need no scoring to the journal of a stopped server."""
    with Journal.open(directory) as journal:
        record = next(r for r in journal.read() if r.kind == "Observed")
        event = decode(record)
        assert isinstance(event, Observed) and event.observation.signal is not None
        signal = dataclasses.replace(event.observation.signal, dtype="uint8", shape=(60_000,), axes=())
        rng = np.random.default_rng(0)
        for i in range(n):
            o = dataclasses.replace(
                event.observation,
                id=f"fat{i}",
                signal=signal,
                status=ObservationStatus.FAILED,
                score_state=ScoreState.NONE,
                ordinal=i + 2,
            )
            data = rng.integers(0, 256, 60_000, dtype=np.uint8).tobytes()
            journal.append([encode(Observed(o), data)], time=1.0, principal="p")


def test_watchers_that_never_read_cost_little(make_server: Any, wire: Any) -> None:
    server = make_server("slow")
    name = server.campaign("slow")
    o = wire.observation(name, "o1", (0.5, 0.5))
    server.call("Tell", pb.TellRequest(request_id=wire.new_id(), campaign=name, observation=o))
    assert server.stop() == 0
    fatten(server.data / "campaigns" / "slow", 700)
    server = make_server("slow")
    ask = pb.WatchEventsRequest(campaign=name)
    last = server.call("GetCampaign", pb.GetCampaignRequest(name=name)).version.event_seq
    assert last > 700
    for event in server.planner.WatchEvents(ask, metadata=server.metadata, timeout=60):
        if event.seq == last:
            break
    before = resident_mib(server.process.pid)
    silent = [server.planner.WatchEvents(ask, metadata=server.metadata, timeout=60) for _ in range(20)]
    assert all(next(w).seq == 1 for w in silent)
    for _ in range(20):
        server.call("GetCampaign", pb.GetCampaignRequest(name=name))
    grown = resident_mib(server.process.pid) - before
    assert grown < 25, f"20 silent watchers cost {grown:.0f} MiB"
    for stream in silent:
        stream.cancel()
    assert server.stop() == 0
    assert "Traceback" not in log_of(server) and "ExecuteBatchError" not in log_of(server)
