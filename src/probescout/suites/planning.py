"""Turns a suite file into the runs that it asks for, each with a key that stands for all it depends on."""

from __future__ import annotations

import fcntl
import hashlib
import json
from pathlib import Path
from typing import Any

from probescout.core.errors import InvalidInput
from probescout.core.jsonable import to_json
from probescout.replay.twin import SCENES
from probescout.suites.reading import is_neutral
from probescout.suites.running import CaseSource, Task
from probescout.suites.sources import CODE, content_of, digest_of_code, plugin_packages
from probescout.suites.spec import ArmSpec, CaseSpec, SuiteFile


def tasks_of(file: SuiteFile) -> list[Task]:
    """Return all runs of a suite: case by case, seed by seed, arm by arm.

    Instruments' own files are converted, each once.

    Raises:
        InvalidInput: As a file cannot be converted; the field says which case.
        MissingExtra: When the package that reads a file is not installed.
    """
    tasks = []
    for i, case in enumerate(file.cases):
        try:
            source, content = _source(file, case)
        except InvalidInput as error:
            raise InvalidInput(error.reason, error.message, field=f"cases[{i}].{error.field}") from error
        for seed in file.suite.seeds:
            tasks += [_task(file, case, source, content, arm, seed) for arm in file.all_arms]
    return tasks


def _task(file: SuiteFile, case: CaseSpec, source: CaseSource, content: str, arm: ArmSpec, seed: int) -> Task:
    scalarizer = SCENES[case.scene].scalarizer if case.scene else case.scalarizer
    modules = (*CODE, *plugin_packages(arm.policy, arm.params, scalarizer))
    code, use_deep = digest_of_code(modules), file.suite.deep or bool(arm.members)
    budget, n_initial = file.budget_of(case), file.suite.initial
    # Where the data lie does not matter, what is in them does.
    declared = {name: value for name, value in to_json(source).items() if name != "path"}
    parts = [declared, content, to_json(arm), use_deep, seed, budget, n_initial, code]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
    return Task(
        key=f"{case.name}-{arm.name}-{seed}-{digest}.json",
        case=source,
        arm=arm.name,
        policy=arm.policy,
        params=arm.params,
        members=arm.members,
        use_deep=use_deep,
        seed=seed,
        budget=budget,
        n_initial=n_initial,
        code=code,
        modules=modules,
    )


def _source(file: SuiteFile, case: CaseSpec) -> tuple[CaseSource, str]:
    """Return where a case comes from, and the digest of its data."""
    if case.scene:
        return CaseSource(case.name, scene=case.scene, size=case.size, scene_seed=case.scene_seed), ""
    path = file.folder / case.file
    if not is_neutral(case):
        path = _converted(file, case, path)
    return CaseSource(case.name, str(path), case.scalarizer, case.params, case.target), content_of(path)


def _converted(file: SuiteFile, case: CaseSpec, path: Path) -> Path:
    """Return the neutral file made of an instrument's own, made on first use."""
    from probescout.replay.convert import convert

    options: dict[str, Any] = dict(case.convert)
    image = str(options.get("image", "")).partition(":")[0]
    files = [path, *([file.folder / image] if image and (file.folder / image).exists() else [])]
    parts = [json.dumps(options, sort_keys=True), digest_of_code(("probescout.replay",)), *map(content_of, files)]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
    if image:
        options["image"] = str(file.folder / str(options["image"]))
    made = file.directory / "cases" / f"{path.stem}-{digest}.nc"
    made.parent.mkdir(parents=True, exist_ok=True)
    with made.with_suffix(".lock").open("w", encoding="ascii") as lock:
        # Two commands may want the same file first.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            convert(path, made, **options)
    return made
