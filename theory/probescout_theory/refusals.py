"""Why a patch gives no structure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RefusalReason(StrEnum):
    """The closed list of reasons."""

    VACUUM = "VACUUM"
    """No sheet, or too large a part of the patch without atoms."""
    BORDER = "BORDER"
    """The place, the defect or the structure reaches the edge of the patch, beyond which nothing is known."""
    WRONG_SCALE = "WRONG_SCALE"
    """The order is that of the lattice at another pixel size."""
    AMORPHOUS = "AMORPHOUS"
    """The atoms do not stand on the declared lattice, at any pixel size."""
    TOO_CLOSE = "TOO_CLOSE"
    """Two columns nearer than atoms can be."""
    DENSITY = "DENSITY"
    """More columns for the area than the lattice has."""
    COORDINATION = "COORDINATION"
    """Too few columns have the neighbours of the lattice, or one has more than it can have."""
    DEFECT_TOO_LARGE = "DEFECT_TOO_LARGE"
    """The defect and its periodic image would be neighbours."""
    CUT_EDGE = "CUT_EDGE"
    """A cell in which cut edges face their own periodic image."""


@dataclass(frozen=True)
class Refusal:
    """The answer for a patch that is no valid structure: data, not an error, for the campaign goes on."""

    reason: RefusalReason
    """For programs."""
    message: str
    """For people: what is wrong, which value, what is allowed, what to do next."""
    value: float
    """What was measured."""
    limit: float
    """What is allowed."""
