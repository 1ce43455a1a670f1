"""The progress bar of suites: runs that are done, failed and left, whoever does them."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from probescout.suites.conduct import Progress


class SuiteProgress:
    """A bar on standard error, with what failed above it; a line for each run where that is no terminal."""

    def __init__(self) -> None:
        """Prepare; entering shows it."""
        columns = (
            TextColumn("{task.description:<8}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.fields[last]}"),
        )
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._bar = Bar(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("runs", total=None, left="", last="")
        self._n_failed = 0
        self.now: Progress | None = None
        """Where it stands."""

    def __enter__(self) -> SuiteProgress:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave it as it stands."""
        self._bar.stop()

    def update(self, now: Progress) -> None:
        """Show where the suite stands."""
        self.now = now
        left = "" if now.left_s is None else f"left: {now.left_s / 60.0:.1f} min"
        done = now.n_done + now.n_failed
        if now.n_failed > self._n_failed or (now.last and not self._bar.console.is_terminal):
            self._n_failed = now.n_failed
            self._bar.console.print(f"[{done}/{now.n_total}] {now.last}; {left}", markup=False)
        self._bar.update(self._task, completed=done, total=now.n_total, left=left, last=now.last[:60])
