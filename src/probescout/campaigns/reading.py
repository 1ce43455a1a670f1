"""Reads a campaign file: TOML, every key known, every value of its type."""

from __future__ import annotations

import difflib
import math
import tomllib
import types
import unicodedata
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from probescout.campaigns.checking import check
from probescout.campaigns.spec import CampaignFile
from probescout.core.errors import InvalidInput, Reason

T = TypeVar("T")
MOST = 2**63 - 1
"""Largest whole number, either way: that of TOML itself."""
MOST_DEPTH = 16
"""Deepest nesting of lists and tables; the server takes 48 levels in all."""
MAX_TEXT = 4 * 1024
"""Longest text, bytes: what the server takes for a title."""
_HIDDEN = frozenset({"folder"})
"""Fields that no file sets."""
_WORDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a table",
    list: "a list",
}


def read_file(path: Path) -> CampaignFile:
    """Return a campaign file, checked as far as that goes without an instrument.

    Raises:
        InvalidInput: FILE_UNREADABLE, FIELD_INVALID, FIELD_MISSING, ID_INVALID, PARAM_INVALID or a reason of a plug-in;
            the field says where in the file.
    """
    return read_text(text_of(path, "campaign file"), path.absolute().parent)


def text_of(path: Path, what: str) -> str:
    """Return what a file holds, as text.

    Args:
        path: Of the file.
        what: It should be, for the message.

    Raises:
        InvalidInput: FILE_UNREADABLE.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            Reason.FILE_UNREADABLE, f"the {what} {path} cannot be read ({error}); give another path"
        ) from error


def read_text(text: str, folder: Path) -> CampaignFile:
    """Return the campaign file that a text holds.

    Args:
        text: TOML.
        folder: Where it lies.

    Raises:
        InvalidInput: As `read_file`.
    """
    file = replace(parsed(CampaignFile, text, example="docs/campaigns.md shows a campaign file"), folder=folder)
    check(file)
    return file


def parsed(kind: type[T], text: str, *, example: str) -> T:
    """Return a dataclass of type `kind` from TOML that holds no other keys than its fields.

    Args:
        kind: Dataclass; its fields are keys, dataclasses among them tables, tuples of those lists of tables.
        text: TOML.
        example: Where a person finds such a file.

    Raises:
        InvalidInput: FIELD_INVALID, FIELD_MISSING or NON_FINITE; the field says where.
    """
    try:
        table = tomllib.loads(text)
    # A number of thousands of digits, and a date that is none, are plain ValueErrors.
    except (ValueError, RecursionError) as error:
        raise InvalidInput(Reason.FIELD_INVALID, f"this is not TOML ({error}); {example}") from error
    _check_plain(table, "", 0)
    return _table(kind, table, "")


def _check_plain(value: Any, where: str, depth: int) -> None:
    """Refuse what neither JSON nor the wire can hold, wherever it stands: nobody means it.

    Raises:
        InvalidInput: FIELD_INVALID, or NON_FINITE for a number that is infinite or none.
    """
    if depth > MOST_DEPTH:
        raise InvalidInput(Reason.FIELD_INVALID, f"this is nested deeper than {MOST_DEPTH} levels", field=where)
    if isinstance(value, dict):
        for key, one in value.items():
            _check_text(key, where)
            _check_plain(one, _under(where, key), depth + 1)
    elif isinstance(value, list):
        for i, one in enumerate(value):
            _check_plain(one, f"{where}[{i}]", depth + 1)
    elif isinstance(value, str):
        _check_text(value, where)
    elif isinstance(value, int) and abs(value) > MOST:
        raise InvalidInput(Reason.FIELD_INVALID, f"this number is too large; give at most {MOST}", field=where)
    elif isinstance(value, float) and not math.isfinite(value):
        raise InvalidInput(Reason.NON_FINITE, f"{value} is not finite; give a finite number", field=where)
    elif not isinstance(value, int | float):
        raise InvalidInput(Reason.FIELD_INVALID, f"{value} is a date, which no key takes; quote it", field=where)


def _check_text(text: str, where: str) -> None:
    if len(text.encode()) > MAX_TEXT:
        raise InvalidInput(
            Reason.FIELD_INVALID, f"a text of {len(text.encode())} bytes; give at most {MAX_TEXT}", field=where
        )
    # In a path they end it early, and at a terminal they are commands.
    bad = next((c for c in text if unicodedata.category(c) == "Cc" and c not in "\n\t"), "")
    if bad:
        raise InvalidInput(
            Reason.FIELD_INVALID, f"the text holds the control character U+{ord(bad):04X}; take it out", field=where
        )


def _table(kind: type[T], table: Any, where: str) -> T:
    """Return a dataclass of type `kind` from a table that holds no other keys than its fields."""
    if not isinstance(table, Mapping):
        raise _wrong(where, "a table", table)
    known = {f.name: f for f in fields(kind) if f.name not in _HIDDEN}  # type: ignore[arg-type]
    hints = get_type_hints(kind)
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean '{near[0]}'? " if near else ""
            raise InvalidInput(
                Reason.FIELD_INVALID,
                f"there is no '{key}' here; {hint}known: {', '.join(known)}",
                field=_under(where, key),
            )
    missing = [
        name for name, f in known.items() if name not in table and f.default is MISSING and f.default_factory is MISSING
    ]
    if missing:
        raise InvalidInput(
            Reason.FIELD_MISSING, f"'{missing[0]}' is missing; add it to the file", field=_under(where, missing[0])
        )
    return kind(**{key: _value(hints[key], value, _under(where, key)) for key, value in table.items()})


def _value(hint: Any, value: Any, where: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        [inner] = [a for a in get_args(hint) if a is not type(None)]
        return _value(inner, value, where)
    if is_dataclass(hint):
        return _table(hint, value, where)  # type: ignore[arg-type]
    if origin is tuple:
        return _tuple(get_args(hint), value, where)
    if origin in (Mapping, dict):
        if not isinstance(value, dict):
            raise _wrong(where, "a table", value)
        return {key: _value(get_args(hint)[1], one, _under(where, key)) for key, one in value.items()}
    return value if hint is Any else _plain(hint, value, where)


def _tuple(args: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _wrong(where, "a list", value)
    if args[-1] is not Ellipsis and len(value) != len(args):
        raise InvalidInput(Reason.FIELD_INVALID, f"{value} has {len(value)} parts; give {len(args)}", field=where)
    return tuple(_value(args[0], one, f"{where}[{i}]") for i, one in enumerate(value))


def _plain(kind: type, value: Any, where: str) -> Any:
    # In Python true is a number too; in a file it is a mistake.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is float and is_number:
        return float(value)
    if type(value) is not kind:
        raise _wrong(where, _WORDS[kind], value)
    return value


def _wrong(where: str, wanted: str, value: Any) -> InvalidInput:
    return InvalidInput(Reason.FIELD_INVALID, f"{value!r} is {_WORDS[type(value)]}; give {wanted}", field=where)


def _under(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
