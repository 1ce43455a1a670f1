"""One run of the quality benchmark, and the folder that remembers those that were done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.arms import arm as arm_of
from benchmarks.cases import CaseRef, budget_of
from benchmarks.recorded import OUT, ROOT
from probescout.replay.experiment import Plan
from probescout.suites.results import RunFolder
from probescout.suites.running import run_alone
from probescout.suites.sources import content_of

SOURCES = (
    "src/probescout/core",
    "src/probescout/store",
    "src/probescout/surrogates",
    "src/probescout/runtime",
    "src/probescout/replay",
    "src/probescout/suites/running.py",
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
        self._folder = RunFolder(folder)
        self.sources = digest_of_sources() if sources is None else sources

    def find(self, task: Task) -> dict[str, Any] | None:
        """Return the result of a run; None when it was not done yet."""
        return self._folder.find(task.key(self.sources))

    def keep(self, task: Task, result: dict[str, Any]) -> None:
        """Keep the result of a run."""
        self._folder.keep(task.key(self.sources), result)


def carry_out(task: Task) -> dict[str, Any]:
    """Return the result of a run: its scores, what it found after each step, and its time.

    Raises:
        ProbescoutError: As the case cannot be made or the planner refuses it.
    """
    case = task.case.make(task.seed)
    budget, n_initial = budget_of(case, task.budget)
    chosen = arm_of(task.arm)
    params = chosen.policy_params(budget - n_initial)
    plan = Plan(budget, n_initial, (task.seed,), (), chosen.policy, params)
    return {"arm": task.arm, **run_alone(case, plan, chosen.members)}
