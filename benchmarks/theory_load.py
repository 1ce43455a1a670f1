"""Can theory slow the planner down? Steps and Suggests beside hanging, crashing and flooding executors, and without.

`make bench-theory-load [ROUNDS=4] [BLOCKS=5]` prints one JSON object on its last line. Each round is a fresh server
with one campaign an arm, all measuring the same sample; their calls are interleaved in blocks, in an order that
rotates. The executors of an arm work during its blocks alone, and everything is idle before a block begins: without
theory is without its load too. A model that listens to simulations has twice the members and takes longer, which is no
fault of executors: the arm "heard" is a campaign of its own that was flooded once, before its first block, and asks for
nothing afterwards; "theory" tells how many results each knows and how much it listens. Times are client-side wall times
on loopback.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from probescout_client.wire.v1 import probescout_pb2 as pb

from benchmarks.bad_executors import ENGINE, N_THREADS, NICENESS, BadProcess
from benchmarks.latency_client import COMPUTE_BUDGET_S, WARM_UP, Caller
from benchmarks.markdown import this_machine
from benchmarks.processes import ServerClock
from benchmarks.recorded import OUT
from benchmarks.theory_load_figures import BOUNDS, HEARD, NONE, Timed, arm_figures, is_met, ratios
from probescout.replay.server_process import ServerProcess

SIZE = 64
PER_BLOCK = 20
ARMS = (NONE, HEARD, *N_THREADS)
FLOODING = "flooding"
THEORY = pb.TheorySpec(
    engine=ENGINE,
    settings_json='{"act": "behave"}',
    quantity="energy",
    window_m=2e-9,
    deadline_s=2.0,
    max_attempts=3,
    max_running=16,
)
"""The deadline is short so that what hangs in the service's own executor ends soon after a block."""
ALONE = pb.TheorySpec(is_automatic_disabled=True)
ALONE.MergeFrom(THEORY)


class Arm:
    """One campaign that measures, and what disturbs it."""

    def __init__(
        self, name: str, address: str, token_file: str, channel: grpc.Channel, stack: ExitStack, warm_up: int
    ) -> None:
        """Create the campaign and measure the warm-up."""
        self.name = name
        self.calls: list[Timed] = []
        self.load: Counter[str] = Counter()
        self._caller = Disturbed(channel, Path(token_file))
        theory = {NONE: None, HEARD: ALONE}.get(name, THEORY)
        self._campaign = self._caller.start(SIZE, f"with-{name}", theory)
        self.influence = pb.TheoryInfluence()
        """Of the last Step."""
        self._bad = None
        if name != NONE:
            kind = FLOODING if name == HEARD else name
            self._bad = stack.enter_context(BadProcess(kind, address, token_file, self._campaign))
        self._next = self._caller.suggest(self._campaign)[0].suggestions[0]
        self._n = 0
        for _ in range(warm_up):
            self._step(0)
        if name == HEARD and self._bad is not None:
            self._bad.go()
            self._bad.rest()
            self._bad = None

    def block(self, number: int, n: int) -> None:
        """Time n Steps and n Suggests."""
        if self._bad is not None:
            self._bad.go()
        for _ in range(n):
            self.calls.append(self._step(number))
            reply, seconds = self._caller.suggest(self._campaign)
            self.calls.append(_timed("suggest", number, reply, seconds))
            self._caller.release(self._campaign, reply.suggestions[0])
        if self._bad is not None:
            self.load.update(self._bad.rest())

    def _step(self, number: int) -> Timed:
        reply, seconds = self._caller.step(self._campaign, self._n, self._next)
        self._n += 1
        self._next, self.influence = reply.suggestions[0], reply.theory
        return _timed("step", number, reply, seconds)


class Disturbed(Caller):
    """A client that makes its calls one by one."""

    def suggest(self, campaign: str) -> tuple[Any, float]:
        """Ask for one suggestion; return the reply and the seconds that it took."""
        request = pb.SuggestRequest(request_id=str(uuid.uuid4()), campaign=campaign, compute_budget_s=COMPUTE_BUDGET_S)
        return self._time(self._planner.Suggest, request)

    def step(self, campaign: str, i: int, suggestion: Any) -> tuple[Any, float]:
        """Measure a suggestion and ask for the next; return the reply and the seconds that it took."""
        return self._time(self._planner.Step, self.step_request(campaign, i, suggestion))

    def release(self, campaign: str, suggestion: Any) -> None:
        """Give a suggestion back."""
        request = pb.ReleaseSuggestionsRequest(
            request_id=str(uuid.uuid4()),
            campaign=campaign,
            names=[suggestion.name],
            lease_tokens=[suggestion.lease_token],
        )
        self._call(self._planner.ReleaseSuggestions, request)

    def _time(self, method: Any, request: Any) -> tuple[Any, float]:
        began = time.perf_counter()
        reply = self._call(method, request)
        return reply, time.perf_counter() - began


def _timed(call: str, number: int, reply: Any, seconds: float) -> Timed:
    return Timed(call, number, seconds, reply.timing.commit_s, bool(reply.degraded_reasons))


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4, help="servers, one after the other")
    parser.add_argument("--blocks", type=int, default=5, help=f"of {PER_BLOCK} Steps an arm, in each round")
    parser.add_argument("--steps", type=int, default=PER_BLOCK, help="of a block")
    parser.add_argument("--arms", default=",".join(ARMS), help="those to run, the first of them none")
    parser.add_argument("--warm-up", type=int, default=WARM_UP, help="Steps of each campaign before the first block")
    parser.add_argument("--out", type=Path, default=OUT / "theory_load.json", help="where the JSON is kept too")
    args = parser.parse_args(arguments)
    began = time.perf_counter()
    names = args.arms.split(",")
    if names[0] != NONE or not set(names) <= set(ARMS):
        parser.error(f"--arms is {args.arms}; give {NONE} and then some of {', '.join(ARMS[1:])}")
    calls: dict[str, list[Timed]] = {name: [] for name in names}
    load: dict[str, Counter[str]] = {name: Counter() for name in names if name in N_THREADS}
    heard: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for number in range(args.rounds):
        for arm in one_round(names, number, args):
            calls[arm.name] += arm.calls
            told_of = arm.influence
            heard[arm.name].append({"n_results": int(told_of.n_results), "weight": round(told_of.weight, 3)})
            if arm.name in load:
                load[arm.name].update(arm.load)
    told = summary(calls)
    told["theory"] = heard
    told["load"] = {arm: dict(done) for arm, done in load.items()}
    told |= {"niceness_of_load": NICENESS, "seconds": round(time.perf_counter() - began, 1)}
    told["machine"] = this_machine() | {"load_average": round(os.getloadavg()[0], 2)}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(told), flush=True)


def summary(calls: dict[str, list[Timed]]) -> dict[str, Any]:
    """Return the figures of all arms, their ratios to "none", and whether those of executors are within their bounds.

    "flooding_over_heard" are the ratios of a flooded campaign to one that was flooded before.
    """
    steps, suggests = (ratios(calls, call, np.random.default_rng(0)) for call in ("step", "suggest"))
    pair = {arm: calls[arm] for arm in (HEARD, FLOODING) if arm in calls}
    alone = {
        call: ratios(pair, call, np.random.default_rng(0), HEARD)[FLOODING]
        for call in ("step", "suggest")
        if len(pair) == 2
    }
    return {
        "arms": {arm: arm_figures(own) for arm, own in calls.items()},
        "ratios": steps,
        "suggest_ratios": suggests,
        "bounds": BOUNDS,
        "is_met": is_met(_of_executors(steps)) and is_met(_of_executors(suggests)),
        "flooding_over_heard": alone,
        "is_met_over_heard": is_met(alone) if alone else None,
    }


def _of_executors(told: dict[str, Any]) -> dict[str, Any]:
    return {arm: row for arm, row in told.items() if arm in N_THREADS}


def one_round(names: Sequence[str], number: int, args: argparse.Namespace) -> list[Arm]:
    """Return the arms after so many interleaved blocks on a fresh server."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="probescout-load-")))
        server = stack.enter_context(ServerProcess(folder / "data", environment=installed_engine(folder / "engines")))
        channel = stack.enter_context(grpc.insecure_channel(server.grpc))
        clock = ServerClock(server.pid)
        arms = [Arm(name, server.grpc, server.token_file, channel, stack, args.warm_up) for name in names]
        for i in range(args.blocks):
            block = number * args.blocks + i
            for j in range(len(arms)):
                arm = arms[(block + j) % len(arms)]
                if not clock.wait_idle():
                    print(f"the server was not idle before the block of {arm.name}", file=sys.stderr, flush=True)
                arm.block(block, args.steps)
                _progress(number, i, arm)
    return arms


def _progress(number: int, block: int, arm: Arm) -> None:
    last = [1e3 * c.seconds for c in arm.calls if c.call == "step" and c.block == arm.calls[-1].block]
    words = f"round {number + 1}, block {block + 1}, {arm.name}: median Step {np.median(last):.1f} ms"
    print(f"{words}, {dict(arm.load)}", file=sys.stderr, flush=True)


def installed_engine(folder: Path) -> dict[str, str]:
    """Install the engine that misbehaves in a folder; return the environment in which a server has it."""
    info = folder / "misbehaving_engine-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: misbehaving-engine\nVersion: 1.0\n", encoding="utf-8")
    line = f"{ENGINE} = probescout.testing.bad_engines:Misbehaving\n"
    (info / "entry_points.txt").write_text(f"[probescout.theory]\n{line}", encoding="utf-8")
    others = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": f"{folder}{os.pathsep}{others}" if others else str(folder)}


if __name__ == "__main__":
    main()
