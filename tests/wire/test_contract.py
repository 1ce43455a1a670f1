"""The contract keeps its promises: nothing that clients rely on changes, and its own rules hold."""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from probescout_client.wire.v1 import probescout_pb2 as pb

golden: dict[str, Any] = runpy.run_path(str(Path(__file__).with_name("descriptor_golden.py")))
SERVICES = pb.DESCRIPTOR.services_by_name
METHODS = [method for service in SERVICES.values() for method in service.methods]
HOT = ("Suggest", "Tell", "Step")


def agreed() -> dict[str, str]:
    return json.loads(golden["GOLDEN"].read_text(encoding="utf-8"))


def contract() -> FileDescriptorProto:
    file = FileDescriptorProto()
    pb.DESCRIPTOR.CopyToProto(file)
    return file


def test_nothing_that_was_agreed_has_changed() -> None:
    broken = golden["breaks"](agreed(), golden["current"]())
    assert not broken, f"clients in the field would break; restore these and add new numbers instead: {broken}"


def test_additions_are_agreed_to() -> None:
    added = golden["additions"](agreed(), golden["current"]())
    assert not added, (
        f"the contract has grown by {added}; when that is meant, run `make proto`, then "
        "`python tests/wire/descriptor_golden.py`, and commit the golden file"
    )


def test_the_golden_file_covers_the_whole_contract() -> None:
    names = set(agreed())
    for message in pb.DESCRIPTOR.message_types_by_name.values():
        assert {f"{message.full_name}.{field.name}" for field in message.fields} <= names
    for enum in pb.DESCRIPTOR.enum_types_by_name.values():
        assert {f"{enum.full_name}.{value.name}" for value in enum.values} <= names
    assert {f"{method.containing_service.full_name}/{method.name}" for method in METHODS} <= names
    assert len(names) > 500


def renumber(file: FileDescriptorProto) -> None:
    field_of(file, "Tensor", "unit").number = 40


def retype(file: FileDescriptorProto) -> None:
    field_of(file, "Tensor", "unit").type = FieldDescriptorProto.TYPE_BYTES


def repeat(file: FileDescriptorProto) -> None:
    field_of(file, "Tensor", "unit").label = FieldDescriptorProto.LABEL_REPEATED


def point_elsewhere(file: FileDescriptorProto) -> None:
    field_of(file, "TellRequest", "observation").type_name = ".probescout.v1.Suggestion"


def rename(file: FileDescriptorProto) -> None:
    field_of(file, "Tensor", "unit").name = "units"


def remove_message(file: FileDescriptorProto) -> None:
    del file.message_type[3]


def renumber_value(file: FileDescriptorProto) -> None:
    file.enum_type[0].value[1].number = 77


def stream(file: FileDescriptorProto) -> None:
    file.service[0].method[0].server_streaming = True


def remove_call(file: FileDescriptorProto) -> None:
    del file.service[0].method[0]


def field_of(file: FileDescriptorProto, message: str, name: str) -> FieldDescriptorProto:
    [found] = [f for m in file.message_type if m.name == message for f in m.field if f.name == name]
    return found


BREAKS = [
    renumber,
    retype,
    repeat,
    point_elsewhere,
    rename,
    remove_message,
    renumber_value,
    stream,
    remove_call,
]


@pytest.mark.parametrize("change", BREAKS, ids=lambda change: change.__name__)
def test_a_break_is_seen(change: Any) -> None:
    file = contract()
    change(file)
    assert golden["breaks"](golden["describe"](contract()), golden["describe"](file))


def test_an_addition_is_no_break() -> None:
    file = contract()
    file.message_type[0].field.add(
        name="later", number=99, type=FieldDescriptorProto.TYPE_STRING, label=FieldDescriptorProto.LABEL_OPTIONAL
    )
    before, after = golden["describe"](contract()), golden["describe"](file)
    assert golden["breaks"](before, after) == []
    [line] = golden["additions"](before, after)
    assert line.endswith("later: field 99 optional string")


def test_every_enum_begins_with_unspecified() -> None:
    enums = list(pb.DESCRIPTOR.enum_types_by_name.values())
    enums += [e for m in pb.DESCRIPTOR.message_types_by_name.values() for e in m.enum_types]
    assert enums
    for enum in enums:
        first = enum.values_by_number[0].name
        assert first.endswith("_UNSPECIFIED"), enum.full_name
        prefix = first.removesuffix("UNSPECIFIED")
        assert all(value.name.startswith(prefix) for value in enum.values), enum.full_name


def reachable(message: Descriptor, seen: dict[str, Descriptor]) -> None:
    if message.full_name not in seen:
        seen[message.full_name] = message
        for field in message.fields:
            if field.message_type is not None:
                reachable(field.message_type, seen)


def test_no_map_and_no_oneof_on_the_hot_path() -> None:
    hot: dict[str, Descriptor] = {}
    for method in METHODS:
        if method.name in HOT:
            reachable(method.input_type, hot)
            reachable(method.output_type, hot)
    assert {"probescout.v1.StepRequest", "probescout.v1.Tensor", "probescout.v1.Suggestion"} <= set(hot)
    for message in hot.values():
        assert not message.oneofs, message.full_name
        assert not message.GetOptions().map_entry, message.full_name


def test_no_call_streams_requests() -> None:
    assert not [m.full_name for m in METHODS if m.client_streaming]
    assert [m.name for m in METHODS if m.server_streaming] == ["WatchEvents", "ExportCampaign", "ReadBlob"]


def mutating() -> Iterator[MethodDescriptor]:
    looks = ("Get", "List", "Read", "Watch", "Export", "Verify")
    for method in METHODS:
        # A chunk carries its upload and offset, which make a repeat harmless without an id.
        if not method.name.startswith(looks) and method.name not in ("Preview", "Explain", "WriteBlob"):
            yield method


def test_every_call_that_changes_something_carries_a_request_id() -> None:
    changing = list(mutating())
    assert len(changing) > 15
    for method in changing:
        field = method.input_type.fields_by_name.get("request_id")
        assert field is not None and field.number == 1, method.full_name


def test_one_file_without_imports_or_options() -> None:
    file = contract()
    assert (file.package, file.syntax) == ("probescout.v1", "proto3")
    assert list(file.dependency) == []
    assert not file.HasField("options") or not file.options.ListFields()
