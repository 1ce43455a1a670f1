"""`probescout replay`: plan a recorded experiment again, and compare with baselines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from probescout.cli.json_output import JsonOption, text_stream, write_json
from probescout.core.errors import InvalidInput, Reason

if TYPE_CHECKING:
    from probescout.replay.case import Case
    from probescout.replay.experiment import Experiment, Plan


def replay(
    case: Annotated[Path, typer.Argument(metavar="CASE.nc", help="Recording in the neutral format.")],
    scalarizer: Annotated[
        str | None, typer.Option(metavar="NAME", help="What makes the target of a spectrum.", show_default=False)
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Of the scalarizer, in the file's axis unit; a range is a=10:15."),
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="NAME", help="Ready scalar map instead of a scalarizer.", show_default=False)
    ] = None,
    policy: Annotated[str, typer.Option(metavar="NAME", help="Policy of the planner arm.")] = "expected_improvement",
    policy_param: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="Of the policy.")] = None,
    budget: Annotated[int, typer.Option(min=2, help="Points of a run, the initial ones included.")] = 100,
    initial: Annotated[int, typer.Option(min=1, help="Random points that all arms share.")] = 10,
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="Run seeds 0 to N-1.")] = 3,
    compare: Annotated[str, typer.Option(metavar="ARM,...", help="Baselines: random, grid; or none.")] = "random,grid",
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Save result.json, result.nc and result.png.")] = None,
    no_deep: Annotated[bool, typer.Option("--no-deep", help="Leave out the deep-kernel member.")] = False,
    in_process: Annotated[
        bool, typer.Option("--in-process", help="Skip server and network; steps then wait for fits.")
    ] = False,
    json_to: JsonOption = None,
) -> None:
    """Plan a recorded experiment again on a real server, and score it against random and grid."""
    from probescout.replay.case import recorded_case
    from probescout.replay.experiment import Plan

    plan = Plan(
        budget=budget,
        n_initial=initial,
        seeds=tuple(range(seeds)),
        compare=() if compare in ("", "none") else tuple(name.strip() for name in compare.split(",")),
        policy=policy,
        policy_params=parameters(policy_param or [], "policy-param"),
        use_deep=not no_deep,
    )
    params = parameters(param or [], "param")
    found = recorded_case(case, scalarizer=scalarizer, params=params, target=target)
    experiment = conduct(found, plan, in_process=in_process)
    report(experiment, out, json_to)
    if json_to is not None:
        write_json(experiment.to_json(), json_to)


def conduct(case: Case, plan: Plan, *, in_process: bool, time_limit_s: float | None = None) -> Experiment:
    """Return the experiment, with a progress bar on standard error meanwhile."""
    from probescout.cli.replay_progress import ReplayProgress
    from probescout.replay.experiment import run_experiment
    from probescout.replay.opening import open_campaigns

    with (
        ReplayProgress(len(plan.arms) * len(plan.seeds) * plan.budget) as progress,
        open_campaigns(in_process=in_process) as open_session,
    ):
        return run_experiment(case, plan, open_session, progress.update, time_limit_s)


def report(experiment: Experiment, out: Path | None, json_to: str | None) -> None:
    """Print the table and save the files."""
    from rich.console import Console

    from probescout.replay.report import save_picture, table
    from probescout.replay.result_file import save_experiment

    console = Console(file=text_stream(json_to), soft_wrap=True)
    console.print(table(experiment))
    if out is not None:
        files = [*save_experiment(experiment, out), save_picture(experiment, out / "result.png")]
        for path, what in zip(files, ("scores", "steps and maps (xarray DataTree)", "picture"), strict=True):
            console.print(f"{what}: {path}", highlight=False)


def parameters(texts: list[str], option: str) -> dict[str, Any]:
    """Return the values of KEY=VALUE options: numbers as numbers, LOW:HIGH as [LOW, HIGH].

    Raises:
        InvalidInput: FIELD_INVALID for a text without "=", or a key given twice.
    """
    found: dict[str, Any] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign or not key.strip() or key.strip() in found:
            why = "is given twice" if key.strip() in found else "is not understood"
            raise InvalidInput(
                Reason.FIELD_INVALID,
                f"--{option} '{text}' {why}; write KEY=VALUE once a key, for example low=1.65 or a=10:15",
                field=option,
            )
        found[key.strip()] = _value(value.strip())
    return found


def _value(text: str) -> Any:
    ends = [_number(part) for part in text.split(":")]
    if len(ends) == 2 and not any(isinstance(end, str) for end in ends):
        return ends
    words = {"true": True, "false": False}
    return words.get(text.lower(), _number(text))


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
