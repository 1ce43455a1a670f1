"""Plans every case by every arm, again and again, and prints one JSON object on the last line.

`make bench-quality [ARMS=random,probescout_ei] [SEEDS=3] [BUDGET=50] [CASES=DIR] [PEERS=none] [PROCESSES=2]`. Runs that
were done from the same sources are not done again, so that an interrupted benchmark goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.arms import CONTROL_ARMS, choose_arms
from benchmarks.cases import PEER_CASES, CaseRef, choose_cases, standard_cases
from benchmarks.gather import summary
from benchmarks.markdown import this_machine
from benchmarks.peers.results import peer_seeds
from benchmarks.recorded import OUT
from benchmarks.runs import Results, Task, carry_out
from probescout.core.errors import InvalidInput, ProbescoutError, Reason
from probescout.suites.working import Failure, Processes, outcomes

FIRST_SEED = 20
"""Seeds below took part in choosing the recipe."""
N_SEEDS = 10
BUDGET = 110


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arms", default="", help="names with commas between")
    parser.add_argument("--seeds", default="", help=f"how many, from {FIRST_SEED} on; or 3,7,8; or 20-29")
    parser.add_argument("--budget", default="", help=f"points of a run [{BUDGET}]")
    parser.add_argument("--cases", default="", help="a folder of neutral-format files, or names with commas between")
    parser.add_argument("--peers", default="", help="none: without the results of the peers")
    parser.add_argument("--processes", type=int, default=2, help="runs at a time")
    parser.add_argument("--results", type=Path, default=OUT / "quality", help="folder of finished runs")
    parser.add_argument("--out", type=Path, default=OUT / "quality.json", help="where the JSON is kept too")
    args = parser.parse_args(arguments)
    try:
        seeds = parse_seeds(args.seeds)
        tasks = plan_tasks(args.arms, seeds, args.budget, args.cases, with_peers=args.peers != "none")
        if not args.cases:
            for name, why in standard_cases()[1].items():
                print(f"{name} is left out: {why}", file=sys.stderr)
        results = Results(args.results)
        failures = run_all(tasks, results, max(1, args.processes))
    except ProbescoutError as error:
        sys.exit(f"error: {error}")
    told = summary(tasks, results, failures, seeds, with_peers=args.peers != "none")
    told["left_out"] = {} if args.cases else standard_cases()[1]
    told["machine"] = this_machine()
    if results.sources != Results(args.results).sources:
        print("warning: the sources changed while the benchmark ran; its results are mixed", file=sys.stderr)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    for rows in (*told["cases"].values(), *told["controls"].values(), *(told["peers"] or {}).get("cases", {}).values()):
        for row in rows.values():
            # The curves are for the plots; they would be most of the line.
            row.pop("top_curve_mean", None)
    print(json.dumps(told), flush=True)
    sys.exit(1 if failures else 0)


def plan_tasks(arms: str, seeds: list[int], budget: str, cases: str, *, with_peers: bool) -> list[Task]:
    """Return the runs that are asked for, case by case.

    With the peers, their cases are run on their seeds too.

    Raises:
        InvalidInput: As an arm, a case or the budget is not understood.
        MissingExtra: When a file needs a package that is not installed.
    """
    chosen, n = choose_arms(arms), parse_budget(budget)
    tasks = []
    for case in choose_cases(cases):
        names = [a for a in chosen if a in CONTROL_ARMS] if case.is_control else chosen
        shared = peer_seeds(case.name, n) if with_peers and _is_ours(case) else []
        tasks += [Task(case, arm, seed, n) for seed in dict.fromkeys([*seeds, *shared]) for arm in names]
    return tasks


def _is_ours(case: CaseRef) -> bool:
    return case.outside is None and case.name in PEER_CASES


def parse_budget(text: str) -> int:
    """Return the points of a run.

    Raises:
        InvalidInput: FIELD_INVALID.
    """
    if not text:
        return BUDGET
    if not text.isdigit() or int(text) < 2:
        raise InvalidInput(
            Reason.FIELD_INVALID, f"BUDGET is '{text}'; give a whole number of points, 2 or more", field="BUDGET"
        )
    return int(text)


def parse_seeds(text: str) -> list[int]:
    """Return the seeds: of "3" three from FIRST_SEED on, of "4,7" these, of "20-29" ten.

    Raises:
        InvalidInput: FIELD_INVALID.
    """
    try:
        if "," in text:
            found = [int(part) for part in text.split(",") if part.strip()]
        elif "-" in text:
            first, last = (int(part) for part in text.split("-"))
            found = list(range(first, last + 1))
        else:
            found = list(range(FIRST_SEED, FIRST_SEED + int(text or N_SEEDS)))
    except ValueError:
        found = []
    if not found or min(found) < 0:
        raise InvalidInput(
            Reason.FIELD_INVALID, f"SEEDS is '{text}'; give how many, or 4,7, or 20-29, none negative", field="SEEDS"
        )
    return list(dict.fromkeys(found))


def run_all(tasks: list[Task], results: Results, n_processes: int) -> list[dict[str, Any]]:
    """Do every run that has no result yet; return those that failed."""
    missing = [task for task in tasks if results.find(task) is None]
    print(f"{len(tasks)} runs, {len(missing)} of them to be done", file=sys.stderr, flush=True)
    failures: list[dict[str, Any]] = []
    if not missing:
        return failures
    began = time.monotonic()
    workers = Processes(min(n_processes, len(missing)))
    with closing(outcomes(missing, carry_out, workers)) as ended:
        for n_done, (task, result) in enumerate(ended, start=1):
            label = f"{task.case.name} {task.arm} seed {task.seed}"
            if isinstance(result, Failure):
                # One run that fails must not cost the hours of the others; it is shown, and the exit status is 1.
                failures.append({"case": task.case.name, "arm": task.arm, "seed": task.seed, "error": result.what})
                print(f"{label} failed: {result.what}", file=sys.stderr, flush=True)
                continue
            results.keep(task, result)
            left_s = (time.monotonic() - began) / n_done * (len(missing) - n_done)
            found = f"{result['top1_found']}/{result['top1_total']} rmse {result['rmse']:.3f}"
            done = f"[{n_done}/{len(missing)}, {left_s / 60.0:.0f} min left]"
            print(f"{done} {label}: {found}, {result['seconds']:.1f} s", file=sys.stderr, flush=True)
    return failures


if __name__ == "__main__":
    main()
