"""The front: one process that listens, and ends in order."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from probescout_client.wire.v1 import probescout_pb2 as pb
from probescout_client.wire.v1 import probescout_pb2_grpc as rpc

from probescout.core.errors import InvalidInput, Reason, Unavailable
from probescout.runtime.planner import Planner
from probescout.runtime.settings import Settings
from probescout.service.auth import Tokens
from probescout.service.blob_servicer import BlobServicer
from probescout.service.guard import Guard
from probescout.service.planner_servicer import PlannerServicer
from probescout.service.theory_servicer import TheoryServicer

SERVICES = ("probescout.v1.PlannerService", "probescout.v1.BlobService", "probescout.v1.TheoryService")
MAX_MESSAGE = 8 << 20
"""Largest request, bytes; what is larger goes through BlobService in chunks."""
GRACE_S = 10.0
"""How long calls in progress may take to end after SIGTERM."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Listen:
    """Where and how to listen."""

    address: str
    data: Path
    token_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None
    is_insecure: bool = False
    settings: Settings = field(default_factory=Settings)


def is_local(address: str) -> bool:
    """Return whether an address can be reached from this computer only."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def credentials(listen: Listen) -> grpc.ServerCredentials | None:
    """Return the TLS credentials; None for plaintext, which is for this computer only.

    Raises:
        InvalidInput: FIELD_INVALID or FILE_UNREADABLE.
    """
    if listen.tls_cert is None or listen.tls_key is None:
        if listen.tls_cert or listen.tls_key or listen.client_ca:
            raise InvalidInput(Reason.FIELD_INVALID, "TLS needs both --tls-cert and --tls-key", field="--tls-cert")
        if not is_local(listen.address) and not listen.is_insecure:
            raise InvalidInput(
                Reason.FIELD_INVALID,
                f"{listen.address} can be reached from other computers: give --tls-cert and --tls-key, listen on "
                "127.0.0.1 or unix:PATH, or accept plaintext with --insecure",
                field="--listen",
            )
        return None
    try:
        pair = (listen.tls_key.read_bytes(), listen.tls_cert.read_bytes())
        ca = listen.client_ca.read_bytes() if listen.client_ca is not None else None
    except OSError as error:
        raise InvalidInput(Reason.FILE_UNREADABLE, f"TLS file: {error}", field="--tls-cert") from error
    return grpc.ssl_server_credentials([pair], root_certificates=ca, require_client_auth=ca is not None)


class Server:
    """A listening planner."""

    def __init__(self, listen: Listen) -> None:
        """Prepare; `start` opens the port."""
        self._listen = listen
        self.token_file = listen.token_file or listen.data / "token"
        self.planner = Planner(listen.data, listen.settings)
        self.address = ""
        self._health = health.aio.HealthServicer()

    async def start(self) -> None:
        """Recover the campaigns and open the port.

        Raises:
            InvalidInput: The address, a TLS file or the token file cannot be used.
            Unavailable: The port is taken, or the data directory cannot be written.
        """
        secure = credentials(self._listen)
        try:
            self._listen.data.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(Reason.STORE_UNAVAILABLE, f"{self._listen.data}: {error}", field="--data") from error
        self.guard = Guard(Tokens.load(self.token_file), self._listen.settings.max_inflight)
        await self.planner.start()
        self._server = grpc.aio.server(
            interceptors=[self.guard],
            options=[
                ("grpc.max_receive_message_length", MAX_MESSAGE),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),
            ],
        )
        rpc.add_PlannerServiceServicer_to_server(PlannerServicer(self.planner), self._server)  # type: ignore[no-untyped-call]
        rpc.add_BlobServiceServicer_to_server(BlobServicer(self.planner), self._server)  # type: ignore[no-untyped-call]
        rpc.add_TheoryServiceServicer_to_server(TheoryServicer(self.planner), self._server)  # type: ignore[no-untyped-call]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = [s.full_name for s in pb.DESCRIPTOR.services_by_name.values()]
        reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server)
        self.address = self._bind(secure)
        await self._server.start()
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)

    def _bind(self, secure: grpc.ServerCredentials | None) -> str:
        wanted = self._listen.address
        try:
            if secure is not None:
                port = self._server.add_secure_port(wanted, secure)
            else:
                port = self._server.add_insecure_port(wanted)
        except RuntimeError as error:
            raise Unavailable(
                Reason.STORE_UNAVAILABLE, f"cannot listen on {wanted}: {error}; choose another port", field="--listen"
            ) from error
        return wanted if wanted.startswith("unix:") else f"{wanted.rpartition(':')[0]}:{port}"

    async def _set_health(self, status: int) -> None:
        for name in ("", *SERVICES):
            await self._health.set(name, status)

    async def stop(self) -> None:
        """Refuse new work, let calls end, release everything."""
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        self.guard.drain()
        # Executors that wait for a job get none, or their calls would hold up the end.
        await self.planner.end_theory()
        try:
            await asyncio.wait_for(self.guard.idle(), GRACE_S)
        except TimeoutError:
            _log.warning("calls are still in progress after %g s; ending them", GRACE_S)
        await self._server.stop(grace=0.5)
        await self.planner.close()

    def ready_line(self) -> str:
        """Return the JSON line that says where the server listens."""
        return json.dumps(
            {
                "ready": True,
                "grpc": self.address,
                "http": None,
                "data": str(self._listen.data),
                "token_file": str(self.token_file),
                "pid": os.getpid(),
            }
        )


async def serve(listen: Listen) -> None:
    """Serve until SIGTERM or SIGINT, then end in order.

    Raises:
        InvalidInput: See `Server.start`.
        Unavailable: Likewise.
    """
    server = Server(listen)
    await server.start()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    print(server.ready_line(), flush=True)
    await ended.wait()
    print("draining", file=sys.stderr, flush=True)
    await server.stop()
