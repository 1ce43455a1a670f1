"""How a server starts, who may reach it, and how it ends."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from probescout_client.wire.v1 import probescout_pb2 as pb
from probescout_client.wire.v1 import probescout_pb2_grpc as rpc


def refused(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "probescout.cli", "serve", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_ready_line_and_the_token_file(server: Any) -> None:
    assert set(server.ready) == {"ready", "grpc", "http", "data", "token_file", "pid"}
    assert server.ready["ready"] is True and server.ready["pid"] == server.process.pid
    assert server.ready["data"] == str(server.data)
    mode = stat.S_IMODE(Path(server.ready["token_file"]).stat().st_mode)
    assert mode == 0o600


def test_health_of_each_service(server: Any) -> None:
    stub = health_pb2_grpc.HealthStub(server.channel)
    want = {"": 1, "probescout.v1.PlannerService": 1, "probescout.v1.BlobService": 1, "probescout.v1.TheoryService": 1}
    for name, status in want.items():
        assert stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=10).status == status


def test_reflection_names_the_services_and_asks_for_a_token(server: Any) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(server.channel)
    ask = [reflection_pb2.ServerReflectionRequest(list_services="")]
    [reply] = stub.ServerReflectionInfo(iter(ask), metadata=server.metadata, timeout=10)
    names = {s.name for s in reply.list_services_response.service}
    assert {"probescout.v1.PlannerService", "probescout.v1.BlobService", "grpc.health.v1.Health"} <= names
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.ServerReflectionInfo(iter(ask), timeout=10))
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_other_computers_need_tls(tmp_path: Path) -> None:
    done = refused("--listen", "0.0.0.0:0", "--data", str(tmp_path / "d"))
    assert done.returncode == 2 and "--tls-cert" in done.stderr and not done.stdout
    assert not (tmp_path / "d").exists()


def test_a_token_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret\n")
    token.chmod(0o644)
    done = refused("--listen", "127.0.0.1:0", "--data", str(tmp_path / "d"), "--token-file", str(token))
    assert done.returncode == 2 and "chmod 600" in done.stderr


def test_a_port_that_is_taken(server: Any, tmp_path: Path) -> None:
    done = refused("--listen", server.ready["grpc"], "--data", str(tmp_path / "d"))
    assert done.returncode == 4 and "choose another port" in done.stderr


def test_two_servers_on_one_directory(server: Any) -> None:
    server.campaign("locked")
    done = refused("--listen", "127.0.0.1:0", "--data", str(server.data))
    assert done.returncode == 1 and "JOURNAL_LOCKED" in done.stderr and str(server.process.pid) in done.stderr


def test_scoped_tokens(tmp_path: Path, make_server: Callable[..., Any]) -> None:
    token = tmp_path / "tokens"
    token.write_text('boss\n{"token": "eye", "name": "observer", "scopes": ["view"]}\n')
    token.chmod(0o600)
    live = make_server("data", "--token-file", str(token))
    eye = (("authorization", "Bearer eye"),)
    assert not live.planner.ListCampaigns(pb.ListCampaignsRequest(), metadata=eye, timeout=10).campaigns
    with pytest.raises(grpc.RpcError) as caught:
        live.planner.CreateCampaign(pb.CreateCampaignRequest(), metadata=eye, timeout=10)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_unix_socket(tmp_path: Path, make_server: Callable[..., Any]) -> None:
    live = make_server("data", "--listen", f"unix:{tmp_path / 's'}")
    assert live.ready["grpc"].startswith("unix:")
    assert not live.call("ListCampaigns", pb.ListCampaignsRequest()).campaigns


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_tls(tmp_path: Path, make_server: Callable[..., Any]) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    live = make_server("data", "--tls-cert", str(cert), "--tls-key", str(key))
    credentials = grpc.ssl_channel_credentials(cert.read_bytes())
    with grpc.secure_channel(live.ready["grpc"], credentials) as channel:
        stub = rpc.PlannerServiceStub(channel)
        assert not stub.ListCampaigns(pb.ListCampaignsRequest(), metadata=live.metadata, timeout=10).campaigns
    with pytest.raises(grpc.RpcError):
        live.call("ListCampaigns", pb.ListCampaignsRequest(), timeout=5)


def test_sigterm_ends_in_order_and_leaves_no_child(make_server: Callable[..., Any], wire: Any) -> None:
    live = make_server("data")
    name = live.campaign("drain")
    s = live.suggest(name).suggestions[0]
    with open(f"/proc/{live.process.pid}/task/{live.process.pid}/children", encoding="ascii") as file:
        children = [int(p) for p in file.read().split()]
    assert len(children) >= 2
    watch = live.planner.WatchEvents(pb.WatchEventsRequest(campaign=name), metadata=live.metadata, timeout=60)
    next(iter(watch))
    assert live.stop() == 0
    assert not [p for p in children if os.path.exists(f"/proc/{p}")]
    again = make_server("data")
    [kept] = again.call("ListSuggestions", pb.ListSuggestionsRequest(campaign=name)).suggestions
    assert (kept.name, kept.lease_token) == (s.name, s.lease_token)


def test_more_campaigns_than_workers(make_server: Callable[..., Any], wire: Any) -> None:
    live = make_server("data", "--max-workers", "2")
    names = [live.campaign(f"c{i}") for i in range(4)]
    for turn in range(2):
        for name in names:
            s = live.suggest(name).suggestions[0]
            o = wire.observation(name, f"o{turn}", s)
            live.call("Step", pb.StepRequest(request_id=wire.new_id(), campaign=name, observation=o))
    for name in names:
        # Every campaign gets its turn at a worker, and every score is journalled in the end.
        events = live.planner.WatchEvents(pb.WatchEventsRequest(campaign=name), metadata=live.metadata, timeout=60)
        scored = 0
        for event in events:
            scored += event.kind == "Scored"
            if scored == 2:
                break
        events.cancel()
    children = Path(f"/proc/{live.process.pid}/task/{live.process.pid}/children").read_text(encoding="ascii").split()
    roles = [Path(f"/proc/{c}/cmdline").read_bytes().split(b"\0")[3] for c in children]
    assert roles.count(b"campaign") <= 3, "two in use and the spare"
