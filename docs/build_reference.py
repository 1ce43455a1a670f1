"""Write docs/reference/*.md from the plug-ins' schemas and the contract's comments.

python docs/build_reference.py           write the pages
python docs/build_reference.py --check   fail when a committed page differs
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from probescout.core.registry import PLANNERS, SCALARIZERS, THEORY, installed

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "reference"
PROTO = ROOT / "proto" / "probescout" / "v1" / "probescout.proto"
NOTE = "<!-- Written by docs/build_reference.py; do not edit. -->\n"


def cell(text: str) -> str:
    """Return text that fits into a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def kind(entry: dict[str, Any]) -> str:
    """Return the type and limits of a parameter in words."""
    if "enum" in entry:
        return " or ".join(f"`{value}`" for value in entry["enum"])
    types = entry.get("type", "any")
    text = types if isinstance(types, str) else " or ".join(types)
    if "items" in entry:
        count, what = entry.get("minItems"), f"{entry['items'].get('type', 'value')}s"
        is_fixed = count is not None and count == entry.get("maxItems")
        text = text.replace("array", f"{count} {what}" if is_fixed else f"list of {what}")
    for key, sign in (("minimum", ">="), ("exclusiveMinimum", ">"), ("maximum", "<="), ("exclusiveMaximum", "<")):
        if key in entry:
            text += f", {sign} {entry[key]}"
    return text


def plugin_page(group: str, title: str) -> str:
    """Return the page of one entry-point group, of the plug-ins of this distribution."""
    parts = [f"# {title}\n", NOTE]
    for info in installed(group):
        if info.distribution != "probescout":
            continue
        cls = info.load()
        schema = cls.params_schema
        doc = (inspect.getdoc(cls) or "").split("\nExample:")[0].rstrip()
        parts.append(f"## {info.name}\n\n{cls.summary}\n\n{doc}\n")
        if quantities := getattr(cls, "quantities", None):
            rows = [f"| `{name}` | {cell(unit)} |" for name, unit in quantities.items()]
            parts.append("\n".join(["| quantity | unit |", "|---|---|", *rows]) + "\n")
        if not schema.get("properties"):
            parts.append("No parameters.\n")
            continue
        required = schema.get("required", [])
        rows = ["| parameter | type | default | meaning |", "|---|---|---|---|"]
        for name, entry in schema["properties"].items():
            default = "required" if name in required else f"`{json.dumps(entry.get('default'))}`"
            rows.append(f"| `{name}` | {cell(kind(entry))} | {default} | {cell(entry.get('description', ''))} |")
        parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


def declarations(proto: str) -> Iterator[tuple[str, str, str, list[tuple[str, str]]]]:
    """Yield (kind, name, comment, [(line, comment)]) of every top-level declaration of a proto file."""
    comment: list[str] = []
    head: tuple[str, str, str] | None = None
    members: list[tuple[str, str]] = []
    for raw in proto.splitlines():
        line = raw.strip()
        start = re.match(r"(message|enum|service) (\w+) \{", line)
        if head is None and start:
            head, members = (start[1], start[2], " ".join(comment)), []
            comment = []
            if line.endswith("}"):
                yield (*head, members)
                head = None
        elif line.startswith("//"):
            comment.append(line.removeprefix("//").strip())
        elif head is not None and line == "}":
            yield (*head, members)
            head, comment = None, []
        elif head is not None and line:
            code, _, trailing = line.partition("//")
            members.append((code.strip().rstrip(";"), " ".join([*comment, trailing.strip()]).strip()))
            comment = []
        else:
            comment = []


def contract_page() -> str:
    """Return the page of the contract: services first, then messages and enums in the order of the file."""
    proto = PROTO.read_text(encoding="utf-8")
    opening = re.match(r"((?://.*\n)+)", proto)
    text = "\n".join(line.removeprefix("//").removeprefix(" ") for line in (opening[1] if opening else "").splitlines())
    parts = ["# The contract: probescout.v1\n", NOTE, text + "\n"]
    ordered = sorted(declarations(proto), key=lambda d: d[0] != "service")
    for what, name, comment, members in ordered:
        parts.append(f"## {what} {name}\n")
        if comment:
            parts.append(comment + "\n")
        if members:
            label = {"service": "call", "message": "field", "enum": "value"}[what]
            rows = [f"| {label} | meaning |", "|---|---|"]
            rows += [f"| `{cell(code)}` | {cell(note)} |" for code, note in members]
            parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


def pages() -> dict[str, str]:
    """Return all pages by file name."""
    return {
        "scalarizers.md": plugin_page(SCALARIZERS, "Scalarizers"),
        "planners.md": plugin_page(PLANNERS, "Planners"),
        "theory-engines.md": plugin_page(THEORY, "Theory engines"),
        "contract.md": contract_page(),
    }


def main(arguments: list[str]) -> int:
    """Write or check the pages; return the exit status."""
    stale = []
    for name, text in pages().items():
        path = PAGES / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if "--check" in arguments and stale:
        print(f"docs/reference is out of date: {', '.join(stale)}; run python docs/build_reference.py", file=sys.stderr)
        return 1
    print(f"docs/reference: {', '.join(stale) + ' written' if stale else 'up to date'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
