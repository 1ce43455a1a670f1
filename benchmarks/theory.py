"""Does theory help, and does wrong theory harm? Paired campaigns over seeds, with theory of every kind and without.

`python -m benchmarks.theory [--seeds 800] [--first 0] [--atomistic 0] [--processes 2]` prints one JSON object on its
last line: of the cheap truth, and under "atomistic" of so many seeds whose theory are energies of structures found in
images. Seeds 0 to 9,999 test; those from 10,000 on were used for tuning.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

import numpy as np
from probescout_theory.xtb import Xtb

from benchmarks import theory_atomistic
from benchmarks.theory_campaign import begin, regret
from benchmarks.theory_truth import KINDS, make_truth
from probescout.core.errors import MissingExtra
from probescout.core.one_thread import ONE_THREAD
from probescout.suites.statistics import mean_interval

Row = TypeVar("Row")

HARM = 0.05
"""Upper end of the interval for theory that is wrong, as a share of the regret without theory."""


def main() -> None:
    """Run all seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=800)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--atomistic", type=int, default=0, help="seeds on the atomistic truth")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    if args.atomistic:
        try:
            Xtb().version()
        except MissingExtra as error:
            parser.error(f"{error.message}; or give --atomistic 0 for the cheap truth alone")
    started = time.perf_counter()
    seeds = range(args.first, args.first + args.seeds)
    with ProcessPoolExecutor(args.processes) as pool:
        rows = list(told(pool.map(one_seed, seeds, chunksize=4), len(seeds), "seeds", every=20))
    found = summary(rows, seeds, time.perf_counter() - started)
    if args.atomistic:
        found["atomistic"] = atomistic(range(args.first, args.first + args.atomistic), args.processes)
    print(json.dumps(found))


def atomistic(seeds: range, processes: int) -> dict[str, Any]:
    """Return what was found on the atomistic truth; energies that were calculated before an interruption are known."""
    started = time.perf_counter()
    # Processes of their own that read this when they start: two of them with a thread a core would wait for each other.
    os.environ.update(ONE_THREAD)
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        rows = list(told(pool.map(theory_atomistic.one_seed, seeds), len(seeds), "atomistic seeds", every=1))
    energies = {name: round(float(np.mean([r["energies"][name] for r in rows])), 3) for name in rows[0]["energies"]}
    return {
        **summary(rows, seeds, time.perf_counter() - started),
        "seeds": len(seeds),
        "energies": {"engine": Xtb().version(), **energies},
    }


def told(rows: Iterable[Row], n: int, what: str, *, every: int) -> Iterator[Row]:
    """Pass on the rows of n seeds as they come, and say on stderr how long the others will take."""
    started = time.perf_counter()
    for i, row in enumerate(rows, start=1):
        yield row
        if i % every == 0 or i == n:
            left = (time.perf_counter() - started) / i * (n - i)
            print(f"{i} of {n} {what}, about {left / 60:.1f} min left", file=sys.stderr, flush=True)


def one_seed(seed: int) -> dict[str, float]:
    """Return the regret without theory ("none") and with each kind of it, all from the same initial points."""
    start = begin(make_truth(np.random.default_rng([seed, 0])), seed)
    return {"none": regret(start, seed, None), **{name: regret(start, seed, kind) for name, kind in KINDS.items()}}


def summary(rows: list[dict[str, Any]], seeds: range, seconds: float) -> dict[str, Any]:
    """Return what was found; differences are relative to the mean regret without theory."""
    plain = np.array([row["none"] for row in rows])
    kinds = {}
    for name in KINDS:
        difference = (np.array([row[name] for row in rows]) - plain) / plain.mean()
        mean, lower, upper = mean_interval(difference.tolist())
        bound = 0.0 if name == "right" else HARM
        kinds[name] = {
            "mean": round(mean, 4),
            "lower95": round(lower, 4),
            "upper95": round(upper, 4),
            "bound": bound,
            "is_met": upper < bound,
            "seeds": len(rows),
        }
    return {
        "kinds": kinds,
        "regret_without_theory": round(float(plain.mean()), 4),
        "first_seed": seeds.start,
        "seconds": round(seconds, 1),
        "machine": {"cpus": os.cpu_count(), "system": f"{platform.system()} {platform.machine()}"},
    }


if __name__ == "__main__":
    main()
