"""What the contract is on the wire, and what of it has changed since it was last agreed.

python tests/wire/descriptor_golden.py    agree to additions: rewrite descriptor.golden.json

Clients in the field never change with the server, so that nothing may be removed, renumbered or retyped; the script
refuses to write over such a change.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    MethodDescriptorProto,
)
from probescout_client.wire.v1 import probescout_pb2

GOLDEN = Path(__file__).with_name("descriptor.golden.json")
Entries = dict[str, str]


def describe(file: FileDescriptorProto) -> Entries:
    """Return everything of a file that a peer depends on: full name -> what it is, in one line each.

    Elements that the wire knows by number (fields, enum values) carry it in their description.
    """
    entries: Entries = {"package": file.package, "syntax": file.syntax}
    for message in file.message_type:
        entries.update(_message(message, file.package))
    for enum in file.enum_type:
        entries.update(_enum(enum, file.package))
    for service in file.service:
        name = f"{file.package}.{service.name}"
        entries[name] = "service"
        entries.update((f"{name}/{method.name}", _method(method)) for method in service.method)
    return dict(sorted(entries.items()))


def current() -> Entries:
    """Return the entries of the stubs that are installed."""
    file = FileDescriptorProto()
    probescout_pb2.DESCRIPTOR.CopyToProto(file)
    return describe(file)


def breaks(agreed: Entries, now: Entries) -> list[str]:
    """Return what a peer of the agreed contract would stumble over."""
    return [
        f"{name}: was {what!r}, is {now[name]!r}" if name in now else f"{name}: removed, was {what!r}"
        for name, what in agreed.items()
        if now.get(name) != what
    ]


def additions(agreed: Entries, now: Entries) -> list[str]:
    """Return what is new."""
    return [f"{name}: {what}" for name, what in now.items() if name not in agreed]


def _message(message: DescriptorProto, scope: str) -> Iterator[tuple[str, str]]:
    name = f"{scope}.{message.name}"
    yield name, "message"
    for field in message.field:
        yield f"{name}.{field.name}", _field(field, message)
    for nested in message.nested_type:
        yield from _message(nested, name)
    for enum in message.enum_type:
        yield from _enum(enum, name)


def _field(field: FieldDescriptorProto, message: DescriptorProto) -> str:
    kind = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    label = FieldDescriptorProto.Label.Name(field.label).removeprefix("LABEL_").lower()
    parts = [f"field {field.number}", label, kind]
    if field.type_name:
        parts.append(field.type_name.lstrip("."))
    if field.proto3_optional:
        parts.append("explicit presence")
    elif field.HasField("oneof_index"):
        parts.append(f"oneof {message.oneof_decl[field.oneof_index].name}")
    return " ".join(parts)


def _enum(enum: EnumDescriptorProto, scope: str) -> Iterator[tuple[str, str]]:
    name = f"{scope}.{enum.name}"
    yield name, "enum"
    for value in enum.value:
        yield f"{name}.{value.name}", f"value {value.number}"


def _method(method: MethodDescriptorProto) -> str:
    takes = "stream " * method.client_streaming + method.input_type.lstrip(".")
    gives = "stream " * method.server_streaming + method.output_type.lstrip(".")
    return f"call {takes} -> {gives}"


def main() -> int:
    """Rewrite the golden file unless that would hide a break; return the exit status."""
    agreed: Entries = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.exists() else {}
    broken = breaks(agreed, current())
    if broken:
        print("refused, because clients in the field would break:", *broken, sep="\n  ", file=sys.stderr)
        return 1
    for line in additions(agreed, current()):
        print(f"added {line}")
    GOLDEN.write_text(json.dumps(current(), indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
