"""Writes a campaign file as TOML: the standard library reads that format only."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from probescout.campaigns.spec import DECISIVE

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(sections: Mapping[str, Any]) -> str:
    """Return sections as text: a table each, or a list of tables; deeper tables stand in one line. None is left out.

    Args:
        sections: Mappings and lists of mappings of JSON values, as `CampaignFile.to_json` gives them.
    """
    names = sorted(sections, key=lambda name: DECISIVE.index(name) if name in DECISIVE else len(DECISIVE))
    return "\n".join("\n".join(block) + "\n" for name in names for block in _blocks(name, sections[name]))


def _blocks(name: str, value: Any) -> Iterator[list[str]]:
    if isinstance(value, Mapping):
        yield [f"[{_key(name)}]", *_entries(value)]
    elif isinstance(value, list):
        for one in value:
            yield [f"[[{_key(name)}]]", *_entries(one)]


def _entries(table: Mapping[str, Any]) -> list[str]:
    return [f"{_key(key)} = {_value(value)}" for key, value in table.items() if value is not None]


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(_entries(value)) + " }" if value else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    # The strings, numbers and truth values of JSON are such of TOML too.
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
