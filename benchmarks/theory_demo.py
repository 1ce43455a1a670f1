"""Theory in the loop, to look at: a STEM probes defective graphene while xTB simulates what it sees.

`python -m benchmarks.theory_demo [--probes 45] [--seed 1] [--out DIR]` (`make demo-theory`). A real server, a simulated
microscope that takes its time, and xTB jobs in processes of their own beside the probing. What is measured follows the
local energy of formation. A twin campaign on the same specimen is given energies of other patches, and must learn to
ignore them. Prints one JSON object on its last line.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import probescout_client as ps
from numpy.typing import NDArray

from benchmarks.theory_atomistic import target_of
from benchmarks.theory_demo_picture import draw
from benchmarks.theory_energies import SETTINGS, true_energies
from benchmarks.theory_specimen import PIXEL, WINDOW, Specimen, make_specimen
from probescout.core.geometry import pixel_of
from probescout.replay.server_process import ServerProcess

FloatArray = NDArray[np.float64]

ENERGY = np.arange(280.0, 300.0, 0.5)
"""eV, of the channels."""
PEAK, WIDTH, BAND = 288.0, 1.2, (285.0, 291.0)
"""eV: the line whose strength follows the local energy."""
SECONDS_PER_PROBE = 1.0
MOST_OPEN = 2
"""Theory jobs of a campaign at a time."""
N_INITIAL = 8


@dataclass(frozen=True)
class Sample:
    """What lies under the beam, and what is measured there."""

    specimen: Specimen
    target: FloatArray
    """(candidate,) standardised."""


@dataclass
class Trace:
    """What happened in one campaign."""

    name: str
    candidates: list[int] = field(default_factory=list)
    """Measured, in order."""
    values: list[float] = field(default_factory=list)
    """Counts in the band."""
    weights: list[float] = field(default_factory=list)
    """Of theory after each."""
    jobs: list[ps.TheoryJob] = field(default_factory=list)
    influence: ps.Influence | None = None


class Microscope:
    """A simulated STEM with a spectrometer, over the places of a specimen."""

    def __init__(self, truth: Sample, seed: int) -> None:
        """Stand over a specimen; `seed` is that of the counts."""
        self.truth = truth
        self._rng = np.random.default_rng([seed, 20])
        self._pace = threading.Event()

    def mask(self) -> NDArray[np.bool_]:
        """Return (y, x) where there is something to measure."""
        height, width = self.truth.specimen.image.shape
        found = np.zeros((height, width), dtype=bool)
        for y, x in self.truth.specimen.positions:
            found[pixel_of(y, x, height, width)] = True
        return found

    def candidate(self, y: float, x: float) -> int:
        """Return which place of the specimen a position is."""
        return int(np.linalg.norm(self.truth.specimen.positions - (y, x), axis=1).argmin())

    def measure(self, y: float, x: float) -> FloatArray:
        """Return counts (channel,) after the time that an instrument takes."""
        self._pace.wait(SECONDS_PER_PROBE)
        strength = np.clip(60.0 + 15.0 * self.truth.target[self.candidate(y, x)], 5.0, None)
        line = strength * np.exp(-0.5 * ((ENERGY - PEAK) / WIDTH) ** 2)
        return np.asarray(self._rng.poisson(line + 4e4 * (ENERGY / 100.0) ** -8), dtype=np.float64)


def main() -> None:
    """Run both campaigns beside each other, print what came of them and draw it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--probes", type=int, default=45)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("demo-theory-result"))
    args = parser.parse_args()
    began = time.perf_counter()
    say("Drawing the specimen, and calculating by xTB what is really there (kept in out/benchmarks for the next time).")
    rng = np.random.default_rng([args.seed, 10])
    specimen = make_specimen(rng)
    truth = Sample(specimen, target_of(specimen, true_energies(specimen), rng)[1])
    say(f"{len(truth.target)} places at defects. Two campaigns of {args.probes} probes begin; xTB runs beside them.")
    traces = [Trace("right"), Trace("shuffled")]
    with ServerProcess(arguments=("--theory-slots", "2")) as server, ThreadPoolExecutor(len(traces)) as pool:
        with ps.connect(server.grpc, token_file=server.token_file) as planner:
            work = [pool.submit(campaign, planner, truth, trace, args) for trace in traces]
            for one in work:
                one.result()
    args.out.mkdir(parents=True, exist_ok=True)
    draw(truth, traces, args.out / "theory.png")
    told = {trace.name: summary(trace, truth) for trace in traces}
    for name, row in told.items():
        say(
            f"{name:>9}: {row['jobs_succeeded']} jobs gave numbers, {row['jobs_failed']} did not; theory weighs "
            f"{row['weight']:.2f}, most {row['most_weight']:.2f}; best {row['best_rank']} of {len(truth.target)} places"
        )
    say(f"The picture is {args.out / 'theory.png'}.")
    print(json.dumps({**told, "seed": args.seed, "seconds": round(time.perf_counter() - began, 1)}))


def campaign(planner: ps.Planner, truth: Sample, trace: Trace, args: argparse.Namespace) -> None:
    """Probe until the budget is spent; for the twin ask for simulations of other patches than those measured."""
    microscope = Microscope(truth, args.seed)
    is_right = trace.name == "right"
    settings = {key: value for key, value in SETTINGS.items() if key != "quantities"}
    plan = ps.TheoryPlan(
        "xtb", "formation_energy", settings, WINDOW * PIXEL * 1e-10, 120.0, max_running=MOST_OPEN, automatic=is_right
    )
    run = planner.start(
        truth.specimen.image, campaign=f"graphene-{trace.name}", sample="defective graphene", scalarizer="band_sum",
        params={"low": BAND[0], "high": BAND[1]}, pixel_size=(PIXEL / 10.0, "nm"), mask=microscope.mask(),
        budget=args.probes, seed=args.seed, n_initial=N_INITIAL, deep=False, theory=plan,
    )  # fmt: skip
    rng = np.random.default_rng([args.seed, 21])
    for point in run:
        counts = microscope.measure(point.y, point.x)
        run.tell(point, counts.astype(np.uint16), axis=(ENERGY, "eV"), counts=True)
        trace.candidates.append(microscope.candidate(point.y, point.x))
        trace.values.append(float(counts[(ENERGY >= BAND[0]) & (ENERGY <= BAND[1])].sum()))
        if not is_right:
            ask_wrongly(run, truth, trace, rng)
        trace.influence = run.theory.influence
        trace.weights.append(trace.influence.weight if trace.influence is not None else 0.0)
        if len(trace.values) % 10 == 0:
            say(f"{trace.name:>9}: {len(trace.values)} of {args.probes} probes, theory weighs {trace.weights[-1]:.2f}")
    trace.jobs = list(run.theory.jobs())


def ask_wrongly(run: ps.Run, truth: Sample, trace: Trace, rng: np.random.Generator) -> None:
    """Have the energies of measured places calculated from patches of other places."""
    jobs = list(run.theory.jobs())
    asked = {job.reason for job in jobs}
    free = MOST_OPEN - sum(not job.is_ended for job in jobs)
    for candidate in [c for c in trace.candidates if f"place {c}" not in asked][: max(free, 0)]:
        y, x = truth.specimen.positions[candidate]
        patch, _ = truth.specimen.seen(truth.specimen.positions[rng.integers(len(truth.target))])
        run.theory.submit((y, x), patch=patch, pixel_size=(PIXEL / 10.0, "nm"), reason=f"place {candidate}")


def summary(trace: Trace, truth: Sample) -> dict[str, Any]:
    """Return what came of a campaign."""
    states = [job.state for job in trace.jobs]
    found = float(truth.target[trace.candidates].max())
    influence = trace.influence
    return {
        "jobs_succeeded": states.count("succeeded"),
        "jobs_failed": states.count("failed"),
        "weight": round(trace.weights[-1], 3),
        "most_weight": round(max(trace.weights), 3),
        "skill": round(influence.skill, 3) if influence is not None else 0.0,
        "slopes": influence.slopes if influence is not None and influence.weight > 0.0 else {},
        "best_rank": int((truth.target > found).sum()) + 1,
        "probes": len(trace.values),
    }


def say(text: str) -> None:
    """Print for a person, at once."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
