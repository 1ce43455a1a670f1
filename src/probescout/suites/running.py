"""One run: a case, planned once by one arm, in this process."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np

from probescout.core.errors import Reason, Unavailable
from probescout.replay.case import Case, recorded_case, twin_case
from probescout.replay.experiment import Plan, Progress, Run, run_experiment
from probescout.replay.library_session import Library
from probescout.replay.metrics import best_curve, top_curve
from probescout.suites.sources import digest_of_code


@dataclass(frozen=True)
class CaseSource:
    """Where a case comes from, to be made where it is run."""

    name: str
    path: str = ""
    """Recording in the neutral format; empty: the scene."""
    scalarizer: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    target: str = ""
    scene: str = ""
    size: int = 0
    scene_seed: int = 0

    def make(self) -> Case:
        """Return the case.

        Raises:
            ProbescoutError: As its file, its scalarizer or its parameters cannot be used.
        """
        if self.scene:
            return replace(twin_case(self.scene, size=self.size, scene_seed=self.scene_seed), name=self.name)
        made = recorded_case(
            self.path, scalarizer=self.scalarizer or None, params=self.params, target=self.target or None
        )
        return replace(made, name=self.name)


@dataclass(frozen=True)
class Task:
    """A run to be done."""

    key: str
    """Name of its result file: changes with everything that the result depends on."""
    case: CaseSource
    arm: str
    policy: str
    params: Mapping[str, Any]
    members: tuple[str, ...]
    use_deep: bool
    seed: int
    budget: int
    n_initial: int
    code: str
    """Digest of the sources that the key stands for."""
    modules: tuple[str, ...]
    """What the digest was made of."""

    @property
    def label(self) -> str:
        """What a person calls it."""
        return f"{self.case.name} {self.arm} seed {self.seed}"


def carry_out(task: Task) -> dict[str, Any]:
    """Return the result of a run: its scores, what it found after each step, and its time.

    Raises:
        Unavailable: WORKER_UNAVAILABLE when this process has other sources than the one that planned the suite.
        ProbescoutError: As the case cannot be made or the planner refuses it.
    """
    here = digest_of_code(task.modules)
    if here != task.code:
        raise Unavailable(
            Reason.WORKER_UNAVAILABLE,
            f"this worker has other sources ({here}) than the command ({task.code}); install the same version on both",
        )
    case = _case(json.dumps(asdict(task.case), sort_keys=True))
    params = dict(task.params)
    if task.policy == "grid":
        params["budget"] = max(1, task.budget - task.n_initial)
    plan = Plan(task.budget, task.n_initial, (task.seed,), (), task.policy, params, use_deep=task.use_deep)
    return {"arm": task.arm, **run_alone(case, plan, task.members)}


def run_alone(case: Case, plan: Plan, members: tuple[str, ...]) -> dict[str, Any]:
    """Return what a plan of one seed and no baselines found on a case.

    The planner runs in this process and every fit is waited for, so that nothing depends on how busy the machine is.

    Args:
        case: What is planned.
        plan: How.
        members: Fixed members that make up the model; none: the committee.

    Raises:
        ProbescoutError: As the planner refuses it.
    """
    last: list[Progress] = []
    wall, cpu = time.perf_counter(), time.process_time()
    with Library() as library:
        [run] = run_experiment(
            case, plan, lambda declared: library.open(replace(declared, members=members)), last.append
        ).runs
    seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "case": case.name,
        "seed": run.seed,
        "budget": plan.budget,
        "n_candidates": case.n_candidates,
        **_scores(case, run),
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "instrument_seconds": last[-1].instrument_s,
        "sources": {s: run.source.count(s) for s in sorted(set(run.source))},
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


# A worker goes through the runs of one case after the other, and a cube may take 100 MiB: one is kept.
@lru_cache(maxsize=1)
def _case(declared: str) -> Case:
    return CaseSource(**json.loads(declared)).make()
