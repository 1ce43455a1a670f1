"""What the model of a campaign shows of all its candidates, as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.influence import Influence

MAPS: Mapping[str, str] = {
    "mean": "predicted target",
    "std": "standard deviation of the prediction, without noise",
    "predictive_std": "standard deviation of the next measured value",
    "novelty": "share of the prior variance that nothing measured explains",
    "acquisition": "score that the policy gives a point that may be suggested",
    "prior": "what simulations add to the mean",
    "theory": "what the first engine says",
    "theory_std": "standard deviation of what the first engine says",
}
"""Every map that a model may show, and what it is."""
_BY_THEORY = ("theory", "theory_std")
_BARE = ("acquisition", "novelty")


def map_unit(name: str, target_unit: str, theory_unit: str) -> str:
    """Return the unit of a map; empty for a bare number.

    Args:
        name: One of `MAPS`.
        target_unit: Of the target.
        theory_unit: Of the quantity that the first engine computes.
    """
    if name in _BARE:
        return ""
    return theory_unit if name in _BY_THEORY else target_unit


@dataclass(frozen=True)
class ModelView:
    """The maps of a model at one time, and how alike its candidates are to it."""

    maps: Mapping[str, NDArray[np.floating[Any]]]
    """By name in `MAPS`: (y, x) over the grid of candidates, or (candidate,); NaN where there is nothing to show."""
    latent: NDArray[np.floating[Any]]
    """(candidate, dim) representation that the model learnt; its texture features before it learnt one."""
    representation: str
    """What `latent` is: "deep" or "conv" for a learnt one, else the name of the features."""
    weights: Mapping[str, float]
    """Of the members, by name."""
    n_observed: int
    """Measurements that it knows."""
    influence: Influence | None = None
    """What simulations do to it; None without any."""
    comments: tuple[str, ...] = ()
    """What is not exact, or missing, and why."""
