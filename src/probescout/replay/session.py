"""What an experiment needs of a campaign, whether it runs on a server or in this process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from probescout.core.ports import FloatArray, Measurement

MAPS = ("mean", "std", "predictive_std")


@dataclass(frozen=True)
class Declaration:
    """A campaign to be started; it holds nothing that an operator would not know beforehand."""

    campaign: str
    """Id."""
    image: NDArray[np.generic]
    """(y, x) or (channel, y, x)."""
    scalarizer: str
    params: Mapping[str, Any]
    policy: str
    policy_params: Mapping[str, Any]
    budget: int
    """Probes, the initial ones included."""
    seed: int
    initial: tuple[tuple[float, float], ...]
    """First positions (y, x), fractions."""
    mask: NDArray[np.bool_] | None = None
    """(y, x), true where probing is allowed; None: everywhere."""
    pixel_size_m: float | None = None
    sample: str = ""
    instrument: str = ""
    use_deep: bool = True
    members: tuple[str, ...] = ()
    """Members of the committee that take part, by name; none: all."""


@dataclass(frozen=True)
class Asked:
    """A point to measure."""

    y: float
    """Fraction from the top."""
    x: float
    """Fraction from the left."""
    mean: float
    """Target predicted when it was asked for; NaN before the model knows anything."""
    std: float
    """Standard deviation of that prediction, without measurement noise."""
    source: str
    """planner, seed_design, prefetch or fallback."""
    handle: Any = field(repr=False, compare=False)
    """What the session knows it by."""


@dataclass(frozen=True)
class Answer:
    """What became of a measurement."""

    target: float = float("nan")
    """Scalarized value; NaN when there is none."""
    target_std: float = float("nan")
    """Standard deviation of its measurement noise; NaN when unknown."""
    message: str = ""
    """Why there is no value."""


class Session(Protocol):
    """One campaign, seen from the instrument."""

    def ask(self) -> Asked | None:
        """Return the next point; None at the end."""

    def tell(self, asked: Asked, measurement: Measurement) -> None:
        """Hand in a measurement and let the planner choose the next point: one round trip."""

    def settle(self) -> Answer:
        """Return what became of the measurement told last, once its value and a due fit of the model are there.

        A recording answers at once, where the dwell of a real instrument gives the planner this time.
        """

    def maps(self) -> dict[str, FloatArray]:
        """Return `MAPS` (y, x) as predicted from all measurements, NaN where there is no candidate."""

    def close(self) -> None:
        """End the campaign."""
