"""Ratios of the benchmark of theory's load, and a tiny run of it."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.processes import ServerClock
from benchmarks.theory_load import ARMS, main, summary
from benchmarks.theory_load_figures import NONE, Timed, arm_figures, is_met, ratios


def calls(factor, n_blocks=6, per_block=50):
    """Return Steps of 1 to 50 ms and Suggests of half of it, in blocks of which each is a hundredth slower."""
    made = []
    for block in range(n_blocks):
        for i in range(per_block):
            ms = factor * (i + 1) * (1 + block / 100)
            made.append(Timed("step", block, 1e-3 * ms, 5e-4, is_degraded=i == 7))
            made.append(Timed("suggest", block, 5e-4 * ms, 0.0))
    return made


def test_figures_of_an_arm():
    found = arm_figures(calls(1.0, n_blocks=1))
    ms = np.arange(1, 51)
    assert found["step_ms_p50"] == pytest.approx(np.median(ms), abs=0.01)
    assert found["step_ms_p99"] == pytest.approx(np.percentile(ms, 99), abs=0.01)
    assert found["step_less_commit_ms_p50"] == pytest.approx(np.median(ms) - 0.5, abs=0.01)
    assert found["suggest_ms_p99"] == pytest.approx(np.percentile(ms / 2, 99), abs=0.01)
    assert (found["n"], found["n_degraded"]) == (50, 1)


def test_ratios_are_those_of_arms_measured_in_the_same_blocks():
    found = ratios({NONE: calls(1.0), "flooding": calls(1.5)}, "step", np.random.default_rng(0))
    assert set(found) == {"flooding"}
    assert found["flooding"]["p50"] == pytest.approx(1.5) == found["flooding"]["p99"]
    # Blocks are drawn for both at once: what is slow in both makes the interval no wider.
    assert found["flooding"]["p50_interval95"] == pytest.approx([1.5, 1.5])


def test_a_bound_that_is_missed_by_suggests_alone_is_missed():
    arms = {arm: calls(1.0) for arm in ARMS}
    assert summary(arms)["is_met"]
    late = [Timed(c.call, c.block, c.seconds * (1.3 if c.call == "suggest" else 1.0), 0.0) for c in calls(1.0)]
    told = summary({**arms, "crashing": late})
    assert not told["is_met"] and is_met(told["ratios"]) and not is_met(told["suggest_ratios"])
    heard = summary({**arms, "flooding": calls(1.5), "heard": calls(1.4)})
    assert not heard["is_met"] and heard["is_met_over_heard"], "what a listening model takes is no fault of executors"
    assert heard["flooding_over_heard"]["step"]["p50"] == pytest.approx(1.5 / 1.4, abs=1e-3)
    assert summary({**arms, "heard": calls(1.9)})["is_met"] and summary({NONE: calls(1.0)})["is_met_over_heard"] is None
    rare = [Timed(c.call, c.block, c.seconds * (2.1 if c.seconds > 0.045 else 1.0), 0.0) for c in calls(1.0)]
    assert not is_met(ratios({**arms, "hanging": rare}, "step", np.random.default_rng(0)))


@pytest.mark.timeout(180)
def test_a_tiny_run(tmp_path, capsys):
    arguments = ["--arms", "none,heard,flooding", "--rounds", "1", "--blocks", "1", "--steps", "3", "--warm-up", "2"]
    main([*arguments, "--out", str(tmp_path / "load.json")])
    out, err = capsys.readouterr()
    told = json.loads(out.splitlines()[-1])
    assert told == json.loads((tmp_path / "load.json").read_text())
    assert set(told["arms"]) == {NONE, "heard", "flooding"} and set(told["ratios"]) == {"heard", "flooding"}
    assert all(row["n"] == 3 and row["step_ms_p50"] > 0.0 for row in told["arms"].values())
    assert told["theory"][NONE] == [{"n_results": 0, "weight": 0.0}] and told["theory"]["heard"][0]["n_results"] >= 100
    assert set(told["load"]) == {"flooding"} and told["load"]["flooding"], "the executor was at work beside the Steps"
    assert err.count("round 1, block 1") == 3


def test_processes_that_end_while_they_are_counted_cost_nothing():
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert ServerClock(os.getpid()).seconds() >= ServerClock(child.pid).seconds() >= 0.0
        child.communicate()
    assert ServerClock(child.pid).seconds() == 0.0
