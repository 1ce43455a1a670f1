"""The members that a committee starts with."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

from probescout.core.errors import InvalidInput, Reason
from probescout.surrogates.members.definition import Group, Member

EARLIER = "earlier"
"""Representation that holds what the model of an earlier campaign predicts."""
ONE = (0.0, 1.0)
HALF = (-math.log(2.0), 1.0)
THIRD = (-math.log(3.0), 1.0)
XY_LENGTH = (math.log(0.25), 0.7)
PCA8_LENGTH = (0.5 * math.log(10.0), 1.0)
BANK_LENGTH = (math.log(2.0), 0.8)
DEEP_LENGTH = (0.0, 0.7)
EARLIER_LENGTH, EARLIER_AMPLITUDE = (1.5, 0.7), (1.5, 1.0)
"""Long and large: nearly a line, with a slope of some 0.6 that may have either sign and bend where the data say so."""

XY = Member("xy", (Group("xy", XY_LENGTH, ONE),))
PCA8 = Member("pca8", (Group("pca8", PCA8_LENGTH, ONE),))
BANK = Member("bank", (Group("bank", BANK_LENGTH, ONE),))
BANK_XY = Member("bank_xy", (Group("bank", BANK_LENGTH, HALF), Group("xy", XY_LENGTH, HALF)))
TRANSFER = Member(
    EARLIER,
    (
        Group(EARLIER, EARLIER_LENGTH, EARLIER_AMPLITUDE),
        Group("bank", BANK_LENGTH, THIRD),
        Group("xy", XY_LENGTH, THIRD),
    ),
)
"""Sees what an earlier campaign's model predicts: the target may follow it, in any way and not at all."""
DEEP = Member(
    "deep",
    (Group("deep", DEEP_LENGTH, THIRD), Group("bank", BANK_LENGTH, THIRD), Group("xy", XY_LENGTH, THIRD)),
    is_deep=True,
)

CONV = Member(
    "conv",
    (Group("conv", DEEP_LENGTH, THIRD), Group("bank", BANK_LENGTH, THIRD), Group("xy", XY_LENGTH, THIRD)),
    is_deep=True,
)

SHALLOW = (XY, PCA8, BANK, BANK_XY, TRANSFER)
LEARNT = (DEEP, CONV)
"""Members that learn their representation, each of the name of its first group; a committee has one of them at most."""
DEEP_INPUTS = ("pca8", "bank")
"""Representations that the network of `DEEP` sees."""
CONV_NET, CONV_PRIOR, CONV_PROGRESS = "conv.net.", "conv.prior.", "conv.progress"
"""Names of arrays: prefixes of the weights of the network of `CONV` as they are and as pretrained, and slices done."""
N_SLICES = 6
"""Slices of its pretraining, about a second each."""


def check_members(names: Sequence[str], *, use_deep: bool = True) -> None:
    """Refuse a choice of members that no committee can be made of.

    Args:
        names: Chosen members; none: all.
        use_deep: Whether a deep member may take part.

    Raises:
        InvalidInput: FIELD_INVALID for a name that is not known or given twice, or when nothing is left.
    """
    known = [member.name for member in (*SHALLOW, *LEARNT) if member is not TRANSFER]
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
    learnt = [member.name for member in LEARNT if member.name in names]
    if len(learnt) > 1:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"members {' and '.join(learnt)} both learn what they see, and a committee judges one such; leave one out",
            field="spec.members",
        )
    if list(names) == learnt != [] and not use_deep:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"'{learnt[0]}' is the only member and is_deep_member_disabled leaves it out; name another member too",
            field="spec.members",
        )


def shallow_members(features: Collection[str], chosen: Collection[str] = ()) -> tuple[Member, ...]:
    """Return the chosen members whose representations are all there, and the one that sees an earlier model.

    Args:
        features: Names of the representations.
        chosen: Names of members; none: all. When only a deep one is chosen, another stands in until it is learnt.

    Raises:
        InvalidInput: FIELD_INVALID when none of those chosen can be built.
    """
    wanted = {BANK_XY.name} if _is_alone(features, chosen) else set(chosen)
    if wanted:
        wanted.add(TRANSFER.name)
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
    learnt = learnt_member(chosen)
    if not has_deep or learnt is None:
        return shallow_members(features, chosen)
    if _is_alone(features, chosen):
        # With nobody to be judged against it is weighed and corrected as the others are among themselves.
        return (replace(learnt, is_deep=False),)
    return (*shallow_members(features, chosen), learnt)


def learnt_member(chosen: Collection[str] = ()) -> Member | None:
    """Return the member with a learnt representation that is wanted, if any.

    Args:
        chosen: Names of members; none: the default, `DEEP`.
    """
    return next((m for m in LEARNT if m.name in (chosen or (DEEP.name,))), None)


def deep_member(features: Collection[str], chosen: Collection[str] = (), *, has_image: bool = True) -> Member | None:
    """Return the deep member that is wanted, if what it needs is there.

    Args:
        features: Names of the representations.
        chosen: Names of members; none: all.
        has_image: Whether there is an image of which the candidates are pixels.
    """
    member = learnt_member(chosen)
    if member is None or (member is CONV and not has_image):
        return None
    needed = set(member.features[1:]) | (set(DEEP_INPUTS) if member is DEEP else set())
    return member if needed <= set(features) else None


def _is_alone(features: Collection[str], chosen: Collection[str]) -> bool:
    """Whether nothing but a member that learns what it sees is to answer."""
    return len(chosen) > 0 and set(chosen) <= {member.name for member in LEARNT} and EARLIER not in features
