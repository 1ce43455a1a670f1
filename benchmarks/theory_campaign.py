"""One campaign of the theory benchmark: the committee, expected improvement, and jobs that end some steps later."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from probescout_planners.expected_improvement import ExpectedImprovement

from benchmarks.theory_truth import NOISE_SD, Kind, Truth
from probescout.surrogates.committee import Committee
from probescout.surrogates.fitting import fit
from probescout.surrogates.prior.theory import Result
from probescout.surrogates.prior.worth import Tried, next_patch

FloatArray = NDArray[np.float64]

N_INITIAL = 10
N_STEPS = 25
N_SLOTS = 2
"""Theory jobs that run at a time."""
MEMBERS = ("bank_xy",)
"""Of the committee: the best fixed one, so that 800 seeds take minutes."""
WILD = 20.0
"""SD by which a lying result is off."""


@dataclass
class Jobs:
    """Theory jobs on their way, counted in steps of the campaign."""

    kind: Kind
    values: FloatArray
    """(candidate,) what a simulation would give; NaN where it fails."""
    rng: np.random.Generator
    running: list[tuple[int, int]] = field(default_factory=list)
    """Step at which a job ends, and its candidate."""
    results: list[Result] = field(default_factory=list)
    asked: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)

    def collect(self, step: int) -> bool:
        """Take in what has ended; return whether there is a new result."""
        ended = [c for end, c in self.running if end <= step]
        self.running = [(end, c) for end, c in self.running if end > step]
        before = len(self.results)
        for candidate in ended:
            is_failed, is_lie = self.rng.random(2) < (self.kind.failing, self.kind.lying)
            if is_failed or np.isnan(self.values[candidate]):
                self.failed.add(candidate)
            else:
                wild = WILD * np.nanstd(self.values) * self.rng.normal() if is_lie else 0.0
                self.results.append(Result(candidate, float(self.values[candidate] + wild), "simulated:value"))
        return len(self.results) > before

    def submit(self, committee: Committee, scores: FloatArray, measured: NDArray[np.intp], step: int) -> None:
        """Fill the free slots with what deserves a simulation most."""
        while len(self.running) < N_SLOTS:
            wish = next_patch(
                committee.theory,
                committee.verdict(),
                committee.slopes(),
                scores,
                measured,
                Tried(self.asked, self.failed),
                committee.features.arrays,
                self.rng,
            )
            if wish is None:
                return
            self.asked.add(wish.candidate)
            self.running.append((step + self.kind.steps, wish.candidate))


@dataclass(frozen=True)
class Start:
    """A campaign after its initial points, from which every arm goes on."""

    truth: Truth
    committee: Committee
    measured: tuple[int, ...]
    noise: FloatArray
    """(candidate,) error of the measurement there: all arms measure the same."""


def begin(truth: Truth, seed: int) -> Start:
    """Measure the initial points."""
    rng = np.random.default_rng([seed, 1])
    n = len(truth.target)
    committee = Committee(truth.features, seed=seed, use_deep=False, members=MEMBERS)
    noise = NOISE_SD * rng.normal(size=n)
    measured = tuple(int(i) for i in rng.choice(n, N_INITIAL, replace=False))
    for index in measured:
        _measure(committee, truth, noise, index)
    return Start(truth, committee, measured, noise)


def regret(start: Start, seed: int, kind: Kind | None) -> float:
    """Return the mean simple regret over the steps after the initial points, in SD of the target.

    Args:
        start: Where the campaign begins.
        seed: Of the theory and its jobs.
        kind: Of theory; None: the same campaign without.
    """
    truth, committee = start.truth, copy.deepcopy(start.committee)
    rng = np.random.default_rng([seed, 2])
    jobs = Jobs(kind, kind.values(truth, rng), rng) if kind is not None else None
    policy, ties = ExpectedImprovement(), np.random.default_rng([seed, 3])
    measured = list(start.measured)
    best, total = float(truth.target[measured].max()), 0.0
    for step in range(N_STEPS):
        if jobs is not None and jobs.collect(step):
            committee.inform(jobs.results)
        available = np.ones(len(truth.target), dtype=bool)
        available[measured] = False
        scores = np.where(available, policy.score(committee.belief(available), ties), -np.inf)
        if jobs is not None:
            jobs.submit(committee, scores, np.array(measured), step)
        index = int(np.argmax(scores))
        _measure(committee, truth, start.noise, index)
        measured.append(index)
        best = max(best, float(truth.target[index]))
        total += float(truth.target.max()) - best
    return total / N_STEPS


def _measure(committee: Committee, truth: Truth, noise: FloatArray, index: int) -> None:
    committee.tell(index, float(truth.target[index] + noise[index]), NOISE_SD**2)
    if committee.needs_fit():
        committee.swap(fit(committee.fit_request()))
