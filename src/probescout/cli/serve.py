"""`probescout serve`: the planner service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def serve(
    listen: Annotated[str, typer.Option(help="HOST:PORT, or unix:PATH; port 0 picks a free one.")] = "127.0.0.1:50051",
    data: Annotated[Path, typer.Option(help="Directory that holds all campaigns.")] = Path("probescout-data"),
    token_file: Annotated[
        Path | None, typer.Option(help="Bearer tokens, one a line, mode 0600; made on first start. [DATA/token]")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="PEM certificate chain of this server.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM private key of this server.")] = None,
    client_ca: Annotated[Path | None, typer.Option(help="PEM authority; clients must then show a certificate.")] = None,
    http: Annotated[
        str | None, typer.Option(help="HOST:PORT of the live page and JSON gateway (not in this version).")
    ] = None,
    insecure: Annotated[bool, typer.Option(help="Accept plaintext from other computers.")] = False,
    max_workers: Annotated[
        int | None,
        typer.Option(min=1, help="Most campaigns with a live model at once. [one for each GiB of memory, 4 to 32]"),
    ] = None,
    max_blob_mib: Annotated[int, typer.Option(min=1, help="Largest array taken, MiB.")] = 1024,
    theory_slots: Annotated[
        int, typer.Option(min=0, help="Most theory jobs that run on this computer at once; 0: others run them.")
    ] = 1,
    theory_memory_mib: Annotated[
        int, typer.Option(min=256, help="Address space of each process of such a job, MiB.")
    ] = 4096,
) -> None:
    """Serve planners over gRPC until SIGTERM; one JSON line on stdout says when it is ready."""
    import asyncio
    import logging

    from probescout.core.errors import NotBuilt, Reason
    from probescout.runtime.settings import Settings, workers_that_fit
    from probescout.service.server import Listen
    from probescout.service.server import serve as run

    if http is not None:
        raise NotBuilt(
            Reason.CALL_NOT_BUILT,
            "this version has no live page and no JSON gateway; start without --http",
            field="--http",
        )
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = Settings(
        max_workers=max_workers or workers_that_fit(),
        max_blob_bytes=max_blob_mib << 20,
        theory_slots=theory_slots,
        theory_memory_bytes=theory_memory_mib << 20,
    )
    asyncio.run(run(Listen(listen, data, token_file, tls_cert, tls_key, client_ca, insecure, settings)))
