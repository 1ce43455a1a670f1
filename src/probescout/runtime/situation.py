"""Puts a belief into the campaign's situation: budget, instrument, honesty, further objectives, and when to stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.ports import Calibrated
from probescout.core.specs import CampaignSpec, MotionCost, StopRule
from probescout.surrogates.belief import CommitteeBelief
from probescout.surrogates.stopping import advise

FloatArray = NDArray[np.float64]


def cost_s(motion: MotionCost, positions: FloatArray, at: tuple[float, float] | None) -> FloatArray:
    """Return the seconds (candidate,) to get to each position, settle and measure there.

    Args:
        motion: What the instrument takes.
        positions: (candidate, 2) fractional (y, x).
        at: Where the probe is; None: unknown, so that moves are left out.
    """
    fixed = np.full(len(positions), motion.settle_s + motion.dwell_s)
    if at is None or motion.diagonals_per_s == 0.0:
        return fixed
    diagonals = np.hypot(positions[:, 0] - at[0], positions[:, 1] - at[1]) / np.sqrt(2.0)
    return np.asarray(fixed + diagonals / motion.diagonals_per_s)


def situated(
    belief: CommitteeBelief,
    spec: CampaignSpec,
    at: tuple[float, float] | None,
    calibration: Calibrated,
    further: Sequence[CommitteeBelief] = (),
) -> CommitteeBelief:
    """Return a belief that also knows what the policy may weigh beside the model.

    Args:
        belief: About the first target.
        spec: Of the campaign.
        at: Where the client's probe was last, fractional (y, x) of the image; None: unknown.
        calibration: Of the first target's model.
        further: Beliefs about the further targets, over the same candidates.
    """
    about = {
        "n_budget": spec.budget.probes or None,
        "cost_s": cost_s(spec.motion, belief.positions, at) if spec.motion is not None else None,
        "last_position": at,
    }
    others = tuple(replace(other, **about) for other in further)  # type: ignore[arg-type]
    return replace(belief, calibration=calibration, further=others, **about)  # type: ignore[arg-type]


def advice(rules: Sequence[StopRule], belief: CommitteeBelief) -> list[dict[str, Any]]:
    """Return what each stop rule says of a belief, in the order of the rules.

    Args:
        rules: Of the campaign.
        belief: Whose `available` are all candidates that may still be measured, wherever the probe is.
    """
    told = [advise(rule.name, belief, rule.bound) for rule in rules]
    names = ("rule", "is_met", "value", "bound", "unit", "message")
    return [{name: getattr(one, name) for name in names} for one in told]
