"""Shows a campaign in Prefect: progress, a table and a summary, and the map of every region."""

from __future__ import annotations

import base64
import contextvars
import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from uuid import UUID

import httpx
from prefect.artifacts import (
    create_image_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.exceptions import PrefectException

from probescout.campaigns.outputs import folder_of, picture
from probescout.campaigns.progress import Progress
from probescout.campaigns.results import Region, Report
from probescout.campaigns.spec import CampaignFile

EVERY_S = 2.0
"""Seconds between updates of the progress; one costs Prefect tens of milliseconds."""
_log = logging.getLogger(__name__)


class Reporter:
    """A context manager whose thread tells Prefect of the progress, so that no point waits for Prefect."""

    def __init__(self, file: CampaignFile) -> None:
        """Prepare; entering makes the progress artifact."""
        self._file = file
        self._newest: Progress | None = None
        self._changed = threading.Event()
        self._over = threading.Event()
        self._artifact: UUID | None = None
        # The artifact belongs to the flow run that the context names.
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._tell,), name="progress", daemon=True)

    def __enter__(self) -> Reporter:
        """Make the artifact and begin to tell."""
        with unless_prefect_fails("make the progress artifact"):
            made = create_progress_artifact(0.0, self.key("progress"), "about to begin")
            assert isinstance(made, UUID)  # the same name makes a coroutine where a loop runs
            self._artifact = made
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell the last and end."""
        self._over.set()
        self._changed.set()
        self._thread.join()

    def key(self, what: str) -> str:
        """Return the key of an artifact of this file."""
        return re.sub(r"[^a-z0-9]+", "-", f"probescout-{self._file.campaign.name}-{what}".lower()).strip("-")

    def progress(self, now: Progress) -> None:
        """Take the newest progress; returns at once."""
        self._newest = now
        self._changed.set()

    def region(self, found: Region) -> None:
        """Show the map of a region that is over."""
        if not found.maps:
            return
        with unless_prefect_fails(f"show the map of {found.name}"):
            # The picture travels in the address: no other server has to hold it.
            image = "data:image/png;base64," + base64.b64encode(picture(found)).decode()
            create_image_artifact(image, self.key(f"{found.name}-map"), f"{found.n_measured} points, {found.state}")

    def finish(self, report: Report) -> None:
        """Show the table of all regions and a summary."""
        rows = [_row(rank, region) for rank, region in enumerate(report.ranking, 1)]
        with unless_prefect_fails("show the table of regions"):
            create_table_artifact(rows, self.key("regions"), f"{report.state}, best region first")
        with unless_prefect_fails("show the summary"):
            create_markdown_artifact(_summary(report), self.key("summary"))

    def _tell(self) -> None:
        while True:
            self._changed.wait()
            self._changed.clear()
            now = self._newest
            if now is not None and self._artifact is not None:
                with unless_prefect_fails("update the progress"):
                    update_progress_artifact(self._artifact, 100.0 * (now.fraction or 0.0), now.line())
            if self._over.wait(EVERY_S) and self._newest is now:
                return


@contextmanager
def unless_prefect_fails(what: str) -> Iterator[None]:
    """Go on without what Prefect could not do: beam time is worth more than a picture of it."""
    try:
        yield
    # Prefect reports some servers that do not answer as RuntimeError.
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:
        _log.warning("Prefect could not %s: %r", what, error)


def _row(rank: int, region: Region) -> dict[str, object]:
    best = region.best
    return {
        "rank": rank,
        "region": region.name,
        "state": region.state,
        "points": region.n_measured,
        "by this run": region.n_new,
        "best target": f"{best['target']:.6g} {region.unit}".strip() if best else "",
        "at (y, x)": f"({best['y']:.4f}, {best['x']:.4f})" if best else "",
        **({"theory": region.theory.line(region.unit)} if region.theory is not None else {}),
        "campaign": region.campaign,
    }


def _summary(report: Report) -> str:
    file = report.file
    lines = [
        f"# {file.campaign.title or file.campaign.name}: {report.state}",
        f"- sample {file.campaign.sample or '-'}, instrument {file.label}",
        f"- run key `{report.key or '-'}`, digest `{file.digest}`",
        f"- results in `{folder_of(report)}`",
        *(f"- **{region.name}** {region.state}: {region.message}" for region in report.regions),
    ]
    return "\n".join(lines) + "\n"
