"""The members that a committee starts with."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

from probescout.core.errors import InvalidInput, Reason
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


def check_members(names: Sequence[str], *, use_deep: bool = True) -> None:
    """Refuse a choice of members that no committee can be made of.

    Args:
        names: Chosen members; none: all.
        use_deep: Whether a deep member may take part.

    Raises:
        InvalidInput: FIELD_INVALID for a name that is not known or given twice, or when nothing is left.
    """
    known = [member.name for member in (*SHALLOW, DEEP)]
    for i, name in enumerate(names):
        if name not in known:
            what = f"no member of the committee is named '{name[:80]}'"
        elif name in names[:i]:
            what = f"member '{name}' is named twice"
        else:
            continue
        raise InvalidInput(
            Reason.FIELD_INVALID, f"{what}; choose of {', '.join(known)}, or none for all", field=f"spec.members[{i}]"
        )
    if list(names) == [DEEP.name] and not use_deep:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"'{DEEP.name}' is the only member and is_deep_member_disabled leaves it out; name another member too",
            field="spec.members",
        )


def shallow_members(features: Collection[str], chosen: Collection[str] = ()) -> tuple[Member, ...]:
    """Return the chosen members whose representations are all there.

    Args:
        features: Names of the representations.
        chosen: Names of members; none: all. When only the deep one is chosen, another stands in until it is learnt.

    Raises:
        InvalidInput: FIELD_INVALID when none of those chosen can be built.
    """
    wanted = {BANK_XY.name} if set(chosen) == {DEEP.name} else set(chosen)
    found = tuple(m for m in SHALLOW if set(m.features) <= set(features) and (not wanted or m.name in wanted))
    if not found:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"members {', '.join(sorted(chosen))} need representations that this frame does not have; it has "
            f"{', '.join(features)}. Choose other members",
            field="spec.members",
        )
    return found


def answering_members(features: Collection[str], chosen: Collection[str], *, has_deep: bool) -> tuple[Member, ...]:
    """Return the members that answer.

    Args:
        features: Names of the representations.
        chosen: Names of members; none: all.
        has_deep: Whether the deep member is learnt.
    """
    if not has_deep:
        return shallow_members(features, chosen)
    if set(chosen) == {DEEP.name}:
        # With nobody to be judged against it is weighed and corrected as the others are among themselves.
        return (replace(DEEP, is_deep=False),)
    return (*shallow_members(features, chosen), DEEP)


def can_be_deep(features: Collection[str], chosen: Collection[str] = ()) -> bool:
    """Return whether the deep member is wanted and has what it needs."""
    is_wanted = not chosen or DEEP.name in chosen
    return is_wanted and set(DEEP_INPUTS) | set(DEEP.features) - {EMBEDDING} <= set(features)
