"""`probescout theory-worker`: this computer, or a cluster, runs simulations for a server elsewhere."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from probescout.cli.remote import CaOption, CertOption, KeyOption, ServerOption, TokenOption, client_errors, secrets_of


class Where(StrEnum):
    """Where jobs run."""

    LOCAL = "local"
    DASK = "dask"
    PREFECT = "prefect"


def theory_worker(
    server: ServerOption = "127.0.0.1:50051",
    token_file: TokenOption = None,
    slots: Annotated[int, typer.Option(min=1, help="Most jobs at once.")] = 1,
    engines: Annotated[
        str, typer.Option(metavar="A,B", help="Engines whose jobs are taken.", show_default="all that can run here")
    ] = "",
    memory_mib: Annotated[int, typer.Option(min=256, help="Address space of each process of a job, MiB.")] = 4096,
    lease_s: Annotated[
        float, typer.Option(min=1.0, max=86400.0, help="Silence after which the server gives a job to another worker.")
    ] = 30.0,
    executor: Annotated[
        Where, typer.Option(help="Where jobs run: here, as tasks of Dask, as flow runs of Prefect.")
    ] = Where.LOCAL,
    scheduler: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Of Dask: tcp://HOST:PORT, or the path of its scheduler file.")
    ] = "",
    pool: Annotated[
        str, typer.Option(metavar="NAME", help="Work pool of Prefect.", show_default="probescout-theory")
    ] = "",
    cache: Annotated[Path | None, typer.Option(help="Directory of known results; it may be shared.")] = None,
    worker_id: Annotated[str, typer.Option(help="Name that people see beside the jobs.", show_default="HOST-PID")] = "",
    ca_file: CaOption = None,
    cert_file: CertOption = None,
    key_file: KeyOption = None,
) -> None:
    """Run theory jobs of a server here or on a cluster until SIGTERM; one JSON line on stdout says when it is ready.

    The token needs the scope `theory`. A server that is away is waited for; jobs that run when this ends go to others.
    """
    import asyncio
    import logging
    import os
    import socket

    from probescout.service.remote_desk import Address
    from probescout.service.theory_worker import Worker, work

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # It logs every request to Prefect, some a second for each job.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with client_errors():
        address = Address(server, *secrets_of(token_file, ca_file, cert_file, key_file))
    worker = Worker(
        worker_id or f"{socket.gethostname()}-{os.getpid()}",
        tuple(filter(None, (name.strip() for name in engines.split(",")))),
        slots,
        memory_mib << 20,
        lease_s,
        cache,
        executor.value,
        pool if executor is Where.PREFECT else scheduler,
    )
    asyncio.run(work(address, worker))
