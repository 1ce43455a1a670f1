"""One run of the quality benchmark, and the folder that remembers those that were done."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.arms import arm as arm_of
from benchmarks.cases import CaseRef, budget_of
from benchmarks.peers.protocol import whole
from benchmarks.recorded import OUT, ROOT, content_of
from probescout.replay.case import Case
from probescout.replay.experiment import Plan, Progress, Run, run_experiment
from probescout.replay.library_session import Library
from probescout.replay.metrics import best_curve, top_curve

SOURCES = (
    "src/probescout/core",
    "src/probescout/store",
    "src/probescout/surrogates",
    "src/probescout/runtime",
    "src/probescout/replay",
    "planners",
    "scalarizers",
    "benchmarks/arms.py",
    "benchmarks/cases.py",
    "benchmarks/outside.py",
    "benchmarks/recorded.py",
    "benchmarks/runs.py",
)
"""What a result depends on; results made from other sources are not used."""


@dataclass(frozen=True)
class Task:
    """A run to be done."""

    case: CaseRef
    arm: str
    seed: int
    budget: int
    """As asked for; a small case gets less."""

    def key(self, sources: str) -> str:
        """Return the name of its result file."""
        outside = self.case.outside
        if outside is None:
            content = [content_of(path) for path in self.case.files()]
        else:
            content = [outside.target, content_of(Path(outside.path))]
        parts = [self.case.name, self.arm, self.seed, self.budget, sources, *content]
        digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
        slug = "".join(c if c.isalnum() else "_" for c in self.case.name)[:40]
        return f"{slug}-{self.arm}-{self.seed}-{self.budget}-{digest}.json"


def digest_of_sources(sources: Sequence[str] = SOURCES) -> str:
    """Return a digest of all Python files that a result depends on."""
    found = hashlib.sha256()
    for name in sources:
        place = ROOT / name
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            found.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]


class Results:
    """A folder of result files, one for each run."""

    def __init__(self, folder: Path = OUT / "quality", sources: str | None = None) -> None:
        """Use a folder; results of other sources in it are neither read nor removed."""
        self._folder = folder
        self.sources = digest_of_sources() if sources is None else sources

    def find(self, task: Task) -> dict[str, Any] | None:
        """Return the result of a run; None when it was not done yet."""
        path = self._folder / task.key(self.sources)
        if not path.exists():
            return None
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found

    def keep(self, task: Task, result: dict[str, Any]) -> None:
        """Keep the result of a run."""
        text = json.dumps(result, sort_keys=True)
        whole(self._folder / task.key(self.sources), lambda part: part.write(text.encode()))


def carry_out(task: Task) -> dict[str, Any]:
    """Return the result of a run: its scores, what it found after each step, and its time.

    The planner runs in this process and every fit is waited for, so that nothing depends on how busy the machine is.

    Raises:
        ProbescoutError: As the case cannot be made or the planner refuses it.
    """
    case = task.case.make(task.seed)
    budget, n_initial = budget_of(case, task.budget)
    chosen = arm_of(task.arm)
    params = chosen.policy_params(budget - n_initial)
    plan = Plan(budget, n_initial, (task.seed,), (), chosen.policy, params)
    last: list[Progress] = []
    wall, cpu = time.perf_counter(), time.process_time()
    with Library() as library:
        runs = run_experiment(
            case, plan, lambda declared: library.open(replace(declared, members=chosen.members)), last.append
        ).runs
    seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "case": case.name,
        "arm": task.arm,
        "seed": task.seed,
        "budget": budget,
        "n_candidates": case.n_candidates,
        **_scores(case, runs[0]),
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "instrument_seconds": last[-1].instrument_s,
        "sources": {s: runs[0].source.count(s) for s in sorted(set(runs[0].source))},
        "load": os.getloadavg()[0],
    }


def _scores(case: Case, run: Run) -> dict[str, Any]:
    truth, candidates = case.truth.ravel(), case.candidates.ravel()
    s = run.scores
    return {
        "top1_found": s.top1_found,
        "top1_total": s.top1_total,
        "rmse": s.rmse,
        "coverage95": s.coverage95,
        "best_fraction": s.best_fraction,
        "points_to_95": s.points_to_95,
        "step_ms_p50": s.step_ms_p50,
        "n_failed": int((run.path < 0).sum()),
        "top_curve": top_curve(truth, candidates, run.path).tolist(),
        "best_curve": [round(float(v), 5) for v in np.nan_to_num(best_curve(truth, candidates, run.path), nan=-1e9)],
    }
