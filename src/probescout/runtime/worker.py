"""Main of the processes that the front starts: `python -m probescout.runtime.worker ROLE FD PARENT_PID`.

ROLE is `campaign` (a Brain; no torch) or `fit` (the fit pool; torch). Requests come and replies go over one socket.
"""

from __future__ import annotations

from probescout.core.one_thread import use_one_thread

use_one_thread()

import logging  # noqa: E402 (thread counts are read when NumPy is imported)
import os  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable, Mapping  # noqa: E402
from typing import Any  # noqa: E402

from probescout.core.errors import ProbescoutError  # noqa: E402
from probescout.runtime.framing import pack, read_frames  # noqa: E402
from probescout.runtime.lifeline import die_with_parent  # noqa: E402

FIT_NICENESS = 10
Handler = Callable[[Mapping[str, Any]], Mapping[str, Any]]
Rest = Callable[[], None]
"""What is done after each reply, when most often nobody waits."""
_log = logging.getLogger(__name__)


def campaign_role() -> tuple[Handler, Rest]:
    """Return what a campaign worker does."""
    from probescout.runtime.brain import Brain

    brain = Brain()
    return brain.handle, brain.prepare


def fit_role() -> tuple[Handler, Rest]:
    """Return what a fit process does; its import of torch takes seconds and is paid here, once."""
    # A fit can wait; where cores are few the answers of the campaign workers cannot.
    os.nice(FIT_NICENESS)
    from probescout.surrogates.fitting import fit

    return lambda message: {"result": fit(message["request"])} if message["op"] == "fit" else {}, lambda: None


ROLES: dict[str, Callable[[], tuple[Handler, Rest]]] = {"campaign": campaign_role, "fit": fit_role}


def answer(handler: Handler, message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the reply to one message; an error becomes a reply that names it."""
    try:
        return {"id": message["id"], "ok": handler(message)}
    except ProbescoutError as error:
        kind = type(error).__name__
        return {
            "id": message["id"],
            "error": {"kind": kind, "reason": str(error.reason), "message": error.message, "field": error.field},
        }
    except Exception as error:
        # The worker must outlive a bug in a plug-in; the front degrades and says why.
        _log.exception("%s failed", message.get("op"))
        return {"id": message["id"], "error": {"kind": "", "reason": "", "message": repr(error), "field": ""}}


def main(role: str, fd: int, parent_pid: int) -> None:
    """Serve one role until the socket ends."""
    die_with_parent(parent_pid)
    # Ctrl-C in the terminal goes to the whole group; only the front decides when workers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(level=logging.WARNING, format=f"%(asctime)s {role} {os.getpid()} %(levelname)s %(message)s")
    with socket.socket(fileno=fd) as channel:
        handler, rest = ROLES[role]()
        stream = channel.makefile("rb", buffering=1 << 20)
        try:
            for message in read_frames(stream):
                channel.sendall(pack(answer(handler, message)))
                try:
                    rest()
                except Exception:
                    # It was for speed alone.
                    _log.exception("what was to be ready for the next message is not")
        except ConnectionError:
            # The front has ended, or ended this worker; nobody is left to answer.
            _log.info("the front is gone")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
