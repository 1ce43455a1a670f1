"""What a facility calls the axes of a frame and the numbers of a measurement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Tuple


@dataclass(frozen=True)
class Motor:
    """What moves along one axis of the frame.

    Example:
        >>> Motor("stage_x", -10.0, 30.0).position(0.25)
        0.0
    """

    name: str
    """Of the actuator, as in the events."""
    first: float
    """Its position at the top or left edge of the frame, unit of the actuator."""
    last: float
    """Its position at the opposite edge; smaller than `first` where it runs the other way."""

    def position(self, fraction: float) -> float:
        """Return the position of the motor at a fraction of the frame."""
        return self.first + fraction * (self.last - self.first)

    def fraction(self, position: float) -> float:
        """Return the fraction of the frame at a position of the motor."""
        return (position - self.first) / (self.last - self.first)


@dataclass(frozen=True)
class OutcomeKeys:
    """Where in an outcome the measurement is; other keys are left to the documents of bluesky."""

    value: str = "value"
    """An already scalarized value; NaN: the attempt failed."""
    variance: str = "variance"
    spectrum: str = "spectrum"
    """A raw signal; it wins over the value, as it can be scalarized anew."""
    dwell_s: str = "dwell_s"
    dose: str = "dose"

    def numbers(self) -> List[Tuple[str, str]]:
        """Return (argument of `Run.tell`, key) of what are plain numbers beside the value."""
        return [("variance", self.variance), ("dwell_s", self.dwell_s), ("dose", self.dose)]
