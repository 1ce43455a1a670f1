"""Sees processes of jobs come and go, without asking again and again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from types import TracebackType


class Guest:
    """A process of a job that has announced itself."""

    def __init__(self, pid: int, parent: int, writer: asyncio.StreamWriter) -> None:
        """Keep who it is."""
        self.pid = pid
        self.parent = parent
        """Process id of its parent."""
        self.left = asyncio.Event()
        self._writer = writer

    def release(self, value: float) -> None:
        """Let a gated engine return that value."""
        self._writer.write(json.dumps(value).encode() + b"\n")

    async def gone(self) -> None:
        """Wait until the process and all the children that it forked have ended."""
        await self.left.wait()


class Lookout:
    """Where the engines of `bad_engines` announce themselves; the system closes their line when they are gone."""

    def __init__(self) -> None:
        """Prepare; `async with` opens it."""
        self.n_here = self.most_here = 0
        self.port = 0
        self._guests: list[Guest] = []
        self._arrived: asyncio.Queue[Guest] = asyncio.Queue()

    async def __aenter__(self) -> Lookout:
        """Open a port of this computer."""
        self._server = await asyncio.start_server(self._receive, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self._server.close()
        await self._server.wait_closed()

    async def next(self) -> Guest:
        """Wait for the next process that announces itself."""
        return await self._arrived.get()

    async def all_gone(self) -> None:
        """Wait until all that came are gone."""
        for guest in self._guests:
            await guest.gone()

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told = json.loads(await reader.readline())
        guest = Guest(told["pid"], told["parent"], writer)
        self._guests.append(guest)
        self._arrived.put_nowait(guest)
        self.n_here += 1
        self.most_here = max(self.most_here, self.n_here)
        try:
            await reader.read()
        except ConnectionResetError:
            pass  # killed with something unread: gone all the same
        finally:
            self.n_here -= 1
            guest.left.set()
            writer.close()


async def killed_at_work(command: Sequence[str], patience_s: float, n_jobs: int = 1) -> None:
    """Start a process whose executor runs gated jobs, kill it, and wait until the processes of the jobs are gone too.

    Args:
        command: Program and arguments; the port of the lookout is put after them.
        patience_s: For all of it.
        n_jobs: So many announce themselves.

    Raises:
        TimeoutError: A job outlived its executor, or never began.
    """
    async with asyncio.timeout(patience_s), Lookout() as lookout:
        parent = await asyncio.create_subprocess_exec(*command, str(lookout.port))
        here = [await lookout.next() for _ in range(n_jobs)]
        parent.kill()
        await parent.wait()
        for guest in here:
            await guest.gone()
