"""What simulations do to a model, as it is journalled."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Slope:
    """What the numbers of one engine have to do with the target."""

    engine: str
    """Engine and quantity, for example "xtb:formation_energy"."""
    noise_std: float
    """SD of a computed number that structure does not explain, learnt, in the unit of the quantity."""
    slope: float = math.nan
    """Target units per unit of the quantity; NaN as long as theory has no say."""
    slope_std: float = math.nan


@dataclass(frozen=True)
class Influence:
    """What the evidence of a campaign has earned."""

    weight: float
    """Share of the informed model in what is predicted, 0 to 0.9."""
    skill: float
    """Nats by which the informed model foresaw a measurement better than the plain one, on average over the latest."""
    n_results: int
    """Computed numbers that are applied."""
    slopes: tuple[Slope, ...] = ()

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Influence:
        """Read what a model reports."""
        slopes = tuple(
            Slope(e["engine"], e["noise_sd"], e.get("slope", math.nan), e.get("slope_std", math.nan))
            for e in told["engines"]
        )
        return cls(told["weight"], told["skill"], told["n_results"], slopes)
