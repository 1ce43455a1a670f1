"""Runs what a suite still lacks, keeps every result as it comes, and compares them all."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from probescout.suites import report
from probescout.suites.gathering import summary
from probescout.suites.planning import tasks_of
from probescout.suites.results import RunFolder
from probescout.suites.running import Task, carry_out
from probescout.suites.spec import SuiteFile
from probescout.suites.working import Failure, Workers, outcomes

RUNS = "runs"
"""Folder of results within the outputs."""


@dataclass(frozen=True)
class Progress:
    """Where a suite stands after a run."""

    n_total: int
    n_kept: int
    """Runs that were there before."""
    n_done: int
    """Runs with a result, those that were there before among them."""
    n_failed: int
    left_s: float | None
    """Probable time until the end; None: nothing is known yet."""
    last: str
    """The run that ended last, and how."""


@dataclass(frozen=True)
class Todo:
    """What a suite asks for, and what of it is there."""

    tasks: tuple[Task, ...]
    found: Mapping[str, dict[str, Any]]
    """Key -> result."""

    @property
    def missing(self) -> list[Task]:
        """Runs without a result."""
        return [task for task in self.tasks if task.key not in self.found]


def look(file: SuiteFile) -> Todo:
    """Return the runs of a suite, and the results that are there.

    Raises:
        InvalidInput: As a case or a result cannot be read.
        MissingExtra: When the package that reads a file is not installed.
    """
    tasks, kept = tasks_of(file), RunFolder(file.directory / RUNS)
    found = {task.key: result for task in tasks if (result := kept.find(task.key)) is not None}
    return Todo(tuple(tasks), found)


def conduct(
    file: SuiteFile, todo: Todo, workers: Workers, on_progress: Callable[[Progress], None] = lambda now: None
) -> dict[str, Any]:
    """Do the runs that are missing and return the summary of all.

    Every result is on the disk before the next is waited for; whatever ends this call, they are found by the next one.

    Args:
        file: The suite.
        todo: What `look` found.
        workers: Where they are done.
        on_progress: Called after every run.

    Raises:
        Unavailable: The workers are gone, or the disk refuses.
    """
    kept, found = RunFolder(file.directory / RUNS), dict(todo.found)
    failures: list[dict[str, Any]] = []
    n_missing, began = len(todo.missing), time.monotonic()
    _tell(on_progress, todo, found, failures, None, "")
    if n_missing:
        with closing(outcomes(todo.missing, carry_out, workers)) as ended:
            for n, (task, result) in enumerate(ended, start=1):
                if isinstance(result, Failure):
                    failures.append({"case": task.case.name, "arm": task.arm, "seed": task.seed, "error": result.what})
                    last = f"{task.label} failed: {result.what}"
                else:
                    result = {**result, "version": version("probescout"), "code": task.code, "suite": file.digest}
                    kept.keep(task.key, result)
                    found[task.key] = result
                    last = f"{task.label}: {result['top1_found']} of {result['top1_total']}"
                left_s = (time.monotonic() - began) / n * (n_missing - n)
                _tell(on_progress, todo, found, failures, left_s, last)
    return summary(file, todo.tasks, found, failures)


def _tell(
    on_progress: Callable[[Progress], None],
    todo: Todo,
    found: Mapping[str, Any],
    failures: list[dict[str, Any]],
    left_s: float | None,
    last: str,
) -> None:
    on_progress(Progress(len(todo.tasks), len(todo.found), len(found), len(failures), left_s, last))


def save(file: SuiteFile, told: Mapping[str, Any]) -> list[Path]:
    """Write summary.json, table.csv, suite.json and curves.png into the folder of the outputs; return their paths.

    Raises:
        Unavailable: STORE_UNAVAILABLE when the disk refuses.
    """
    texts = {
        "summary.json": json.dumps(plain(told), indent=1) + "\n",
        "table.csv": report.csv_text(told),
        "suite.json": json.dumps({"digest": file.digest, **file.to_json()}, indent=1) + "\n",
    }
    return report.save(file.directory, texts, report.draw(told))


def plain(value: Any) -> Any:
    """Return JSON values; what is not finite becomes null, because JSON has no other word for it."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
