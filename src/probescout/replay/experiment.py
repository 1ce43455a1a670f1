"""Plans one case again and again, by several policies from the same first points, and scores each run."""

from __future__ import annotations

import difflib
import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, Reason
from probescout.core.geometry import pixel_of
from probescout.core.ports import FloatArray, Measurement, Microscope, Overview
from probescout.replay.case import Case
from probescout.replay.metrics import Scores, judge
from probescout.replay.session import Answer, Asked, Declaration, Session

PLANNER = "planner"
BASELINES = ("random", "grid")
"""What a planner is compared with."""


@dataclass(frozen=True)
class Plan:
    """How a case is planned."""

    budget: int = 100
    """Points of a run, the initial ones included."""
    n_initial: int = 10
    """Random points that all arms of a seed share."""
    seeds: tuple[int, ...] = (0, 1, 2)
    compare: tuple[str, ...] = BASELINES
    """Baselines beside the planner."""
    policy: str = "expected_improvement"
    policy_params: Mapping[str, Any] = field(default_factory=dict)
    use_deep: bool = True
    """Whether the deep-kernel member takes part; all arms have the same model."""

    def __post_init__(self) -> None:
        """Refuse what cannot be run.

        Raises:
            InvalidInput: FIELD_INVALID naming the field.
        """
        for arm in self.compare:
            if arm not in BASELINES:
                near = difflib.get_close_matches(arm, BASELINES, n=1)
                hint = f"did you mean '{near[0]}'? " if near else ""
                raise InvalidInput(
                    Reason.FIELD_INVALID,
                    f"there is no baseline '{arm}' to compare with; {hint}choose from {', '.join(BASELINES)}",
                    field="compare",
                )
        if not 1 <= self.n_initial <= self.budget:
            raise InvalidInput(
                Reason.FIELD_INVALID,
                f"{self.n_initial} initial points in a budget of {self.budget}; give 1 to the budget",
                field="n_initial",
            )
        if not self.seeds:
            raise InvalidInput(Reason.FIELD_INVALID, "no seed is given; give at least one", field="seeds")

    @property
    def arms(self) -> tuple[str, ...]:
        """The planner and its baselines, each once."""
        return (PLANNER, *dict.fromkeys(self.compare))


@dataclass(frozen=True)
class Run:
    """One campaign of an experiment; arrays are (step,) unless they say otherwise."""

    arm: str
    seed: int
    y: FloatArray
    """Where the probe was, fraction from the top."""
    x: FloatArray
    path: NDArray[np.int64]
    """Index row * width + column of the measured pixel; -1 where no value came of it."""
    target: FloatArray
    """Scalarized value, in the unit of the target; NaN where no value came of it."""
    target_std: FloatArray
    """Standard deviation of its measurement noise; NaN when unknown."""
    mean_at_ask: FloatArray
    """Predicted before it was measured; NaN for initial points."""
    std_at_ask: FloatArray
    """Standard deviation of that prediction, without measurement noise."""
    source: tuple[str, ...]
    step_ms: FloatArray
    """Wall time of the Step round trip at the client."""
    maps: Mapping[str, FloatArray]
    """mean, std, predictive_std: (y, x) after the last step."""
    scores: Scores


@dataclass(frozen=True)
class Experiment:
    """All runs of a case."""

    case: Case
    plan: Plan
    overview: Overview
    """Of the first seed."""
    runs: tuple[Run, ...]

    def of(self, arm: str) -> list[Run]:
        """Return the runs of an arm, by seed."""
        return [run for run in self.runs if run.arm == arm]

    def to_json(self) -> dict[str, Any]:
        """Return the scores, each a list over seeds."""
        names = ("best_fraction", "top1_found", "top1_total", "rmse", "coverage95", "step_ms_p50", "step_ms_p99")
        return {
            "case": self.case.name,
            "n_candidates": self.case.n_candidates,
            "budget": self.plan.budget,
            "arms": {
                arm: {name: [getattr(run.scores, name) for run in self.of(arm)] for name in names}
                for arm in self.plan.arms
            },
        }


@dataclass(frozen=True)
class Progress:
    """Where an experiment stands after a point."""

    arm: str
    seed: int
    n_done: int
    """Points measured so far, over all runs."""
    n_total: int
    instrument_s: float
    """Time spent measuring so far."""
    planner_s: float
    """Time spent waiting for the planner and its fits so far."""


def run_experiment(
    case: Case,
    plan: Plan,
    open_session: Callable[[Declaration], Session],
    on_progress: Callable[[Progress], None] | None = None,
    time_limit_s: float | None = None,
) -> Experiment:
    """Return all runs of a case, seed by seed, arm by arm.

    The planner is told what an operator knows beforehand (image, mask, settings) and what was measured; the true map
    is looked at only after a run is over.

    Args:
        case: What is planned.
        plan: How.
        open_session: Starts a campaign.
        on_progress: Called after every point.
        time_limit_s: Leave out seeds that would probably end later than this; the first is always run.

    Raises:
        InvalidInput: FIELD_INVALID when the budget exceeds the candidates; as the planner refuses the campaign.
        Unavailable: The planner stopped answering.
    """
    if plan.budget > case.n_candidates:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"a budget of {plan.budget} points exceeds the {case.n_candidates} candidates of '{case.name}'; lower it",
            field="budget",
        )
    tracker = _Tracker(len(plan.seeds) * len(plan.arms) * plan.budget, on_progress)
    began = time.monotonic()
    runs: list[Run] = []
    done: list[int] = []
    for seed in plan.seeds:
        per_seed_s = (time.monotonic() - began) / max(1, len(done))
        if time_limit_s is not None and done and (len(done) + 1) * per_seed_s > time_limit_s:
            break
        runs += [_run(case, plan, arm, seed, open_session, tracker) for arm in plan.arms]
        done.append(seed)
    overview = case.open(plan.seeds[0]).overview()
    return Experiment(case, replace(plan, seeds=tuple(done)), overview, tuple(runs))


def initial_points(candidates: NDArray[np.bool_], n: int, seed: int) -> tuple[tuple[float, float], ...]:
    """Return n different random candidates as fractional (y, x), the same for every arm of a seed."""
    rows, columns = np.nonzero(candidates)
    height, width = candidates.shape
    chosen = np.random.default_rng([seed, 0]).choice(rows.size, size=n, replace=False)
    return tuple((float((rows[i] + 0.5) / height), float((columns[i] + 0.5) / width)) for i in chosen)


def declare(case: Case, plan: Plan, arm: str, seed: int, instrument: Microscope) -> Declaration:
    """Return the campaign of one run; the case's true map takes no part in it."""
    overview = instrument.overview()
    candidates = case.candidates if overview.mask is None else case.candidates & overview.mask
    policy, params = plan.policy, dict(plan.policy_params)
    if arm != PLANNER:
        policy, params = arm, {"budget": max(1, plan.budget - plan.n_initial)} if arm == "grid" else {}
    slug = re.sub(r"[^A-Za-z0-9]+", "-", case.name).strip("-")[:30] or "case"
    return Declaration(
        campaign=f"{slug}-{arm}-{seed}-{uuid.uuid4().hex[:8]}",
        image=overview.image,
        scalarizer=case.scalarizer,
        params=case.params,
        policy=policy,
        policy_params=params,
        budget=plan.budget,
        seed=seed,
        initial=initial_points(candidates, plan.n_initial, seed),
        mask=None if candidates.all() else candidates,
        pixel_size_m=overview.pixel_size_m,
        sample=case.name,
        instrument=instrument.name,
        use_deep=plan.use_deep,
    )


@dataclass(frozen=True)
class _Step:
    asked: Asked
    measurement: Measurement
    answer: Answer
    step_ms: float


class _Tracker:
    """Adds up where the time goes."""

    def __init__(self, n_total: int, on_progress: Callable[[Progress], None] | None) -> None:
        self._n_total = n_total
        self._call = on_progress
        self._n_done = 0
        self._instrument_s = 0.0
        self._planner_s = 0.0

    def add(self, arm: str, seed: int, instrument_s: float, planner_s: float) -> None:
        self._n_done += 1
        self._instrument_s += instrument_s
        self._planner_s += planner_s
        if self._call is not None:
            self._call(Progress(arm, seed, self._n_done, self._n_total, self._instrument_s, self._planner_s))


def _run(
    case: Case,
    plan: Plan,
    arm: str,
    seed: int,
    open_session: Callable[[Declaration], Session],
    tracker: _Tracker,
) -> Run:
    instrument = case.open(seed)
    session = open_session(declare(case, plan, arm, seed, instrument))
    steps: list[_Step] = []
    try:
        while (asked := session.ask()) is not None:
            began = time.perf_counter()
            measurement = instrument.measure(asked.y, asked.x)
            measured = time.perf_counter()
            session.tell(asked, measurement)
            told = time.perf_counter()
            answer = session.settle()
            steps.append(_Step(asked, measurement, answer, 1e3 * (told - measured)))
            tracker.add(arm, seed, measured - began, time.perf_counter() - measured)
        maps = session.maps()
    finally:
        session.close()
    return _record(case, arm, seed, steps, maps)


def _record(case: Case, arm: str, seed: int, steps: Sequence[_Step], maps: Mapping[str, FloatArray]) -> Run:
    height, width = case.truth.shape
    pixels = [pixel_of(s.measurement.y, s.measurement.x, height, width) for s in steps]
    target = np.array([s.answer.target for s in steps])
    path = np.array([row * width + column for row, column in pixels], dtype=np.int64)
    path[~np.isfinite(target)] = -1
    step_ms = np.array([s.step_ms for s in steps])
    # A recorded value scatters by its noise about the prediction, an expected value does not.
    spread = maps["predictive_std" if case.is_truth_noisy else "std"]
    return Run(
        arm=arm,
        seed=seed,
        y=np.array([s.measurement.y for s in steps]),
        x=np.array([s.measurement.x for s in steps]),
        path=path,
        target=target,
        target_std=np.array([s.answer.target_std for s in steps]),
        mean_at_ask=np.array([s.asked.mean for s in steps]),
        std_at_ask=np.array([s.asked.std for s in steps]),
        source=tuple(s.asked.source for s in steps),
        step_ms=step_ms,
        maps=maps,
        scores=judge(case.truth.ravel(), case.candidates.ravel(), path, maps["mean"].ravel(), spread.ravel(), step_ms),
    )
