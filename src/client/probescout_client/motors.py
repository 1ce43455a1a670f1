"""What a facility calls the axes of a frame and the numbers of a measurement."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Dict, Mapping

from probescout_client.errors import InvalidInput

ID = "_id"
"""Where bluesky-adaptive looks for the id of a suggestion."""


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

    def read(self, outcome: Mapping[str, Any]) -> Dict[str, Any]:
        """Return the arguments of `Run.tell`; without spectrum and value when the attempt failed.

        Raises:
            InvalidInput: FIELD_MISSING when there is neither.
        """
        beside = (("dwell_s", self.dwell_s), ("dose", self.dose))
        told: Dict[str, Any] = {name: float(outcome[key]) for name, key in beside if key in outcome}
        if self.spectrum in outcome:
            return dict(told, spectrum=outcome[self.spectrum])
        if self.value not in outcome:
            raise InvalidInput(
                "FIELD_MISSING",
                "the outcome {!r} has neither '{}' nor '{}'; name yours with keys=OutcomeKeys(...)".format(
                    outcome.get(ID), self.spectrum, self.value
                ),
                self.value,
            )
        value = float(outcome[self.value])
        if not math.isfinite(value):
            return told
        told["value"] = value
        if self.variance in outcome:
            told["variance"] = float(outcome[self.variance])
        return told
