"""`probescout benchmark`: cases x arms x seeds in parallel, resumed after a kill."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from probescout.cli.campaign import BAD_CONFIG, INTERRUPTED
from probescout.cli.json_output import JsonOption, text_stream, write_json
from probescout.core.errors import InvalidInput, Reason

if TYPE_CHECKING:
    from probescout.suites.conduct import Todo
    from probescout.suites.spec import SuiteFile
    from probescout.suites.working import Workers


def benchmark(
    suite: Annotated[Path, typer.Argument(metavar="SUITE", help="Suite file (TOML); see docs/replay-at-scale.md.")],
    processes: Annotated[
        int, typer.Option(min=0, help="Runs at a time on this computer; 0: as many as it has processors.")
    ] = 0,
    dask: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Run on the workers of this Dask scheduler instead.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the file and say what is left to do.")] = False,
    json_to: JsonOption = None,
) -> None:
    """Run cases x arms x seeds of a suite file in parallel, and compare; the same command goes on after a kill."""
    from probescout.cli.suite_progress import SuiteProgress
    from probescout.suites.conduct import conduct, look, plain, save

    if dask and processes:
        raise InvalidInput(
            Reason.FIELD_INVALID, f"both --processes {processes} and --dask {dask}; choose one", field="--dask"
        )
    file = _read(suite)
    todo = look(file)
    stream: Any = text_stream(json_to)
    print(
        f"{len(todo.tasks)} runs, {len(todo.missing)} of them to be done: {len(file.cases)} cases, "
        f"{len(file.all_arms)} arms, {len(file.suite.seeds)} seeds",
        file=stream,
        flush=True,
    )
    if dry_run:
        if json_to is not None:
            write_json({"n_runs": len(todo.tasks), "missing": [task.label for task in todo.missing]}, json_to)
        return
    with SuiteProgress() as progress:
        try:
            told = conduct(file, todo, _workers(processes, dask, todo), progress.update)
        except KeyboardInterrupt:
            n_done = progress.now.n_done if progress.now is not None else len(todo.found)
            _say_how_to_go_on(file, n_done, len(todo.tasks))
            raise typer.Exit(INTERRUPTED) from None
    _report(told, save(file, told), stream)
    if json_to is not None:
        write_json(plain(told), json_to)
    raise typer.Exit(1 if told["failures"] else 0)


def _read(suite: Path) -> SuiteFile:
    from probescout.suites.reading import read_suite

    try:
        return read_suite(suite)
    except InvalidInput as error:
        where = f" ({error.field})" if error.field else ""
        print(f"error {error.reason} in {suite}{where}: {error.message}", file=sys.stderr)
        raise typer.Exit(BAD_CONFIG) from error


def _workers(processes: int, dask: str, todo: Todo) -> Workers:
    from probescout.suites.working import Dask, Processes

    if dask:
        return Dask(dask)
    # Only Linux tells how many of the processors this process may use.
    usable = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    wanted = processes or usable
    return Processes(max(1, min(wanted, len(todo.missing))))


def _say_how_to_go_on(file: SuiteFile, n_done: int, n_total: int) -> None:
    print(
        f"interrupted: {n_done} of {n_total} runs are kept in {file.directory}; run the same command again to go on",
        file=sys.stderr,
    )


def _report(told: dict[str, Any], files: list[Path], stream: Any) -> None:
    from rich.console import Console

    from probescout.suites.report import tables

    console = Console(file=stream, soft_wrap=True, highlight=False)
    for table in tables(told):
        console.print(table)
    for failure in told["failures"]:
        where = f"{failure['case']} {failure['arm']} seed {failure['seed']}"
        console.print(f"failed: {where}: {failure['error']}", markup=False)
    for path in files:
        console.print(str(path), markup=False)
