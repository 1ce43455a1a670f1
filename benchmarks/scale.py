"""Loads one server with many campaigns, and its store with many observations; prints one JSON object on the last line.

`make bench-scale [CAMPAIGNS=1,5,10,25,50] [WORKERS=4,50] [STEPS=15] [OBSERVATIONS=1000000]`: every campaign is a thread
with a connection of its own that measures at a simulated instrument with a dwell; small frames and models without the
deep member. The store's figures stand beside those of the same campaigns without observations. The load average is in
every row: on a busy machine the times say little, the counts and the memory still do.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.markdown import this_machine
from benchmarks.recorded import OUT
from benchmarks.scale_load import first_break, level
from benchmarks.scale_store import measure

STORED_CAMPAIGNS = 100


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--campaigns", default="", help="concurrent campaigns, level by level [1,5,10,25,50]")
    parser.add_argument("--workers", default="", help="--max-workers of the server, each with all levels [4,50]")
    parser.add_argument("--steps", type=int, default=15, help="of each campaign")
    parser.add_argument("--dwell-s", type=float, default=1.0, help="what an instrument takes for a point")
    parser.add_argument("--observations", type=int, default=1_000_000, help=f"in {STORED_CAMPAIGNS} campaigns; 0: none")
    parser.add_argument("--processes", type=int, default=2, help="that fill the store")
    parser.add_argument("--scratch", type=Path, default=OUT / "scale", help="folder of the store; 6 GiB for a million")
    parser.add_argument("--out", type=Path, default=OUT / "scale.json", help="where the JSON is kept too")
    args = parser.parse_args(arguments)
    levels = [int(n) for n in (args.campaigns or "1,5,10,25,50").split(",") if n != "0"]
    told: dict[str, Any] = {"load": {}, "first_break": {}, "store": None, "steps": args.steps, "dwell_s": args.dwell_s}
    for workers in [int(n) for n in (args.workers or "4,50").split(",")] if levels else []:
        rows = []
        for n in levels:
            print(f"{n} campaigns, at most {workers} workers ...", file=sys.stderr, flush=True)
            rows.append(level(n, workers, args.steps, args.dwell_s))
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
        told["load"][str(workers)], told["first_break"][str(workers)] = rows, first_break(rows)
    if args.observations:
        print(f"{args.observations} observations in {STORED_CAMPAIGNS} campaigns ...", file=sys.stderr, flush=True)
        args.scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=args.scratch) as root:
            told["store"] = measure(Path(root), STORED_CAMPAIGNS, args.observations, args.processes)
    told["machine"] = {**this_machine(), "load": list(os.getloadavg())}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
