"""`probescout doctor`: whether this computer can run a campaign, and what to do if not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from probescout.cli.json_output import JsonOption, text_stream, write_json

if TYPE_CHECKING:
    from probescout.cli.checkup import Check


def doctor(
    data: Annotated[Path, typer.Option(help="Directory that holds, or will hold, all campaigns.")] = Path(
        "probescout-data"
    ),
    listen: Annotated[str, typer.Option(help="HOST:PORT, or unix:PATH, that a server would use.")] = "127.0.0.1:50051",
    json_to: JsonOption = None,
) -> None:
    """Check this computer: packages, torch, plug-ins, disk and address; says what to do about what is wrong.

    Exits with 1 when a check fails; a warning is no failure.
    """
    stream = text_stream(json_to)
    checks = []
    for check in examine(data, listen):
        checks.append(check)
        print(f"{check.verdict:<5} {check.name:<16} {check.what}", file=stream)
        if check.advice:
            print(f"{'':<22} -> {check.advice}", file=stream)
    is_ok = all(check.verdict != "fail" for check in checks)
    if json_to is not None:
        write_json({"ok": is_ok, "checks": [asdict(check) for check in checks]}, json_to)
    if not is_ok:
        raise typer.Exit(1)


def examine(data: Path, listen: str) -> Iterator[Check]:
    """Yield every check as it is done."""
    from probescout.cli import checkup, installation

    yield checkup.check_python()
    yield from installation.check_packages()
    yield installation.check_client()
    yield checkup.check_torch()
    yield from installation.check_plugins()
    yield checkup.check_sync(data)
    yield checkup.check_space(data)
    yield checkup.check_address(listen)
    yield from installation.check_extras()
