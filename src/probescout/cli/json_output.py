"""The option `--json [PATH]` of every command that reads, and what it writes."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperGroup

from probescout.core.errors import InvalidInput, Reason

STDOUT = "-"

JsonOption = Annotated[
    str | None,
    typer.Option(
        "--json",
        metavar="[PATH]",
        help="Write the result as JSON to PATH; without PATH or with '-' to standard output.",
        show_default=False,
    ),
]
"""Declare a parameter as `json_to: JsonOption = None`; its value is None, "-" or a path."""


class OptionalJsonPath(TyperGroup):
    """A group whose commands take `--json` with and without a value.

    Typer drops click's own way to say so (`flag_value`), so the bare option is completed before it is parsed.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Complete every bare `--json`, then parse as usual."""
        return super().parse_args(ctx, complete_json(args))


def complete_json(args: Sequence[str]) -> list[str]:
    """Return the arguments with "--json=-" for every `--json` that no value follows.

    A value is the next argument unless it begins with a dash; "-" alone is a value. Nothing is changed after "--".
    """
    completed: list[str] = []
    for i, arg in enumerate(args):
        if arg == "--":
            return [*completed, *args[i:]]
        following = args[i + 1] if i + 1 < len(args) else "--"
        is_bare = arg == "--json" and following.startswith("-") and following != STDOUT
        completed.append(f"--json={STDOUT}" if is_bare else arg)
    return completed


def text_stream(where: str | None) -> TextIO:
    """Return where text for a person goes: standard error while standard output carries the JSON."""
    return sys.stderr if where == STDOUT else sys.stdout


def write_json(result: Any, where: str) -> None:
    """Write one JSON value to standard output ("-") or to a file; NaN and infinities become null.

    Raises:
        InvalidInput: FILE_UNREADABLE when the file cannot be written.
    """
    text = json.dumps(_plain(result), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if where == STDOUT:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    path = Path(where)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(
            Reason.FILE_UNREADABLE, f"{path} cannot be written ({error}); choose another place", field="json"
        ) from error


def _plain(value: Any) -> Any:
    """Return the value with arrays and scalars of NumPy as lists and numbers (they offer tolist)."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | int | float) else str(value)
