"""A suite in this process: results are kept as they come, failures cost only themselves."""

import json
from concurrent.futures import Future
from dataclasses import replace

import pytest

from probescout.suites.conduct import conduct, look, plain, save
from probescout.suites.spec import About, ArmSpec, CaseSpec, SuiteFile
from probescout.suites.working import attempt


class Here:
    """Does every task at once, in this process."""

    n = 1

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        pass

    def submit(self, do, task):
        future = Future()
        future.set_result(attempt(do, task))
        return future

    def renew(self):
        raise AssertionError("nothing died")


@pytest.fixture
def file(tmp_path):
    # More points than there are pixels.
    cases = (CaseSpec("good", scene="plasmonic", size=16), CaseSpec("bad", scene="lattice", size=16, budget=300))
    about = About("s", (7,), budget=12, initial=4, deep=False, leave_out=("grid",))
    return SuiteFile(about, cases, (ArmSpec("xy", members=("xy",)),), folder=tmp_path)


def test_a_case_that_cannot_be_planned_costs_only_itself(file):
    seen = []
    told = conduct(file, look(file), Here(), seen.append)
    assert [(f["case"], f["arm"]) for f in told["failures"]] == [("bad", "random"), ("bad", "xy")]
    assert "InvalidInput" in told["failures"][0]["error"] and "256 candidates" in told["failures"][0]["error"]
    assert set(told["cases"]["good"]) == {"random", "xy"} and told["cases"]["bad"] == {}
    assert (seen[0].n_total, seen[0].n_done, seen[0].left_s) == (4, 0, None)
    assert (seen[-1].n_done, seen[-1].n_failed, seen[-1].left_s) == (2, 2, 0.0)
    runs = [json.loads(path.read_text()) for path in (file.directory / "runs").iterdir()]
    assert {run["suite"] for run in runs} == {file.digest}
    assert {run["code"] for run in runs} <= set(told["code"])
    assert {path.name for path in save(file, told)} == {"summary.json", "table.csv", "suite.json", "curves.png"}

    todo = look(file)
    assert [task.label for task in todo.missing] == ["bad random seed 7", "bad xy seed 7"]
    again = look(replace(file, cases=file.cases[:1]))
    assert again.missing == []
    alone = conduct(replace(file, cases=file.cases[:1]), again, Here())
    assert plain(alone["cases"]["good"]) == plain(told["cases"]["good"])
