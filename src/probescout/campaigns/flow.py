"""A campaign file as one Prefect flow. Prefect says when it runs and shows where it stands; it holds no data of ours.

One flow run measures a whole file: a task for every point would cost more than the point. Results are in the planner's
journal and in the folder of the outputs, so that nothing is pickled and a lost Prefect database loses no measurement.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger
from prefect.client.orchestration import get_client
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectNotFound
from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed

from probescout.campaigns import results
from probescout.campaigns.artifacts import Reporter
from probescout.campaigns.conduct import Place, conduct
from probescout.campaigns.reading import read_file
from probescout.campaigns.spec import CampaignFile

LEASE_S = 60.0
"""An instrument whose run was killed is free for the next one after this time; Prefect takes no less."""
CONFIRM_POLL_S = 5
_log = logging.getLogger("probescout.campaigns.flow")
_confirmed: set[str] = set()
"""Flow runs that a person has agreed to; their retries, which run in the same process, ask nobody."""


class Confirmation(RunInput):
    """What the person at the instrument is asked before anything moves."""

    is_ready: bool = False
    """Whether the run may begin."""
    by: str = ""
    """Who says so."""


class InstrumentFailed(Exception):  # noqa: N818 (a state of affairs, as in core.errors)
    """A region failed; it is taken up by the retry, or by the next run."""


# Prefect writes down the error of a failed run whatever `persist_result` says: as JSON, never as a pickle.
@flow(name="probescout-campaign", persist_result=False, result_serializer="json")
def campaign(spec: str, server: str = "", token_file: str = "", run_key: str = "", again: bool = True) -> Any:
    """Measure a campaign file, or take up what an earlier run left unfinished.

    Args:
        spec: Path of the campaign file on the computer that runs this.
        server: Address of the planner; empty: one is started for the run.
        token_file: Its bearer token.
        run_key: Names this time apart from others.
        again: Begin anew when everything under the key has ended.

    Raises:
        ProbescoutError: As `read_file` and `conduct`; a retry takes the campaign up.
        InstrumentFailed: A region failed.
    """
    # What the run says of itself goes where Prefect's own log goes.
    logging.getLogger("probescout.campaigns").setLevel(logging.INFO)
    file = read_file(Path(spec))
    late_s = _late_s(file)
    if late_s is not None:
        return Cancelled(message=f"begun {late_s:.0f} s after its time, more than schedule.skip_after_s: skipped")
    ensure_limits(file)
    # A limit that is missing holds nobody back unless this is strict; a renewal that fails must not end a measurement.
    with concurrency(
        limit_names(file), occupy=1, lease_duration=LEASE_S, strict=True, raise_on_lease_renewal_failure=False
    ):
        if not _is_confirmed(file):
            return Cancelled(message=f"the answer to '{file.confirm.question}' was no; nothing has moved")
        with Reporter(file) as reporter:
            report = conduct(
                file,
                Place(server, token_file),
                run_key=run_key,
                again=again,
                on_progress=reporter.progress,
                on_region=reporter.region,
            )
            reporter.finish(report)
    troubles = (results.FAILED, results.UNPARKED)
    if report.state in troubles:
        raise InstrumentFailed("; ".join(r.message for r in report.regions if r.state in troubles))
    n_new = sum(region.n_new for region in report.regions)
    message = f"{report.state}: {n_new} points measured by this run"
    if not all(region.is_parked for region in report.regions):
        message += "; the instrument is NOT PARKED"
    # An abort is a person's word: a failed state would be tried again.
    return Cancelled(message=message) if report.state == results.ABORTED else Completed(message=message)


def limit_names(file: CampaignFile) -> list[str]:
    """Return the names of the global concurrency limits of the instruments; a run gets all of them or none."""
    return [f"probescout-instrument-{instrument.label}" for instrument in file.all_instruments]


def ensure_limits(file: CampaignFile) -> None:
    """Let one run at a time hold an instrument, over all deployments of this Prefect server.

    A limit that is there is left as it is: closing an instrument by a limit of 0 is a person's word.
    """
    with get_client(sync_client=True) as client:
        for name in limit_names(file):
            try:
                client.read_global_concurrency_limit_by_name(name)
            except ObjectNotFound:
                _log.warning("Prefect has no limit %s; it is made, for one run at a time", name)
                client.upsert_global_concurrency_limit_by_name(name, 1)


def _late_s(file: CampaignFile) -> float | None:
    """Return how late a scheduled run begins when that is too late; None when it may begin.

    Runs pile up while nobody serves the deployment; a night that is over is not made up for in the morning.
    """
    planned = flow_run.scheduled_start_time
    late_s = (datetime.now(UTC) - planned).total_seconds()
    is_late = 0.0 < file.schedule.skip_after_s < late_s
    # A retry keeps the time that its first attempt was planned for.
    return late_s if is_late and flow_run.run_count <= 1 else None


def _is_confirmed(file: CampaignFile) -> bool:
    """Return a person's word where the file wants it; wait for it first."""
    if not file.confirm.required or flow_run.id in _confirmed:
        return True
    asked = Confirmation.with_initial_data(description=file.confirm.question, is_ready=False)
    answer = pause_flow_run(wait_for_input=asked, timeout=int(file.confirm.timeout_s), poll_interval=CONFIRM_POLL_S)
    get_run_logger().info(
        "%s: %s, says %s", file.confirm.question, "yes" if answer.is_ready else "no", answer.by or "somebody"
    )
    if answer.is_ready:
        _confirmed.add(str(flow_run.id))
    return bool(answer.is_ready)
