"""Every call of the contract on a live server: who may make it, and which are not built yet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from probescout_client.wire.v1 import probescout_pb2 as pb

from probescout.core.errors import Denied
from probescout.service.auth import POLICY, SCOPES, Principal, Tokens
from probescout.service.not_built import NOT_BUILT

METHODS = {
    f"/{m.containing_service.full_name}/{m.name}": m for s in pb.DESCRIPTOR.services_by_name.values() for m in s.methods
}
STANDARD = {
    f"/{service.full_name}/{method.name}"
    for module in (health_pb2, reflection_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


def test_every_call_has_a_policy() -> None:
    assert set(METHODS) - set(POLICY) == set(), (
        "name the scope of each new call in POLICY; until then nobody may make it"
    )
    assert STANDARD - set(POLICY) == set()
    assert {POLICY[name] for name in METHODS} <= set(SCOPES), "no call of ours is open to anybody"


def test_no_policy_is_left_over() -> None:
    ours = {name for name in POLICY if name.startswith("/probescout.")}
    assert ours == set(METHODS)


def test_what_has_no_policy_is_refused_even_to_an_administrator() -> None:
    tokens = Tokens([("boss", Principal("boss", frozenset({"admin"})))])
    assert tokens.check("/probescout.v1.PlannerService/Suggest", "Bearer boss").name == "boss"
    for name in ("/probescout.v1.PlannerService/Unheard", "/other.Service/Suggest", ""):
        with pytest.raises(Denied):
            tokens.check(name, "Bearer boss")


def code_of(channel: grpc.Channel, name: str, metadata: Any) -> grpc.StatusCode:
    """Return the status of a call with an empty request."""
    method = METHODS[name]
    make = channel.unary_stream if method.server_streaming else channel.unary_unary
    call = make(name, lambda m: m.SerializeToString(), GetMessageClass(method.output_type).FromString)
    try:
        reply = call(GetMessageClass(method.input_type)(), metadata=metadata, timeout=20)
        if method.server_streaming:
            list(reply)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def test_the_list_of_calls_not_built_is_true(server: Any) -> None:
    codes = {name: code_of(server.channel, name, server.metadata) for name in METHODS}
    assert {name for name, code in codes.items() if code is grpc.StatusCode.UNIMPLEMENTED} == NOT_BUILT
    blamed = {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.DEADLINE_EXCEEDED}
    assert {name: code for name, code in codes.items() if code in blamed} == {}


def test_only_export_and_verify_are_not_built() -> None:
    assert {f"/probescout.v1.PlannerService/{name}" for name in ("ExportCampaign", "VerifyCampaign")} == NOT_BUILT


def test_no_call_works_without_a_token(server: Any) -> None:
    for metadata in ((), (("authorization", "Bearer wrong"),)):
        codes = {code_of(server.channel, name, metadata) for name in METHODS}
        assert codes == {grpc.StatusCode.UNAUTHENTICATED}


@pytest.mark.parametrize("scope", [s for s in SCOPES if s != "admin"])
def test_a_token_allows_its_scope_and_nothing_else(scope: str, scoped: Any) -> None:
    metadata = (("authorization", f"Bearer token-{scope}"),)
    for name in METHODS:
        refused = code_of(scoped.channel, name, metadata) is grpc.StatusCode.PERMISSION_DENIED
        assert refused is (POLICY[name] != scope), name


@pytest.fixture
def scoped(tmp_path: Path, make_server: Callable[..., Any]) -> Any:
    rows = [f'{{"token": "token-{s}", "name": "{s}", "scopes": ["{s}"]}}' for s in SCOPES]
    path = tmp_path / "tokens"
    path.write_text('{"token": "boss", "name": "boss", "scopes": ["admin"]}\n' + "\n".join(rows) + "\n")
    path.chmod(0o600)
    return make_server("data", "--token-file", str(path))
