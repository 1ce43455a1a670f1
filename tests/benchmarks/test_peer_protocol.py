"""What every peer gets and hands back, with a peer that needs no package of its own."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.peers.environments import ENVIRONMENTS, ROOT
from benchmarks.peers.jobs import make_job, score
from benchmarks.peers.protocol import Job, Unit, best, patches, run
from benchmarks.peers.results import peer_seeds, read_results, result_path
from probescout.core.geometry import pixel_of
from probescout.replay.case import recorded_case
from probescout.replay.experiment import initial_points
from probescout.replay.metrics import prediction_scores
from probescout.replay.recording import Recording


class Nearest:
    """Goes to the free pixel with the index nearest to the best one so far."""

    name, version, settings = "nearest", "1", {}

    def __init__(self, job, stop_at=None):
        self.job = job
        self.stop_at = stop_at
        self.n_calls = 0
        self.recalled = None

    def next(self, path, values):
        self.n_calls += 1
        if self.stop_at is not None and path.size >= self.stop_at:
            raise KeyboardInterrupt
        np.testing.assert_array_equal(values, self.job.values[path])
        distance = np.abs(np.arange(self.job.values.size) - path[np.argmax(values)])
        return best(-distance.astype(float), self.job.candidates, path)

    def maps(self, path, values):
        return np.full(self.job.values.size, values.mean()), np.full(self.job.values.size, values.std())

    def memory(self):
        return [float(self.n_calls)]

    def recall(self, memory, path, values):
        self.recalled = (memory, path.tolist())


@pytest.fixture
def job():
    rng = np.random.default_rng(1)
    values = rng.normal(size=64)
    candidates = np.ones(64, dtype=bool)
    candidates[10:20] = False
    return Job(rng.normal(size=(8, 8)), values, candidates, np.array([3, 40, 61]), seed=1, budget=20)


def test_job_survives_its_file(job, tmp_path):
    job.save(tmp_path / "job.npz")
    again = Job.load(tmp_path / "job.npz")
    assert (again.seed, again.budget) == (1, 20)
    for name in ("image", "values", "candidates", "initial"):
        np.testing.assert_array_equal(getattr(again, name), getattr(job, name))


def test_a_run_starts_from_the_initial_points_and_ends_at_the_budget(job, tmp_path):
    job.save(tmp_path / "job.npz")
    run(tmp_path / "job.npz", tmp_path / "result.npz", Nearest)
    with np.load(tmp_path / "result.npz") as z:
        path = z["path"]
        assert path[:3].tolist() == [3, 40, 61]
        assert path.size == 20 == np.unique(path).size
        assert job.candidates[path].all()
        assert z["seconds"].size == 17
        np.testing.assert_allclose(z["mean"], job.values[path].mean())
        assert json.loads(str(z["about"]))["peer"] == "nearest"


def test_an_interrupted_run_goes_on_where_it_was(job, tmp_path):
    job.save(tmp_path / "job.npz")
    run(tmp_path / "job.npz", tmp_path / "whole.npz", Nearest)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "job.npz", tmp_path / "result.npz", lambda j: Nearest(j, stop_at=13))
    assert not (tmp_path / "result.npz").exists()
    resumed = []
    run(tmp_path / "job.npz", tmp_path / "result.npz", lambda j: resumed.append(Nearest(j)) or resumed[0])
    # Ten points were saved; the memory is the count of calls at that time.
    assert resumed[0].recalled[0] == [7.0]
    assert len(resumed[0].recalled[1]) == 10
    assert resumed[0].n_calls == 10
    with np.load(tmp_path / "whole.npz") as a, np.load(tmp_path / "result.npz") as b:
        np.testing.assert_array_equal(a["path"], b["path"])
        assert a["seconds"].size == b["seconds"].size
    assert not (tmp_path / "result.part.json").exists()


@pytest.mark.parametrize("pixel", [3, 12], ids=["measured", "forbidden"])
def test_a_peer_may_not_propose(job, tmp_path, pixel):
    job.save(tmp_path / "job.npz")
    peer = Nearest(job)
    peer.next = lambda path, values: pixel
    with pytest.raises(RuntimeError, match=f"pixel {pixel}"):
        run(tmp_path / "job.npz", tmp_path / "result.npz", lambda j: peer)


def test_patches_are_centred_windows_scaled_over_all():
    image = np.random.default_rng(2).normal(size=(2, 12, 15))
    found = patches(image, 8)
    assert found.shape == (180, 2 * 64)
    assert (found.min(), found.max()) == (0.0, 1.0)
    window = image[:, 6 - 4 : 6 + 4, 9 - 4 : 9 + 4].ravel()
    np.testing.assert_allclose(found[6 * 15 + 9], (window - image.min()) / (image.max() - image.min()))


def test_unit_goes_there_and_back():
    values = np.array([2.0, 4.0, 10.0])
    unit = Unit(values)
    assert unit.down(values).tolist() == [0.0, 0.25, 1.0]
    mean, std = unit.up(unit.down(values), np.array([0.5]))
    np.testing.assert_allclose(mean, values)
    assert std.tolist() == [4.0]
    assert Unit(np.array([3.0, 3.0])).down(np.array([3.0])).tolist() == [0.0]


def test_best_leaves_out_what_is_measured_forbidden_or_not_a_number():
    score = np.array([9.0, np.nan, 5.0, 7.0, -np.inf])
    candidates = np.array([True, True, True, False, True])
    assert best(score, candidates, np.array([0])) == 2
    assert best(np.full(5, np.nan), candidates, np.array([0])) in (1, 2, 4)


@pytest.fixture
def case():
    rng = np.random.default_rng(3)
    target = rng.normal(size=(9, 11))
    target[2, 3] = np.nan
    return recorded_case(Recording(image=rng.normal(size=(9, 11)), targets={"t": target}), name="small")


def test_peers_start_where_our_arms_start(case):
    job = make_job(case, seed=4, budget=20)
    ours = [pixel_of(y, x, 9, 11) for y, x in initial_points(case.candidates, 10, 4)]
    assert job.initial.tolist() == [r * 11 + c for r, c in ours]
    assert not job.candidates[2 * 11 + 3]
    assert job.candidates.sum() == 98


def test_peers_are_judged_by_our_scores(case, tmp_path):
    make_job(case, seed=4, budget=20).save(tmp_path / "job.npz")
    run(tmp_path / "job.npz", tmp_path / "raw.npz", Nearest)
    told = score(case, tmp_path / "raw.npz")
    with np.load(tmp_path / "raw.npz") as z:
        rmse, coverage = prediction_scores(case.truth.ravel(), case.candidates.ravel(), z["path"], z["mean"], z["std"])
        assert told["path"] == z["path"].tolist()
    assert told["rmse"] == pytest.approx(rmse, abs=1e-4)
    assert told["coverage95"] == pytest.approx(coverage, abs=1e-4)
    top = np.flatnonzero(case.truth.ravel() >= np.nanpercentile(case.truth, 99.0))
    assert told["top1_found"] == np.isin(told["path"], top).sum()


def test_results_are_found_by_case_and_budget(tmp_path):
    for peer, case, seed, budget in (
        ("b", "fe", 21, 110),
        ("a", "fe", 20, 110),
        ("a", "fe", 20, 50),
        ("a", "x_fe", 5, 110),
    ):
        told = {"peer": peer, "case": case, "seed": seed, "budget": budget}
        result_path(peer, case, seed, budget, tmp_path).write_text(json.dumps(told))
    assert [(r["peer"], r["seed"]) for r in read_results("fe", 110, tmp_path)] == [("a", 20), ("b", 21)]
    assert peer_seeds("fe", 110, tmp_path) == [20, 21]
    assert peer_seeds("fe", 60, tmp_path) == []


ALONE = """
import importlib, os, sys
for name in list(sys.modules):
    assert not name.startswith("probescout")
sys.modules["probescout"] = None
importlib.import_module(f"benchmarks.peers.{sys.argv[1]}_peer")
print(os.environ["OMP_NUM_THREADS"])
"""


@pytest.mark.parametrize("peer", ENVIRONMENTS)
def test_a_peer_runs_where_probescout_is_not_installed(peer):
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    command = [sys.executable, "-c", ALONE, peer]
    found = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert found.stdout == "1\n"
