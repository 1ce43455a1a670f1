"""`probescout campaign`: whole campaigns from a file, by hand or by Prefect."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from probescout.cli.json_output import JsonOption, OptionalJsonPath, text_stream, write_json
from probescout.core.errors import InvalidInput, NotFound, Reason

if TYPE_CHECKING:
    from probescout.campaigns.results import Report
    from probescout.campaigns.spec import CampaignFile

BAD_CONFIG = 3
INTERRUPTED = 130

campaign = typer.Typer(
    cls=OptionalJsonPath, no_args_is_help=True, help="Measure one or more regions as a campaign file says."
)

SpecArgument = Annotated[Path, typer.Argument(metavar="SPEC", help="Campaign file (TOML); see docs/campaigns.md.")]
ServerOption = Annotated[
    str,
    typer.Option(
        "--server",
        metavar="HOST:PORT",
        envvar="PROBESCOUT_SERVER",
        help="Or unix:PATH; without it a server is started for the run, in the folder that the file names.",
        show_default=False,
    ),
]
TokenOption = Annotated[
    Path | None,
    typer.Option("--token-file", envvar="PROBESCOUT_TOKEN_FILE", help="Bearer token of --server.", show_default=False),
]
RunKeyOption = Annotated[
    str, typer.Option("--run-key", metavar="KEY", help="Name this time; the same key goes on with the same campaigns.")
]


@campaign.command()
def check(spec: SpecArgument, json_to: JsonOption = None) -> None:
    """Check a campaign file and say what a run would do; nothing is started and nothing moves."""
    from probescout.campaigns.describe import described, lines

    file = _read(spec)
    for line in lines(file):
        print(line, file=text_stream(json_to))
    if json_to is not None:
        write_json(described(file), json_to)


@campaign.command()
def run(
    spec: SpecArgument,
    server: ServerOption = "",
    token_file: TokenOption = None,
    run_key: RunKeyOption = "",
    again: Annotated[bool, typer.Option("--again", help="Begin anew when everything has ended.")] = False,
    instrument: Annotated[
        list[str] | None,
        typer.Option("--instrument", metavar="NAME", help="Drive only this one of the file; may be given again."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Answer the question of the file's [confirm] with yes.")] = False,
    json_to: JsonOption = None,
) -> None:
    """Measure all regions of a campaign file, or take up what an earlier run left unfinished."""
    from probescout.campaigns.conduct import Place, conduct, exit_code
    from probescout.campaigns.leaving import Terminated, leaving_on_signals
    from probescout.cli.campaign_progress import CampaignProgress

    file = _read(spec)
    _confirm(file, yes)
    place = Place(server, "" if token_file is None else str(token_file))
    try:
        with leaving_on_signals(), CampaignProgress() as progress:
            report = conduct(
                file,
                place,
                run_key=run_key,
                again=again,
                instruments=instrument or (),
                on_progress=progress.update,
            )
    except Terminated:
        print("terminated; run the same file again to go on", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    _tell(report, json_to)
    raise typer.Exit(exit_code(report))


@campaign.command()
def spec(
    name: Annotated[str, typer.Argument(metavar="CAMPAIGN", help="Its id, or the directory of its journal.")],
    data: Annotated[Path, typer.Option(help="Data directory in which the id is looked up, without --server.")] = Path(
        "probescout-data"
    ),
    server: Annotated[
        str, typer.Option("--server", metavar="HOST:PORT", help="Ask this planner instead.", show_default=False)
    ] = "",
    token_file: TokenOption = None,
) -> None:
    """Write the campaign file that a campaign was begun from to standard output; it has the same digest.

    Running it takes the same campaigns up, or with --again begins them anew.
    """
    from probescout.campaigns.rounds import Origin
    from probescout.campaigns.toml import to_toml

    metadata = _metadata_there(name, server, token_file) if server else _metadata_here(name, data)
    origin = Origin.of(metadata)
    if origin is None:
        raise NotFound(
            Reason.FILE_UNREADABLE,
            f"campaign {name} was not begun from a campaign file; `probescout inspect` shows what it declares",
            field="campaign",
        )
    place = f"; paths in it are as seen from {origin.folder}" if origin.folder is not None else ""
    key = f", run key {origin.run_key}" if origin.run_key else ""
    about = f"# Of {name}: region {origin.region}{key}, digest {origin.digest}{place}"
    # One line, whatever a client wrote into the metadata.
    print(f"{' '.join(about.split())}\n")
    print(to_toml(origin.file), end="")


def _metadata_here(name: str, data: Path) -> Mapping[str, Any]:
    """Return the metadata of a campaign on disk, beside a server at work or not.

    Raises:
        NotFound: There is no such campaign, or nothing of it can be read.
    """
    from probescout.cli.campaign_files import salvage
    from probescout.cli.inspect import locate

    place = locate(name, data)
    state = salvage(place).state
    if state is None:
        raise NotFound(Reason.CAMPAIGN_NOT_FOUND, f"no event of a campaign can be read in {place}", field="campaign")
    return state.spec.metadata


def _metadata_there(name: str, server: str, token_file: Path | None) -> Mapping[str, Any]:
    """Return the metadata of a campaign of a planner.

    Raises:
        ProbescoutError: As the planner answers.
    """
    import probescout_client as ps

    from probescout.cli.remote import FIRST_PATIENCE_S
    from probescout.replay.wire_session import translated

    token = None if token_file is None else str(token_file)
    with translated(), ps.connect(server, token_file=token, patience_s=FIRST_PATIENCE_S) as planner:
        metadata: dict[str, Any] = json.loads(planner.get(name).spec.metadata_json or "{}")
    return metadata


@campaign.command()
def schedule(
    spec: SpecArgument,
    server: ServerOption = "",
    token_file: TokenOption = None,
    cron: Annotated[
        str, typer.Option(metavar="CRON", help='For example "0 22 * * 1-5"; default: that of the file.')
    ] = "",
    run_key: RunKeyOption = "",
) -> None:
    """Offer a campaign file to Prefect as a deployment and run what Prefect asks for, until it is ended.

    PREFECT_API_URL says where Prefect is. Needs the extra `prefect`.
    """
    from probescout.campaigns.conduct import Place

    file = _read(spec)
    place = Place(server, "" if token_file is None else str(token_file.absolute()))
    from probescout.campaigns.deployment import serve

    serve(file, spec.absolute(), place, cron=cron or file.schedule.cron, run_key=run_key)


def _read(spec: Path) -> CampaignFile:
    from probescout.campaigns.reading import read_file

    with _bad_config(spec):
        return read_file(spec)


@contextmanager
def _bad_config(spec: Path) -> Iterator[None]:
    """Let what is wrong with the file exit with the code of a bad configuration.

    Raises:
        typer.Exit: 3.
    """
    try:
        yield
    except InvalidInput as error:
        where = f" ({error.field})" if error.field else ""
        print(f"error {error.reason} in {spec}{where}: {error.message}", file=sys.stderr)
        raise typer.Exit(BAD_CONFIG) from error


def _confirm(file: CampaignFile, yes: bool) -> None:
    """Ask what the file wants a person to be asked.

    Raises:
        InvalidInput: FIELD_MISSING when there is nobody to ask.
        typer.Abort: The answer is no.
    """
    if yes or not file.confirm.required:
        return
    if not sys.stdin.isatty():
        raise InvalidInput(
            Reason.FIELD_MISSING,
            f"the file wants a person to answer '{file.confirm.question}', and nobody is at this terminal; give --yes "
            "when the answer is yes",
            field="--yes",
        )
    typer.confirm(file.confirm.question, abort=True)


def _tell(report: Report, json_to: str | None) -> None:
    from probescout.campaigns.outputs import folder_of

    stream: Any = text_stream(json_to)
    for region in report.ranking:
        best = region.best
        found = f", best {best['target']:.6g} {region.unit} at ({best['y']:.4f}, {best['x']:.4f})" if best else ""
        print(
            f"{region.name}: {region.state}, {region.n_measured} points, {region.n_new} by this run{found}\n"
            f"  {region.campaign}: {region.message}",
            file=stream,
        )
        if region.theory is not None:
            print(f"  theory: {region.theory.line(region.unit)}", file=stream)
        for part in region.parts if len(region.parts) > 1 else ():
            print(f"  {part.name}: {part.state}, {part.n_new} points by this run", file=stream)
    print(f"results: {folder_of(report)}", file=stream)
    if json_to is not None:
        write_json({**report.to_json(), "folder": str(folder_of(report))}, json_to)
