"""The order in which to visit the points of a batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

SHORTER = 1.0 - 1e-9
"""A change must shorten the route by more than rounding, or two of them could take turns for ever."""


def order_route(
    positions: FloatArray, start: tuple[float, float] | None = None, aspect: float = 1.0
) -> NDArray[np.intp]:
    """Return a permutation (n,) that visits positions on a short open route, never longer than the order given.

    The nearest neighbour each time, then 2-opt (Croes 1958, "A method for solving traveling-salesman problems"): turn
    round any stretch of the route whose turning shortens it, until none does. The order given is improved in the
    same way, and the shorter of the two is returned.

    Args:
        positions: (n, 2) fractional (y, x).
        start: Where the probe is, fractional (y, x); None: the route may start anywhere.
        aspect: Height of the frame over its width.

    Example:
        >>> import numpy as np
        >>> order_route(np.array([[0.9, 0.0], [0.1, 0.0], [0.5, 0.0]]), (0.0, 0.0)).tolist()
        [1, 2, 0]
    """
    n = len(positions)
    points = np.asarray(positions, dtype=np.float64).reshape(n, 2) * np.array([aspect, 1.0])
    given = np.arange(n)
    if n < 2:
        return given
    between = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    first = np.zeros(n) if start is None else np.hypot(*(points - np.multiply(start, (aspect, 1.0))).T)
    routes = [given, _turned(_nearest_first(between, first), between, first), _turned(given, between, first)]
    return min(routes, key=lambda route: _length(route, between, first))


def route_length(positions: FloatArray, start: tuple[float, float] | None = None, aspect: float = 1.0) -> float:
    """Return the length of the route through positions (n, 2) in their order, in widths of the frame."""
    points = np.asarray(positions, dtype=np.float64).reshape(-1, 2)
    if start is not None:
        points = np.vstack([np.array([start]), points])
    steps = np.diff(points * np.array([aspect, 1.0]), axis=0)
    return float(np.hypot(steps[:, 0], steps[:, 1]).sum())


def _length(route: NDArray[np.intp], between: FloatArray, first: FloatArray) -> float:
    return float(first[route[0]] + between[route[:-1], route[1:]].sum())


def _nearest_first(between: FloatArray, first: FloatArray) -> NDArray[np.intp]:
    """Return the route that goes to the nearest point not yet visited, each time."""
    left = np.ones(len(first), dtype=bool)
    route = []
    gaps = first
    for _ in range(len(first)):
        route.append(int(np.argmin(np.where(left, gaps, np.inf))))
        left[route[-1]] = False
        gaps = between[route[-1]]
    return np.array(route, dtype=np.intp)


def _turned(route: NDArray[np.intp], between: FloatArray, first: FloatArray) -> NDArray[np.intp]:
    """Return the route after all turns of a stretch that shorten it; it starts at `first` and ends anywhere."""
    route = route.copy()
    n = len(route)
    while True:
        # into[i] and out[j]: the steps that lead into the stretch i..j and out of it; nothing follows the last point.
        into = np.append(first[route[0]], between[route[:-1], route[1:]])
        into_turned = np.vstack([first[route], between[route[:-1]][:, route]])
        out = np.append(between[route[:-1], route[1:]], 0.0)
        out_turned = np.hstack([between[route][:, route[1:]], np.zeros((n, 1))])
        saved = into[:, None] + out[None] - into_turned - out_turned
        saved[np.tril_indices(n)] = -np.inf
        i, j = np.unravel_index(int(np.argmax(saved)), saved.shape)
        if saved[i, j] <= (1.0 - SHORTER) * _length(route, between, first):
            return route
        route[i : j + 1] = route[i : j + 1][::-1]
