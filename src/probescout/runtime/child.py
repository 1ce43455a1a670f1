"""A child process of the front, asked by messages without ever blocking the event loop."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import socket
import sys
from typing import Any

from probescout.core import errors
from probescout.core.errors import Overloaded, ProbescoutError, Reason, Unavailable
from probescout.runtime.framing import PREFIX, lengths, pack, unpack

MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(4 << 20), "MALLOC_TRIM_THRESHOLD_": str(32 << 20)}
"""For the C library: blocks of 4 MiB and more go back to the system when they are freed, or the memory of a replaced
version of a model stays with the process (110 MiB at 65,536 candidates and 200 measurements)."""
MAX_QUEUED = 64
"""Most requests waiting for one child; more are refused rather than kept."""
_log = logging.getLogger(__name__)
Reply = asyncio.Future[dict[str, Any]]


class WorkerFault(Unavailable):
    """The child died, or failed in a way that it did not mean to."""

    def __init__(self, message: str) -> None:
        """Keep what happened."""
        super().__init__(Reason.WORKER_UNAVAILABLE, message)


class Child:
    """A running child process."""

    def __init__(
        self,
        role: str,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Wrap a process that `start` made."""
        self.role = role
        self.process = process
        self._reader = reader
        self._writer = writer
        self._waiting: dict[int, Reply] = {}
        self._ids = itertools.count(1)
        self._listener = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, role: str) -> Child:
        """Start a process of that role; it dies with this one."""
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "probescout.runtime.worker",
                role,
                str(theirs.fileno()),
                str(os.getpid()),
                pass_fds=[theirs.fileno()],
                env={**os.environ, **MEMORY},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
            )
        finally:
            theirs.close()
        ours.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=ours, limit=1 << 20)
        return cls(role, process, reader, writer)

    @property
    def pid(self) -> int:
        """Process id."""
        return self.process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked."""
        return not self._listener.done()

    @property
    def n_waiting(self) -> int:
        """Number of requests without an answer yet."""
        return len(self._waiting)

    def ask(self, op: str, **payload: Any) -> Reply:
        """Send a request now, in order; return the future of its reply.

        The future fails with the ProbescoutError that the child raised, or with WorkerFault.

        Raises:
            WorkerFault: The child is gone.
            Overloaded: QUEUE_FULL.
        """
        if not self.is_alive:
            raise WorkerFault(f"the {self.role} worker {self.pid} has ended; it is being replaced, try again")
        if len(self._waiting) >= MAX_QUEUED:
            raise Overloaded(
                Reason.QUEUE_FULL, f"{len(self._waiting)} requests wait for the {self.role} worker; try again later"
            )
        number = next(self._ids)
        frame = pack({"id": number, "op": op, **payload})
        reply: Reply = asyncio.get_running_loop().create_future()
        # Nobody may be left to look at a late failure; it was logged where it happened.
        reply.add_done_callback(lambda f: f.cancelled() or f.exception())
        self._waiting[number] = reply
        self._writer.write(frame)
        return reply

    async def _listen(self) -> None:
        try:
            while True:
                n_header, n_body = lengths(await self._reader.readexactly(PREFIX))
                header = await self._reader.readexactly(n_header)
                message = unpack(header, await self._reader.readexactly(n_body))
                reply = self._waiting.pop(message["id"])
                if not reply.done():
                    _settle(reply, message)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the end of the socket is how a child's death is seen; it is reported below
        finally:
            code = self.process.returncode
            for reply in self._waiting.values():
                if not reply.done():
                    reply.set_exception(WorkerFault(f"the {self.role} worker {self.pid} died (exit {code})"))
            self._waiting.clear()
            self._writer.close()

    async def stop(self) -> None:
        """End the process: by closing its socket, and by SIGKILL if it does not follow within a second."""
        self._writer.close()
        try:
            await asyncio.wait_for(self.process.wait(), 1.0)
        except TimeoutError:
            await self.kill()
        await self._listener

    async def kill(self) -> None:
        """End the process now."""
        if self.process.returncode is None:
            try:
                self.process.kill()
            except ProcessLookupError:
                _log.info("the %s worker %d had ended already", self.role, self.pid)
        await self.process.wait()
        # Only when the end of the socket has been seen is it known to be dead, and may not be asked any more.
        await asyncio.wait([self._listener])


def _settle(reply: Reply, message: dict[str, Any]) -> None:
    error = message.get("error")
    if error is None:
        reply.set_result(message["ok"])
    elif error["kind"]:
        family: type[ProbescoutError] = getattr(errors, error["kind"])
        reply.set_exception(family(Reason(error["reason"]), error["message"], field=error["field"]))
    else:
        reply.set_exception(WorkerFault(f"the worker failed: {error['message']}"))
