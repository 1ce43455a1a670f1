"""What people see of the model: maps of the whole frame, and why a candidate is judged as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.runtime.proposing import Scene, at_of, look, look_at, split

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]


def maps(scene: Scene, free: Mask, message: Mapping[str, Any], *, has_scores: bool) -> dict[str, FloatArray]:
    """Return maps (candidate,) by name; NaN where there is nothing to show.

    Args:
        scene: What is known.
        free: (candidate,) where a suggestion may be made.
        message: "pending", "ordinal" and "at", as for `proposing.propose`.
        has_scores: Whether the policy can be asked.
    """
    posterior = scene.committee.posterior()
    found = {
        "mean": scene.sign * posterior.mean,
        "std": posterior.std,
        "predictive_std": posterior.predictive_std,
        "novelty": posterior.novelty,
    }
    if has_scores and free.any():
        pending, rng = [int(c) for c in message["pending"]], scene.rng(int(message["ordinal"]))
        seen = look(scene, free, pending, at_of(message), rng)
        found["acquisition"] = np.full(len(free), np.nan)
        found["acquisition"][seen.belief.candidates] = seen.scores
    return {name: np.where(np.isfinite(values), values, np.nan) for name, values in found.items()}


def explained(scene: Scene, message: Mapping[str, Any]) -> dict[str, Any]:
    """Return why a candidate is judged as it is; see `Committee.explain` and `proposing.split`. JSON values only.

    Args:
        scene: What is known.
        message: "candidate", and perhaps "pending", "ordinal" and "at".
    """
    candidate = int(message["candidate"])
    told = scene.committee.explain(candidate)
    members = [{**m, "mean": scene.sign * m["mean"]} for m in told["members"]]
    seen = look_at(scene, candidate, at_of(message))
    parts = {"acquisition": float(seen.scores[0]), **split(scene, seen, 0)} if seen is not None else {}
    return {**told, "mean": scene.sign * told["mean"], "members": members, **parts}
