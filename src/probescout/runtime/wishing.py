"""Which patches the planner would have simulated, as the model sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.runtime.picking import answering, scored
from probescout.runtime.proposing import Scene, at_of
from probescout.surrogates.prior.worth import Tried, next_patch

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]
Index = NDArray[np.intp]


def wished(scene: Scene, free: Mask, measured: Index, message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return rows "candidate" and "reason" of the patches that deserve a simulation, most deserving first.

    Args:
        scene: What is known.
        free: (candidate,) where a suggestion may be made.
        measured: (n,) candidates that the model has learnt, in order.
        message: "count" most rows, "asked" and "failed" candidates, "pending", "ordinal" and "at" as for
            `proposing.propose`.

    Raises:
        InvalidInput: PLUGIN_BROKEN when the policy is of no use.
    """
    committee, features = scene.committee, scene.committee.features.arrays
    asked = {int(c) for c in message["asked"]}
    tried = Tried(asked, {int(c) for c in message["failed"]})
    verdict = committee.verdict()
    # Until it has a say theory is asked about what is measured, whatever the policy likes.
    scores = _scores(scene, free, message) if verdict.weight > 0.0 else np.empty(0)
    rng = np.random.default_rng([scene.spec.seed, 5, len(asked)])
    found: list[dict[str, Any]] = []
    while len(found) < int(message["count"]):
        wish = next_patch(committee.theory, verdict, committee.slopes(), scores, measured, tried, features, rng)
        if wish is None:
            break
        asked.add(wish.candidate)
        found.append({"candidate": wish.candidate, "reason": wish.reason})
    return found


def _scores(scene: Scene, free: Mask, message: Mapping[str, Any]) -> FloatArray:
    """Return the policy's scores (candidate,) where the model is kept up to date, -inf elsewhere."""
    scores = np.full(len(free), -np.inf)
    pending, at = [int(c) for c in message["pending"]], at_of(message)
    belief = scene.situated(scene.committee.belief(free, pending), free, pending, at)
    if not belief.available.any() or scene.is_cold:
        return scores
    policy = answering(scene.policy, belief)
    scores[belief.candidates] = scored(policy, belief, belief.available, scene.rng(int(message["ordinal"])))
    return scores
