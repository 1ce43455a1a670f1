"""What a campaign worker answers, asked directly."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from probescout.core.errors import InvalidInput, Reason, WrongState
from probescout.core.jsonable import to_json
from probescout.core.observations import SignalRecord
from probescout.core.specs import Limits, PluginSpec
from probescout.runtime.brain import Brain
from probescout.runtime.picking import N_SPARES, SPARE_GAP, best_of, spares_of
from probescout.surrogates.committee import Committee

SIZE = 10
PLAN = {"count": 1, "pending": [], "blocked": np.zeros(0, dtype=np.int64), "ordinal": 0, "near": None}


def value(candidate: int) -> float:
    y, x = (candidate // SIZE + 0.5) / SIZE, (candidate % SIZE + 0.5) / SIZE
    return float(np.sin(7 * y + 2) * np.cos(5 * x))


def load(lab: Any, taught: list[list[float]], evidence: Any = (), **spec: Any) -> tuple[Brain, dict[str, Any]]:
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    brain = Brain()
    fields = {"scalarizer": PluginSpec("given"), "policy": PluginSpec("ucb", {"beta": 0.5}), **spec}
    message = {
        "op": "load", "image": np.sin(7 * y + 2) * np.cos(5 * x), "taught": taught, "snapshot": None,
        "hyperparameters": {}, "spec": to_json(lab.spec(**fields)), "evidence": evidence,
    }  # fmt: skip
    return brain, brain.handle(message)


def score(candidate: int, observed: float, **more: Any) -> dict[str, Any]:
    return {
        "op": "score", "observation": f"o{candidate}", "era": 3, "candidate": candidate, "value": observed,
        "variance": 0.01, "unit": "V", "value_scalarizer": "", "signal": None, "data": np.zeros(0, np.uint8), **more,
    }  # fmt: skip


ROWS = [[float(c), value(c), 0.01] for c in (3, 17, 42, 58, 71, 96, 88, 29)]


def test_before_a_frame_only_plug_ins_can_be_asked_for(lab: Any) -> None:
    brain = Brain()
    names = {(p["group"].rsplit(".")[-1], p["name"]) for p in brain.handle({"op": "plugins"})["plugins"]}
    assert {("planners", "ucb"), ("scalarizers", "band_sum")} <= names
    for op in ("fit_request", "state"):
        with pytest.raises(WrongState) as caught:
            brain.handle({"op": op})
        assert caught.value.reason is Reason.NO_FRAME


@pytest.mark.parametrize("is_minimizing", [False, True])
def test_it_proposes_what_the_sign_asks_for(lab: Any, is_minimizing: bool) -> None:
    brain, news = load(lab, ROWS, is_minimizing=is_minimizing)
    assert news["n_observed"] == len(ROWS)
    blocked = np.array([int(r[0]) for r in ROWS])
    reply = brain.handle({"op": "suggest", **PLAN, "blocked": blocked})
    [pick] = reply["picks"]
    every = np.array([value(c) for c in range(SIZE * SIZE)])
    rank = (every < every[pick["candidate"]]).mean()
    assert rank < 0.3 if is_minimizing else rank > 0.7
    assert pick["candidate"] not in blocked and abs(pick["mean"] - every[pick["candidate"]]) < 0.5
    assert 0 < pick["std"] <= pick["predictive_std"]


def test_it_is_cold_until_two_values_differ(lab: Any) -> None:
    brain, _ = load(lab, [[3.0, 1.0, 0.1], [5.0, 1.0, 0.1]])
    reply = brain.handle({"op": "suggest", **PLAN})
    assert reply["is_cold"] and not reply["picks"]
    reply = brain.handle({**score(42, 2.0), **PLAN, "op": "step"})
    assert not reply["is_cold"] and reply["picks"] and reply["score"]["value"] == 2.0
    uses_no_model, _ = load(lab, [], policy=PluginSpec("random"))
    reply = uses_no_model.handle({"op": "suggest", **PLAN})
    assert len(reply["picks"]) == 1 and math.isnan(reply["picks"][0]["mean"])


def test_limits_pending_and_reach_are_respected(lab: Any) -> None:
    brain, _ = load(lab, ROWS, limits=Limits(border=0.2))
    request = {**PLAN, "count": 6, "pending": [44], "blocked": np.array([44, 45]), "near": [0.45, 0.45, 0.15]}
    picks = [p["candidate"] for p in brain.handle({"op": "suggest", **request})["picks"]]
    assert len(set(picks)) == 6 and not set(picks) & {44, 45}
    at = [np.array([0.45, 0.45]), *(np.array([(c // SIZE + 0.5) / SIZE, (c % SIZE + 0.5) / SIZE]) for c in picks)]
    assert all(0.2 <= v <= 0.8 for p in at for v in p)
    assert max(np.linalg.norm(b - a) / math.sqrt(2) for a, b in zip(at, at[1:], strict=False)) <= 0.15 + 1e-9


def test_a_score_says_what_it_is(lab: Any) -> None:
    brain, _ = load(lab, ROWS)
    told = brain.handle(score(5, 1.5))["score"]
    assert told == {
        "value": 1.5,
        "variance": 0.01,
        "unit": "V",
        "error": "",
        "scalarizer": "given",
        "era": 3,
        "further": [],
    }
    assert brain.handle({"op": "state"})["taught"][-1] == [5, 1.5, 0.01]
    for unlearnt in (score(6, 1.0, learn=False), score(-1, 1.0), score(7, 1e200), score(8, 1.0, variance=-1.0)):
        brain.handle(unlearnt)
    assert len(brain.handle({"op": "state"})["taught"]) == len(ROWS) + 1
    assert "refused" in brain.handle(score(7, 1e200))["score"]["error"]
    assert "brought no value" in brain.handle({**score(9, 0.0), "value": None})["score"]["error"]


def test_it_scalarizes_what_was_journalled(lab: Any) -> None:
    brain, _ = load(lab, [], scalarizer=PluginSpec("band_sum", {"low": 2.0, "high": 4.0}))
    seen = lab.spectrum(0.5, 0.5)
    record, data = SignalRecord.of(seen)
    request = {**score(5, 0.0), "value": None, "signal": to_json(record), "data": np.frombuffer(data, np.uint8)}
    told = brain.handle(request)["score"]
    assert (told["value"], told["unit"], told["scalarizer"]) == (seen.values[2:5].sum(), "counts", "band_sum")


def test_relearning_keeps_the_named_scores_only(lab: Any) -> None:
    brain, _ = load(lab, ROWS)
    brain.handle(score(5, 1.5))
    brain.handle(score(6, 1.6))
    brain.handle({"op": "relearn", "taught": ROWS[:4], "keep": ["o6", "never told"]})
    assert brain.handle({"op": "state"})["taught"] == [*ROWS[:4], [6, 1.6, 0.01]]
    brain.handle({"op": "relearn", "taught": ROWS[:4], "keep": ["o5"]})
    assert brain.handle({"op": "state"})["taught"] == ROWS[:4]


def test_a_snapshot_is_used_only_for_its_own_history(lab: Any) -> None:
    brain, _ = load(lab, ROWS[:3])
    for candidate, observed, _ in ROWS[3:]:
        brain.handle(score(int(candidate), observed))
    told = brain.handle({"op": "state"})
    told["state"]["n_fits"] = 7
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    message = {
        "op": "load", "image": np.sin(7 * y + 2) * np.cos(5 * x), "hyperparameters": {},
        "spec": to_json(lab.spec(scalarizer=PluginSpec("given"), policy=PluginSpec("ucb"))),
    }  # fmt: skip
    other = [[r[0], r[1] + 1.0, r[2]] for r in ROWS]
    for taught in (ROWS, [*ROWS, [0.0, 0.3, 0.01]], other, ROWS[:2]):
        again = Brain()
        again.handle({**message, "taught": taught, "snapshot": told})
        fresh = Brain()
        fresh.handle({**message, "taught": taught, "snapshot": None})
        assert again.handle({"op": "state"})["taught"] == taught
        ask = {"op": "explain", "candidate": 50}
        means = [b.handle(ask)["explain"]["mean"] for b in (again, fresh)]
        if taught in (other, ROWS[:2]):
            assert means[0] == means[1], "another history: the snapshot is ignored"
        n_fits = again.handle({"op": "state"})["state"]["n_fits"]
        assert n_fits == (0 if taught in (other, ROWS[:2]) else 7), "used although the fit is older than the newest row"
        assert all(math.isfinite(m) for m in means)


def test_a_snapshot_of_the_very_state_gives_the_same_answer(lab: Any) -> None:
    brain, _ = load(lab, ROWS)
    told = brain.handle({"op": "state"})
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    spec = to_json(lab.spec(scalarizer=PluginSpec("given"), policy=PluginSpec("ucb", {"beta": 0.5})))
    again = Brain()
    again.handle(
        {"op": "load", "image": np.sin(7 * y + 2) * np.cos(5 * x), "taught": ROWS, "snapshot": told,
         "hyperparameters": {}, "spec": spec}
    )  # fmt: skip
    request = {"op": "suggest", **PLAN, "count": 3}
    assert brain.handle(request)["picks"] == again.handle(request)["picks"]


def test_it_gets_ready_for_the_point_that_is_measured_next(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (ready, _), (plain, _) = load(lab, ROWS), load(lab, ROWS)
    asked = []
    monkeypatch.setattr(Committee, "prepare", lambda committee, index: asked.append(index))
    ready.prepare()
    [first] = ready.handle({"op": "suggest", **PLAN})["picks"]
    ready.prepare()
    ready.prepare()
    ready.handle({"op": "suggest", **PLAN, "pending": [5, 6]})
    ready.prepare()
    assert asked == [first["candidate"], 5], "the oldest that somebody holds, or else the first pick; once"
    monkeypatch.undo()
    step = {**score(5, value(5)), **PLAN, "op": "step", "pending": [6], "blocked": np.array([5, 6])}
    ready.handle({"op": "suggest", **PLAN, "pending": [5, 6]})
    ready.prepare()
    assert ready.handle(step) == plain.handle(step)


def test_what_another_version_saved_or_fitted_is_passed_over(lab: Any, caplog: pytest.LogCaptureFixture) -> None:
    plain, _ = load(lab, ROWS)
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    message = {
        "op": "load", "image": np.sin(7 * y + 2) * np.cos(5 * x), "taught": ROWS,
        "spec": to_json(lab.spec(scalarizer=PluginSpec("given"), policy=PluginSpec("ucb"))),
    }  # fmt: skip
    told = plain.handle({"op": "state"})
    foreign = {**told, "state": {**told["state"], "version": -1}}
    fitted = {"scale": told["state"]["scale"], "members": {"of_old": {}}, "n_observed": 8}
    brain = Brain()
    news = brain.handle({**message, "snapshot": foreign, "hyperparameters": fitted})
    assert news["n_observed"] == len(ROWS) and news["needs_fit"], "what was lost is fitted anew"
    asked = {"op": "explain", "candidate": 50}
    assert brain.handle(asked)["explain"]["mean"] == plain.handle(asked)["explain"]["mean"]
    assert ["snapshot" in r.message for r in caplog.records] == [True, False]


def test_a_pick_says_who_chose_it_and_how_new_it_is(lab: Any) -> None:
    brain, _ = load(lab, ROWS)
    reply = brain.handle({"op": "suggest", **PLAN, "count": 2})
    for row in [*reply["picks"], *reply["spares"]]:
        assert row["chosen_by"] == "ucb" and 0.0 <= row["novelty"] <= 1.0
    cold, _ = load(lab, [], policy=PluginSpec("random"))
    [pick] = cold.handle({"op": "suggest", **PLAN})["picks"]
    assert pick["chosen_by"] == "random" and math.isnan(pick["novelty"])


def test_unknown_plug_ins_and_parameters_are_named(lab: Any) -> None:
    brain = Brain()
    good = {"name": "ucb", "params": {}}
    for scalarizer, policy, field in (
        ({"name": "band_som", "params": {}}, good, "spec.scalarizer.name"),
        ({"name": "band_sum", "params": {"low": "a", "high": 1}}, good, "spec.scalarizer.params.low"),
        ({"name": "band_sum", "params": {"low": 3, "high": 1}}, good, "spec.scalarizer.params"),
        ({"name": "given"}, {"name": "ucb", "params": {"beta": "x"}}, "spec.policy.params.beta"),
    ):
        with pytest.raises(InvalidInput) as caught:
            brain.handle({"op": "validate", "scalarizer": scalarizer, "policy": policy})
        assert caught.value.field.startswith(field)


def test_ties_are_broken_evenly_and_spares_keep_apart() -> None:
    rng = np.random.default_rng(0)
    drawn = {best_of(np.array([0.0, 1.0, 1.0, 1.0]), rng) for _ in range(60)}
    assert drawn == {1, 2, 3}
    positions = np.random.default_rng(1).random((500, 2))
    scores = np.where(np.arange(500) < 250, np.random.default_rng(2).random(500), -np.inf)
    free = np.arange(500) % 2 == 0
    spares = spares_of(scores, free, positions)
    assert len(spares) == N_SPARES and free[spares].all() and np.isfinite(scores[spares]).all()
    gaps = [np.linalg.norm(positions[a] - positions[b]) for i, a in enumerate(spares) for b in spares[:i]]
    assert min(gaps) > SPARE_GAP and scores[spares[0]] == scores[free].max()
    assert spares_of(np.full(3, -np.inf), np.ones(3, dtype=bool), positions[:3]) == []


# ---------------------------------------------------------------- evidence

EVIDENCE = [[c, 5.0 - 2.0 * value(c), "xtb:formation_energy"] for c in range(0, SIZE * SIZE, 3)]


def maps(brain: Any) -> Any:
    return brain.handle({"op": "maps", **PLAN})["maps"]


@pytest.mark.parametrize("is_minimizing", [False, True])
def test_evidence_informs_and_is_told_in_the_units_of_the_target(lab: Any, is_minimizing: bool) -> None:
    brain, news = load(lab, ROWS, is_minimizing=is_minimizing)
    assert news["theory"] is None
    told = brain.handle({"op": "inform", "evidence": EVIDENCE})["theory"]
    assert told["n_results"] == len(EVIDENCE) and told["weight"] > 0.0
    [engine] = told["engines"]
    assert engine["engine"] == "xtb:formation_energy" and engine["slope"] < 0.0
    explained = brain.handle({"op": "explain", "candidate": 7, **PLAN})
    assert explained["explain"]["theory"][0]["slope"] == pytest.approx(engine["slope"])


def test_evidence_taken_back_leaves_the_maps_as_they_were(lab: Any) -> None:
    brain, _ = load(lab, ROWS)
    before = maps(brain)
    brain.handle({"op": "inform", "evidence": EVIDENCE})
    assert not np.array_equal(maps(brain)["std"], before["std"])
    assert brain.handle({"op": "inform", "evidence": []})["theory"] is None
    for name, values in maps(brain).items():
        np.testing.assert_array_equal(values, before[name], err_msg=name)


def test_a_brain_loaded_with_evidence_knows_what_one_knows_that_was_told_later(lab: Any) -> None:
    brain, _ = load(lab, ROWS)
    brain.handle({"op": "inform", "evidence": EVIDENCE})
    again, news = load(lab, ROWS, evidence=EVIDENCE)
    assert news["theory"]["weight"] > 0.0
    for name, values in maps(again).items():
        np.testing.assert_array_equal(values, maps(brain)[name], err_msg=name)


def test_bad_evidence_is_refused_and_the_model_answers_on(lab: Any) -> None:
    brain, _ = load(lab, ROWS)
    before = maps(brain)
    with pytest.raises(InvalidInput):
        brain.handle({"op": "inform", "evidence": [[SIZE * SIZE, 1.0, "xtb:formation_energy"]]})
    np.testing.assert_array_equal(maps(brain)["mean"], before["mean"])
    # What was refused is not given to the next model either, and keeps no campaign from opening.
    spec = to_json(lab.spec(scalarizer=PluginSpec("given"), is_minimizing=True))
    assert brain.handle({"op": "configure", "spec": spec})["n_observed"] == len(ROWS)
    _, news = load(lab, ROWS, evidence=[[SIZE * SIZE, 1.0, "xtb:formation_energy"]])
    assert news["n_observed"] == len(ROWS) and news["theory"] is None
