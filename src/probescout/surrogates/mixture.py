"""The moments of a mixture of normals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def mixture(weights: FloatArray, mean: FloatArray, var: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return mean and variance (candidate,) of a mixture of normals.

    Args:
        weights: (member,) sums to 1.
        mean: (member, candidate).
        var: (member, candidate).
    """
    centre = weights @ mean
    # The spread is summed around the mean: E[m^2] - E[m]^2 would cancel for values far from zero.
    return centre, weights @ (var + (mean - centre) ** 2)
