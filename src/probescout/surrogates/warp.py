"""Bending the axis of the target, so that a Gaussian process suits skewed or heavy-tailed values.

Snelson, Rasmussen & Ghahramani 2004, "Warped Gaussian processes", with one fixed shape: asinh((x - centre) / width) is
linear near the centre and a logarithm of either sign far out (Burbidge, Magee & Robb 1988, "Alternative
transformations to handle extreme values"). Unlike a logarithm or a power it has no end, and the moments of what is
mapped back are known in closed form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

MOST_VARIANCE = 3.0
"""Warped variances are cut here before they are mapped back: the moments grow with their exponential."""
MOST_SIZE = 300.0
"""Warped means are cut here: beyond, sinh overflows."""


@dataclass(frozen=True)
class Warp:
    """The bend, or none.

    Example:
        >>> import numpy as np
        >>> warp = Warp(centre=2.0, width=0.5)
        >>> values = np.array([-40.0, 2.0, 3.0])
        >>> bool(np.allclose(warp.inverse(warp.forward(values)), values))
        True
    """

    centre: float = 0.0
    """Target units."""
    width: float = 0.0
    """Target units; 0: the axis stays straight."""

    @property
    def is_straight(self) -> bool:
        """Whether nothing is bent."""
        return self.width == 0.0

    def forward(self, values: FloatArray) -> FloatArray:
        """Return target values (any shape) on the bent axis."""
        return values if self.is_straight else np.arcsinh((values - self.centre) / self.width)

    def slope(self, values: FloatArray) -> FloatArray:
        """Return the derivative of `forward` at target values (any shape)."""
        if self.is_straight:
            return np.ones_like(values)
        return np.asarray(1.0 / np.hypot(self.width, values - self.centre))

    def inverse(self, bent: FloatArray) -> FloatArray:
        """Return the target values (any shape) of points on the bent axis."""
        if self.is_straight:
            return bent
        return np.asarray(self.centre + self.width * np.sinh(np.clip(bent, -MOST_SIZE, MOST_SIZE)))

    def moments(self, mean: FloatArray, var: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return mean and variance in target units of normals on the bent axis.

        With z ~ N(m, v): E sinh z = e^(v/2) sinh m, Var sinh z = (e^v - 1) (e^v cosh 2m + 1) / 2.

        Args:
            mean: On the bent axis (any shape).
            var: The same shape.
        """
        if self.is_straight:
            return mean, var
        m, v = np.clip(mean, -0.5 * MOST_SIZE, 0.5 * MOST_SIZE), np.minimum(var, MOST_VARIANCE)
        more, size = np.expm1(v), np.sinh(m)
        centre = self.centre + self.width * np.sqrt(more + 1.0) * size
        # cosh 2m = 1 + 2 sinh^2 m
        return centre, 0.5 * self.width**2 * more * ((more + 1.0) * (1.0 + 2.0 * size * size) + 1.0)

    def covariance(
        self, blocks: FloatArray, mean_a: FloatArray, var_a: FloatArray, mean_b: FloatArray, var_b: FloatArray
    ) -> FloatArray:
        """Return the covariances in target units of jointly normal points on the bent axis.

        Cov(sinh a, sinh b) = e^((v_a + v_b) / 2) (cosh(m_a + m_b) (e^c - 1) + cosh(m_a - m_b) (1 - e^-c)) / 2.

        Args:
            blocks: (member, a, b) covariances c on the bent axis.
            mean_a: (member, a) of the rows.
            var_a: (member, a) of the rows.
            mean_b: (member, b) of the columns.
            var_b: (member, b) of the columns.
        """
        if self.is_straight:
            return blocks
        a, b = (np.clip(m, -0.5 * MOST_SIZE, 0.5 * MOST_SIZE) for m in (mean_a[:, :, None], mean_b[:, None, :]))
        v = np.exp(0.5 * np.minimum(var_a, MOST_VARIANCE))[:, :, None]
        v = v * np.exp(0.5 * np.minimum(var_b, MOST_VARIANCE))[:, None, :]
        c = np.clip(blocks, -MOST_VARIANCE, MOST_VARIANCE)
        both = np.cosh(a + b) * np.expm1(c) - np.cosh(a - b) * np.expm1(-c)
        return np.asarray(0.5 * self.width**2 * v * both)

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers."""
        return {"centre": self.centre, "width": self.width}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Warp:
        """Read what `to_json` wrote.

        Raises:
            KeyError: When a number is missing.
            TypeError: When something is no number.
            ValueError: When something is no number.
        """
        return cls(float(data["centre"]), float(data["width"]))


STRAIGHT = Warp()
