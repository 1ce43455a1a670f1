"""What a suite file declares: cases, arms and seeds, every combination of which is one run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from probescout.core.jsonable import to_json

BASELINES = ("random", "grid")
"""Rules that need no model: what every arm has to beat."""


@dataclass(frozen=True)
class About:
    """Section [suite]."""

    name: str
    """Letters, digits, dot, dash and underscore."""
    seeds: tuple[int, ...]
    """Each decides the first points and the noise of one run of every arm."""
    budget: int = 60
    """Points of a run, the initial ones included."""
    initial: int = 10
    """Random points that all arms of a seed share."""
    deep: bool = True
    """Whether the deep-kernel member takes part where an arm names no members."""
    leave_out: tuple[str, ...] = ()
    """Of BASELINES; the others are run beside the arms without being named."""
    outputs: str = "suite-result"
    """Folder, relative to the suite file."""


@dataclass(frozen=True)
class CaseSpec:
    """One [[cases]]: a recorded experiment, or a simulated sample."""

    name: str
    file: str = ""
    """Recording in the neutral format, or an instrument's own file, which is converted; relative to the suite file."""
    convert: Mapping[str, Any] = field(default_factory=dict)
    """How an instrument's own file is converted: signal, image, image_from, targets, select."""
    scalarizer: str = ""
    """What makes the target of a spectrum."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Of the scalarizer."""
    target: str = ""
    """Ready scalar map of the file, instead of a scalarizer."""
    scene: str = ""
    """Kind of simulated sample, instead of a file."""
    size: int = 64
    """Edge of its image in pixels."""
    scene_seed: int = 0
    """Which sample of that kind."""
    budget: int = 0
    """Points of a run on this case; 0: as in [suite]."""


@dataclass(frozen=True)
class ArmSpec:
    """One [[arms]]: a way to plan."""

    name: str
    policy: str = "expected_improvement"
    params: Mapping[str, Any] = field(default_factory=dict)
    """Of the policy."""
    members: tuple[str, ...] = ()
    """Fixed members that make up the model; none: the committee."""


@dataclass(frozen=True)
class SuiteFile:
    """A whole suite file."""

    suite: About
    cases: tuple[CaseSpec, ...]
    arms: tuple[ArmSpec, ...] = ()
    folder: Path = field(default=Path(), compare=False)
    """Where the file lies: paths in it are relative to this."""

    @property
    def digest(self) -> str:
        """Hex SHA-256 of everything that the file declares."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return all sections, defaults included."""
        return {name: value for name, value in to_json(self).items() if name != "folder"}

    @property
    def directory(self) -> Path:
        """Folder of the outputs."""
        return (self.folder / self.suite.outputs).resolve()

    @property
    def all_arms(self) -> tuple[ArmSpec, ...]:
        """The baselines that are not left out, then the arms of the file."""
        named = {arm.name for arm in self.arms}
        ours = (name for name in BASELINES if name not in self.suite.leave_out and name not in named)
        return (*(ArmSpec(name, policy=name) for name in ours), *self.arms)

    def budget_of(self, case: CaseSpec) -> int:
        """Return the points of a run on a case."""
        return case.budget or self.suite.budget
