"""Offers a campaign file to Prefect and runs what Prefect asks for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from probescout.campaigns.conduct import Place
from probescout.campaigns.spec import CampaignFile
from probescout.core.errors import InvalidInput, MissingExtra, Reason, Unavailable
from probescout.runtime.prefect_quiet import QUIET, set_quiet


def environment(file: CampaignFile) -> Mapping[str, str]:
    """Return the settings of Prefect under which a file is served; flow runs inherit them."""
    return {
        **QUIET,
        "PREFECT_LOGGING_EXTRA_LOGGERS": "probescout.campaigns",
        "PREFECT_FLOWS_DEFAULT_RETRIES": str(file.schedule.retries),
        "PREFECT_FLOWS_DEFAULT_RETRY_DELAY_SECONDS": f"{file.schedule.retry_delay_s:g}",
    }


def parameters(file: CampaignFile, path: Path, place: Place, run_key: str) -> dict[str, Any]:
    """Return the parameters of the deployment; whoever starts a run by hand may give others."""
    return {
        "spec": str(path),
        "server": place.server,
        "token_file": place.token_file,
        "run_key": run_key,
        "again": file.schedule.again,
    }


def serve(file: CampaignFile, path: Path, place: Place, *, cron: str, run_key: str = "") -> None:
    """Make or update the deployment of a file, and run what it is asked for until SIGTERM or Ctrl-C.

    Args:
        file: The campaign file.
        path: Where it lies; every run reads it anew.
        place: Where the planner is.
        cron: When it runs by itself; empty: only when it is asked to.
        run_key: Names what it measures apart from other deployments of the file.

    Raises:
        MissingExtra: Prefect is not installed.
        InvalidInput: FIELD_INVALID for a schedule that Prefect does not understand.
        Unavailable: Prefect's server does not answer.
    """
    set_quiet(environment(file))
    try:
        # Prefect reads the settings above when it is imported.
        import httpx
        from prefect.schedules import Cron
        from prefect.types.entrypoint import EntrypointType

        from probescout.campaigns.flow import campaign, ensure_limits
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith(("prefect", "httpx")):
            raise
        raise MissingExtra(
            Reason.MISSING_EXTRA,
            "schedules need Prefect, which is not installed: pip install 'probescout[prefect]'; `campaign run` does "
            "without it",
        ) from error
    try:
        schedule = Cron(cron, timezone=file.schedule.timezone or "UTC") if cron else None
    except ValueError as error:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"Prefect does not understand the schedule '{cron}' in '{file.schedule.timezone or 'UTC'}' ({error}); give "
            'five fields, for example "0 22 * * 1-5"',
            field="schedule.cron",
        ) from error
    try:
        ensure_limits(file)
    except httpx.HTTPError as error:
        raise Unavailable(
            Reason.WORKER_UNAVAILABLE,
            f"Prefect's server at {os.environ.get('PREFECT_API_URL', 'no address')} does not answer ({error!r}); start "
            "one with `prefect server start` and set PREFECT_API_URL",
        ) from error
    campaign.serve(
        name=file.campaign.name,
        schedules=[schedule] if schedule is not None else None,
        parameters=parameters(file, path, place, run_key),
        tags=["probescout", *(instrument.label for instrument in file.all_instruments)],
        description=f"{file.campaign.title or file.campaign.name}: {len(file.regions)} regions of "
        f"{file.campaign.sample or 'a sample'} on {file.label}",
        limit=1,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
