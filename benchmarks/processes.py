"""What the processes of a local server do, read from /proc: memory, and whether a fit is under way. Linux only."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

POLL_S = 0.01
IDLE_S = 0.1
"""A fit pauses for less than this between two of its parts."""


def children(pid: int) -> dict[int, str]:
    """Return the role of each child of a server: "campaign" or "fit"."""
    found = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split():
        try:
            words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            # It ended between listing and reading.
            continue
        found[int(child)] = words[3].decode() if len(words) > 3 else ""
    return found


def resident_mib(pid: int) -> dict[str, float]:
    """Return the resident memory of a server by process, MiB.

    Of the campaign workers, the largest holds the model and the other is the spare one that waits for a campaign.
    """
    roles = children(pid)
    workers = sorted((rss_mib(child) for child, role in roles.items() if role == "campaign"), reverse=True)
    fits = [rss_mib(child) for child, role in roles.items() if role == "fit"]
    found = {"front": rss_mib(pid), "worker": workers[0] if workers else 0.0, "fit": max(fits, default=0.0)}
    found["spare"] = workers[1] if len(workers) > 1 else 0.0
    found["front_and_worker"] = round(found["front"] + found["worker"], 1)
    return found


def rss_mib(pid: int) -> float:
    """Return the resident memory of a process, MiB; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    for line in lines:
        if line.startswith("VmRSS:"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


class FitClock:
    """The processor time of a server's fit process, which does nothing but fit."""

    def __init__(self, pid: int) -> None:
        """Find the fit process of the server."""
        self._server = pid
        self._pause = threading.Event()

    def seconds(self) -> float:
        """Return the processor time that it has used so far; one that died and was replaced begins anew."""
        pids = [child for child, role in children(self._server).items() if role == "fit"]
        return sum(_cpu_s(pid) for pid in pids)

    def wait_idle(self, patience_s: float = 300.0) -> bool:
        """Wait until no fit is under way; return whether that came before the patience ended."""
        waited = quiet = 0.0
        before = self.seconds()
        while quiet < IDLE_S and waited < patience_s:
            self._pause.wait(POLL_S)
            now = self.seconds()
            # Its event loop alone takes microseconds.
            quiet = quiet + POLL_S if now - before < 0.05 * POLL_S else 0.0
            before, waited = now, waited + POLL_S
        return quiet >= IDLE_S


class ServerClock(FitClock):
    """The processor time of a server and of everything that it has started and that still runs."""

    def seconds(self) -> float:
        """Return the processor time so far; what has ended is no longer in it."""
        return sum(_cpu_s(pid) for pid in _family(self._server))


def _family(pid: int) -> list[int]:
    found = [pid]
    for words in _of_threads(pid, "children"):
        for word in words:
            found += _family(int(word))
    return found


def _cpu_s(pid: int) -> float:
    return sum(int(words[0]) for words in _of_threads(pid, "schedstat")) * 1e-9


def _of_threads(pid: int, name: str) -> Iterator[list[str]]:
    """Yield the words of a file of each thread; those that have ended meanwhile, or their process, are left out."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except (FileNotFoundError, ProcessLookupError):
        return
    for thread in threads:
        try:
            yield Path(f"/proc/{pid}/task/{thread}/{name}").read_text(encoding="ascii").split()
        except (FileNotFoundError, ProcessLookupError):
            continue
