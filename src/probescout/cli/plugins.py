"""`probescout plugins`: what is installed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from probescout.cli.json_output import JsonOption, text_stream, write_json


def plugins(json_to: JsonOption = None) -> None:
    """List the installed scalarizers, planners and theory engines with their parameters."""
    from probescout.runtime.plugins import describe

    rows = describe()
    stream = text_stream(json_to)
    for line in plugin_lines(rows):
        print(line, file=stream)
    if json_to is not None:
        write_json({"plugins": rows}, json_to)


def plugin_lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield lines about plug-ins: a heading for each group, then name, summary and parameters of each."""
    group = ""
    for row in rows:
        if row["group"] != group:
            group = row["group"]
            yield f"{group.rpartition('.')[2]}:"
        source = "" if row["distribution"] == "probescout" else f"  [{row['distribution']} {row['version']}]"
        what = f"CANNOT BE USED: {row['load_error']}" if row["load_error"] else row["summary"]
        yield f"  {row['name']:<22} {what}{source}"
        for name, entry in row["schema"].get("properties", {}).items():
            yield f"      {name:<18} {_parameter(entry, name in row['schema'].get('required', []))}"


def _parameter(entry: Mapping[str, Any], is_required: bool) -> str:
    has_default = entry.get("default") is not None
    default = f"default {json.dumps(entry['default'])}" if has_default else "required" if is_required else "optional"
    text = " ".join(str(entry.get("description") or entry.get("title") or "").split())
    return f"({default}) {text}".rstrip()
