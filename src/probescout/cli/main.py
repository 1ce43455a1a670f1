"""Entry point of the `probescout` command."""

from __future__ import annotations

import sys

import typer

from probescout.cli.benchmark import benchmark
from probescout.cli.campaign import campaign
from probescout.cli.catalogue import catalogue
from probescout.cli.convert import convert
from probescout.cli.demo import demo
from probescout.cli.doctor import doctor
from probescout.cli.export import export
from probescout.cli.inspect import inspect
from probescout.cli.json_output import OptionalJsonPath
from probescout.cli.model import model
from probescout.cli.plugins import plugins
from probescout.cli.replay import replay
from probescout.cli.serve import serve
from probescout.cli.theory_worker import theory_worker
from probescout.cli.watch import watch
from probescout.core.errors import (
    Denied,
    HistoryMismatch,
    InvalidInput,
    ProbescoutError,
    Unauthenticated,
    Unavailable,
)
from probescout.core.one_thread import use_one_thread

app = typer.Typer(
    name="probescout",
    cls=OptionalJsonPath,
    help="The planner that tells a microscope where to measure next.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def main() -> None:
    """The planner that tells a microscope where to measure next."""
    use_one_thread()


app.add_typer(campaign, name="campaign")
app.add_typer(model, name="model")
app.command("benchmark")(benchmark)
app.command("catalogue")(catalogue)
app.command("convert")(convert)
app.command("demo")(demo)
app.command("doctor")(doctor)
app.command("export")(export)
app.command("inspect")(inspect)
app.command("plugins")(plugins)
app.command("replay")(replay)
app.command("serve")(serve)
app.command("theory-worker")(theory_worker)
app.command("watch")(watch)

EXIT_CODES: dict[type[ProbescoutError], int] = {
    InvalidInput: 2,
    Unavailable: 4,
    Unauthenticated: 5,
    Denied: 5,
    HistoryMismatch: 7,
}
"""Exit code of each error family; 1 for the others. 0 ok, 3 bad config, 6 aborted by the operator, 130 interrupt."""


def run() -> None:
    """Run the command line; print an error of ours as one line and exit with the code of its family."""
    try:
        app()
    except ProbescoutError as error:
        where = f" ({error.field})" if error.field else ""
        print(f"error {error.reason}{where}: {error.message}", file=sys.stderr)
        sys.exit(EXIT_CODES.get(type(error), 1))
    except KeyboardInterrupt:
        sys.exit(130)
