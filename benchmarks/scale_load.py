"""Many campaigns at once on one real server: a thread, a connection and a simulated instrument for each."""

from __future__ import annotations

import os
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from probescout_client.wire.v1 import probescout_pb2 as pb

from benchmarks.latency_client import Caller
from benchmarks.processes import children, rss_mib
from probescout.replay.server_process import Address, ServerProcess

SIZE = 32
"""Edge of the frames, pixels."""
INITIAL = 4
SAMPLE_S = 0.1
"""Between two looks at the server's processes: a worker lives longer than that."""
COMPUTE_BUDGET_S = 2.0
"""The default of the service, after which a suggestion degrades."""
MAX_DEGRADED = 0.1
"""Share of Steps that may be answered without the model before we call it broken."""


@dataclass
class Tally:
    """What the calls of all campaigns of a level came to; lists only grow, from any thread."""

    steps_s: list[float] = field(default_factory=list)
    firsts_s: list[float] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    degraded: list[str] = field(default_factory=list)
    """First reason of each degraded Step."""
    refused: list[str] = field(default_factory=list)
    """Status and words of each call that failed."""


class Watch(threading.Thread):
    """Looks at the processes of a server again and again: how many workers it starts, and how much memory they take."""

    def __init__(self, pid: int) -> None:
        """Watch a server."""
        super().__init__(daemon=True)
        self._pid = pid
        self._ended = threading.Event()
        self.workers: set[int] = set()
        """Every campaign worker that was seen."""
        self.last_workers: set[int] = set()
        """Those seen by the last look."""
        self.front_mib = self.workers_mib = self.fit_mib = 0.0
        """Largest seen; of all campaign workers together."""

    def run(self) -> None:
        """Look until stopped."""
        while not self._ended.wait(SAMPLE_S):
            sizes = {child: (role, rss_mib(child)) for child, role in children(self._pid).items()}
            self.last_workers = {child for child, (role, _) in sizes.items() if role == "campaign"}
            self.workers |= self.last_workers
            self.front_mib = max(self.front_mib, rss_mib(self._pid))
            self.workers_mib = max(self.workers_mib, sum(mib for role, mib in sizes.values() if role == "campaign"))
            self.fit_mib = max(self.fit_mib, sum(mib for role, mib in sizes.values() if role == "fit"))

    def stop(self) -> None:
        """Stop looking."""
        self._ended.set()
        self.join()


class Client(Caller):
    """A client that says what it gets."""

    def suggest(self, campaign: str) -> Any:
        """Ask for a point."""
        return self._call(self._planner.Suggest, pb.SuggestRequest(request_id=str(uuid.uuid4()), campaign=campaign))

    def step(self, request: pb.StepRequest) -> Any:
        """Hand in a measurement and ask for the next point."""
        return self._call(self._planner.Step, request)


def level(n_campaigns: int, max_workers: int, n_steps: int, dwell_s: float) -> dict[str, Any]:
    """Return the figures of so many concurrent campaigns on a fresh server.

    Args:
        n_campaigns: Concurrent campaigns.
        max_workers: Most live models, the server's --max-workers.
        n_steps: Of each campaign.
        dwell_s: What an instrument takes for a point, while it calls nobody.
    """
    tally = Tally()
    arguments = ("--max-workers", str(max_workers))
    with tempfile.TemporaryDirectory() as folder, ServerProcess(Path(folder) / "data", arguments=arguments) as server:
        watch = Watch(server.pid)
        watch.start()
        began = time.perf_counter()
        with ThreadPoolExecutor(n_campaigns) as threads:
            runs = [threads.submit(campaign, server, i, n_steps, dwell_s, tally) for i in range(n_campaigns)]
            for run in runs:
                run.result()
        seconds = time.perf_counter() - began
        watch.stop()
    return {
        "campaigns": n_campaigns,
        "max_workers": max_workers,
        "steps": len(tally.steps_s),
        "steps_per_s": round(len(tally.steps_s) / seconds, 2),
        **_percentiles("step_ms", tally.steps_s),
        **_percentiles("first_suggest_ms", tally.firsts_s),
        "sources": dict(Counter(tally.sources)),
        "degraded_share": round(len(tally.degraded) / max(1, len(tally.steps_s)), 3),
        "degraded": dict(Counter(tally.degraded).most_common(4)),
        "refused": dict(Counter(tally.refused)),
        "workers_started": len(watch.workers),
        # One spare worker is always there; every other that is gone gave its seat to another campaign.
        "evictions": max(0, len(watch.workers - watch.last_workers)),
        "front_mib": watch.front_mib,
        "workers_mib": round(watch.workers_mib, 1),
        "fit_mib": watch.fit_mib,
        "load": list(os.getloadavg()),
    }


def campaign(server: Address, number: int, n_steps: int, dwell_s: float, tally: Tally) -> None:
    """Measure n points, one after the other; a refused call is counted, and made again after another dwell."""
    # Without its own pool of connections every campaign of this process would share one socket.
    channel = grpc.insecure_channel(server.grpc, [("grpc.use_local_subchannel_pool", 1)])
    caller, instrument = Client(channel, Path(server.token_file)), threading.Event()
    name = caller.start(SIZE, f"c{number:03d}", initial=INITIAL, use_deep=False)
    reply = _timed(lambda: caller.suggest(name), tally.firsts_s, tally)
    for i in range(n_steps):
        instrument.wait(dwell_s)
        if reply is None or not reply.suggestions:
            reply = _timed(lambda: caller.suggest(name), tally.firsts_s, tally)
            continue
        request = caller.step_request(name, i, reply.suggestions[0], compute_budget_s=0.0)
        reply = _timed(lambda request=request: caller.step(request), tally.steps_s, tally)
        if reply is None or not reply.suggestions:
            continue
        source = pb.SuggestionSource.Name(reply.suggestions[0].source).removeprefix("SUGGESTION_SOURCE_").lower()
        tally.sources.append(source)
        if reply.degraded_reasons:
            tally.degraded.append(reply.degraded_reasons[0])
    channel.close()


def _timed(call: Any, times: list[float], tally: Tally) -> Any:
    """Return the reply and note how long it took; None for a refusal, which is noted."""
    began = time.perf_counter()
    try:
        reply = call()
    except grpc.RpcError as error:
        tally.refused.append(f"{error.code().name}: {error.details()}"[:160])
        return None
    times.append(time.perf_counter() - began)
    return reply


def _percentiles(name: str, seconds: Sequence[float]) -> dict[str, float | None]:
    if not seconds:
        return {f"{name}_p50": None, f"{name}_p99": None}
    return {f"{name}_p{q}": round(1e3 * float(np.percentile(seconds, q)), 1) for q in (50, 99)}


def first_break(levels: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the first level that refuses calls, plans too often without the model, or answers too late."""
    for row in levels:
        broken = []
        if row["refused"]:
            broken.append(f"{sum(row['refused'].values())} calls refused")
        if row["degraded_share"] > MAX_DEGRADED:
            broken.append(f"{100 * row['degraded_share']:.0f} % of the Steps answered without the model")
        if row["step_ms_p99"] is None or row["step_ms_p99"] > 1e3 * COMPUTE_BUDGET_S:
            broken.append(f"Step p99 {row['step_ms_p99']} ms, above the compute budget")
        if broken:
            return {"campaigns": row["campaigns"], "max_workers": row["max_workers"], "what": broken}
    return None
