"""Reaching a planner server from the command line: where it is, who asks, and what its refusals exit with."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from probescout_client.connection import Connection

PATIENCE_S = 30.0
"""How long a server that answered before may stay away."""
FIRST_PATIENCE_S = 3.0
"""How long a server may take to answer at all."""

ServerOption = Annotated[
    str, typer.Option("--server", metavar="HOST:PORT", envvar="PROBESCOUT_SERVER", help="Or unix:PATH.")
]
TokenOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        envvar="PROBESCOUT_TOKEN_FILE",
        help="File with the bearer token; the server prints its path when it starts.",
        show_default=False,
    ),
]
CaOption = Annotated[
    Path | None, typer.Option("--ca-file", help="PEM authorities to trust; default: those of the system.")
]
CertOption = Annotated[Path | None, typer.Option("--cert-file", help="PEM certificate of this client, for mutual TLS.")]
KeyOption = Annotated[Path | None, typer.Option("--key-file", help="PEM key of the certificate.")]


@contextmanager
def client_errors() -> Iterator[None]:
    """Print an error of the client as one line and exit with the code of its family, as errors of this program do.

    Raises:
        typer.Exit: 2 bad input, 4 unreachable, 5 authentication, 7 another history or an older server, 1 otherwise.
    """
    from probescout_client import errors

    codes: dict[type[errors.ProbescoutError], int] = {
        errors.InvalidInput: 2,
        errors.Unavailable: 4,
        errors.Unauthenticated: 5,
        errors.Denied: 5,
        errors.HistoryMismatch: 7,
        errors.NotBuilt: 7,
    }
    try:
        yield
    except errors.ProbescoutError as error:
        where = f" ({error.field})" if error.field else ""
        print(f"error {error.reason}{where}: {error.message}", file=sys.stderr)
        raise typer.Exit(codes.get(type(error), 1)) from error


def secrets_of(
    token_file: Path | None, ca: Path | None, cert: Path | None, key: Path | None
) -> tuple[str, bytes | None, bytes | None, bytes | None]:
    """Return token, authorities, certificate and key from their files.

    Raises:
        probescout_client.InvalidInput: FILE_UNREADABLE; FIELD_INVALID for a certificate without its key.
    """
    from probescout_client.connection import read_secret, read_token
    from probescout_client.errors import InvalidInput

    if (cert is None) != (key is None):
        raise InvalidInput("FIELD_INVALID", "mutual TLS needs both --cert-file and --key-file", "--cert-file")
    return (
        "" if token_file is None else read_token(str(token_file)),
        None if ca is None else read_secret(str(ca), "--ca-file"),
        None if cert is None else read_secret(str(cert), "--cert-file"),
        None if key is None else read_secret(str(key), "--key-file"),
    )


@contextmanager
def connection(
    server: str, token_file: Path | None, ca: Path | None = None, cert: Path | None = None, key: Path | None = None
) -> Iterator[Connection]:
    """Open a link to a server and close it at the end; see `client_errors` for how it is refused.

    Raises:
        typer.Exit: As `client_errors`.
    """
    from probescout_client.connection import Connection

    with client_errors():
        link = Connection(server, *secrets_of(token_file, ca, cert, key))
        try:
            yield link
        finally:
            link.close()
