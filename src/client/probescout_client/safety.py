"""The client's own copy of the safety limits, checked before the instrument moves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Iterable, List, Optional, Sequence, Tuple

from probescout_client.errors import SafetyError
from probescout_client.wire.v1 import probescout_pb2 as pb

EDGE_TOLERANCE = 1e-9
"""A position this close to an edge counts as being on the permitted side, so that rounding stops nobody."""

Vertices = Tuple[Tuple[float, float], ...]


@dataclass(frozen=True)
class SafetyLimits:
    """Where the probe may go; all in fractions of the frame.

    Example:
        >>> SafetyLimits(border=0.1).violation(0.5, 0.5, None) is None
        True
        >>> SafetyLimits(border=0.1).violation(0.05, 0.5, None)
        'position (0.05, 0.5) lies in the border of 0.1'
    """

    allowed: Tuple[Vertices, ...] = ()
    """Polygons of (y, x); a position must lie in one of them; none: the whole frame."""
    forbidden: Tuple[Vertices, ...] = ()
    """Polygons of (y, x); a position must lie outside all of them."""
    max_step: float = 0.0
    """Largest move from the previous position, as a fraction of the frame diagonal; 0: none."""
    border: float = 0.0
    """Margin around the frame that is never probed."""

    def check(self, y: float, x: float, previous: Optional[Tuple[float, float]] = None) -> None:
        """Refuse a position outside the limits.

        Args:
            y: Fraction from the top.
            x: Fraction from the left.
            previous: (y, x) that the probe comes from; None: anywhere.

        Raises:
            SafetyError: When it may not be probed; nothing has moved.
        """
        why = self.violation(y, x, previous)
        if why is not None:
            raise SafetyError(
                "UNSAFE", why + "; the instrument was not moved: check the limits of the campaign", "position"
            )

    def violation(self, y: float, x: float, previous: Optional[Tuple[float, float]]) -> Optional[str]:
        """Return why a position may not be probed, or None when it may."""
        text = "position ({:.6g}, {:.6g})".format(y, x)
        if not (math.isfinite(y) and math.isfinite(x) and 0.0 <= y <= 1.0 and 0.0 <= x <= 1.0):
            return text + " lies outside the frame, [0, 1] x [0, 1]"
        if min(y, x, 1.0 - y, 1.0 - x) < self.border - EDGE_TOLERANCE:
            return text + " lies in the border of {:g}".format(self.border)
        if self.allowed and not any(_contains(area, y, x) or _is_on_edge(area, y, x) for area in self.allowed):
            return text + " lies outside every allowed region"
        for i, area in enumerate(self.forbidden):
            if _contains(area, y, x) and not _is_on_edge(area, y, x):
                return text + " lies in forbidden region {}".format(i)
        if self.max_step > 0.0 and previous is not None:
            step = math.hypot(y - previous[0], x - previous[1]) / math.sqrt(2.0)
            if step > self.max_step + EDGE_TOLERANCE:
                return text + " is a move of {:.6g} of the diagonal, more than {:g}".format(step, self.max_step)
        return None

    def merged(self, other: "SafetyLimits") -> "SafetyLimits":
        """Return limits at least as strict as both; an own list of allowed regions replaces an empty one only.

        Raises:
            SafetyError: When both name allowed regions and these differ: only a person can say which is meant.
        """
        if self.allowed and other.allowed and self.allowed != other.allowed:
            raise SafetyError(
                "UNSAFE", "this client and the server name different allowed regions; give them in one place", "allowed"
            )
        steps = [step for step in (self.max_step, other.max_step) if step > 0.0]
        return SafetyLimits(
            allowed=self.allowed or other.allowed,
            forbidden=tuple(dict.fromkeys(self.forbidden + other.forbidden)),
            max_step=min(steps) if steps else 0.0,
            border=max(self.border, other.border),
        )


def polygons(areas: Optional[Iterable[Sequence[Sequence[float]]]]) -> Tuple[Vertices, ...]:
    """Return polygons given as sequences of (y, x) as tuples.

    Raises:
        SafetyError: When a polygon has fewer than three vertices.
    """
    out: List[Vertices] = []
    for area in areas or ():
        vertices = tuple((float(y), float(x)) for y, x in area)
        if len(vertices) < 3:
            raise SafetyError(
                "UNSAFE", "a polygon needs three vertices (y, x) or more, not {}".format(vertices), "limits"
            )
        out.append(vertices)
    return tuple(out)


def from_limits(limits: pb.Limits) -> SafetyLimits:
    """Return the limits that a campaign declares."""
    return SafetyLimits(
        allowed=tuple(_vertices(area) for area in limits.allowed),
        forbidden=tuple(_vertices(area) for area in limits.forbidden),
        max_step=limits.max_step,
        border=limits.border,
    )


def to_limits(safety: SafetyLimits, dose_per_area: float = 0.0, max_rate_hz: float = 0.0) -> pb.Limits:
    """Return the message of limits, with those that only the server can check."""
    return pb.Limits(
        allowed=[pb.Polygon(y=[v[0] for v in area], x=[v[1] for v in area]) for area in safety.allowed],
        forbidden=[pb.Polygon(y=[v[0] for v in area], x=[v[1] for v in area]) for area in safety.forbidden],
        max_step=safety.max_step,
        dose_per_area=dose_per_area,
        max_rate_hz=max_rate_hz,
        border=safety.border,
    )


def _vertices(area: pb.Polygon) -> Vertices:
    return tuple((area.y[i], area.x[i]) for i in range(len(area.y)))


def _edges(area: Vertices) -> List[Tuple[Tuple[float, float], Tuple[float, float]]]:
    return [(area[i - 1], area[i]) for i in range(len(area))]


def _contains(area: Vertices, y: float, x: float) -> bool:
    """Return whether a polygon contains a point: even-odd rule (Shimrat 1962, CACM Algorithm 112)."""
    is_inside = False
    for (y0, x0), (y1, x1) in _edges(area):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            is_inside = not is_inside
    return is_inside


def _is_on_edge(area: Vertices, y: float, x: float) -> bool:
    for (y0, x0), (y1, x1) in _edges(area):
        dy, dx = y1 - y0, x1 - x0
        length2 = dy * dy + dx * dx
        t = 0.0 if length2 == 0.0 else min(max(((y - y0) * dy + (x - x0) * dx) / length2, 0.0), 1.0)
        if math.hypot(y - y0 - t * dy, x - x0 - t * dx) <= EDGE_TOLERANCE:
            return True
    return False
