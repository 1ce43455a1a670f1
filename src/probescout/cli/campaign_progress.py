"""The progress bar of campaign files, with the time that is left split into instrument and planner."""

from __future__ import annotations

import logging
from types import TracebackType

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from probescout.campaigns.progress import Progress


class CampaignProgress:
    """A bar on standard error, with what is logged meanwhile above it."""

    def __init__(self) -> None:
        """Prepare; entering shows it."""
        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description:<24}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self._bar = Bar(*columns, console=console)
        self._task = self._bar.add_task("starting", total=None, left="")
        self._handler = RichHandler(console=console, show_path=False, show_level=False)

    def __enter__(self) -> CampaignProgress:
        """Show the bar."""
        root = logging.getLogger()
        root.addHandler(self._handler)
        logging.getLogger("probescout.campaigns").setLevel(logging.INFO)
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave it as it stands."""
        self._bar.stop()
        logging.getLogger().removeHandler(self._handler)

    def update(self, now: Progress) -> None:
        """Show where the run stands."""
        left = now.left_s
        text = "" if left is None else f"left: {sum(left):.0f} s (instrument {left[0]:.0f} s, planner {left[1]:.0f} s)"
        self._bar.update(self._task, completed=now.n_done, total=now.n_total or None, description=now.region, left=text)
