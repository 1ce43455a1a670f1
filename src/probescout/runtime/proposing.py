"""Finds the points that a policy likes best: over a whole small frame, from coarse to fine on a large one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput
from probescout.core.ports import JointPlanner, Planner
from probescout.core.specs import CampaignSpec
from probescout.runtime.batching import together, visiting_order
from probescout.runtime.further import Further
from probescout.runtime.picking import answering, best_of, chooser_of, scored, spares_of, within
from probescout.runtime.situation import advice, situated
from probescout.surrogates.belief import CommitteeBelief
from probescout.surrogates.committee import Committee
from probescout.surrogates.field import near, spacing

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]
Index = NDArray[np.intp]
At = tuple[float, float] | None

FINE_SHARE = 64
"""One candidate in so many of the frame is looked at exactly, beside those that are kept up to date."""
LEAST_FINE, MOST_FINE = 1_024, 8_192
FINE_WORK = 1 << 29
"""Candidates looked at exactly, times measurements squared: with more data there are fewer of them."""
FRESH_PART = 4
"""Of the candidates looked at exactly, one in so many is drawn from anywhere: what the field missed can be found."""
NOT_A_NUMBER = float("nan")


@dataclass(frozen=True)
class Look:
    """What a policy says of the candidates that it was shown."""

    belief: CommitteeBelief
    scores: FloatArray
    """(candidate,) of the belief; -inf where none may be proposed."""
    kept: CommitteeBelief
    """About the candidates that are kept up to date, whichever were looked at."""
    policy: Planner
    """Who answered: for a policy that delegates, the one that it handed over to."""
    chosen_by: str
    """Its name."""


@dataclass(frozen=True)
class Scene:
    """Everything that planning needs to know."""

    committee: Committee
    policy: Planner
    spec: CampaignSpec
    positions: FloatArray
    """(candidate, dim) fractional."""
    further: Further
    """The models of further targets."""
    is_cold: bool = False
    """Whether no two different values were seen."""

    @property
    def sign(self) -> float:
        """-1 where the campaign minimises: then the committee knows the targets negated."""
        return -1.0 if self.spec.is_minimizing else 1.0

    def rng(self, ordinal: int) -> np.random.Generator:
        """Return the generator of the suggestion with that ordinal number."""
        return np.random.default_rng([self.spec.seed, 2, ordinal])

    def situated(self, belief: CommitteeBelief, free: Mask, pending: Sequence[int], at: At) -> CommitteeBelief:
        """Return a belief that knows what only the campaign knows: costs, budget, further targets."""
        further = self.further.beliefs(belief, free, pending)
        return situated(belief, self.spec, at, self.committee.calibration(), further)


def propose(scene: Scene, free: Mask, message: Mapping[str, Any]) -> dict[str, Any]:
    """Return "picks" and "spares", rows that describe candidates, and "advice"; nothing when none may be proposed.

    Args:
        scene: What is known.
        free: (candidate,) where a suggestion may be made; not changed.
        message: "count", "pending", "ordinal", "near" ([y, x, reach] or None) and "at" ([y, x] or None).

    Raises:
        InvalidInput: PLUGIN_BROKEN when the policy is of no use.
    """
    free = free.copy()
    pending = [int(c) for c in message["pending"]]
    count, near, at = int(message["count"]), message.get("near"), at_of(message)
    start = at or (near and (near[0], near[1]))
    reach = near[2] if near is not None else scene.spec.limits.max_step or None
    reachable = free if near is None else free & within(scene.positions, *near)
    picks: list[dict[str, Any]] = []
    told: list[dict[str, Any]] = []
    seen: Look | None = None
    while len(picks) < count and reachable.any():
        rng = scene.rng(int(message["ordinal"]) + len(picks))
        seen = look(scene, reachable, pending, at, rng)
        if scene.is_cold and seen.policy.needs_model:
            return {}
        if not picks and not scene.is_cold and scene.spec.stop_rules:
            told = advice(scene.spec.stop_rules, seen.kept.over(free[seen.kept.candidates]))
        for index in _wanted(seen, rng, count - len(picks) if reach is None else 1):
            picks.append({**_row(seen, index), **split(scene, seen, index)})
            pending.append(picks[-1]["candidate"])
            free[pending[-1]] = False
        # One client's steps are chained: the next point must be within reach of this one.
        at = (float(scene.positions[pending[-1], 0]), float(scene.positions[pending[-1], 1]))
        reachable = free if reach is None else free & within(scene.positions, *at, reach)
    if seen is None:
        return {}
    left = spares_of(seen.scores, free[seen.belief.candidates], seen.belief.positions)
    spares = [_row(seen, index) for index in left]
    _describe(scene, [*picks, *spares])
    points = scene.positions[[row["candidate"] for row in picks]]
    order = visiting_order(points, start, scene.committee.features.shape, reach)
    return {"picks": [picks[i] for i in order], "spares": spares, "advice": told}


def _wanted(seen: Look, rng: np.random.Generator, count: int) -> list[int]:
    """Return where the points to propose next stand among those looked at: several if the policy can choose them."""
    if count > 1 and isinstance(seen.policy, JointPlanner):
        return together(seen.policy, seen.belief, rng, count)
    return [best_of(seen.scores, rng)]


def at_of(message: Mapping[str, Any]) -> At:
    """Return where the client's probe was last, fractional (y, x); None: unknown."""
    return (float(message["at"][0]), float(message["at"][1])) if message.get("at") else None


def look(scene: Scene, free: Mask, pending: list[int], at: At, rng: np.random.Generator) -> Look:
    """Return what the policy says of the candidates that may be proposed, or of the most promising of a large frame.

    Args:
        scene: What is known.
        free: (candidate,) where a suggestion may be made.
        pending: Candidates leased, oldest first.
        at: Where the client's probe was last.
        rng: Of this suggestion.

    Raises:
        InvalidInput: PLUGIN_BROKEN when the policy is of no use.
    """
    committee = scene.committee

    def believed(also: Index | None, *, has_field: bool = True) -> CommitteeBelief:
        belief = committee.belief(free, pending, also=also, has_field=has_field)
        return scene.situated(belief, free, pending, at)

    kept = believed(None)
    # Who answers is settled by what is kept, lest a rule look at every candidate or say otherwise from look to look.
    policy = answering(scene.policy, kept)

    def scored_over(belief: CommitteeBelief) -> Look:
        scores = scored(policy, belief, belief.available, rng)
        return Look(belief, scores, kept, policy, chooser_of(scene.policy))

    if committee.field.is_whole:
        return scored_over(kept)
    if not policy.needs_model:
        # It goes by positions, of which it must see all; the model is only worked out if it asks.
        return scored_over(believed(np.arange(len(free)), has_field=False))
    before = rng.bit_generator.state
    n_fine = _n_fine(len(free), committee.n_observed)
    centres = np.empty(0, dtype=np.intp)
    if free[committee.field.candidates].any():
        coarse = scored_over(kept)
        best = _best_first(coarse.scores, n_fine)
        centres = coarse.belief.candidates[best[np.isfinite(coarse.scores[best])]]
    also = _closer(committee, centres, free, n_fine, rng)
    # The same draws again: what is fine must differ from what was coarse by the candidates only.
    rng.bit_generator.state = before
    return scored_over(believed(also))


def look_at(scene: Scene, candidate: int, at: At) -> Look | None:
    """Return what the policy says of one candidate alone, free or not; None where it cannot be asked."""
    if scene.is_cold:
        return None
    free = np.ones(len(scene.positions), dtype=bool)
    kept = scene.situated(scene.committee.belief(free), free, (), at)
    belief = scene.committee.belief(free, also=np.array([candidate]), has_field=False)
    belief = scene.situated(belief, free, (), at)
    try:
        policy = answering(scene.policy, kept)
        if not policy.needs_model:
            return None
        scores = scored(policy, belief, belief.available, np.random.default_rng(0))
        return Look(belief, scores, kept, policy, chooser_of(scene.policy))
    except InvalidInput:
        # It needs more than one candidate to look at.
        return None


def _n_fine(n_candidates: int, n_observed: int) -> int:
    by_size = int(np.clip(n_candidates // FINE_SHARE, LEAST_FINE, MOST_FINE))
    return int(min(by_size, max(FINE_WORK // max(n_observed, 1) ** 2, 64)))


def _best_first(scores: NDArray[np.float64], n: int) -> Index:
    """Return where the n largest scores stand, largest first; of equal ones the first."""
    # To sort a few of many is faster than to sort all.
    least = np.partition(scores, -n)[-n] if n < scores.size else -np.inf
    chosen = np.flatnonzero(scores >= least)
    return chosen[np.argsort(-scores[chosen], kind="stable")][:n]


def _closer(committee: Committee, centres: Index, reachable: Mask, n_most: int, rng: np.random.Generator) -> Index:
    """Return candidates to look at exactly: around the best of the field, and some from anywhere."""
    field, shape = committee.field, committee.features.shape
    if np.count_nonzero(reachable) <= n_most:
        found = np.flatnonzero(reachable)
        return found[field.places(found) < 0]
    around = np.empty(0, dtype=np.intp)
    if shape is not None and len(centres):
        side = spacing(shape, committee.n_allowed, len(field))
        most = n_most - n_most // FRESH_PART
        n_centres = 1 + 4 * most // (2 * side + 1) ** 2
        around = near(centres[:n_centres], shape, side, reachable, 2 * most)
        around = around[field.places(around) < 0][:most]
    fresh = rng.integers(len(reachable), size=4 * n_most)
    fresh = fresh[reachable[fresh]]
    if len(fresh) < n_most:
        fresh = rng.choice(np.flatnonzero(reachable), n_most)
    fresh = fresh[: n_most - len(around)]
    fresh = fresh[field.places(fresh) < 0]
    return np.unique(np.concatenate([around, fresh]))


def _row(seen: Look, place: int) -> dict[str, Any]:
    return {
        "candidate": int(seen.belief.candidates[place]),
        "acquisition": float(seen.scores[place]),
        "chosen_by": seen.chosen_by,
    }


def _describe(scene: Scene, rows: list[dict[str, Any]]) -> None:
    """Add to rows what the model says of their candidates, for people and for the journal; NaN while it is cold."""
    names = ("mean", "std", "predictive_std", "novelty")
    told = [np.full(len(rows), NOT_A_NUMBER)] * len(names)
    if not scene.is_cold and rows:
        told = list(scene.committee.describe(np.array([row["candidate"] for row in rows], dtype=np.intp)))
        told[0] = scene.sign * told[0]
    for i, row in enumerate(rows):
        row.update({name: float(values[i]) for name, values in zip(names, told, strict=True)})


def split(scene: Scene, seen: Look, index: int) -> dict[str, float]:
    """Return which part of a score is due to the mean ("exploit") and which to the uncertainty ("explore").

    The first is the score that the candidate would have were its mean known to be right. NaN unless the policy says,
    with `is_split`, that its scores follow from means and SDs: other scores have no such parts.

    Args:
        scene: What is known.
        seen: A look at the candidate and others.
        index: Where it stands among them.
    """
    unknown = {"exploit": NOT_A_NUMBER, "explore": NOT_A_NUMBER}
    is_split = bool(getattr(seen.policy, "is_split", False))
    if not is_split or scene.is_cold or not np.isfinite(seen.scores[index]):
        return unknown
    belief = seen.belief.only(index)
    try:
        alone, certain = (
            float(scored(seen.policy, b, b.available, np.random.default_rng(0))[0]) for b in (belief, belief.certain())
        )
    except InvalidInput:
        # It needs more than one candidate to look at.
        return unknown
    acquisition = float(seen.scores[index])
    if not np.isclose(alone, acquisition, rtol=1e-3, atol=0.0):
        return unknown
    return {"exploit": certain, "explore": acquisition - certain}
