"""The first line of every script: connect."""

from __future__ import annotations

from typing import Optional

from probescout_client.connection import Connection, read_secret, read_token
from probescout_client.errors import InvalidInput
from probescout_client.planner import Planner


def connect(
    target: str,
    token_file: Optional[str] = None,
    token: Optional[str] = None,
    ca_file: Optional[str] = None,
    cert_file: Optional[str] = None,
    key_file: Optional[str] = None,
    client_id: Optional[str] = None,
    outbox: Optional[str] = None,
    timeout_s: float = 10.0,
    patience_s: float = 30.0,
    insecure: bool = False,
) -> Planner:
    """Return a planner at an address; nothing is sent yet.

    Args:
        target: "host:port" or "unix:path". TLS is spoken to everything but a unix socket and this machine's loopback.
        token_file: File that holds the bearer token; "~" is the home directory.
        token: The token itself, instead of a file.
        ca_file: PEM file of the authorities to trust; None: those of the system.
        cert_file: PEM file of this client's certificate, for mutual TLS.
        key_file: PEM file of its key.
        client_id: Name of this instrument; None: the name of this computer with a mark that is kept in the outbox
            folder, one for each process. Give one to each instrument of a computer.
        outbox: Folder in which measurements wait for acknowledgement; None: $PROBESCOUT_OUTBOX or
            ~/.probescout/outbox.
        timeout_s: Time that one attempt of a call may take.
        patience_s: Time without a server after which calls outside the measuring loop give up.
        insecure: Speak plaintext even to another machine; whoever listens then reads the token.

    Raises:
        InvalidInput: FILE_UNREADABLE for a token or certificate, FIELD_INVALID when arguments contradict each other.
    """
    if token is not None and token_file is not None:
        raise InvalidInput("FIELD_INVALID", "give token or token_file, not both", "token")
    if (cert_file is None) != (key_file is None):
        raise InvalidInput("FIELD_INVALID", "mutual TLS needs both cert_file and key_file", "cert_file")
    if insecure and (ca_file is not None or cert_file is not None):
        raise InvalidInput("FIELD_INVALID", "insecure=True is plaintext: leave the certificates out", "insecure")
    if token_file is not None:
        token = read_token(token_file)
    connection = Connection(
        target,
        token=(token or "").strip(),
        ca=None if ca_file is None else read_secret(ca_file, "ca_file"),
        cert=None if cert_file is None else read_secret(cert_file, "cert_file"),
        key=None if key_file is None else read_secret(key_file, "key_file"),
        insecure=insecure,
        timeout_s=timeout_s,
        patience_s=patience_s,
    )
    return Planner(connection, client_id, outbox)
