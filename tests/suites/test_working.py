"""Tasks on real processes: results, failures, deaths, and an end before the end."""

import importlib.util
import math
import operator
import os
from concurrent.futures import Future
from contextlib import closing
from functools import partial

import pytest

from probescout.core.errors import Unavailable
from probescout.suites.working import Dask, Failure, Processes, outcomes

# What another process does must be importable there, which a test module is not: builtins called with arguments.
CALL = operator.call


def test_every_task_has_an_outcome_and_a_failure_costs_only_itself():
    tasks = [partial(math.sqrt, float(i)) for i in (1, 4, 9)] + [partial(int, "many")]
    found = {i: result for task, result in outcomes(tasks, CALL, Processes(2)) for i in [tasks.index(task)]}
    assert [found[i] for i in range(3)] == [1.0, 2.0, 3.0]
    assert isinstance(found[3], Failure)
    assert found[3].what.startswith("ValueError: invalid literal") and "'many'" in found[3].what


def test_a_task_that_kills_its_process_is_given_up_and_the_others_are_done():
    deadly = partial(os._exit, 3)
    tasks = [deadly, *(partial(math.sqrt, float(i * i)) for i in range(4))]
    found = list(outcomes(tasks, CALL, Processes(1)))
    assert sorted(result for _, result in found if not isinstance(result, Failure)) == [0.0, 1.0, 2.0, 3.0]
    [(task, failure)] = [pair for pair in found if isinstance(pair[1], Failure)]
    assert task is deadly
    assert "a process died" in failure.what and "call again" in failure.what


def test_closing_the_iterator_ends_the_processes_without_waiting(tmp_path):
    # A pipe that nobody writes to: without being killed, the task would wait for ever.
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    tasks = [partial(math.sqrt, 4.0), partial(open, str(pipe), "rb")]
    with closing(outcomes(tasks, CALL, Processes(2))) as ended:
        assert next(ended)[1] == 2.0


class Scripted:
    """Workers whose futures are already decided."""

    n = 2

    def __init__(self, futures):
        self.futures = list(futures)
        self.ended_by = None
        self.after_submit = lambda: None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.ended_by = kind

    def submit(self, do, task):
        self.after_submit()
        return self.futures.pop(0)

    def renew(self):
        raise AssertionError("nothing died")

    def wait_for_one(self):
        raise AssertionError("there are workers")


def test_workers_that_are_gone_are_told_apart_from_a_failed_task():
    lost, broken = Future(), Future()
    lost.cancel()
    lost.set_running_or_notify_cancel()
    broken.set_exception(MemoryError("no room"))
    assert list(outcomes(["a"], CALL, Scripted([broken]))) == [("a", Failure("MemoryError: no room"))]
    workers = Scripted([lost])
    with pytest.raises(Unavailable, match="run again to go on"):
        list(outcomes(["a"], CALL, workers))
    assert workers.ended_by is Unavailable


@pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="the extra 'dask' is not installed")
def test_a_cluster_that_lost_its_last_worker_is_not_waited_for(monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setattr("probescout.suites.working.GONE_S", 0.5)
    tasks = [partial(math.sqrt, 4.0), partial(math.sqrt, 9.0)]
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster:
        with closing(outcomes(tasks, CALL, Dask(cluster.scheduler.address))) as found:
            assert next(found)[1] == 2.0
            [worker] = cluster.workers.values()
            cluster.sync(worker.close, reason="it leaves")
            with pytest.raises(Unavailable, match="the workers are gone; start them"):
                next(found)


def test_a_worker_that_leaves_in_the_middle_of_a_task_is_waited_for_and_then_no_more(monkeypatch):
    monkeypatch.setattr("probescout.suites.working.GONE_S", 0.05)
    late = Future()
    waits = []

    class Leaving(Scripted):
        def wait_for_one(self):
            waits.append(self.n)
            if len(waits) == 2:
                late.set_result(7.0)

    workers = Leaving([late])
    rounds = outcomes(["a"], CALL, workers)
    workers.n = 1
    workers.after_submit = lambda: setattr(workers, "n", 0)
    assert list(rounds) == [("a", 7.0)] and waits == [0, 0]


def test_the_environment_of_the_caller_comes_back(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = dict(os.environ)
    with Processes(1):
        assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "1"
    assert dict(os.environ) == before
