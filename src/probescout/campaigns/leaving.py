"""Signals while an instrument is driven: the first one ends the run in order, and none keeps it from being parked."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The last of them comes when a terminal is closed or its line is cut."""


class Terminated(BaseException):
    """SIGTERM or SIGHUP has come: leave in order."""


@contextmanager
def leaving_on_signals() -> Iterator[None]:
    """Turn the first Ctrl-C, SIGTERM or SIGHUP into an exception, and take no other: parking may outlast patience.

    Raises:
        Terminated: SIGTERM or SIGHUP has come.
        KeyboardInterrupt: Ctrl-C, or SIGINT, has come.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        for one in ENDING:
            signal.signal(one, signal.SIG_IGN)
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated

    # Under nohup SIGHUP is ignored, and stays so.
    heard = [one for one in ENDING if one != signal.SIGHUP or signal.getsignal(one) != signal.SIG_IGN]
    before = {one: signal.signal(one, leave) for one in heard}
    try:
        yield
    finally:
        _restore(before)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep a signal that ends the run until this is left; it then does what it would have done.

    Whoever has set the handlers: a scheduled run has those of Prefect. Other threads are not interrupted by signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def keep(number: int, frame: FrameType | None) -> None:
        came.append(number)

    before = {one: signal.getsignal(one) for one in ENDING}
    for one in ENDING:
        if before[one] != signal.SIG_IGN:
            signal.signal(one, keep)
    try:
        yield
    finally:
        _restore(before)
        if came:
            signal.raise_signal(came[0])


def _restore(handlers: Mapping[signal.Signals, object]) -> None:
    for one, handler in handlers.items():
        # None stands for a handler that was not set by Python, which only the default can be here.
        signal.signal(one, signal.SIG_DFL if handler is None else handler)  # type: ignore[arg-type]
