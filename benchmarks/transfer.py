"""Does the model of an earlier, similar sample help, and does a meaningless one harm? Paired campaigns on the twin.

`python -m benchmarks.transfer [--seeds 12] [--first 0] [--processes 2]` prints one JSON object on its last line. An
earlier campaign probes one simulated sample; the next one probes another sample of the same kind from the same initial
points without its model, with it, and with one that learnt from the same patches with their values shuffled.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from probescout_planners.expected_improvement import ExpectedImprovement

from probescout.replay.twin import SCENES, make_twin
from probescout.replay.twin.instrument import Twin
from probescout.suites.statistics import paired_interval
from probescout.surrogates.committee import Committee
from probescout.surrogates.features import Features, compute_features
from probescout.surrogates.fitting import fit
from probescout.surrogates.transfer import EarlierModel, hand_on

SIZE = 48
N_EARLIER = 60
"""Measurements of the earlier campaign."""
N_INITIAL = 5
STEPS = (10, 20, 40)
"""Measurements, the initial ones included, after which a campaign is looked at."""
ARMS = ("without", "similar", "shuffled")


@dataclass(frozen=True)
class Sample:
    """A simulated sample under an instrument."""

    twin: Twin
    truth: NDArray[np.float64]
    """(candidate,) true target."""
    seed: int

    @classmethod
    def of(cls, scene: str, scene_seed: int, seed: int) -> Sample:
        """Put a sample under the microscope."""
        twin = make_twin(scene, seed, SIZE, scene_seed=scene_seed)
        return cls(twin, twin.truth().ravel(), seed)

    def measured(self, index: int) -> tuple[float, float]:
        """Return value and variance at a candidate."""
        y, x = (index // SIZE + 0.5) / SIZE, (index % SIZE + 0.5) / SIZE
        spectrum = self.twin.measure(y, x).spectrum
        assert spectrum is not None
        scalar = self.twin.scene.suggested_scalarizer()(spectrum)
        return scalar.value, scalar.variance

    def features(self, earlier: EarlierModel | None = None) -> Features:
        """Represent all pixels of the overview image."""
        image = make_twin(self.twin.scene.name, self.seed, SIZE, scene_seed=self.twin.scene.seed).overview().image
        return compute_features(image, earlier=earlier)


def run(sample: Sample, features: Features, n: int, seed: int) -> Iterator[tuple[list[int], Committee]]:
    """Probe a sample; yield what was measured and the model after the initial points and after each further one."""
    rng = np.random.default_rng([seed, 1])
    committee = Committee(features, seed=seed, use_deep=False)
    measured: list[int] = []
    policy, ties = ExpectedImprovement(), np.random.default_rng([seed, 2])
    initial = rng.choice(len(sample.truth), N_INITIAL, replace=False)
    for step in range(n):
        if step < N_INITIAL:
            index = int(initial[step])
        else:
            available = np.ones(len(sample.truth), dtype=bool)
            available[measured] = False
            index = int(np.argmax(np.where(available, policy.score(committee.belief(available), ties), -np.inf)))
        committee.tell(index, *sample.measured(index))
        measured.append(index)
        if committee.needs_fit():
            committee.swap(fit(committee.fit_request()))
        if step >= N_INITIAL - 1:
            yield measured, committee


def shuffled(sample: Sample, committee: Committee, seed: int) -> EarlierModel:
    """Return the model of a campaign that measured the same patches and got their values in another order."""
    known = committee.state()["arrays"]
    order = np.random.default_rng([seed, 3]).permutation(len(known["index"]))
    other = Committee(committee.features, seed=seed, use_deep=False)
    for index, value, variance in zip(known["index"], known["value"][order], known["variance"][order], strict=True):
        other.tell(int(index), float(value), float(variance))
    other.swap(fit(other.fit_request()))
    return hand_on(other)


def one_seed(task: tuple[str, int]) -> dict[str, Any]:
    """Return the scores of each arm on one pair of samples."""
    scene, seed = task
    before = Sample.of(scene, 1000 + seed, seed)
    *_, (_, taught) = run(before, before.features(), N_EARLIER, seed)
    earlier = {"without": None, "similar": hand_on(taught), "shuffled": shuffled(before, taught, seed)}
    row: dict[str, Any] = {"scene": scene, "seed": seed}
    for arm in ARMS:
        sample = Sample.of(scene, seed, seed + 1)
        row[arm] = scores(sample, run(sample, sample.features(earlier[arm]), max(STEPS), seed))
    return row


def scores(sample: Sample, steps: Iterator[tuple[list[int], Committee]]) -> dict[str, Any]:
    """Return simple regret and RMSE, in SD of the target, hits and the weight of the earlier model at some steps."""
    truth, sd = sample.truth, float(sample.truth.std())
    top = truth >= np.quantile(truth, 0.99)
    found: dict[str, Any] = {"path": 0.0}
    for measured, committee in steps:
        regret = float(truth.max() - truth[measured].max()) / sd
        found["path"] += regret / (max(STEPS) - N_INITIAL + 1)
        if len(measured) in STEPS:
            rmse = float(np.sqrt(np.mean((committee.posterior().mean - truth) ** 2))) / sd
            weight = committee.weights().get("earlier", 0.0)
            found[str(len(measured))] = {
                "regret": regret, "rmse": rmse, "hits": int(top[measured].sum()), "weight": weight
            }  # fmt: skip
    return found


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return means of all arms, and paired differences to the arm without a model."""
    found: dict[str, Any] = {"arms": {}, "differences": {}}
    for arm in ARMS:
        found["arms"][arm] = {"path": _mean([r[arm]["path"] for r in rows])}
        for n in map(str, STEPS):
            one = {what: _mean([r[arm][n][what] for r in rows]) for what in ("regret", "rmse", "hits", "weight")}
            found["arms"][arm][n] = one
    for arm in ARMS[1:]:
        told = {"path": _paired([r[arm]["path"] for r in rows], [r["without"]["path"] for r in rows])}
        for n in map(str, STEPS):
            for what in ("regret", "rmse", "hits"):
                told[f"{what}_{n}"] = _paired([r[arm][n][what] for r in rows], [r["without"][n][what] for r in rows])
        found["differences"][arm] = told
    return found


def _mean(values: list[float]) -> float:
    return round(float(np.mean(values)), 4)


def _paired(a: list[float], b: list[float]) -> list[float]:
    return [round(v, 4) for v in paired_interval(a, b)]


def main() -> None:
    """Run all seeds on all scenes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--scenes", default=",".join(SCENES))
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    started = time.perf_counter()
    scenes = args.scenes.split(",")
    tasks = [(scene, seed) for seed in range(args.first, args.first + args.seeds) for scene in scenes]
    rows = []
    with ProcessPoolExecutor(args.processes) as pool:
        for row in pool.map(one_seed, tasks):
            rows.append(row)
            print(f"{len(rows)} of {len(tasks)}", file=sys.stderr, flush=True)
    result = {
        **summary(rows),
        "scenes": {scene: summary([r for r in rows if r["scene"] == scene]) for scene in scenes},
        "pairs": len(rows),
        "seconds": round(time.perf_counter() - started, 1),
        "machine": {"cpus": os.cpu_count(), "system": f"{platform.system()} {platform.machine()}"},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
