"""Several points in one answer: which of them belong together, and in which order to visit them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from probescout.core.ports import JointPlanner
from probescout.runtime.picking import broken, within
from probescout.runtime.routing import order_route
from probescout.surrogates.belief import CommitteeBelief

FloatArray = NDArray[np.float64]


def together(policy: JointPlanner, belief: CommitteeBelief, rng: np.random.Generator, count: int) -> list[int]:
    """Return which of a belief's candidates a policy chooses together, at least one and at most `count`, best first.

    Args:
        policy: The policy.
        belief: With at least one available candidate.
        rng: Generator.
        count: Points wanted.

    Raises:
        InvalidInput: PLUGIN_BROKEN when the policy raises, or what it chose is of no use.
    """
    try:
        found = np.asarray(policy.score_batch(belief, rng, count))
    except Exception as error:
        raise broken(policy, f"raised {error!r} when asked for {count} points together") from error
    if found.ndim != 1 or not np.issubdtype(found.dtype, np.integer) or not 1 <= len(found) <= count:
        what = f"{found.dtype} of shape {found.shape}"
        raise broken(policy, f"returned {what} when asked for 1 to {count} candidates together")
    n = len(belief.available)
    if found.min() < 0 or found.max() >= n or len(np.unique(found)) < len(found) or not belief.available[found].all():
        raise broken(policy, f"chose {found.tolist()} together, which are not different available candidates of {n}")
    return [int(index) for index in found]


def visiting_order(
    positions: FloatArray, start: tuple[float, float] | None, shape: tuple[int, int] | None, reach: float | None
) -> Sequence[int]:
    """Return the order of a short route through the points of a batch; theirs where the short one has too long a step.

    Args:
        positions: (n, 2) fractional (y, x), each within reach of the one before.
        start: Where the probe is; None: unknown.
        shape: (height, width) of the frame; None: taken as square.
        reach: Longest step, fraction of the frame diagonal; None: any.
    """
    aspect = shape[0] / shape[1] if shape is not None else 1.0
    order = order_route(positions, start, aspect)
    if reach is not None:
        route = positions[order] if start is None else np.vstack([start, positions[order]])
        if not all(within(b[None], a[0], a[1], reach)[0] for a, b in zip(route[:-1], route[1:], strict=True)):
            return range(len(positions))
    return [int(place) for place in order]
