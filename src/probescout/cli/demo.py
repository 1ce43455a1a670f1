"""`probescout demo`: the whole of Probescout in a minute, on a simulated microscope."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from probescout.cli.json_output import JsonOption, text_stream, write_json

BUDGET = 60
MAX_SEEDS = 3
SECONDS = 40.0


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where result and picture go.")] = Path("demo-result"),
    sample: Annotated[int, typer.Option(min=0, help="Which simulated sample; some are harder than this one.")] = 1,
    budget: Annotated[int, typer.Option(min=11, help="Points of a run, 10 random ones included.")] = BUDGET,
    seconds: Annotated[
        float, typer.Option(min=0.0, help=f"Repeat up to {MAX_SEEDS} times, as long as it takes no longer.")
    ] = SECONDS,
    json_to: JsonOption = None,
) -> None:
    """Find the strongest plasmon on a simulated sample, in under a minute, against random and grid."""
    import os

    from rich.console import Console

    from probescout.cli.replay import conduct, report
    from probescout.replay.case import twin_case
    from probescout.replay.experiment import Plan

    console = Console(file=text_stream(json_to), soft_wrap=True, highlight=False)
    case = twin_case("plasmonic", scene_seed=sample)
    low, high = (case.params[key] for key in ("low", "high"))
    console.print(
        f"A planner server starts in a process of its own; this process ({os.getpid()}) is the client at a simulated "
        f"microscope.\nSample {sample}: coupled plasmonic particles, {case.n_candidates} pixels. Wanted: the most "
        f"counts between {low:g} and {high:g} eV. Each strategy may measure {budget} pixels."
    )
    plan = Plan(budget=budget, seeds=tuple(range(MAX_SEEDS)))
    experiment = conduct(case, plan, in_process=False, time_limit_s=seconds)
    report(experiment, out, json_to)
    if json_to is not None:
        write_json(experiment.to_json(), json_to)
