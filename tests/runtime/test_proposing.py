"""From coarse to fine on a frame that is too large to be kept whole; and what a score is made of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from probescout_planners.batch_expected_improvement import BatchExpectedImprovement
from probescout_planners.expected_improvement import ExpectedImprovement
from probescout_planners.integrated_variance import IntegratedVariance
from probescout_planners.novelty import Novelty
from probescout_planners.per_second import PerSecond
from probescout_planners.random import Random
from probescout_planners.staged import Staged
from probescout_planners.thompson import Thompson
from probescout_planners.ucb import UpperConfidenceBound
from scipy import ndimage

from probescout.core.specs import CampaignSpec, MotionCost, PluginSpec, StopRule
from probescout.runtime import inspecting, proposing
from probescout.runtime.further import Further
from probescout.runtime.inspecting import explained, maps
from probescout.runtime.picking import chooser_of
from probescout.runtime.proposing import Scene, look, propose
from probescout.surrogates import field as fields
from probescout.surrogates.committee import Committee
from probescout.surrogates.features import Features, compute_features

SIZE = 40
N = SIZE * SIZE
SPEC = CampaignSpec(PluginSpec("given"), PluginSpec("ucb"))
ASK = {"count": 1, "pending": [], "ordinal": 3, "near": None, "at": None}
EVERYWHERE = np.ones(N, dtype=bool)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return ndimage.gaussian_filter(np.random.default_rng(5).normal(size=(SIZE, SIZE)), 2.0) * 8


@pytest.fixture(scope="module")
def features(image: np.ndarray) -> Features:
    return compute_features(image)


def scene(features: Features, image: np.ndarray, policy: Any, monkeypatch: Any, most: int = 32_768) -> Scene:
    """A committee that has learnt 40 points, keeping at most so many candidates; 64 more are looked at exactly."""
    monkeypatch.setattr(fields, "MOST_CANDIDATES", most)
    monkeypatch.setattr(proposing, "LEAST_FINE", 64)
    committee = Committee(features, seed=0, use_deep=False)
    for index in np.random.default_rng(0).choice(N, 40, replace=False):
        committee.tell(int(index), float(image.flat[index]), 0.01)
    return Scene(committee, policy, SPEC, features.positions, Further(()))


def exact_scores(whole: Scene, free: np.ndarray) -> np.ndarray:
    return look(whole, free, [], None, np.random.default_rng(0)).scores


@pytest.mark.parametrize("policy", [ExpectedImprovement(), UpperConfidenceBound()])
def test_what_is_found_from_coarse_to_fine_is_nearly_the_best(
    features: Features, image: np.ndarray, monkeypatch: Any, policy: Any
) -> None:
    scores = exact_scores(scene(features, image, policy, monkeypatch), EVERYWHERE)
    some = scene(features, image, policy, monkeypatch, most=200)
    assert len(some.committee.field) <= 200
    [pick] = propose(some, EVERYWHERE, ASK)["picks"]
    coarse = some.committee.belief(EVERYWHERE)
    best_kept = scores[coarse.candidates].max()
    found = scores[pick["candidate"]]
    # A twelfth of the frame is looked at; nearly all of what is lost by it is won back around the best.
    assert found >= scores.max() - 0.1 * np.ptp(scores) and found >= best_kept - 0.02 * np.ptp(scores)
    assert pick["acquisition"] == pytest.approx(found, rel=0.05, abs=0.02 * np.ptp(scores))
    again = propose(some, EVERYWHERE, ASK)["picks"]
    assert again == [pick], "the same state gives the same point"


def test_a_batch_on_a_large_frame_repeats_nothing_and_keeps_within_reach(
    features: Features, image: np.ndarray, monkeypatch: Any
) -> None:
    some = scene(features, image, UpperConfidenceBound(), monkeypatch, most=200)
    free = EVERYWHERE.copy()
    free[::2] = False
    found = propose(some, free, {**ASK, "count": 8, "near": [0.5, 0.5, 0.06], "pending": [0]})
    picks = [row["candidate"] for row in found["picks"]]
    assert len(set(picks)) == 8 and free[picks].all()
    at = np.vstack([[0.5, 0.5], features.positions[picks]])
    assert (np.linalg.norm(np.diff(at, axis=0), axis=1) / np.sqrt(2) <= 0.06 + 1e-9).all()
    assert all(free[row["candidate"]] and row["candidate"] not in picks for row in found["spares"])


def test_a_tiny_region_is_looked_at_whole(features: Features, image: np.ndarray, monkeypatch: Any) -> None:
    policy = UpperConfidenceBound()
    free = np.zeros(N, dtype=bool)
    free[805:850] = True
    scores = exact_scores(scene(features, image, policy, monkeypatch), free)
    some = scene(features, image, policy, monkeypatch, most=60)
    seen = look(some, free, [], None, np.random.default_rng(0))
    assert_array_equal(np.sort(seen.belief.candidates[np.isfinite(seen.scores)]), np.flatnonzero(free))
    assert seen.belief.candidates[np.argmax(seen.scores)] == np.argmax(scores)


def test_points_far_from_the_field_can_be_found(features: Features, image: np.ndarray, monkeypatch: Any) -> None:
    some = scene(features, image, UpperConfidenceBound(), monkeypatch, most=60)
    seen = [look(some, EVERYWHERE, [], None, np.random.default_rng(s)).belief.candidates for s in range(60)]
    assert len(np.unique(np.concatenate(seen))) > 0.35 * N


def test_a_policy_without_a_model_sees_every_candidate(features: Features, image: np.ndarray, monkeypatch: Any) -> None:
    some = scene(features, image, Random(), monkeypatch, most=60)
    seen = look(some, EVERYWHERE, [], None, np.random.default_rng(0))
    assert_array_equal(seen.belief.candidates, np.arange(N))
    assert seen.belief.shape == (SIZE, SIZE) and "_moments" not in seen.belief.__dict__
    whole = scene(features, image, Random(), monkeypatch)
    [one], [other] = (propose(s, EVERYWHERE, ASK)["picks"] for s in (some, whole))
    assert one["candidate"] == other["candidate"]


def test_the_campaign_tells_a_coarse_look_what_it_tells_a_fine_one(
    features: Features, image: np.ndarray, monkeypatch: Any
) -> None:
    some = scene(features, image, UpperConfidenceBound(), monkeypatch, most=200)
    spec = replace(SPEC, motion=MotionCost(0.0, 1.0, 0.5), stop_rules=(StopRule("expected_regret", 1.0),))
    some = replace(some, spec=spec)
    seen = look(some, EVERYWHERE, [], (0.5, 0.5), np.random.default_rng(0))
    assert seen.belief.cost_s is not None and seen.belief.cost_s.shape == seen.scores.shape
    found = propose(some, EVERYWHERE, {**ASK, "at": [0.5, 0.5]})
    assert [one["rule"] for one in found["advice"]] == ["expected_regret"]


def stages(policy: str, until: dict[str, float]) -> Staged:
    return Staged([{"policy": {"name": policy}, "until": until}, {"policy": {"name": "ucb"}}])


@pytest.mark.parametrize("until", [{"n_observed": 41}, {"expected_gain_below": 1e-9}])
def test_a_stage_without_a_model_works_out_no_pixel_of_a_large_frame(
    features: Features, image: np.ndarray, monkeypatch: Any, until: dict[str, float]
) -> None:
    some = scene(features, image, stages("random", until), monkeypatch, most=200)
    some = replace(some, spec=replace(SPEC, stop_rules=(StopRule("map_error", 1.0),)))
    seen = look(some, EVERYWHERE, [], None, np.random.default_rng(0))
    assert_array_equal(seen.belief.candidates, np.arange(N))
    assert "_moments" not in seen.belief.__dict__ and chooser_of(some.policy) == "staged[1]/random"
    [pick] = propose(some, EVERYWHERE, ASK)["picks"]
    assert pick["chosen_by"] == "staged[1]/random" and np.isnan(pick["explore"])


def test_a_stage_with_a_model_looks_from_coarse_to_fine_whatever_came_before(
    features: Features, image: np.ndarray, monkeypatch: Any
) -> None:
    some = scene(features, image, stages("random", {"n_observed": 40}), monkeypatch, most=200)
    [pick] = propose(some, EVERYWHERE, ASK)["picks"]
    [plain] = propose(replace(some, policy=UpperConfidenceBound()), EVERYWHERE, ASK)["picks"]
    assert plain == {**pick, "chosen_by": "ucb"} and pick["chosen_by"] == "staged[2]/ucb"
    assert np.isfinite([pick["exploit"], pick["explore"]]).all()
    told = explained(some, {"candidate": pick["candidate"]})
    assert told["acquisition"] == pytest.approx(pick["acquisition"], rel=1e-4) and np.isfinite(told["explore"])
    assert propose(replace(some, is_cold=True), EVERYWHERE, ASK) == {}, "no guesses before two different values"
    shown, _ = maps(replace(some, is_cold=True), EVERYWHERE, ASK, has_scores=True)
    assert np.isnan(shown["acquisition"]).all()
    early = replace(some, policy=stages("random", {"n_observed": 41}), is_cold=True)
    assert len(propose(early, EVERYWHERE, ASK)["picks"]) == 1, "but a stage without a model does not guess"


def test_advice_is_of_what_is_kept_whatever_the_policy(features: Features, image: np.ndarray, monkeypatch: Any) -> None:
    rules = tuple(StopRule(name, 1.0) for name in ("expected_regret", "gain_per_second", "map_error"))
    some = scene(features, image, Random(), monkeypatch, most=200)
    some = replace(some, spec=replace(SPEC, stop_rules=rules))
    free = EVERYWHERE.copy()
    free[:400] = False
    told = propose(some, free, ASK)["advice"]
    n_kept = int(free[some.committee.field.candidates].sum())
    assert [one["rule"] for one in told] == [rule.name for rule in rules] and n_kept < 200
    assert f"the best of {n_kept} candidates left" in told[0]["message"]
    assert f"over {n_kept} candidates left" in told[2]["message"]
    assert propose(replace(some, policy=UpperConfidenceBound()), free, ASK)["advice"] == told


def test_points_are_chosen_together_on_a_large_frame_too(
    features: Features, image: np.ndarray, monkeypatch: Any
) -> None:
    some = scene(features, image, BatchExpectedImprovement(), monkeypatch, most=200)
    free = EVERYWHERE.copy()
    free[::2] = False
    ask = {**ASK, "count": 6, "pending": [1]}
    found = propose(some, free, ask)
    joint = [row["candidate"] for row in found["picks"]]
    greedy = propose(replace(some, policy=ExpectedImprovement()), free, ask)
    assert len(set(joint)) == 6 and free[joint].all() and 1 not in joint
    assert set(joint) != {row["candidate"] for row in greedy["picks"]}
    assert all(free[row["candidate"]] and row["candidate"] not in joint for row in found["spares"])
    assert propose(some, free, ask)["picks"] == found["picks"]


# What a score is made of


def test_the_parts_of_a_score_add_up(features: Features, image: np.ndarray, monkeypatch: Any) -> None:
    ucb = scene(features, image, UpperConfidenceBound(beta=1.5), monkeypatch)
    [pick] = propose(ucb, EVERYWHERE, ASK)["picks"]
    belief = ucb.committee.belief(EVERYWHERE)
    assert pick["exploit"] == pytest.approx(belief.mean[pick["candidate"]], abs=1e-4 * belief.scale)
    std = belief.weights @ np.sqrt(belief.member_var[:, pick["candidate"]])
    assert pick["explore"] == pytest.approx(1.5 * std, rel=1e-4)
    gain = scene(features, image, ExpectedImprovement(), monkeypatch)
    [pick] = propose(gain, EVERYWHERE, ASK)["picks"]
    certain = max(belief.mean[pick["candidate"]] - belief.incumbent, 0.0)
    assert pick["exploit"] == pytest.approx(certain, rel=1e-3, abs=1e-4 * belief.scale)
    assert pick["exploit"] + pick["explore"] == pytest.approx(pick["acquisition"])
    told = explained(gain, {"candidate": pick["candidate"]})
    assert told["acquisition"] == pytest.approx(pick["acquisition"], rel=1e-4)
    assert told["exploit"] == pytest.approx(pick["exploit"], rel=1e-3, abs=1e-9)
    assert told["novelty"] == pytest.approx(pick["novelty"], rel=1e-9)


class Pair:
    """Prefer the candidate after the largest mean: a score that is not of one candidate alone."""

    name: ClassVar[str] = "pair"
    summary: ClassVar[str] = "pair"
    params_schema: ClassVar[dict[str, Any]] = {"type": "object"}
    needs_model: ClassVar[bool] = True

    def score(self, belief: Any, rng: Any) -> np.ndarray:
        if len(belief.mean) < 2:
            raise ValueError("it takes two")
        return np.roll(belief.mean, 1)


@pytest.mark.parametrize(
    "policy",
    [
        Pair(),
        Thompson(),
        Random(),
        Novelty(),
        IntegratedVariance(),
        PerSecond(),
        UpperConfidenceBound(schedule="sqrt_log"),
        ExpectedImprovement(noisy=True),
    ],
    ids=lambda policy: policy.name,
)
def test_a_score_that_has_no_parts_says_so(
    features: Features, image: np.ndarray, monkeypatch: Any, policy: Any
) -> None:
    some = scene(features, image, policy, monkeypatch)
    some = replace(some, spec=replace(SPEC, motion=MotionCost(0.5, 0.1, 0.2)))
    [pick] = propose(some, EVERYWHERE, ASK)["picks"]
    assert np.isnan(pick["exploit"]) and np.isnan(pick["explore"]) and np.isfinite(pick["acquisition"])


class Fickle(UpperConfidenceBound):
    """Name as who answered the number of candidates that it was last asked about."""

    def score(self, belief: Any, rng: Any) -> np.ndarray:
        self.chosen_by = f"of {len(belief.available)}"
        return super().score(belief, rng)


def test_who_answered_is_asked_before_the_policy_is_asked_again(
    features: Features, image: np.ndarray, monkeypatch: Any
) -> None:
    found = propose(scene(features, image, Fickle(), monkeypatch), EVERYWHERE, ASK)
    assert np.isfinite(found["picks"][0]["explore"]), "it was asked again"
    assert {row["chosen_by"] for row in found["picks"] + found["spares"]} == {f"of {N}"}


def test_maps_show_every_candidate(features: Features, image: np.ndarray, monkeypatch: Any) -> None:
    whole = scene(features, image, UpperConfidenceBound(), monkeypatch)
    some = scene(features, image, UpperConfidenceBound(), monkeypatch, most=200)
    (exact, told), (found, same) = (maps(s, EVERYWHERE, ASK, has_scores=True) for s in (whole, some))
    assert not told and not same
    for name in ("mean", "std", "predictive_std", "novelty"):
        assert np.isfinite(found[name]).all()
        assert np.corrcoef(found[name], exact[name])[0, 1] > 0.99
    assert np.isfinite(exact["acquisition"]).all() and np.isfinite(found["acquisition"]).all()
    assert "acquisition" not in maps(whole, EVERYWHERE, ASK, has_scores=False)[0]


def test_maps_of_a_large_frame_show_what_is_kept_and_say_so(
    features: Features, image: np.ndarray, monkeypatch: Any
) -> None:
    whole = scene(features, image, UpperConfidenceBound(), monkeypatch)
    some = scene(features, image, UpperConfidenceBound(), monkeypatch, most=400)
    monkeypatch.setattr(inspecting, "MAP_WORK", 1000)
    free = EVERYWHERE.copy()
    free[:300] = False
    (exact, _), (found, [told]) = (maps(s, free, ASK, has_scores=True) for s in (whole, some))
    assert f"{len(some.committee.field)} of {N} candidates" in told
    kept = some.committee.field.candidates
    for name in ("mean", "std", "predictive_std", "novelty"):
        assert np.isfinite(found[name]).all()
        assert np.corrcoef(found[name][kept], exact[name][kept])[0, 1] > 0.99
        assert np.corrcoef(found[name], exact[name])[0, 1] > 0.8
    # Next to the border of what is free the nearest candidate kept may not be free.
    assert np.isnan(found["acquisition"][:300]).all() and np.isfinite(found["acquisition"][300:]).mean() > 0.95
