"""Several targets at once: expected hypervolume improvement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, Reason
from probescout.core.ports import Belief, Json
from probescout.surrogates.improvement import (
    VANISHED,
    expected_improvement,
    log_expected_improvement,
    log_mixture,
    ranked_below,
)
from probescout_planners.subsets import fitted_values

FloatArray = NDArray[np.float64]

MARGIN = 0.1
"""The reference point lies this share of the front's range below its worst values (Ishibuchi et al. 2011)."""


class Pareto:
    """Prefer what is expected to push the front of best compromises between several targets outwards most.

    Emmerich, Giannakoglou & Naujoks 2006, "Single- and multiobjective evolutionary optimization assisted by Gaussian
    random field metamodels": the expected growth of the volume that the front dominates above a reference point. We
    slice the volume along the last target, then the one before, and so on (Yang et al. 2019, "Efficient computation of
    expected hypervolume improvement using box decomposition"); each slice is a product of differences of
    one-dimensional expected improvements, each an exact average over its target's mixture. The targets are taken as
    independent given the measurements. With one target it is expected improvement over the mixture, above the front's
    only value.
    """

    name: ClassVar[str] = "pareto"
    summary: ClassVar[str] = "Trade several targets off: expected growth of the front of best compromises"
    params_schema: ClassVar[Json] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Expected hypervolume improvement",
        "type": "object",
        "properties": {
            "reference": {
                "title": "Reference point",
                "description": "Least value of each target that counts, in target units, in the order of the targets; "
                "for a target that is minimised, its value times -1. Null: 10 % of the front's range below its worst",
                "type": ["array", "null"],
                "items": {"type": "number", "minimum": -1e100, "maximum": 1e100},
                "minItems": 1,
                "maxItems": 6,
                "default": None,
            },
            "n_front": {
                "title": "Front",
                "description": "Most points of the front that are kept, evenly spread (count); cost grows with its "
                "power of the number of targets less one",
                "type": "integer",
                "minimum": 1,
                "maximum": 200,
                "default": 24,
            },
        },
        "additionalProperties": False,
    }
    needs_model: ClassVar[bool] = True
    is_gain: ClassVar[bool] = True

    def __init__(self, reference: Sequence[float] | None = None, n_front: int = 24) -> None:
        """Set the reference point.

        Args:
            reference: (target,) least values that count; None: from the front.
            n_front: Most points of the front that are kept.
        """
        self.reference = None if reference is None else np.array(reference, dtype=np.float64)
        self.n_front = int(n_front)

    def score(self, belief: Belief, rng: np.random.Generator) -> FloatArray:
        """Return the expected growth of the dominated volume (candidate,), in the product of the target units.

        Before any measurement the product of the SDs is returned. Where the growth is too small for a
        floating-point number at every available candidate, numbers below 1e-290 are, in the order of the product of
        the expected improvements over the reference point.

        Raises:
            InvalidInput: PARAM_INVALID when the reference point has another number of targets than the campaign.
        """
        objectives = belief.objectives
        self.check_objectives(len(objectives))
        values = compromises(objectives)
        if not len(values):
            return np.asarray(np.prod([b.std for b in objectives], axis=0))
        # The product of several targets in their own units may overflow: each is brought to the spread of its model.
        scale = np.array([_spread(b) for b in objectives])
        front = values[nondominated(values)] / scale
        reference = reference_point(front) if self.reference is None else self.reference / scale
        front = _thinned(front[(front > reference).all(axis=1)], self.n_front)
        moments = [
            (b.weights, b.member_mean / s, np.sqrt(np.maximum(b.member_var, 0.0)) / s)
            for b, s in zip(objectives, scale, strict=True)
        ]
        growth = expected_growth(moments, front, reference)
        if not belief.available.any() or growth[belief.available].max() > VANISHED:
            unit = float(np.exp(min(np.log(scale).sum(), 600.0)))
            return np.asarray(growth * unit)
        logs = [
            log_mixture(w, log_expected_improvement(m - r, s)) for (w, m, s), r in zip(moments, reference, strict=True)
        ]
        return ranked_below(VANISHED, np.sum(logs, axis=0))

    def check_objectives(self, n_objectives: int) -> None:
        """Refuse a reference point that is not one of the campaign's.

        Raises:
            InvalidInput: PARAM_INVALID when it has another number of targets.
        """
        if self.reference is not None and len(self.reference) != n_objectives:
            raise InvalidInput(
                Reason.PARAM_INVALID,
                f"the reference point has {len(self.reference)} values and the campaign {n_objectives} targets; give "
                "one value for each",
                field="params.reference",
            )


def nondominated(values: FloatArray) -> NDArray[np.bool_]:
    """Return (n,) which points no other one dominates: none is as large in every target and larger in one.

    Args:
        values: (n, target), larger is better; a point with a value that is not a number is never on the front.
    """
    n = len(values)
    keep = np.zeros(n, dtype=bool)
    # From the largest sum down: a point can only be dominated by one that comes before it.
    known = np.flatnonzero(~np.isnan(values).any(axis=1))
    order = known[np.argsort(-values[known].sum(axis=1), kind="stable")]
    for i in order:
        front = values[keep]
        keep[i] = not ((front >= values[i]).all(axis=1) & (front > values[i]).any(axis=1)).any()
    return keep


def reference_point(front: FloatArray) -> FloatArray:
    """Return (target,) the worst value of each target on a front (n, target), less a tenth of its range.

    A target without range, as on a front of one point, takes a tenth of 1, the spread of its model.
    """
    worst, extent = front.min(axis=0), np.ptp(front, axis=0)
    return np.asarray(worst - MARGIN * np.where(extent > 0, extent, 1.0))


def expected_growth(
    moments: Sequence[tuple[FloatArray, FloatArray, FloatArray]], front: FloatArray, reference: FloatArray
) -> FloatArray:
    """Return the expected growth (candidate,) of the volume that a front dominates above a reference point.

    Args:
        moments: Weights (member,), means and SDs (member, candidate) of each target.
        front: (n, target), all above the reference point.
        reference: (target,).
    """
    levels = [np.unique(np.append(front[:, o], reference[o])) for o in range(len(reference))]
    above = []
    for (weights, mean, std), level in zip(moments, levels, strict=True):
        above.append(np.stack([weights @ expected_improvement(mean - y, std) for y in level]))
    return _sliced(np.atleast_2d(front), levels, above)


def _sliced(front: FloatArray, levels: Sequence[FloatArray], above: Sequence[FloatArray]) -> FloatArray:
    """Return the growth over the targets of `levels`; `above` holds E[(f - level)+] (level, candidate) of each."""
    last = len(levels) - 1
    if last == 0:
        best = int(np.searchsorted(levels[0], front[:, 0].max())) if len(front) else 0
        return np.asarray(above[0][best])
    total = np.zeros(above[0].shape[1])
    # Between two levels of the last target only the points that reach above it stand in the way.
    edges = np.unique(np.append(front[:, last], levels[last][0]))
    at = np.searchsorted(levels[last], edges)
    for i, low in enumerate(edges):
        width = above[last][at[i]] - (above[last][at[i + 1]] if i + 1 < len(edges) else 0.0)
        in_the_way = front[front[:, last] > low][:, :last]
        total += np.maximum(width, 0.0) * _sliced(in_the_way[nondominated(in_the_way)], levels[:last], above[:last])
    return total


def compromises(objectives: Sequence[Belief]) -> FloatArray:
    """Return what the models believe of every target (n, target) at the points where all of them were measured."""
    first = objectives[0].measured
    if all(np.array_equal(first, b.measured) for b in objectives[1:]):
        return np.stack([fitted_values(b) for b in objectives], axis=1)
    shared = np.unique(first[first >= 0])
    for belief in objectives[1:]:
        shared = np.intersect1d(shared, belief.measured)
    columns = []
    for belief in objectives:
        at = np.array([np.flatnonzero(belief.measured == c)[-1] for c in shared], dtype=np.intp)
        columns.append(fitted_values(belief)[at])
    return np.stack(columns, axis=1)


def _spread(belief: Belief) -> float:
    """Return a positive size of the target's values: the SD of the predicted map, else its mean uncertainty."""
    mean, std = belief.mean[np.isfinite(belief.mean)], belief.std[np.isfinite(belief.std)]
    for size in (float(mean.std()) if len(mean) else 0.0, float(std.mean()) if len(std) else 0.0):
        if size > 0:
            return size
    return 1.0


def _thinned(front: FloatArray, n: int) -> FloatArray:
    """Return at most `n` points of a front, evenly spread along its first target, both ends kept."""
    if len(front) <= n:
        return front
    order = np.argsort(front[:, 0], kind="stable")
    return np.asarray(front[order[np.unique(np.round(np.linspace(0, len(front) - 1, n)).astype(int))]])
