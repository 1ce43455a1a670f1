"""A program of an engine, run beside this process in a folder of its own."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

FIRST_WAIT_S = 0.01
LONGEST_WAIT_S = 1.0
"""The program is looked at this often: at first often, for most are short, then every second."""
TAIL_BYTES = 20_000
"""Of what a program printed is kept."""


def run_child(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], tick: Callable[[str], None]
) -> tuple[int, str]:
    """Run a program and return its exit status (negative: the signal that ended it) and the tail of what it printed.

    Whatever goes wrong here, the program is ended.

    Args:
        command: Program and arguments.
        folder: Where it runs; what it prints is kept there.
        environment: All of it.
        tick: Called about every second with the last line that it printed.

    Raises:
        OSError: The program cannot be started.
    """
    printed = folder / "printed"
    with (
        printed.open("wb") as out,
        subprocess.Popen(
            command, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            _wait(process, printed, tick)
        finally:
            process.kill()
    return process.returncode, _tail(printed)


def _wait(process: subprocess.Popen[bytes], printed: Path, tick: Callable[[str], None]) -> None:
    wait_s = FIRST_WAIT_S
    told_at = time.monotonic()
    while True:
        try:
            process.wait(wait_s)
            return
        except subprocess.TimeoutExpired:
            wait_s = min(2.0 * wait_s, LONGEST_WAIT_S)
        if time.monotonic() - told_at >= LONGEST_WAIT_S:
            told_at = time.monotonic()
            lines = _tail(printed).strip().splitlines()
            tick(lines[-1].strip()[:200] if lines else "no output yet")


def _tail(printed: Path) -> str:
    with printed.open("rb") as file:
        file.seek(max(0, printed.stat().st_size - TAIL_BYTES))
        return file.read().decode(errors="replace")
