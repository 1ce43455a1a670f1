"""Experiments with the planner as a library: what is shared, what is scored, and that the truth stays hidden."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from probescout.core.errors import InvalidInput, NotFound, Reason
from probescout.core.ports import Measurement
from probescout.core.spectra import Axis, ValueKind
from probescout.replay.case import Case, recorded_case, twin_case
from probescout.replay.experiment import Experiment, Plan, declare, initial_points, run_experiment
from probescout.replay.opening import open_campaigns
from probescout.replay.recording import Recording
from probescout.replay.session import Answer, Asked, Declaration

SIZE = 20
BAND = {"low": 2.0, "high": 4.0}
PLAN = Plan(budget=24, n_initial=6, seeds=(0,), use_deep=False)


def make_recording(seed: int = 0) -> Recording:
    """Return a recording whose band depends on the image in a way that can be learnt."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    image = np.sin(7 * y + 2) * np.cos(5 * x) + 0.3 * np.sin(19 * x * y)
    rate = np.exp(2.0 + 1.5 * image)[..., None] * np.linspace(0.5, 1.5, 8)
    return Recording(
        image=image,
        spectrum=rng.poisson(rate).astype(np.uint16),
        spectrum_dims=("channel",),
        axes=(Axis("channel", np.arange(8.0), "energy", "keV"),),
        spectrum_unit="counts",
        spectrum_kind=ValueKind.COUNTS,
        y_m=np.arange(SIZE) * 2e-9,
        x_m=np.arange(SIZE) * 2e-9,
    )


def run(case: Case, plan: Plan = PLAN, **options: Any) -> Experiment:
    with open_campaigns(in_process=True) as open_session:
        return run_experiment(case, plan, open_session, **options)


@pytest.fixture(scope="module")
def recording() -> Recording:
    return make_recording()


@pytest.fixture(scope="module")
def experiment(recording: Recording) -> Experiment:
    return run(recorded_case(recording, scalarizer="band_sum", params=BAND, name="made"), replace(PLAN, seeds=(0, 1)))


def test_the_truth_is_the_scalarizer_applied_to_every_pixel(recording: Recording) -> None:
    case = recorded_case(recording, scalarizer="band_sum", params=BAND)
    assert recording.spectrum is not None
    np.testing.assert_array_equal(case.truth, np.asarray(recording.spectrum)[..., 2:5].sum(axis=-1))
    assert (case.unit, case.n_candidates) == ("counts", SIZE * SIZE)
    assert case.params == {"axis_unit": "keV", **BAND}


def test_the_json_has_exactly_the_agreed_keys(experiment: Experiment) -> None:
    told = experiment.to_json()
    assert list(told) == ["case", "n_candidates", "budget", "arms"]
    assert (told["case"], told["n_candidates"], told["budget"]) == ("made", 400, 24)
    assert list(told["arms"]) == ["planner", "random", "grid"]
    keys = {"best_fraction", "top1_found", "top1_total", "rmse", "coverage95", "step_ms_p50", "step_ms_p99"}
    for arm in told["arms"].values():
        assert set(arm) == keys and {len(values) for values in arm.values()} == {2}


def test_arms_share_their_first_points_and_never_repeat_a_pixel(experiment: Experiment) -> None:
    for seed in (0, 1):
        paths = [r.path for r in experiment.runs if r.seed == seed]
        assert {tuple(p[:6]) for p in paths} == {tuple(paths[0][:6])}
        assert len({tuple(p) for p in paths}) == 3
        for path in paths:
            assert path.size == 24 == np.unique(path).size
    assert experiment.of("planner")[0].path[:6].tolist() != experiment.of("planner")[1].path[:6].tolist()


def test_what_was_told_is_what_was_recorded(experiment: Experiment) -> None:
    truth = experiment.case.truth.ravel()
    for r in experiment.runs:
        np.testing.assert_array_equal(r.target, truth[r.path])
        np.testing.assert_allclose(r.target_std**2, r.target, atol=1.5)
        assert r.source[:6] == ("seed_design",) * 6 and set(r.source[6:]) == {"planner"}
        assert np.isnan(r.mean_at_ask[:6]).all() and np.isfinite(r.mean_at_ask[6:]).all()
        assert np.isfinite(r.maps["mean"]).all() and (r.maps["predictive_std"] >= r.maps["std"]).all()


def test_the_planner_beats_its_baselines_on_a_learnable_case(experiment: Experiment) -> None:
    found = {arm: sum(r.scores.top1_found for r in experiment.of(arm)) for arm in experiment.plan.arms}
    assert found["planner"] > found["random"] and found["planner"] > found["grid"]
    assert all(r.scores.rmse < 1.0 for r in experiment.runs)


def altered(recording: Recording, keep: np.ndarray) -> Recording:
    """Return the recording with the spectra of all pixels shuffled and magnified, except those to keep."""
    cube = np.asarray(recording.spectrum).reshape(SIZE * SIZE, -1).copy()
    rest = np.setdiff1d(np.arange(SIZE * SIZE), keep)
    cube[rest] = np.random.default_rng(9).permutation(cube[rest]) * 50
    return replace(recording, spectrum=cube.reshape(SIZE, SIZE, -1))


@pytest.mark.parametrize("arm", ["planner", "random", "grid"])
def test_pixels_that_were_not_measured_change_nothing(recording: Recording, arm: str) -> None:
    plan = replace(PLAN, compare=() if arm == "planner" else (arm,))
    first = run(recorded_case(recording, scalarizer="band_sum", params=BAND), plan).of(arm)[0]
    other = recorded_case(altered(recording, first.path), scalarizer="band_sum", params=BAND)
    assert np.nanmax(other.truth) > 10 * first.target.max()
    again = run(other, plan).of(arm)[0]
    np.testing.assert_array_equal(again.path, first.path)
    np.testing.assert_array_equal(again.mean_at_ask, first.mean_at_ask)
    for name in first.maps:
        np.testing.assert_array_equal(again.maps[name], first.maps[name])
    assert again.scores.top1_found < first.scores.top1_found or first.scores.top1_found == 0


def test_measured_pixels_do_change_the_path(recording: Recording) -> None:
    """The test above would also pass with a planner that looks at nothing."""
    plan = replace(PLAN, compare=())
    first = run(recorded_case(recording, scalarizer="band_sum", params=BAND), plan).runs[0]
    other = recorded_case(altered(recording, first.path[8:]), scalarizer="band_sum", params=BAND)
    assert run(other, plan).runs[0].path.tolist() != first.path.tolist()


class Listening:
    """A session that keeps all it is given, and answers with positions of its own."""

    def __init__(self, declared: Declaration) -> None:
        self.declared = declared
        self.told: list[Measurement] = []

    def ask(self) -> Asked | None:
        n = len(self.told)
        at = (self.declared.initial + ((0.5, 0.5),))[n] if n <= len(self.declared.initial) else None
        return None if at is None else Asked(*at, float("nan"), float("nan"), "seed_design", None)

    def tell(self, asked: Asked, measurement: Measurement) -> None:
        self.told.append(measurement)

    def settle(self) -> Answer:
        return Answer(1.0, 1.0)

    def maps(self) -> dict[str, np.ndarray]:
        return {name: np.ones((SIZE, SIZE)) for name in ("mean", "std", "predictive_std")}

    def close(self) -> None:
        pass


def test_a_session_gets_only_settings_and_measured_spectra(recording: Recording) -> None:
    heard: list[Listening] = []

    def listen(declared: Declaration) -> Listening:
        heard.append(Listening(declared))
        return heard[-1]

    case = recorded_case(recording, scalarizer="band_sum", params=BAND)
    run_experiment(case, PLAN, listen)
    blind = replace(case, truth=np.full_like(case.truth, np.nan))
    for session, arm in zip(heard, PLAN.arms, strict=True):
        expected = declare(blind, PLAN, arm, 0, blind.open(0))
        for name in ("scalarizer", "params", "policy", "policy_params", "budget", "seed", "initial", "mask"):
            assert getattr(session.declared, name) == getattr(expected, name)
        np.testing.assert_array_equal(session.declared.image, recording.image)
        assert len(session.told) == 7
        for m in session.told:
            at = int(m.y * SIZE), int(m.x * SIZE)
            assert m.spectrum is not None
            np.testing.assert_array_equal(m.spectrum.values, np.asarray(recording.spectrum)[at])


def test_unrecorded_pixels_are_never_candidates(recording: Recording) -> None:
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    mask[3:8, 2:12] = True
    cube = np.asarray(recording.spectrum).astype(float)
    cube[3, 2:12] = np.nan
    cube[4, 3, :2] = np.nan
    case = recorded_case(replace(recording, mask=mask, spectrum=cube), scalarizer="band_sum", params=BAND)
    assert case.n_candidates == 40
    done = run(case, replace(PLAN, budget=40))
    for r in done.runs:
        assert np.isfinite(r.target).all() and case.candidates.ravel()[r.path].all()
        assert sorted(r.path) == np.flatnonzero(case.candidates).tolist()
        # Everything is measured: nothing is left to predict.
        assert np.isnan(r.scores.rmse) and r.scores.best_fraction == 1.0
    with pytest.raises(InvalidInput, match="exceeds the 40 candidates") as error:
        run(case, replace(PLAN, budget=41))
    assert error.value.field == "budget"


def test_ready_maps_are_replayed_too(recording: Recording) -> None:
    truth = np.asarray(recording.spectrum).sum(axis=-1).astype(float)
    truth[0, :5] = np.nan
    maps = replace(recording, spectrum=None, spectrum_dims=(), axes=(), targets={"height": truth, "other": truth})
    case = recorded_case(maps, target="height")
    assert (case.scalarizer, case.n_candidates) == ("given", SIZE * SIZE - 5)
    [r] = run(case, replace(PLAN, compare=())).runs
    np.testing.assert_array_equal(r.target, truth.ravel()[r.path])
    assert np.isnan(r.target_std).all()
    with pytest.raises(NotFound, match="height, other"):
        recorded_case(maps, target="width")
    with pytest.raises(InvalidInput, match="choose one as target"):
        recorded_case(maps)
    with pytest.raises(InvalidInput, match="use --target") as error:
        recorded_case(maps, scalarizer="band_sum", params=BAND)
    assert error.value.field == "scalarizer"


def test_failed_measurements_cost_budget_and_are_not_scored(recording: Recording) -> None:
    from probescout.replay.microscope import RecordedMicroscope

    case = recorded_case(recording, scalarizer="band_sum", params=BAND)
    flaky = replace(case, open=lambda seed: RecordedMicroscope(recording, failure_rate=0.3, seed=seed))
    [r] = run(flaky, replace(PLAN, compare=())).runs
    assert r.path.size == 24 and 0 < (r.path < 0).sum() < 20
    np.testing.assert_array_equal(np.isnan(r.target), r.path < 0)


def test_the_twin_is_judged_by_its_noise_free_truth() -> None:
    case = twin_case("plasmonic", size=16)
    assert not case.is_truth_noisy and case.unit == "counts"
    done = run(case, replace(PLAN, seeds=(3,), compare=("random",)))
    r = done.of("planner")[0]
    assert not np.array_equal(r.target, case.truth.ravel()[r.path])
    assert np.corrcoef(r.target, case.truth.ravel()[r.path])[0, 1] > 0.95


def test_a_run_can_be_repeated_to_the_last_digit(recording: Recording, experiment: Experiment) -> None:
    again = run(experiment.case, replace(PLAN, seeds=(1,), compare=("random",)))
    for arm in ("planner", "random"):
        first, second = experiment.of(arm)[1], again.of(arm)[0]
        np.testing.assert_array_equal(first.path, second.path)
        np.testing.assert_array_equal(first.maps["mean"], second.maps["mean"])


def test_progress_adds_up_and_a_time_limit_leaves_out_seeds(recording: Recording) -> None:
    case = recorded_case(recording, scalarizer="band_sum", params=BAND)
    seen: list[Any] = []
    plan = replace(PLAN, budget=8, seeds=(0, 1, 2), compare=("random",))
    done = run(case, plan, on_progress=seen.append, time_limit_s=0.0)
    assert done.plan.seeds == (0,) and [p.n_done for p in seen] == list(range(1, 17))
    assert {p.arm for p in seen} == {"planner", "random"} and seen[-1].n_total == 48
    assert seen[-1].planner_s > seen[0].planner_s > 0 and seen[-1].instrument_s > 0
    assert set(done.to_json()["arms"]) == {"planner", "random"}


def test_initial_points_are_different_allowed_pixels() -> None:
    mask = np.random.default_rng(1).random((9, 13)) < 0.4
    points = initial_points(mask, 20, 5)
    assert len(set(points)) == 20 and points == initial_points(mask, 20, 5) != initial_points(mask, 20, 6)
    assert all(mask[int(y * 9), int(x * 13)] for y, x in points)


@pytest.mark.parametrize(
    ("wrong", "field", "words"),
    [
        ({"compare": ("randon",)}, "compare", "did you mean 'random'"),
        ({"n_initial": 0}, "n_initial", "give 1 to"),
        ({"n_initial": 200}, "n_initial", "give 1 to"),
        ({"seeds": ()}, "seeds", "at least one"),
    ],
)
def test_impossible_plans_are_refused(wrong: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as error:
        Plan(**wrong)
    assert error.value.field == field


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"scalarizer": "band_som"}, Reason.PLUGIN_UNKNOWN),
        ({"scalarizer": "band_sum", "params": {"lo": 1}}, Reason.PARAM_INVALID),
        ({"scalarizer": "band_sum", "params": {"low": 90.0, "high": 99.0}}, Reason.PARAM_INVALID),
        ({"scalarizer": "band_sum", "params": BAND, "target": "a"}, Reason.FIELD_INVALID),
        ({}, Reason.FIELD_MISSING),
        ({"target": "a"}, Reason.FIELD_MISSING),
    ],
)
def test_cases_that_cannot_be_scored_are_refused(
    recording: Recording, arguments: dict[str, Any], reason: Reason
) -> None:
    with pytest.raises((InvalidInput, NotFound)) as error:
        recorded_case(recording, **arguments)
    assert error.value.reason is reason
