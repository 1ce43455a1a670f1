"""The cases of the quality benchmark: recorded experiments, simulated samples, and controls with shuffled targets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.outside import Outside, find_outside
from benchmarks.recorded import RECORDED
from probescout.core.errors import InvalidInput, Reason
from probescout.core.geometry import pixel_of
from probescout.core.ports import Measurement, Microscope, Overview
from probescout.replay.case import Case, twin_case

TWIN_SIZE = 64
SIMULATED: dict[str, tuple[str, int]] = {
    "plasmonic_0": ("plasmonic", 0),
    "plasmonic_1": ("plasmonic", 1),
    "lattice_0": ("lattice", 0),
    "lattice_1": ("lattice", 1),
    "ferroelectric_0": ("ferroelectric", 0),
    "ferroelectric_1": ("ferroelectric", 1),
}
"""Name -> scene and the seed of its layout."""
SHUFFLED = {"p45_fe_shuffled": "p45_fe", "bfo_current_shuffled": "bfo_current"}
"""Controls: the target of the other case with its pixels permuted, by another permutation for each seed."""
STANDARD = (*RECORDED, *SIMULATED, *SHUFFLED)
PEER_CASES = ("bfo_current", "p45_fe", "pto_area")
"""What the peers are run on."""
LARGEST_SHARE = 0.25
"""Of the candidates, that a budget may spend: beyond, every arm finds everything."""
N_INITIAL = 10


@dataclass(frozen=True)
class CaseRef:
    """A case by name, to be made where it is run."""

    name: str
    outside: Outside | None = None
    """Where it comes from when it is not ours."""

    @property
    def is_control(self) -> bool:
        """Whether there is nothing to be found, so that it takes no part in means and ranks."""
        return self.outside is None and self.name in SHUFFLED

    def files(self) -> list[Path]:
        """Return the recorded files that one of our cases is made of."""
        recorded = RECORDED.get(SHUFFLED.get(self.name, self.name))
        return recorded.files() if recorded is not None else []

    def make(self, seed: int) -> Case:
        """Return the case for the runs of a seed.

        Raises:
            InvalidInput: FILE_UNREADABLE when its data are not there, or as its file cannot be used.
            MissingExtra: When the package that reads its file is not installed.
        """
        if self.outside is not None:
            return _outside_case(self.outside)
        return make_case(self.name, seed)


def standard_cases() -> tuple[list[CaseRef], dict[str, str]]:
    """Return the standard cases whose data are there, and why each of the others is left out."""
    left_out = {name: recorded.problem for name, recorded in RECORDED.items() if recorded.problem}
    left_out |= {name: left_out[base] for name, base in SHUFFLED.items() if base in left_out}
    return [CaseRef(name) for name in STANDARD if name not in left_out], left_out


def choose_cases(text: str) -> list[CaseRef]:
    """Return the cases that `text` names: a folder, names with commas between, or nothing for the standard ones.

    Standard cases without data are left out unless they are named.

    Raises:
        InvalidInput: FIELD_INVALID for an unknown name; as `find_outside` for a folder.
        MissingExtra: For a Zarr store where zarr is not installed.
    """
    if not text:
        return standard_cases()[0]
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names and all(name in STANDARD for name in names):
        return [CaseRef(name) for name in names]
    if not Path(text).is_dir():
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"CASES is '{text}', neither a folder nor names of {', '.join(STANDARD)}; give one of them",
            field="CASES",
        )
    return [CaseRef(outside.name, outside) for outside in find_outside(Path(text))]


def make_case(name: str, seed: int = 0) -> Case:
    """Return the standard case of that name for the runs of a seed.

    Raises:
        InvalidInput: FILE_UNREADABLE when its recorded data are not there.
        MissingExtra: When the package that reads its file is not installed.
    """
    if name in SHUFFLED:
        return shuffled(_fixed_case(SHUFFLED[name]), name, seed)
    return _fixed_case(name)


# A worker goes through the runs of one case after the other, and a cube may take 100 MiB: one is kept.
@lru_cache(maxsize=1)
def _fixed_case(name: str) -> Case:
    if name in SIMULATED:
        scene, layout = SIMULATED[name]
        return replace(twin_case(scene, size=TWIN_SIZE, scene_seed=layout), name=name)
    return RECORDED[name].case(name)


@lru_cache(maxsize=1)
def _outside_case(outside: Outside) -> Case:
    return outside.case()


def budget_of(case: Case, wanted: int) -> tuple[int, int]:
    """Return the budget of a run on a case, and how many of it are the initial points.

    Raises:
        InvalidInput: FIELD_INVALID when the case has too few candidates to plan anything.
    """
    budget = min(wanted, int(LARGEST_SHARE * case.n_candidates))
    n_initial = min(N_INITIAL, budget // 2)
    if n_initial < 1:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"case '{case.name}' has {case.n_candidates} candidates and the budget is {wanted}; at least 8 candidates "
            "and 2 points are needed",
            field="budget",
        )
    return budget, n_initial


def shuffled(case: Case, name: str, seed: int) -> Case:
    """Return a case whose target has nothing to do with its image: what is measured lies at another pixel."""
    order = np.arange(case.truth.size)
    inside = np.flatnonzero(case.candidates)
    order[inside] = np.random.default_rng([seed, 77]).permutation(inside)
    shape = (case.truth.shape[0], case.truth.shape[1])
    return replace(
        case,
        name=name,
        open=lambda s: Shuffled(case.open(s), order, shape),
        truth=case.truth.ravel()[order].reshape(shape),
    )


class Shuffled:
    """An instrument that measures another pixel than it was told to, and does not say so."""

    def __init__(self, inner: Microscope, order: NDArray[np.int64], shape: tuple[int, int]) -> None:
        """Wrap `inner`; pixel i shows what `inner` measures at order[i]."""
        self.name = inner.name
        self._inner = inner
        self._order = order
        self._shape = shape

    def overview(self) -> Overview:
        """Return the image as it is."""
        return self._inner.overview()

    def measure(self, y: float, x: float) -> Measurement:
        """Return the measurement of another pixel as that of this one."""
        height, width = self._shape
        row, column = pixel_of(y, x, height, width)
        other_row, other_column = divmod(int(self._order[row * width + column]), width)
        found = self._inner.measure((other_row + 0.5) / height, (other_column + 0.5) / width)
        return replace(found, y=(row + 0.5) / height, x=(column + 0.5) / width)
