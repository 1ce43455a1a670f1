"""Main of a simulation: `python -m probescout.runtime.theory_job MEMORY_BYTES CPU_S SCRATCH`.

It takes a job on stdin, writes lines to stdout, and works in the directory SCRATCH, which it deletes at the end. There
are two processes: the keeper (this one, no NumPy) forks the one that runs the engine, passes its lines on, keeps the
tail of what it prints, and when it ends kills and reaps whatever it left behind, however deep, before it says so. When
stdin is closed, which the death of the executor does too, the keeper ends everything at once.

The lines are JSON objects: `{"pid": n}` first, `{"progress": [share, message]}` any number of times,
`{"result": {...}}` at most once, and `{"end": {...}}` last, which the keeper alone writes.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
from typing import NoReturn

from probescout.runtime.lifeline import die_with_parent

NICENESS = 19
MAX_LINE_BYTES = 2 << 20
"""Longest line of a job; reading a longer one would hold up the event loop of the executor."""
MAX_OUTPUT_BYTES = 64 << 20
"""Most bytes of all lines of a job: progress every second for a week."""
LOG_TAIL_BYTES = 4096
"""What is kept of what an engine prints."""
CPU_GRACE_S = 30
"""Between the signal that ends a job which used up its processor time and the one that it cannot catch."""
_CHUNK = 1 << 16
_PR_SET_CHILD_SUBREAPER = 36


class Keeper:
    """Watches over the process of one job."""

    def __init__(self, pid: int, lines: int, log: int, wake: int) -> None:
        """Watch a process that was forked.

        Args:
            pid: Of the job, which leads a process group of its own.
            lines: Descriptor of the lines that it writes.
            log: Descriptor of what it prints.
            wake: Descriptor that is readable when a child has ended.
        """
        self.pid = pid
        self.core_s = 0.0
        self.code: int | None = None
        self.is_overflowing = False
        self._lines, self._log, self._wake = lines, log, wake
        self._line = b""
        self._n_sent = 0
        self._tail = b""

    def watch(self) -> None:
        """Pass lines on until the job ends, its output has no end, or nobody listens; leave no process."""
        poller = select.poll()
        for descriptor in (self._lines, self._log, self._wake):
            os.set_blocking(descriptor, False)
            poller.register(descriptor, select.POLLIN)
        # Only whether the other end is closed: what comes in is for the job to read.
        poller.register(0, 0)
        try:
            send({"pid": self.pid})
            while self.code is None and not self.is_overflowing:
                ready = [descriptor for descriptor, _ in poller.poll()]
                if 0 in ready:
                    break
                for descriptor in ready:
                    if not self._take(descriptor):
                        poller.unregister(descriptor)
                self._reap(os.WNOHANG)
        finally:
            self._sweep()
        self._drain()
        send({"end": self.end})

    @property
    def end(self) -> dict[str, object]:
        """Return how it ended: exit code (negative: the signal), processor seconds, and the tail of what it printed."""
        return {
            "code": self.code,
            "core_s": self.core_s,
            "is_overflowing": self.is_overflowing,
            "log": self._tail.decode(errors="replace"),
        }

    def _take(self, descriptor: int) -> bool:
        """Read once; return false when that descriptor has ended."""
        try:
            chunk = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return True
        if descriptor == self._log:
            self._tail = (self._tail + chunk)[-LOG_TAIL_BYTES:]
        elif descriptor == self._lines:
            self._pass_on(chunk)
        return bool(chunk)

    def _pass_on(self, chunk: bytes) -> None:
        """Send the lines that are whole; half a line of a job that was killed is none."""
        self._line += chunk
        whole, newline, self._line = self._line.rpartition(b"\n")
        self._n_sent += len(whole)
        if len(self._line) > MAX_LINE_BYTES or self._n_sent > MAX_OUTPUT_BYTES:
            self.is_overflowing = True
        elif newline:
            write_all(1, whole + newline)

    def _drain(self) -> None:
        """Read what was written before the end; the writers are gone, so that it has one."""
        for descriptor in (self._log, self._lines):
            os.set_blocking(descriptor, True)
            while not self.is_overflowing and self._take(descriptor):
                pass

    def _reap(self, flags: int) -> bool:
        """Reap children that have ended, one of them at least if flags is 0; return whether any is left."""
        try:
            while True:
                pid, status, usage = os.wait4(-1, flags)
                if pid == 0:
                    return True
                self.core_s += usage.ru_utime + usage.ru_stime
                if pid == self.pid:
                    self.code = os.waitstatus_to_exitcode(status)
                flags = os.WNOHANG
        except ChildProcessError:
            return False

    def _sweep(self) -> None:
        """Kill the job's group and all that it started, also what left the group, and reap them."""
        kill_group(self.pid)
        is_any_left = True
        while is_any_left:
            # The children of one that was killed become ours before it can be reaped: the next round finds them.
            for pid in children(os.getpid()):
                os.kill(pid, signal.SIGKILL)
            is_any_left = self._reap(0)


def kill_group(pid: int) -> None:
    """Kill a process group; that it is gone already is what was wanted."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def children(parent: int) -> list[int]:
    """Return the children of a process, zombies too; none where the system has no /proc."""
    found = []
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else []:
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:
                after_name = file.read().rpartition(b")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended since the directory was read
        if int(after_name[1]) == parent:
            found.append(int(entry))
    return found


def send(message: dict[str, object]) -> None:
    """Write one line for the executor."""
    write_all(1, json.dumps(message).encode() + b"\n")


def write_all(descriptor: int, data: bytes) -> None:
    """Write all bytes to a descriptor.

    Raises:
        BrokenPipeError: Nobody reads the other end any more.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _limit(memory_bytes: int, cpu_s: int) -> None:
    """Bound what the job may take; what it starts inherits the bounds."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + CPU_GRACE_S))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    if sys.platform == "linux":
        # Where memory runs out all the same, the kernel is to take the job and not the service.
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("800")


def _run(keeper: int, lines: int, log: int, scratch: str, memory_bytes: int, cpu_s: int) -> NoReturn:
    """Be the process of the job, just forked; never return."""
    code = 1
    try:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        die_with_parent(keeper)
        os.chdir(scratch)
        os.environ["TMPDIR"] = tempfile.tempdir = scratch
        _limit(memory_bytes, cpu_s)
        from probescout.runtime.theory_run import run_job

        run_job(0, lines)
        code = 0
    except BaseException:
        # What fails here has no line to say so: the keeper reports the exit code and the tail of the log.
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main(memory_bytes: int, cpu_s: int, scratch: str) -> None:
    """Run the job on stdin."""
    os.nice(NICENESS)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")
    (lines, lines_of_job), (log, log_of_job), (wake, wake_end) = os.pipe(), os.pipe(), os.pipe()
    os.set_blocking(wake_end, False)
    signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    try:
        me, pid = os.getpid(), os.fork()
        if pid == 0:
            for descriptor in (lines, log, wake, wake_end):
                os.close(descriptor)
            _run(me, lines_of_job, log_of_job, scratch, memory_bytes, cpu_s)
        os.close(lines_of_job)
        os.close(log_of_job)
        # Both do it, so that the group exists whoever comes first.
        os.setpgid(pid, pid)
        Keeper(pid, lines, log, wake).watch()
    except BrokenPipeError:
        # The executor is gone, and so are all processes of the job; the interpreter must not try to flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
