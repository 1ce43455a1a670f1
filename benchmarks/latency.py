"""Times the measuring loop of a real server over gRPC, and prints one JSON object on the last line.

`make bench-latency [SIZES=64,256,1024] [OBSERVATIONS=200] [DWELL=0.03] [PEERS=none]`: durable Steps (tell and suggest
in one round trip, two synced commits) on square frames with a 1,024-channel count spectrum at every point, with and
without a fit beside them; health checks meanwhile; memory by process; growth with candidates and observations; and one
step of AtomAI's recipe on the same case. Times are client-side wall times on loopback.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from benchmarks.latency_client import WARM_UP, Caller, HealthWatch, Step
from benchmarks.latency_figures import exponent, figures, growth_in_observations
from benchmarks.markdown import this_machine
from benchmarks.peers.stopwatch import PEER_SIZE, time_atomai
from benchmarks.processes import FitClock, resident_mib
from benchmarks.recorded import OUT
from probescout.replay.server_process import ServerProcess

GROWTH_SIZE = 128


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="", help="edges of the square frames, pixels [64,128,256,1024]")
    parser.add_argument("--observations", type=int, default=200)
    parser.add_argument("--dwell", type=float, default=0.0, help="seconds that the instrument takes for a point")
    parser.add_argument("--growth", type=int, default=500, help="observations of the long run; 0: none")
    parser.add_argument("--peers", default="", help="none: without AtomAI")
    parser.add_argument("--out", type=Path, default=OUT / "latency.json", help="where the JSON is kept too")
    args = parser.parse_args(arguments)
    sizes = [int(s) for s in (args.sizes or "64,128,256,1024").split(",")]
    if args.observations <= WARM_UP:
        parser.error(f"--observations is {args.observations}; the first {WARM_UP} are left out, so give more")
    result: dict[str, Any] = {"latency": {}, "atomai_ratio": None, "rss_mib": {}}
    for size in sizes:
        _, row = campaign(size, args.observations, args.dwell)
        result["rss_mib"][str(size * size)] = row.pop("rss_mib")
        result["latency"][str(size * size)] = row
    result["growth"] = growth(result["latency"], args.growth)
    if args.peers != "none":
        result["atomai"] = compare_atomai(result["latency"], args.observations)
        result["atomai_ratio"] = result["atomai"].get("ratio")
    result["observations"] = args.observations
    result["dwell_s"] = args.dwell
    result["machine"] = this_machine()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result), flush=True)


def campaign(size: int, n: int, dwell_s: float = 0.0) -> tuple[list[Step], dict[str, Any]]:
    """Return all Steps of one campaign on a size x size frame, and its figures."""
    print(f"{size} x {size} candidates, {n} observations ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder, ServerProcess(Path(folder) / "data") as server:
        channel = grpc.insecure_channel(server.grpc, [("grpc.max_receive_message_length", -1)])
        caller = Caller(channel, Path(server.token_file))
        name = caller.start(size)
        health = HealthWatch(channel)
        health.start()
        try:
            steps, first_s = caller.loop(name, n, FitClock(server.pid), dwell_s)
        finally:
            health.stop()
        row = {
            **figures(steps),
            "first_suggest_ms": round(1e3 * first_s, 2),
            "health_ms_p99": round(float(np.percentile(1e3 * np.array(health.times or [np.nan]), 99)), 2),
            "fits": caller.n_fits(name),
            "load": os.getloadavg()[0],
            "rss_mib": resident_mib(server.pid),
        }
        channel.close()
    return steps, row


def growth(latency: dict[str, Any], n: int) -> dict[str, Any]:
    """Return how the median Step time less commits grows with candidates, and with observations in a long run."""
    candidates = sorted(int(c) for c in latency)
    times = [latency[str(c)]["step_less_commit_ms_p50"] for c in candidates]
    told: dict[str, Any] = {
        "candidates": {
            "candidates": candidates,
            "step_less_commit_ms": times,
            "exponent": exponent([float(c) for c in candidates], times),
        },
        "observations": None,
    }
    if n > WARM_UP:
        steps, _ = campaign(GROWTH_SIZE, n)
        told["observations"] = {"candidates": GROWTH_SIZE**2, **growth_in_observations(steps)}
    return told


def compare_atomai(latency: dict[str, Any], n: int) -> dict[str, Any]:
    """Return the seconds of one step of AtomAI on the frame of our smallest case, and how many times ours that is."""
    key = str(PEER_SIZE**2)
    if key not in latency:
        return {"error": f"no {PEER_SIZE} x {PEER_SIZE} frame was timed; add {PEER_SIZE} to SIZES"}
    print(f"AtomAI on {PEER_SIZE} x {PEER_SIZE} candidates ...", file=sys.stderr, flush=True)
    told = time_atomai((WARM_UP + n) // 2)
    if "step_s" in told:
        told["ratio"] = round(1e3 * told["step_s"] / latency[key]["step_ms_p50"], 1)
    return told


if __name__ == "__main__":
    main()
