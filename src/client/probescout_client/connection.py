"""The link to a server: channel, credentials, deadlines, and retries that are safe because requests carry ids."""

from __future__ import annotations

import ipaddress
import json
import os
import random
import threading
import time
from typing import Any, Dict, Generator, List, Optional, Tuple

import grpc

from probescout_client.errors import InvalidInput, Overloaded, ProbescoutError, Unavailable, error_of
from probescout_client.wire.v1 import probescout_pb2_grpc

MAX_MESSAGE_BYTES = 256 * 1024 * 1024
"""gRPC's own limit of 4 MiB is exceeded by one page of observations with spectra."""
FIRST_DELAY_S = 0.05
LARGEST_DELAY_S = 5.0

# A server that goes away in mid-call shows as any of these; each request carries an id, so sending it again is safe.
_PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)


class Connection:
    """Carries calls to one server, again and again until they are answered.

    Safe to use from several threads.
    """

    def __init__(
        self,
        target: str,
        token: str = "",
        ca: Optional[bytes] = None,
        cert: Optional[bytes] = None,
        key: Optional[bytes] = None,
        insecure: bool = False,
        timeout_s: float = 10.0,
        patience_s: float = 30.0,
    ) -> None:
        """Open a channel; nothing is sent yet.

        Args:
            target: "host:port" or "unix:path".
            token: Bearer token; empty: none is sent.
            ca: PEM certificates of the authorities to trust; None: those of the system.
            cert: PEM certificate of this client, for mutual TLS.
            key: PEM key of `cert`.
            insecure: Speak plaintext even to another machine.
            timeout_s: Time that one attempt of a call may take.
            patience_s: Time without an answer after which calls outside the measuring loop give up.
        """
        self.target = target
        self.timeout_s = timeout_s
        self.patience_s = patience_s
        self.closing = threading.Event()
        self.last_contact = time.monotonic()
        """Monotonic time of the newest answer of the server, an error included."""
        self.is_plaintext = ca is None and cert is None and (insecure or is_local(target))
        self._random = random.Random()
        self._metadata: List[Tuple[str, str]] = [("authorization", "Bearer " + token)] if token else []
        options = channel_options(target)
        if self.is_plaintext:
            self._channel = grpc.insecure_channel(target, options=options)
        else:
            self._channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(ca, key, cert), options=options)
        self._methods = self._bind()

    def _bind(self) -> Dict[str, Any]:
        """Return every call of the contract by its name; names are unique over the services."""
        methods: Dict[str, Any] = {}
        for service in ("PlannerService", "BlobService", "TheoryService"):
            stub = getattr(probescout_pb2_grpc, service + "Stub")(self._channel)
            methods.update(vars(stub))
        return methods

    def call(
        self,
        name: str,
        request: Any,
        give_up_after_s: Optional[float] = None,
        timeout_s: Optional[float] = None,
        interrupt: Optional[threading.Event] = None,
    ) -> Any:
        """Send a unary call, again with the same request while the fault is a passing one, and return the reply.

        Waits between attempts grow from 0.05 s to 5 s with jitter (Brooker 2015, "Exponential backoff and jitter").

        Args:
            name: Name of the call, for example "Suggest".
            request: Its message; the same bytes go out on every attempt.
            give_up_after_s: Time after which the fault is raised; None: never; 0: after one attempt.
            timeout_s: Time that one attempt may take; None: that of the connection.
            interrupt: Ends the waiting when set, as closing the connection does.

        Raises:
            Unavailable: When given up, interrupted or closed.
            ProbescoutError: Another family, at once, for every answer that a retry cannot mend.
        """
        if name not in self._methods:
            raise InvalidInput("FIELD_INVALID", "the contract has no call '{}'".format(name), "name")
        stop = interrupt or self.closing
        began = time.monotonic()
        attempt = 0
        while True:
            try:
                reply = self._methods[name](request, timeout=timeout_s or self.timeout_s, metadata=self._metadata)
            except ValueError as fault:
                # What grpc raises for a call on a channel that another thread has closed.
                raise Unavailable("UNREACHABLE", "the connection to {} is closed".format(self.target)) from fault
            except grpc.RpcError as fault:
                error = error_of(fault, name)
                if not is_passing(fault, error):
                    self.last_contact = time.monotonic()
                    raise error from fault
                delay = self._delay(attempt)
                spent = time.monotonic() - began
                if give_up_after_s is not None and spent + delay > give_up_after_s:
                    raise self._given_up(error, name, spent) from fault
                if stop.wait(delay) or self.closing.is_set():
                    raise self._given_up(error, name, spent) from fault
                attempt += 1
            else:
                self.last_contact = time.monotonic()
                return reply

    def stream(self, name: str, request: Any) -> Generator[Any, None, None]:
        """Send a server-streaming call and yield its messages; leaving the loop cancels it.

        Raises:
            ProbescoutError: The family of the status that ended the stream.
        """
        call = self._methods[name](request, metadata=self._metadata)
        try:
            for message in call:
                self.last_contact = time.monotonic()
                yield message
        except grpc.RpcError as fault:
            raise error_of(fault, name) from fault
        finally:
            call.cancel()

    def close(self) -> None:
        """End every waiting call and close the channel."""
        self.closing.set()
        self._channel.close()

    def _delay(self, attempt: int) -> float:
        ceiling = min(LARGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(attempt, 16))
        return self._random.uniform(0.2, 1.0) * ceiling

    def _given_up(self, error: ProbescoutError, name: str, spent_s: float) -> ProbescoutError:
        message = "{} to {} was not answered in {:.1f} s ({}); check that the server runs and the link is up".format(
            name, self.target, spent_s, error.message
        )
        return type(error)(error.reason, message, error.field)


def channel_options(target: str) -> List[Tuple[str, Any]]:
    """Return the options of every channel to a server."""
    return [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2000),
        ("grpc.enable_retries", 0),
        # A proxy of the site cannot reach this machine's own loopback.
        ("grpc.enable_http_proxy", 0 if is_local(target) else 1),
    ]


def is_passing(fault: Any, error: ProbescoutError) -> bool:
    """Return whether the same request may succeed a little later.

    Args:
        fault: The grpc.RpcError that the call raised.
        error: What `error_of` made of it.
    """
    if isinstance(error, Overloaded):
        return error.reason == "QUEUE_FULL"
    # Older grpc cores report a connection lost in mid-call as UNKNOWN with exactly these words.
    return fault.code() in _PASSING or fault.details() == "Stream removed"


def is_local(target: str) -> bool:
    """Return whether a target is a unix socket or this machine's loopback, where plaintext leaves no machine."""
    if target.startswith(("unix:", "unix-abstract:")):
        return True
    host = target.rsplit(":", 1)[0].strip("[]") if ":" in target else target
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_secret(path: str, what: str) -> bytes:
    """Return the content of a token or PEM file; "~" is the home directory.

    Raises:
        InvalidInput: FILE_UNREADABLE when it cannot be read or is empty.
    """
    full = os.path.expanduser(path)
    try:
        with open(full, "rb") as file:
            content = file.read()
    except OSError as error:
        raise InvalidInput(
            "FILE_UNREADABLE", "the {} '{}' cannot be read: {}; name a readable file".format(what, full, error), what
        ) from error
    if not content.strip():
        raise InvalidInput("FILE_UNREADABLE", "the {} '{}' is empty; write it first".format(what, full), what)
    return content


def read_token(path: str) -> str:
    """Return the first token of a token file; its lines are tokens, JSON objects with a "token", or # comments.

    Raises:
        InvalidInput: FILE_UNREADABLE when there is none.
    """
    lines = read_secret(path, "token_file").decode("utf-8", "replace").splitlines()
    for line in (line.strip() for line in lines):
        if not line or line.startswith("#"):
            continue
        if not line.startswith("{"):
            return line
        try:
            return str(json.loads(line)["token"])
        except (ValueError, KeyError) as error:
            raise InvalidInput(
                "FILE_UNREADABLE",
                "token file '{}' has a line that is not understood: {}".format(path, error),
                "token_file",
            ) from error
    raise InvalidInput("FILE_UNREADABLE", "token file '{}' holds no token; write one".format(path), "token_file")
