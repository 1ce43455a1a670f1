"""`probescout model`: what campaigns have learnt, by name and version, for the campaigns that follow."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from probescout.cli.json_output import JsonOption, OptionalJsonPath, text_stream, write_json

if TYPE_CHECKING:
    from probescout.store.model_versions import Entry, Version
    from probescout.store.models import Models

model = typer.Typer(
    cls=OptionalJsonPath, no_args_is_help=True, help="Keep what campaigns have learnt, for the campaigns that follow."
)

DataOption = Annotated[Path, typer.Option(help="Data directory of the server.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the model.", show_default=False)]
ReferenceArgument = Annotated[
    str, typer.Argument(metavar="NAME[@VERSION]", help="Without VERSION: the current one.", show_default=False)
]
ReasonOption = Annotated[str, typer.Option(metavar="TEXT", help="Why; kept in the log.")]
PromoteOption = Annotated[bool, typer.Option("--promote", help="Make it the current version at once.")]
HERE = Path("probescout-data")


@model.command()
def register(
    name: NameArgument,
    campaign: Annotated[str, typer.Option(metavar="ID", help="Campaign of the data directory.", show_default=False)],
    data: DataOption = HERE,
    promote: PromoteOption = False,
    note: Annotated[str, typer.Option(metavar="TEXT", help="For people.")] = "",
    json_to: JsonOption = None,
) -> None:
    """Keep what a campaign has learnt so far as the next version of a model; also beside a running server."""
    from probescout.core.errors import HistoryMismatch, Reason
    from probescout.core.ports import Head
    from probescout.export.history import read_history
    from probescout.runtime.handing_on import handed_on

    history = read_history(data / "campaigns" / campaign.removeprefix("campaigns/"))
    if history.problems:
        raise HistoryMismatch(
            Reason.JOURNAL_CORRUPT,
            f"campaign '{campaign}' is damaged: {history.problems[0]}; a model of it could not be trusted",
            field="campaign",
        )
    head = Head(len(history.hashes), history.hashes[-1])
    file, about = handed_on(history.state, history.blobs, head)
    _keep(data, name, file, about, note, promote, json_to)


@model.command("import")
def import_(
    name: NameArgument,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="That `model export` wrote.", show_default=False)],
    data: DataOption = HERE,
    promote: PromoteOption = False,
    note: Annotated[str, typer.Option(metavar="TEXT", help="For people.")] = "",
    json_to: JsonOption = None,
) -> None:
    """Keep a model file from elsewhere as the next version of a model; the same file again mends a damaged one."""
    from probescout.core.errors import InvalidInput, Reason
    from probescout.runtime.transferring import checked_file

    try:
        file = path.read_bytes()
    except OSError as error:
        raise InvalidInput(
            Reason.FILE_UNREADABLE, f"{path} cannot be read ({error}); give another path", field="path"
        ) from error
    _keep(data, name, file, checked_file(file), note, promote, json_to)


@model.command()
def export(
    reference: ReferenceArgument,
    out: Annotated[Path, typer.Option(metavar="FILE", help="File to write.", show_default=False)],
    data: DataOption = HERE,
) -> None:
    """Write the file of a version, for another data directory."""
    from probescout.core.errors import InvalidInput, Reason

    version, file = _models(data).load(reference)
    try:
        # Never over another file.
        with open(out, "xb") as stream:
            stream.write(file)
    except OSError as error:
        raise InvalidInput(
            Reason.FILE_UNREADABLE, f"{out} cannot be written ({error}); choose another place", field="out"
        ) from error
    print(f"wrote    {out} ({len(file)} bytes, SHA-256 {version.digest})")


@model.command("list")
def list_(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="WORD...", help="Only models in which all these words occur.")
    ] = None,
    data: DataOption = HERE,
    json_to: JsonOption = None,
) -> None:
    """List models with their versions; words look in names, notes, samples, instruments, campaigns, scalarizers."""
    entries = [entry for entry in _models(data).entries() if _has(entry, words or [])]
    stream = text_stream(json_to)
    for entry in entries:
        for version in entry.versions:
            print(_line(entry, version), file=stream)
    if json_to is not None:
        write_json({"models": [_row(entry) for entry in entries]}, json_to)


@model.command()
def show(reference: ReferenceArgument, data: DataOption = HERE, json_to: JsonOption = None) -> None:
    """Show where a version comes from, how good it was, and what was done with its model."""
    import json

    entry, version = _models(data).find(reference)
    stream = text_stream(json_to)
    print(_line(entry, version), file=stream)
    for part, told in {"sha256": version.digest, "note": version.note, **version.about}.items():
        print(f"  {part:<9} {told if isinstance(told, str) else json.dumps(told)}", file=stream)
    for act in entry.log:
        print(f"  {_when(act.time)}  {act.what} {act.version}  {act.reason}".rstrip(), file=stream)
    if json_to is not None:
        write_json({**_row(entry), "shown": version.number}, json_to)


@model.command()
def promote(
    reference: Annotated[str, typer.Argument(metavar="NAME@VERSION", show_default=False)],
    data: DataOption = HERE,
    reason: ReasonOption = "",
) -> None:
    """Make a version the one that NAME alone means. Campaigns that began keep the version that they began with."""
    from probescout.core.errors import InvalidInput, Reason
    from probescout.store.model_versions import parse_reference

    name, number = parse_reference(reference)
    if not number:
        raise InvalidInput(Reason.FIELD_MISSING, f"say which version, as in {name}@2", field="model")
    _models(data).promote(name, number, now=time.time(), reason=reason)
    print(f"current  {name}@{number}")


@model.command()
def rollback(name: NameArgument, data: DataOption = HERE, reason: ReasonOption = "") -> None:
    """Make the version current again that was so before the present one."""
    number = _models(data).roll_back(name, now=time.time(), reason=reason)
    print(f"current  {name}@{number}")


@model.command()
def verify(data: DataOption = HERE, json_to: JsonOption = None) -> None:
    """Check every file against its hash; exits with 1 when one is damaged or lost."""
    models = _models(data)
    problems = models.problems()
    stream = text_stream(json_to)
    n = sum(len(entry.versions) for entry in models.entries())
    for problem in problems:
        print(f"PROBLEM  {problem}", file=stream)
    print(f"{n - len(problems)} of {n} versions are sound", file=stream)
    if json_to is not None:
        write_json({"n_versions": n, "problems": problems}, json_to)
    if problems:
        raise typer.Exit(1)


def _models(data: Path) -> Models:
    from probescout.store.models import Models

    return Models(data / "models")


def _keep(
    data: Path, name: str, file: bytes, about: dict[str, Any], note: str, is_promoted: bool, json_to: str | None
) -> None:
    models = _models(data)
    version = models.register(name, file, about, now=time.time(), note=note)
    if is_promoted:
        models.promote(name, version.number, now=time.time(), reason=note)
    entry, version = models.find(f"{name}@{version.number}")
    print(_line(entry, version), file=text_stream(json_to))
    if json_to is not None:
        write_json({**_row(entry), "shown": version.number}, json_to)


def _has(entry: Entry, words: list[str]) -> bool:
    texts = [entry.name]
    for version in entry.versions:
        lineage, scalarizer = version.about.get("lineage", {}), version.about.get("schema", {}).get("scalarizer", {})
        texts += [version.note, str(scalarizer.get("name", ""))]
        texts += [str(lineage.get(key, "")) for key in ("campaign", "sample", "instrument")]
    text = " ".join(texts).lower()
    return all(word.lower() in text for word in words)


def _line(entry: Entry, version: Version) -> str:
    metrics, lineage = version.about.get("metrics", {}), version.about.get("lineage", {})
    mark = "current" if version.number == entry.current else ""
    told = [f"{metrics.get('n_observations', '?')} observations of {lineage.get('campaign', '?')}"]
    if metrics.get("rmse") is not None:
        told.append(f"RMSE {metrics['rmse']:.4g}, coverage {metrics['coverage95']:.0%}")
    name = f"{entry.name}@{version.number}"
    return f"{name:<24} {mark:<8} {version.digest[:12]}  {'; '.join(told)}  {version.note}".rstrip()


def _row(entry: Entry) -> dict[str, Any]:
    from probescout.core.jsonable import to_json

    return {**to_json(entry), "current": entry.current}


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
