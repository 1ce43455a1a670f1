"""What people see of the model: maps of the whole frame, and why a candidate is judged as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput
from probescout.runtime.proposing import Scene, at_of, look, look_at, split
from probescout.surrogates.committee import Committee

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]


MAP_WORK = 20_000_000
"""Candidates worked out for a map, times measurements, times members: about 0.4 s."""
SPREAD = "the maps of this large frame show the model at {kept} of {n} candidates, and the nearest of them elsewhere"


def maps(
    scene: Scene, free: Mask, message: Mapping[str, Any], *, has_scores: bool
) -> tuple[dict[str, FloatArray], list[str]]:
    """Return maps (candidate,) by name, NaN where there is nothing to show, and what is not exact about them.

    A large frame with many measurements is shown at the candidates that are kept up to date, lest answers wait.

    Args:
        scene: What is known.
        free: (candidate,) where a suggestion may be made.
        message: "pending", "ordinal" and "at", as for `proposing.propose`.
        has_scores: Whether the policy can be asked.
    """
    committee = scene.committee
    n, field = len(free), committee.field
    n_left = (n - len(field)) * committee.n_observed * len(committee.weights())
    is_exact = field.is_whole or n_left <= MAP_WORK
    shown = np.arange(n) if is_exact else field.candidates
    nearest = slice(None) if is_exact else committee.nearest_kept()
    names = ("mean", "std", "predictive_std", "novelty")
    found = {name: values[nearest] for name, values in zip(names, committee.describe(shown), strict=True)}
    found["mean"] = scene.sign * found["mean"]
    told = [] if is_exact else [SPREAD.format(kept=len(field), n=n)]
    if has_scores and free.any():
        try:
            found["acquisition"] = _scores(scene, free, message)
        except InvalidInput as error:
            # A broken policy must not take the model's own maps with it.
            told.append(f"no map of the acquisition: {error.reason}: {error.message}")
    told_by_theory = committee.theory_maps()
    if told_by_theory:
        told_by_theory["prior"] = scene.sign * told_by_theory["prior"]
        at_field = slice(None) if field.is_whole else committee.nearest_kept()
        found |= {name: values[at_field] for name, values in told_by_theory.items()}
    return {name: np.where(np.isfinite(values), values, np.nan) for name, values in found.items()}, told


def _scores(scene: Scene, free: Mask, message: Mapping[str, Any]) -> FloatArray:
    """Return the policy's scores (candidate,): of a large frame those looked at, and the nearest elsewhere."""
    pending, rng = [int(c) for c in message["pending"]], scene.rng(int(message["ordinal"]))
    seen = look(scene, free, pending, at_of(message), rng)
    n_field = seen.belief.n_field
    scores = np.full(len(free), np.nan)
    if scene.is_cold and seen.policy.needs_model:
        return scores
    if 0 < n_field < len(free):
        scores[free] = seen.scores[:n_field][scene.committee.nearest_kept()[free]]
    scores[seen.belief.candidates] = seen.scores
    return scores


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
    parts: dict[str, Any] = {"acquisition": float(seen.scores[0]), **split(scene, seen, 0)} if seen is not None else {}
    if "theory" in told:
        parts["theory"] = [{**one, "slope": scene.sign * one["slope"]} for one in told["theory"]]
    return {**told, "mean": scene.sign * told["mean"], "members": members, **parts}


def theory_told(committee: Committee, sign: float) -> dict[str, Any] | None:
    """Return weight, skill and slopes of theory for a person, JSON values only; None without evidence.

    Args:
        committee: The model.
        sign: -1 where small targets are sought: the model knows their negatives.
    """
    told = committee.theory_report()
    if told is None:
        return None
    engines = [{**one, "slope": sign * one["slope"]} if "slope" in one else one for one in told["engines"]]
    return {**told, "engines": engines}
