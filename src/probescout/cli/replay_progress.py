"""The progress bar of experiments, with the time that is left split into instrument and planner."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

if TYPE_CHECKING:
    from probescout.replay.experiment import Progress


class ReplayProgress:
    """A bar on standard error, so that standard output stays free for results."""

    def __init__(self, n_points: int) -> None:
        """Prepare a bar of so many points; entering shows it."""
        columns = (
            TextColumn("{task.description:<18}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self._bar = Bar(*columns, console=Console(stderr=True))
        self._task = self._bar.add_task("starting", total=n_points, left="")
        self._last: Progress | None = None

    def __enter__(self) -> ReplayProgress:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave it as it stands; what was done is all when nothing went wrong."""
        if self._last is not None and error is None:
            took = f"took: instrument {self._last.instrument_s:.1f} s, planner {self._last.planner_s:.1f} s"
            self._bar.update(self._task, total=self._last.n_done, description="done", left=took)
        self._bar.stop()

    def update(self, now: Progress) -> None:
        """Show where the experiment stands."""
        self._last = now
        self._bar.update(
            self._task, completed=now.n_done, description=f"{now.arm}, seed {now.seed}", left=_time_left(now)
        )


def _time_left(now: Progress) -> str:
    n_left = now.n_total - now.n_done
    instrument_s, planner_s = (spent / now.n_done * n_left for spent in (now.instrument_s, now.planner_s))
    return f"left: {instrument_s + planner_s:.0f} s (instrument {instrument_s:.1f} s, planner {planner_s:.1f} s)"
