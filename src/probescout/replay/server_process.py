"""A real `probescout serve` process for as long as it is needed."""

from __future__ import annotations

import json
import logging
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from probescout.core.errors import Reason, Unavailable
from probescout.core.one_thread import ONE_THREAD

START_PATIENCE_S = 60.0
GRACE_S = 15.0
"""How long the server may take to drain before it is killed."""
_log = logging.getLogger(__name__)

# The lifeline comes first, so that a client that is killed never leaves a server behind.
_PROGRAM = (
    "import sys; from probescout.runtime.lifeline import die_with_parent; die_with_parent(int(sys.argv.pop(1))); "
    "from probescout.cli.main import run; run()"
)


@dataclass(frozen=True)
class Address:
    """Where a server listens."""

    grpc: str
    """HOST:PORT."""
    token_file: str
    data: Path
    pid: int


class ServerProcess:
    """A context manager that starts a server on a free local port and ends it.

    On Linux the server also dies with the thread that starts it, so start it from one that lives as long as the work.
    """

    def __init__(
        self,
        data: Path | None = None,
        *,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        patience_s: float = START_PATIENCE_S,
    ) -> None:
        """Prepare; entering starts it.

        Args:
            data: Directory of its campaigns; None: a temporary one, removed at the end.
            arguments: More of `probescout serve`.
            environment: Variables that it has beside those of this process.
            patience_s: How long it may take to be ready; it reads all its campaigns first.
        """
        self._data = data
        self._arguments = tuple(arguments)
        self._environment = dict(environment or {})
        self._patience_s = patience_s
        self._stack = ExitStack()
        self._process: subprocess.Popen[str] | None = None
        self._said: IO[str] | None = None

    def __enter__(self) -> Address:
        """Start the server and wait until it is ready.

        Raises:
            Unavailable: WORKER_UNAVAILABLE with what the server said, when it does not come up.
        """
        with ExitStack() as stack:
            data = self._data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="probescout-")))
            log: IO[str] = stack.enter_context(tempfile.TemporaryFile("w+", prefix="probescout-serve-"))
            self._said = log
            self._process = self._start(data, log)
            stack.callback(self._end)
            address = self._address(log)
            self._stack = stack.pop_all()
        return address

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the server in order; kill it when it does not follow. Its log is shown where its fault ended the work."""
        if isinstance(error, Unavailable):
            assert self._said is not None
            _log.warning("the end of the server's log:\n%s", _tail(self._said))
        self._stack.close()

    def _start(self, data: Path, log: IO[str]) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", _PROGRAM, str(os.getpid()), "serve", "--listen", "127.0.0.1:0"]
        command += ["--data", str(data), *self._arguments]
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**ONE_THREAD, **os.environ, **self._environment},
            # Ctrl-C is for the client, which then ends the server in order.
            process_group=0,
        )

    def _address(self, log: IO[str]) -> Address:
        assert self._process is not None and self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            began = time.monotonic()
            line = self._process.stdout.readline() if selector.select(self._patience_s) else ""
        if not line:
            said = _tail(log) or "nothing"
            raise Unavailable(
                Reason.WORKER_UNAVAILABLE,
                f"the planner server was not ready after {time.monotonic() - began:.0f} s; it said: {said}",
            )
        ready = json.loads(line)
        return Address(ready["grpc"], ready["token_file"], Path(ready["data"]), int(ready["pid"]))

    def _end(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        self._process.terminate()
        try:
            self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            _log.warning("the server %d did not end within %g s of SIGTERM; killing it", self._process.pid, GRACE_S)
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def _tail(log: IO[str]) -> str:
    log.seek(0)
    return log.read().strip()[-2000:]
