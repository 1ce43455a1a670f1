"""What is compared: rules that need no model, each member of the committee alone, and the committee."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from probescout.core.errors import InvalidInput, Reason

EI = "expected_improvement"
UCB = "ucb"
MEMBERS = ("xy", "pca8", "bank", "bank_xy", "deep")
"""Members that are run alone; the model of an arm has nothing else."""


@dataclass(frozen=True)
class Arm:
    """One way to plan."""

    policy: str
    members: tuple[str, ...] = ()
    """Of the committee; none: all."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Of the policy."""

    def policy_params(self, n_planned: int) -> dict[str, Any]:
        """Return the parameters for a run with that many points besides the initial ones."""
        return {"budget": max(1, n_planned)} if self.policy == "grid" else dict(self.params)


ARMS: dict[str, Arm] = {
    "random": Arm("random"),
    "grid": Arm("grid"),
    **{name: Arm(EI, (name,)) for name in MEMBERS},
    **{f"{name}_ucb": Arm(UCB, (name,)) for name in MEMBERS},
    "probescout_ei": Arm(EI),
    "probescout_ucb": Arm(UCB),
}
"""The arms that are run by default. Members alone plan by either policy, so that the committee differs from those it is
measured against in nothing but the committee."""
FURTHER: dict[str, Arm] = {
    "shallow_ei": Arm(EI, MEMBERS[:-1]),
    "shallow_ucb": Arm(UCB, MEMBERS[:-1]),
}
"""Arms that are run when they are named."""
SINGLE = (*MEMBERS, *(f"{name}_ucb" for name in MEMBERS))
CONTROL_ARMS = ("random", "probescout_ei", "probescout_ucb")
"""Of the controls, where only a claimed gain over random matters."""


def choose_arms(text: str) -> list[str]:
    """Return the arms that `text` names with commas between; nothing: the default ones.

    Raises:
        InvalidInput: FIELD_INVALID for an unknown name.
    """
    names = [name.strip() for name in text.split(",") if name.strip()] or list(ARMS)
    known = ARMS | FURTHER
    for name in names:
        if name not in known:
            raise InvalidInput(
                Reason.FIELD_INVALID, f"there is no arm '{name}'; choose from {', '.join(known)}", field="ARMS"
            )
    return list(dict.fromkeys(names))


def arm(name: str) -> Arm:
    """Return an arm by name."""
    return (ARMS | FURTHER)[name]


def rivals(name: str, arms: list[str]) -> list[str]:
    """Return the single members that a committee arm is measured against: those that plan by the same policy."""
    return [a for a in arms if a in SINGLE and arm(a).policy == arm(name).policy]
