"""How honest the model has been, as it is journalled."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Calibration:
    """The latest predictions of the model against what was then measured."""

    n: int = 0
    """Predictions that were checked."""
    coverage95: float = math.nan
    """Share of them inside their 95 % interval; NaN when n is 0, like the numbers below."""
    mean_z2: float = math.nan
    """Mean squared standardised error; 1 is ideal."""
    is_alarmed: bool = False
    """Whether the intervals cannot be trusted."""
    pit_counts: tuple[int, ...] = ()
    """Predictions by where in their distribution the value fell: equal bins of its probability."""
    pit_ks: float = math.nan
    """Kolmogorov-Smirnov distance of these probabilities from an even spread; 0 is ideal."""
    is_deep_shut_off: bool = False
    """Whether the deep member is out of use until it earns its weight back."""
    coverage50: float = math.nan
    """Share inside their 50 % interval."""
