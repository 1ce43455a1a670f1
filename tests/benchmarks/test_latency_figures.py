"""Percentiles, exponents and processes of the latency benchmark."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest

from benchmarks.latency_client import WARM_UP, Step
from benchmarks.latency_figures import exponent, figures, growth_in_observations
from benchmarks.latency_page import latency_page
from benchmarks.peers.stopwatch import PEER_SIZE, sample_job
from benchmarks.processes import FitClock, children, resident_mib
from benchmarks.tables import main as write_tables


def steps(n=220, slope=1.0):
    """Return Steps of (4 + 0.02 n^slope) ms and 1 ms of commits; every third one beside a fit takes twice as long."""
    made = []
    for i in range(n):
        ms = (4.0 + 0.02 * i**slope) * (2.0 if i % 3 == 0 else 1.0) + 1.0
        made.append(Step(i, 1e-3 * ms, 1e-3, i % 3 == 0, "planner", i == 50))
    return made


def test_figures_leave_out_the_warm_up_and_split_by_fit():
    found = figures([*steps()])
    ms = np.array([1e3 * s.seconds for s in steps()])[WARM_UP:]
    beside = np.array([s.is_beside_fit for s in steps()])[WARM_UP:]
    assert found["step_ms_p50"] == pytest.approx(np.median(ms), abs=0.01)
    assert found["step_less_commit_ms_p50"] == pytest.approx(np.median(ms) - 1.0, abs=0.01)
    assert found["commit_ms_p99"] == 1.0
    assert found["step_ms_no_fit_p50"] == pytest.approx(np.median(ms[~beside]), abs=0.01)
    ratio = np.percentile(ms[beside], 99) / np.percentile(ms[~beside], 99)
    assert found["p99_ratio_beside_fit"] == pytest.approx(ratio, abs=0.01)
    assert (found["n_beside_fit"], found["n_no_fit"]) == (beside.sum(), (~beside).sum())
    assert found["first_step_ms"] == 9.0
    assert found["n_degraded"] == 1
    assert found["sources"] == {"planner": 220}


def test_figures_without_a_fit_beside_them():
    found = figures([Step(i, 0.005, 0.001, False, "planner", False) for i in range(40)])
    assert found["step_ms_beside_fit_p50"] is None and found["p99_ratio_beside_fit"] is None
    assert found["step_ms_no_fit_p99"] == 5.0


@pytest.mark.parametrize("power", [0.5, 1.0, 1.7])
def test_exponent_of_a_power_law(power):
    x = np.array([64.0, 300.0, 2000.0])
    assert exponent(x, 3.0 * x**power) == pytest.approx(power, abs=1e-3)
    assert exponent([5.0], [1.0]) is None


def test_growth_is_that_of_the_steps_without_a_fit():
    quadratic = [Step(i, 1e-6 * i**2 + 1e-3, 1e-3, i % 3 == 0, "planner", False) for i in range(500)]
    found = growth_in_observations([s if s.n % 3 else Step(s.n, 9.0, 0.0, True, "planner", False) for s in quadratic])
    assert found["exponent"] == pytest.approx(2.0, abs=0.05)
    assert max(found["step_less_commit_ms"]) < 300.0
    assert found["observations"][-1] > 470.0


SERVER = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], "fit"], stdin=subprocess.PIPE, stdout=sys.stdout)
for line in sys.stdin:
    child.stdin.write(line.encode()); child.stdin.flush()
child.stdin.close(); child.wait()
"""
FIT = """
import sys, time
print("ready", flush=True)
for line in sys.stdin:
    end = time.process_time() + float(line)
    while time.process_time() < end: pass
"""


def test_the_fit_clock_sees_a_fit_and_its_end():
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, FIT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout.readline() == "ready\n"
        assert list(children(server.pid).values()) == ["fit"]
        clock = FitClock(server.pid)
        assert clock.wait_idle(10.0)
        before = clock.seconds()
        server.stdin.write("0.3\n")
        server.stdin.flush()
        began = time.monotonic()
        while clock.seconds() - before < 0.05:
            assert time.monotonic() - began < 20.0
        assert clock.wait_idle(20.0)
        assert clock.seconds() - before >= 0.29
        found = resident_mib(server.pid)
        assert found["front"] > 1.0 and found["fit"] > 1.0
        assert found["worker"] == found["spare"] == 0.0
    finally:
        server.stdin.close()
        server.wait(10)
        server.stdout.close()


def test_atomai_gets_the_sample_of_the_latency_benchmark():
    job = sample_job(110)
    assert job.image.shape == (PEER_SIZE, PEER_SIZE)
    assert job.initial.size == 110 == np.unique(job.initial).size
    # The structure of the image is in the values, as at the simulated sample.
    assert np.corrcoef(job.image.ravel(), np.log(job.values))[0, 1] > 0.8


def test_page_says_which_aims_were_missed(tmp_path):
    row = {**figures(steps()), "first_suggest_ms": 3.0, "health_ms_p99": 2.0, "fits": 9}
    rss = {"front": 90.0, "worker": 300.0, "fit": 700.0, "spare": 60.0, "front_and_worker": 390.0}
    told = {
        "latency": {"4096": row, "65536": {**row, "last_step_ms_p50": 55.0}},
        "atomai_ratio": 410.0,
        "atomai": {"ratio": 410.0, "step_s": 4.1, "n": 110, "candidates": 4096},
        "rss_mib": {"4096": rss, "65536": rss},
        "growth": {
            "candidates": {"candidates": [4096, 65536], "step_less_commit_ms": [5.0, 50.0], "exponent": 0.83},
            "observations": {"candidates": 16384, **growth_in_observations(steps())},
        },
        "observations": 220,
        "machine": {"cpus": 2, "python": "3.11", "system": "Linux"},
    }
    page = latency_page(told)
    assert "| last_step_ms_p50 at 65,536 candidates | 40.00 | 55.00 | **no** |" in page
    assert "| AtomAI's step over ours (at least) | 300.00 | 410.00 | yes |" in page
    assert "410 times our median Step" in page
    (tmp_path / "latency.json").write_text(json.dumps(told))
    write_tables(["--latency", str(tmp_path / "latency.json"), "--quality", "none", "--docs", str(tmp_path / "docs")])
    assert (tmp_path / "docs" / "latency.md").read_text() == page
    assert (tmp_path / "docs" / "latency-growth.png").stat().st_size > 5_000
