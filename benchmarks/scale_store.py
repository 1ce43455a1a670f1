"""What a data directory of many campaigns and observations costs, against one with the same campaigns and none."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from probescout_client.wire.v1 import probescout_pb2 as pb
from probescout_client.wire.v1 import probescout_pb2_grpc as rpc

from benchmarks.processes import resident_mib
from probescout.core.candidates import CandidateSet
from probescout.core.clock import SystemClock
from probescout.core.events import Control, Controlled, Created, FrameAdded, Leased, Observed, Scored, encode
from probescout.core.observations import AxisRecord, Observation, SignalRecord
from probescout.core.ports import NewEvent, Receipt
from probescout.core.specs import CampaignSpec, PluginSpec
from probescout.core.spectra import Spectrum, ValueKind
from probescout.core.suggestions import Source, Suggestion
from probescout.replay.server_process import ServerProcess
from probescout.runtime.ledger import Ledger
from probescout.store.blobs import Blobs
from probescout.store.journal import Journal
from probescout.suites.working import Failure, Processes, outcomes

EDGE = 128
"""Of the frame, pixels: room for so many observations squared."""
N_CHANNELS = 64
BATCH = 500
"""Observations in one commit while filling; a microscope commits each by itself."""
N_TIMED = 30
PAGE = 100
START_PATIENCE_S = 3600.0


@dataclass(frozen=True)
class Filling:
    """A campaign to be written."""

    directory: str
    n: int
    """Observations."""
    seed: int


def measure(root: Path, n_campaigns: int, n_observations: int, n_processes: int) -> dict[str, Any]:
    """Return the figures of a full and of an empty directory, and their ratios.

    Args:
        root: Scratch folder.
        n_campaigns: Campaigns in either directory.
        n_observations: All together, in the full one.
        n_processes: That fill it.

    Raises:
        RuntimeError: A campaign could not be written.
    """
    each = n_observations // n_campaigns
    began = time.perf_counter()
    for name, n in (("empty", 0), ("full", each)):
        tasks = [Filling(str(root / name / "campaigns" / f"c{i:03d}"), n, i) for i in range(n_campaigns)]
        for task, result in outcomes(tasks, fill, Processes(n_processes)):
            if isinstance(result, Failure):
                raise RuntimeError(f"{task.directory}: {result.what}")
    filling_s = time.perf_counter() - began
    empty, full = (_figures(root / name) for name in ("empty", "full"))
    return {
        "campaigns": n_campaigns,
        "observations": each * n_campaigns,
        "events": (2 + 3 * each) * n_campaigns,
        "signal_bytes": 2 * N_CHANNELS,
        "filling_s": round(filling_s, 1),
        "empty": empty,
        "full": full,
        "ratio": {k: round(full[k] / empty[k], 2) for k in full if isinstance(full[k], int | float) and empty[k]},
    }


def fill(task: Filling) -> int:
    """Write one campaign as the service would have, with BATCH observations a commit; return its events."""
    directory = Path(task.directory)
    store, blobs = Journal.open(directory), Blobs.open(directory, max_blob_bytes=1 << 30)
    rng, clock = np.random.default_rng(task.seed), SystemClock()
    try:
        spec = CampaignSpec(
            scalarizer=PluginSpec("band_sum", {"low": 10.0, "high": 20.0}), policy=PluginSpec("expected_improvement")
        )
        record, data = SignalRecord.of(Spectrum(rng.normal(size=(EDGE, EDGE)).astype(np.float32), ("y", "x")))
        image = replace(record, blob=blobs.put(data).digest)
        frame = FrameAdded("f1", clock.now(), image=image, height=EDGE, width=EDGE, n_candidates=EDGE * EDGE)
        first = [Created(directory.name, spec, clock.now()), frame]
        store.append([encode(e) for e in first], time=clock.now(), principal="bench")
        positions = CandidateSet.pixels(EDGE, EDGE).positions()
        order = rng.permutation(EDGE * EDGE)[: task.n]
        made = _templates(clock.now())
        counts = rng.poisson(20.0, (task.n, N_CHANNELS)).astype(np.uint16)
        for start in range(0, task.n, BATCH):
            events: list[NewEvent] = []
            receipts: list[Receipt] = []
            for i in range(start, min(start + BATCH, task.n)):
                events += _observation(i, int(order[i]), *positions[order[i]], counts[i], made)
                receipts += _receipts(i, rng)
            store.append(events, time=clock.now(), principal="bench", receipts=receipts)
        return store.head.seq
    finally:
        store.close()


def _templates(now: float) -> tuple[NewEvent, NewEvent, NewEvent]:
    """Return the three events of a Step, encoded once: a million times the same fields need no encoder."""
    lease = Suggestion(
        "", "f1", 0.0, 0.0, 0, "", 120.0, Source.PLANNER, "bench", mean=200.0, std=5.0, predictive_std=15.0,
        acquisition=0.1, exploit=0.05, explore=0.05, novelty=0.3, policy="expected_improvement",
    )  # fmt: skip
    axis = AxisRecord("channel", "energy", "eV", N_CHANNELS, 0.0, 1.0)
    signal = SignalRecord("uint16", (N_CHANNELS,), ("channel",), "counts", ValueKind.COUNTS, (axis,))
    seen = Observation("", "f1", 0.0, 0.0, signal=signal, client_id="bench", received_time=now)
    return encode(Leased((lease,))), encode(Observed(seen)), encode(Scored("", 0.0, 0.0, "counts", "band_sum"))


def _observation(
    i: int, candidate: int, y: float, x: float, counts: NDArray[np.uint16], made: tuple[NewEvent, NewEvent, NewEvent]
) -> list[NewEvent]:
    """Return the events of observation i with its spectrum (channel,), counts."""
    lease, seen, scored = (event.payload for event in made)
    at = {"y": float(y), "x": float(x), "candidate": candidate, "ordinal": i + 1}
    [first] = lease["suggestions"]
    one = {**first, **at, "id": f"s{i + 1}", "token": f"{i:016x}"}
    other = {**seen["observation"], **at, "id": f"o{i}", "suggestion": f"s{i + 1}"}
    total = float(counts[10:21].sum())
    return [
        replace(made[0], payload={**lease, "suggestions": [one]}),
        replace(made[1], payload={**seen, "observation": other}, data=counts.tobytes()),
        replace(made[2], payload={**scored, "observation": f"o{i}", "value": total, "variance": total}),
    ]


def _receipts(i: int, rng: np.random.Generator) -> list[Receipt]:
    """Return the two receipts of a Step: of its measurement and of its next suggestion."""
    request = str(uuid.UUID(bytes=rng.bytes(16)))
    digest = hashlib.sha256(request.encode()).hexdigest()
    facts = f'{{"data_version": {i}, "model_version": 0, "observation": "o{i}", "seq": {3 * i}}}'.encode()
    return [Receipt(f"{request}/{part}", digest, facts) for part in ("tell", "suggest")]


def _figures(data: Path) -> dict[str, Any]:
    """Return what a data directory costs; times in ms unless they say otherwise."""
    campaign = sorted((data / "campaigns").iterdir())[0]
    told: dict[str, Any] = {
        "disk_mib": round(sum(p.stat().st_size for p in data.rglob("*") if p.is_file()) / 2**20, 1),
        "replay_one_s": round(_replay(campaign), 3),
        **_append(campaign),
    }
    began = time.perf_counter()
    with ServerProcess(data, patience_s=START_PATIENCE_S) as server:
        told["start_s"] = round(time.perf_counter() - began, 2)
        told["front_mib"] = resident_mib(server.pid)["front"]
        with grpc.insecure_channel(server.grpc) as channel:
            told |= _calls(channel, Path(server.token_file), campaign.name)
        began = time.perf_counter()
    told["stop_s"] = round(time.perf_counter() - began, 2)
    told["load"] = list(os.getloadavg())
    return told


def _replay(campaign: Path) -> float:
    """Return the seconds of opening one journal, which checks all of it, and folding its events."""
    began = time.perf_counter()
    Ledger.recover(Journal.open(campaign), Blobs.open(campaign, max_blob_bytes=1 << 30), SystemClock()).close()
    return time.perf_counter() - began


def _append(campaign: Path) -> dict[str, float]:
    """Return percentiles of one synced commit of one event."""
    times = []
    with Journal.open(campaign) as store:
        for i in range(2 * N_TIMED):
            event = encode(Controlled(Control.RESUME if i % 2 else Control.PAUSE, "bench"))
            began = time.perf_counter()
            store.append([event], time=SystemClock().now(), principal="bench")
            times.append(1e3 * (time.perf_counter() - began))
    return {f"append_ms_p{q}": round(float(np.percentile(times, q)), 2) for q in (50, 99)}


def _calls(channel: grpc.Channel, token_file: Path, campaign: str) -> dict[str, float]:
    metadata = (("authorization", f"Bearer {token_file.read_text(encoding='utf-8').split()[0]}"),)
    planner = rpc.PlannerServiceStub(channel)
    name = f"campaigns/{campaign}"
    head = planner.GetCampaign(pb.GetCampaignRequest(name=name), metadata=metadata).version.event_seq

    def events() -> None:
        watch = pb.WatchEventsRequest(campaign=name, after_seq=max(0, head - PAGE))
        stream = planner.WatchEvents(watch, metadata=metadata)
        for _ in range(min(PAGE, head)):
            next(stream)
        stream.cancel()

    def observations() -> None:
        # The token is the number of rows before the page; the last page is the one that a viewer asks for.
        last = pb.ListObservationsRequest(campaign=name, page_size=PAGE, page_token=str(max(0, head // 3 - PAGE)))
        planner.ListObservations(last, metadata=metadata)

    timed: dict[str, Callable[[], Any]] = {
        "list_campaigns_ms": lambda: planner.ListCampaigns(pb.ListCampaignsRequest(page_size=1000), metadata=metadata),
        "get_campaign_ms": lambda: planner.GetCampaign(pb.GetCampaignRequest(name=name), metadata=metadata),
        "events_page_ms": events,
        "observations_page_ms": observations,
    }
    return {label: round(float(np.median(list(_times(call)))), 2) for label, call in timed.items()}


def _times(call: Callable[[], Any]) -> Iterator[float]:
    for _ in range(N_TIMED):
        began = time.perf_counter()
        call()
        yield 1e3 * (time.perf_counter() - began)
