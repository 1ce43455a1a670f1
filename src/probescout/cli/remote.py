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
def connection(
    server: str, token_file: Path | None, ca: Path | None = None, cert: Path | None = None, key: Path | None = None
) -> Iterator[Connection]:
    """Open a link to a server and close it at the end.

    A refusal of the server, or its absence, is printed as one line and exits with the code of its family, as errors of
    this program do.

    Raises:
        typer.Exit: 2 bad input, 4 unreachable, 5 authentication, 7 another history or an older server, 1 otherwise.
    """
    from probescout_client import errors
    from probescout_client.connection import Connection, read_secret, read_token

    codes: dict[type[errors.ProbescoutError], int] = {
        errors.InvalidInput: 2,
        errors.Unavailable: 4,
        errors.Unauthenticated: 5,
        errors.Denied: 5,
        errors.HistoryMismatch: 7,
        errors.NotBuilt: 7,
    }
    try:
        link = Connection(
            server,
            token="" if token_file is None else read_token(str(token_file)),
            ca=None if ca is None else read_secret(str(ca), "--ca-file"),
            cert=None if cert is None else read_secret(str(cert), "--cert-file"),
            key=None if key is None else read_secret(str(key), "--key-file"),
        )
        try:
            yield link
        finally:
            link.close()
    except errors.ProbescoutError as error:
        where = f" ({error.field})" if error.field else ""
        print(f"error {error.reason}{where}: {error.message}", file=sys.stderr)
        raise typer.Exit(codes.get(type(error), 1)) from error
