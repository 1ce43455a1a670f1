"""The members that a committee starts with."""

from __future__ import annotations

import math
from collections.abc import Collection

from probescout.surrogates.members.definition import Group, Member

ONE = (0.0, 1.0)
HALF = (-math.log(2.0), 1.0)
THIRD = (-math.log(3.0), 1.0)
XY_LENGTH = (math.log(0.25), 0.7)
PCA8_LENGTH = (0.5 * math.log(10.0), 1.0)
BANK_LENGTH = (math.log(2.0), 0.8)
DEEP_LENGTH = (0.0, 0.7)

XY = Member("xy", (Group("xy", XY_LENGTH, ONE),))
PCA8 = Member("pca8", (Group("pca8", PCA8_LENGTH, ONE),))
BANK = Member("bank", (Group("bank", BANK_LENGTH, ONE),))
BANK_XY = Member("bank_xy", (Group("bank", BANK_LENGTH, HALF), Group("xy", XY_LENGTH, HALF)))
DEEP = Member(
    "deep",
    (Group("deep", DEEP_LENGTH, THIRD), Group("bank", BANK_LENGTH, THIRD), Group("xy", XY_LENGTH, THIRD)),
    is_deep=True,
)

SHALLOW = (XY, PCA8, BANK, BANK_XY)
EMBEDDING = "deep"
"""Name of the learnt representation."""
DEEP_INPUTS = ("pca8", "bank")
"""Representations that the network sees."""


def shallow_members(features: Collection[str]) -> tuple[Member, ...]:
    """Return the members whose representations are all there."""
    return tuple(member for member in SHALLOW if set(member.features) <= set(features))


def can_be_deep(features: Collection[str]) -> bool:
    """Return whether the deep member has what it needs."""
    return set(DEEP_INPUTS) | set(DEEP.features) - {EMBEDDING} <= set(features)
