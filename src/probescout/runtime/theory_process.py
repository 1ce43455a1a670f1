"""One job in a process, seen from the executor: started, listened to, ended, and judged by how it ended."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from probescout.core.one_thread import ONE_THREAD
from probescout.core.theory import Failure, JobOrder, JobResult, JobState
from probescout.runtime.theory_job import MAX_LINE_BYTES, kill_group
from probescout.runtime.theory_results import failed, read_result

KEEPER_S = 5.0
"""How long the keeper may take to kill what it keeps; then it is killed itself, and the group of the job."""
WITHOUT_LOG = (Failure.REFUSED, Failure.BAD_INPUT, Failure.MISSING_EXTRA, Failure.TIMED_OUT)
"""Failures that say enough; the others are followed by what the engine printed last."""
SIGNS_OF_MEMORY = ("MemoryError", "bad_alloc", "Cannot allocate memory", "out of memory", "insufficient virtual memory")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """What the process of a job may take."""

    memory_bytes: int
    """Address space of every process of the job."""
    cpu_s: int
    """Processor seconds of every process of the job."""
    deadline_s: float | None = None
    """Seconds after its start when it is ended; None: never."""

    @classmethod
    def of(cls, order: JobOrder, memory_bytes: int) -> Limits:
        """Return the limits of a job."""
        # One thread cannot use more processor time than the deadline: this only ends what nobody watches any more.
        return cls(memory_bytes, math.ceil(order.deadline_s) + 60, order.deadline_s)


class JobProcess:
    """A job that runs.

    Its lines are read as they come; the last progress is in `share` and `doing`.
    """

    def __init__(self, process: asyncio.subprocess.Process, scratch: str, deadline_s: float | None) -> None:
        """Wrap a process that `start` made, the directory that it works in, and how long it may take."""
        self.share = 0.0
        self.doing = ""
        self._process = process
        self._scratch = scratch
        self._deadline_s = deadline_s
        self._begin = time.monotonic()
        self._job_pid: int | None = None
        self._result: Any = None
        self._end: Mapping[str, Any] | None = None
        self._garbage = ""
        self._listener = asyncio.create_task(self._listen())
        self._ender: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, frame: bytes, limits: Limits) -> JobProcess:
        """Start a process and hand it a job.

        Args:
            frame: `framing.pack` of "engine", "settings", "allowed", "cache", "patch" and "structure".
            limits: What it may take.

        Raises:
            OSError: The system makes no more processes.
        """
        scratch = tempfile.mkdtemp(prefix="probescout-job-")
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "probescout.runtime.theory_job"),
                *(str(limits.memory_bytes), str(limits.cpu_s), scratch),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=2 * MAX_LINE_BYTES,
                env={**os.environ, **ONE_THREAD},
                # Ctrl-C in the terminal goes to the whole group; only the executor decides when jobs end.
                start_new_session=True,
            )
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        started = cls(process, scratch, limits.deadline_s)
        assert process.stdin is not None
        process.stdin.write(frame)
        return started

    async def result(self) -> JobResult:
        """Wait for the end, which the deadline brings about if nothing else does; return what became of the job."""
        timed_out_s = None
        try:
            async with asyncio.timeout(self._deadline_s):
                await self.ended()
        except TimeoutError:
            timed_out_s = self._deadline_s
        await self.end()
        result = self.outcome(timed_out_s=timed_out_s)
        return replace(result, wall_s=result.wall_s or time.monotonic() - self._begin)

    async def ended(self) -> None:
        """Wait until nothing of the job runs any more."""
        await asyncio.shield(self._listener)

    async def end(self) -> None:
        """End the job and everything that it started; wait until it is so, even when the caller is cancelled."""
        if self._ender is None:
            self._ender = asyncio.create_task(self._finish_off())
        await asyncio.shield(self._ender)

    async def _finish_off(self) -> None:
        self._hang_up()
        done, _ = await asyncio.wait([self._listener], timeout=KEEPER_S)
        if not done or self._end is None:
            self._kill()
        await self._process.wait()
        await asyncio.wait([self._listener])
        if self._end is None:
            await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)

    def _hang_up(self) -> None:
        """Close the input, also with a job in it that was not read; the keeper then ends everything and its output."""
        assert self._process.stdin is not None
        if not self._process.stdin.is_closing():
            self._process.stdin.transport.abort()

    def _kill(self) -> None:
        """Kill without the help of the keeper, which is gone or does not answer."""
        if self._job_pid is not None:
            kill_group(self._job_pid)
        if self._process.returncode is None:
            kill_group(self._process.pid)

    async def _listen(self) -> None:
        """Read lines until there are no more."""
        assert self._process.stdout is not None
        while True:
            try:
                line = await self._process.stdout.readline()
            except ValueError:
                self._garbage = f"a line of more than {MAX_LINE_BYTES} bytes"
                self._hang_up()
                continue
            if not line:
                return
            if not self._garbage:
                self._garbage = self._wrong_with(line)
                if self._garbage:
                    self._hang_up()
            elif line.startswith(b'{"end"'):
                self._garbage = self._wrong_with(line) or self._garbage

    def _wrong_with(self, line: bytes) -> str:
        """Take in one line; return what is wrong with it, empty for nothing."""
        try:
            message = json.loads(line)
            [(kind, value)] = message.items()
            if kind == "progress":
                self.share, self.doing = min(1.0, max(0.0, float(value[0]))), str(value[1])
            elif kind == "result" and self._result is None:
                self._result = value
            elif kind == "pid" and self._job_pid is None:
                self._job_pid = int(value)
            elif kind == "end" and self._end is None:
                self._end = {
                    "code": int(value["code"]),
                    "core_s": float(value["core_s"]),
                    "is_overflowing": bool(value["is_overflowing"]),
                    "log": str(value["log"]),
                }
            else:
                raise ValueError(f"'{kind}' is not expected")
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
            return f"{line[:80]!r} ({error})"
        return ""

    def outcome(self, *, timed_out_s: float | None = None) -> JobResult:
        """Return what became of a job that has ended.

        Args:
            timed_out_s: The deadline, when it was ended for that.
        """
        end = self._end or {"code": self._process.returncode, "core_s": 0.0, "log": "", "is_overflowing": False}
        log = str(end["log"]).strip()
        core_hours = float(end["core_s"]) / 3600.0
        if timed_out_s is not None:
            result = failed(Failure.TIMED_OUT, f"not done within {timed_out_s:g} s, {self._so_far}; allow more time")
        elif self._garbage or end["is_overflowing"]:
            what = self._garbage or f"a line of more than {MAX_LINE_BYTES} bytes, or lines without end"
            result = failed(Failure.GARBAGE, f"what came back is no result: {what}; mend the engine")
        elif self._result is not None:
            result = read_result(self._result)
        else:
            result = _crashed(end["code"], log, is_kept=self._end is not None)
        if log and result.state is JobState.FAILED and result.failure not in WITHOUT_LOG:
            result = replace(result, message=f"{result.message}\nThe engine printed last:\n{log[-2000:]}")
        return replace(result, core_hours=max(core_hours, result.core_hours))

    @property
    def _so_far(self) -> str:
        return f"{100 * self.share:.0f} % done ({self.doing})" if self.doing else "and no progress was reported"


def _crashed(code: int | None, log: str, *, is_kept: bool) -> JobResult:
    """Return what to say of a process that ended without a result."""
    if any(sign in log for sign in SIGNS_OF_MEMORY):
        return failed(
            Failure.OUT_OF_MEMORY, f"the process ended ({_how(code)}) for want of memory; allow more to each job"
        )
    if is_kept and code == -signal.SIGXCPU:
        return failed(Failure.TIMED_OUT, "the process used up its processor time; allow more time")
    who = "the process of the job" if is_kept else "the keeper of the job"
    hint = ""
    if code == -signal.SIGKILL:
        hint = ", from outside: by a person, or by the kernel when memory ran out"
    return failed(Failure.CRASHED, f"{who} ended without a result: {_how(code)}{hint}")


def _how(code: int | None) -> str:
    """Return an exit code or signal in words."""
    if code is None or code >= 0:
        return f"exit code {code}"
    known = {s.value: s.name for s in signal.Signals}
    return f"killed by {known.get(-code, f'signal {-code}')}"
