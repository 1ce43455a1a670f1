"""Does many tasks in parallel, on processes of this machine or on a Dask cluster; a worker may die."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from concurrent.futures import ProcessPoolExecutor as Pool
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

from probescout.core.errors import MissingExtra, Reason, Unavailable
from probescout.core.one_thread import ONE_THREAD
from probescout.runtime.lifeline import die_with_parent

T = TypeVar("T")
R = TypeVar("R")
MAX_DEATHS = 3
"""Processes that may die while a task is under way before it is given up; another task may have been to blame."""
CONNECT_S = 15.0
GONE = "the workers are gone; start them, then run again to go on"
GONE_S = 60.0
"""Without any worker for so long, nobody is coming back."""


@dataclass(frozen=True)
class Failure:
    """A task without a result."""

    what: str
    """What went wrong, and what to do."""


class Workers(Protocol):
    """Something that does tasks, a few at a time; a context manager that ends everything at once on an error."""

    def __enter__(self) -> Self:
        """Start."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        """End."""

    @property
    def n(self) -> int:
        """Tasks at a time."""

    def submit(self, do: Callable[[T], R], task: T) -> Future[R | Failure]:
        """Begin a task; raises BrokenExecutor when a worker has died."""

    def renew(self) -> None:
        """Replace workers of which one has died."""

    def wait_for_one(self) -> None:
        """Wait until there is a worker.

        Raises:
            Unavailable: WORKER_UNAVAILABLE when none has come after GONE_S.
        """


class Processes:
    """Processes of this machine; they die with this one, however it dies."""

    def __init__(self, n: int) -> None:
        """Have so many at a time."""
        self.n = n
        self._pool: Pool | None = None
        self._others: set[Any] = set()
        self._threads: dict[str, str | None] = {}

    def __enter__(self) -> Self:
        """Start the pool; its processes start with the first tasks."""
        # The runs are what is parallel. Processes take this from the environment, and start whenever there is a task.
        self._threads = {name: os.environ.get(name) for name in ONE_THREAD}
        os.environ.update(ONE_THREAD)
        self._others = set(multiprocessing.active_children())
        self._pool = self._made()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        """End it; on an error, Ctrl-C among them, without waiting for what is under way."""
        assert self._pool is not None
        try:
            if kind is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)
                for child in set(multiprocessing.active_children()) - self._others:
                    child.kill()
            self._pool.shutdown()
        finally:
            for name, before in self._threads.items():
                if before is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = before

    def submit(self, do: Callable[[T], R], task: T) -> Future[R | Failure]:
        """Begin a task."""
        assert self._pool is not None
        return self._pool.submit(attempt, do, task)

    def renew(self) -> None:
        """Replace the pool."""
        assert self._pool is not None
        self._pool.shutdown()
        self._pool = self._made()

    def wait_for_one(self) -> None:
        """Do nothing: processes start when there is something to do."""

    def _made(self) -> Pool:
        context = multiprocessing.get_context("spawn")
        return Pool(self.n, mp_context=context, initializer=_begin, initargs=(os.getpid(),))


def _begin(parent_pid: int) -> None:
    die_with_parent(parent_pid)
    # Ctrl-C reaches the whole group; whoever started these processes ends them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(ONE_THREAD)


class Dask:
    """The workers of a Dask cluster that somebody else has started; they need Probescout and the files of the cases."""

    def __init__(self, address: str) -> None:
        """Use the cluster of a scheduler, for example tcp://host:8786."""
        self.address = address
        self._client: Any = None
        self._executor: Executor | None = None

    def __enter__(self) -> Self:
        """Connect.

        Raises:
            MissingExtra: Dask is not installed.
            Unavailable: WORKER_UNAVAILABLE when no scheduler answers, or it has no workers.
        """
        try:
            from distributed import Client
        except ImportError as error:
            raise MissingExtra(
                Reason.MISSING_EXTRA,
                'Dask is not installed; run: pip install "probescout[dask]", or use --processes',
                field="--dask",
            ) from error
        try:
            connect: Any = Client
            self._client = connect(self.address, timeout=CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise Unavailable(
                Reason.WORKER_UNAVAILABLE,
                f"no Dask scheduler answers at {self.address} ({error}); start one with `dask scheduler`, or use "
                "--processes",
                field="--dask",
            ) from error
        self._executor = self._client.get_executor(pure=False)
        if self.n == 0:
            self._client.close()
            raise Unavailable(
                Reason.WORKER_UNAVAILABLE,
                f"the Dask scheduler at {self.address} has no workers; start some: dask worker {self.address} "
                "--nthreads 1",
                field="--dask",
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        """Take back what is under way, and disconnect."""
        assert self._executor is not None
        self._executor.shutdown(wait=kind is None)
        self._client.close()

    @property
    def n(self) -> int:
        """Threads of all workers, as they come and go."""
        return sum(self._client.nthreads().values())

    def submit(self, do: Callable[[T], R], task: T) -> Future[R | Failure]:
        """Begin a task."""
        assert self._executor is not None
        return self._executor.submit(attempt, do, task)

    def renew(self) -> None:
        """Do nothing: the scheduler gives the tasks of a dead worker to another."""

    def wait_for_one(self) -> None:
        """Wait until there is a worker; one that dies may be replaced by whoever watches over it."""
        try:
            self._client.wait_for_workers(1, timeout=GONE_S)
        except TimeoutError as error:
            raise Unavailable(Reason.WORKER_UNAVAILABLE, GONE) from error


def attempt(do: Callable[[T], R], task: T) -> R | Failure:
    """Return the result of a task, or whatever went wrong.

    Not every exception can be sent to another process, and one that cannot would end the whole pool.
    """
    try:
        return do(task)
    except Exception as error:
        return Failure(f"{type(error).__name__}: {error}")


def outcomes(
    tasks: Sequence[T], do: Callable[[T], R], workers: Workers
) -> Generator[tuple[T, R | Failure], None, None]:
    """Yield every task with its result or failure, as they come; close the iterator to end everything at once.

    Only as many tasks are handed out as there are workers: when a process dies, those it may have been doing are known.

    Args:
        tasks: What is done, in this order.
        do: Does one; a function that another process can import.
        workers: Where.

    Raises:
        Unavailable: The workers cannot be reached, or are gone.
    """
    waiting, deaths = deque(range(len(tasks))), Counter[int]()
    running: dict[Future[R | Failure], int] = {}
    with workers:
        while waiting or running:
            is_broken = not _fill(tasks, do, workers, waiting, running)
            done = wait(running, GONE_S, FIRST_COMPLETED).done if running else ()
            if not (done or is_broken or workers.n):
                workers.wait_for_one()
            for future in done:
                index = running.pop(future)
                try:
                    yield tasks[index], future.result()
                except BrokenExecutor:
                    is_broken = True
                    deaths[index] += 1
                    if deaths[index] >= MAX_DEATHS:
                        what = "a process died, perhaps for want of memory; call again to go on"
                        yield tasks[index], Failure(what)
                    else:
                        waiting.append(index)
                except CancelledError as error:
                    raise Unavailable(Reason.WORKER_UNAVAILABLE, GONE) from error
                except Exception as error:
                    yield tasks[index], Failure(f"{type(error).__name__}: {error}")
            if is_broken and not running:
                workers.renew()


def _fill(
    tasks: Sequence[T],
    do: Callable[[T], R],
    workers: Workers,
    waiting: deque[int],
    running: dict[Future[R | Failure], int],
) -> bool:
    """Hand out tasks until all workers are busy; return whether the workers are sound."""
    n_free = workers.n - len(running)
    while waiting and n_free > 0:
        try:
            running[workers.submit(do, tasks[waiting[0]])] = waiting[0]
        except BrokenExecutor:
            return False
        waiting.popleft()
        n_free -= 1
    return True
