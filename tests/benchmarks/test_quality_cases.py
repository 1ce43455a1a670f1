"""Cases from outside, controls, and what the variables of the benchmark may say."""

import json

import numpy as np
import pytest

from benchmarks.arms import ARMS, arm, choose_arms, rivals
from benchmarks.cases import SHUFFLED, SIMULATED, STANDARD, CaseRef, budget_of, choose_cases, shuffled, standard_cases
from benchmarks.quality import FIRST_SEED, parse_budget, parse_seeds, plan_tasks
from benchmarks.recorded import RECORDED
from benchmarks.runs import Results, Task, digest_of_sources
from probescout.core.errors import InvalidInput, Reason
from probescout.core.geometry import pixel_of
from probescout.replay.case import recorded_case
from probescout.replay.recording import Recording
from probescout.surrogates.members.catalogue import check_members


def recording(*names, spectrum=False, attrs=None):
    rng = np.random.default_rng(5)
    cube = {"spectrum": rng.random((9, 11, 4)), "spectrum_dims": ("channel",)} if spectrum else {}
    return Recording(
        image=rng.normal(size=(9, 11)), targets={n: rng.normal(size=(9, 11)) for n in names}, attrs=attrs or {}, **cube
    )


def test_a_folder_gives_every_target_of_every_file(tmp_path):
    recording("height").save(tmp_path / "b.nc")
    recording("width", "area").save(tmp_path / "a.nc")
    named = {"scalarizer": "value_at", "params": json.dumps({"channel": 2})}
    made = recording(spectrum=True, attrs=named)
    made.save(tmp_path / "c.nc")
    (tmp_path / "notes.txt").write_text("not a case")
    found = choose_cases(str(tmp_path))
    assert [c.name for c in found] == ["a:area", "a:width", "b", "c"]
    assert not any(c.is_control for c in found)
    truth = {c.name: c.make(0).truth for c in found}
    np.testing.assert_allclose(truth["c"], made.spectrum[..., 2])
    np.testing.assert_allclose(truth["b"], recording("height").targets["height"])


@pytest.mark.parametrize(
    ("attrs", "reason"),
    [({}, Reason.FIELD_MISSING), ({"scalarizer": "value_at", "params": "channel=2"}, Reason.PARAM_INVALID)],
    ids=["nothing said", "no JSON"],
)
def test_spectra_without_a_usable_scalarizer_are_refused(tmp_path, attrs, reason):
    recording(spectrum=True, attrs=attrs).save(tmp_path / "c.nc")
    with pytest.raises(InvalidInput, match="params") as caught:
        choose_cases(str(tmp_path))
    assert caught.value.reason is reason
    assert "c.nc" in caught.value.message


def test_an_empty_folder_and_an_unknown_name_are_refused(tmp_path):
    with pytest.raises(InvalidInput, match="no file in the neutral format"):
        choose_cases(str(tmp_path))
    with pytest.raises(InvalidInput, match="neither a folder nor names"):
        choose_cases("sio2_gold")


def test_there_are_six_simulated_cases_and_two_controls():
    refs = [CaseRef(name) for name in STANDARD]
    assert sum(c.is_control for c in refs) == 2
    assert sum(c.name in SIMULATED for c in refs) == 6
    assert [c.name for c in choose_cases("lattice_0, p45_fe")] == ["lattice_0", "p45_fe"]


def test_a_shuffled_target_has_the_same_values_at_other_pixels():
    case = recorded_case(recording("t"), name="t")
    control = shuffled(case, "t_shuffled", seed=3)
    np.testing.assert_array_equal(np.sort(control.truth.ravel()), np.sort(case.truth.ravel()))
    assert np.mean(control.truth == case.truth) < 0.1
    assert not np.array_equal(control.truth, shuffled(case, "t_shuffled", seed=4).truth)
    instrument = control.open(0)
    np.testing.assert_array_equal(instrument.overview().image, case.open(0).overview().image)
    for y, x in ((0.3, 0.8), (0.99, 0.01)):
        found = instrument.measure(y, x)
        row, column = pixel_of(y, x, 9, 11)
        assert found.scalar.value == control.truth[row, column]
        assert pixel_of(found.y, found.x, 9, 11) == (row, column)


def test_a_small_case_spends_at_most_a_quarter_of_its_candidates():
    case = recorded_case(recording("t"), name="t")
    assert budget_of(case, 110) == (24, 10)
    assert budget_of(case, 14) == (14, 7)
    with pytest.raises(InvalidInput, match="at least 8 candidates"):
        budget_of(case, 1)


def test_cases_without_data_are_left_out_and_say_why(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.recorded.DATA", tmp_path)
    refs, left_out = standard_cases()
    assert [c.name for c in refs] == list(SIMULATED)
    assert set(left_out) == {*RECORDED, *SHUFFLED}
    assert all("PROBESCOUT_DATA" in why for why in left_out.values())
    assert choose_cases("") == refs
    with pytest.raises(InvalidInput, match="PROBESCOUT_DATA"):
        CaseRef("p45_fe").make(0)


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("3", [FIRST_SEED, FIRST_SEED + 1, FIRST_SEED + 2]), ("4,9", [4, 9]), ("7,", [7]), ("10-12", [10, 11, 12])],
)
def test_seeds(text, seeds):
    assert parse_seeds(text) == seeds
    assert len(parse_seeds("")) == 10


@pytest.mark.parametrize("text", ["none", "0", "-3", "1-x", ","])
def test_seeds_that_are_not_understood(text):
    with pytest.raises(InvalidInput, match="SEEDS"):
        parse_seeds(text)


def test_budget():
    assert (parse_budget(""), parse_budget("50")) == (110, 50)
    for text in ("1", "many", "-4"):
        with pytest.raises(InvalidInput, match="BUDGET"):
            parse_budget(text)


def test_arms_are_known_and_their_members_exist():
    assert choose_arms("") == list(ARMS)
    assert choose_arms("xy, random,xy") == ["xy", "random"]
    with pytest.raises(InvalidInput, match="no arm 'annealing'"):
        choose_arms("annealing")
    for name in (*ARMS, "bank_ucb", "shallow_ei"):
        check_members(arm(name).members)
    assert arm("grid").policy_params(100) == {"budget": 100}


def test_a_committee_is_measured_against_members_with_its_own_policy():
    arms = ["random", "xy", "bank", "xy_ucb", "probescout_ei", "probescout_ucb"]
    assert rivals("probescout_ei", arms) == ["xy", "bank"]
    assert rivals("probescout_ucb", arms) == ["xy_ucb"]
    assert rivals("probescout_ucb", arms[:3]) == [], "a gain of the policy is no gain of the committee"


def test_controls_have_only_the_arms_that_may_claim_a_gain():
    tasks = plan_tasks("random,xy,probescout_ei", [1, 2], "", "p45_fe,p45_fe_shuffled", with_peers=False)
    assert {t.arm for t in tasks if t.case.is_control} == {"random", "probescout_ei"}
    assert len(tasks) == 2 * 3 + 2 * 2


def test_a_result_counts_only_for_what_it_was_made_of(tmp_path):
    task = Task(CaseRef("lattice_0"), "xy", 3, 50)
    results = Results(tmp_path, sources="one")
    results.keep(task, {"rmse": 0.5})
    assert results.find(task) == {"rmse": 0.5}
    assert Results(tmp_path, sources="two").find(task) is None
    for other in (Task(CaseRef("lattice_1"), "xy", 3, 50), Task(CaseRef("lattice_0"), "xy", 4, 50)):
        assert results.find(other) is None
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("lattice_0-xy-3-50-")


def test_the_digest_of_sources_follows_every_python_file(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.runs.ROOT", tmp_path)
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "a.py").write_text("a = 1\n")
    (tmp_path / "one.py").write_text("b = 1\n")
    seen = {digest_of_sources(("room", "one.py"))}
    (tmp_path / "room" / "notes.txt").write_text("no source")
    assert digest_of_sources(("room", "one.py")) in seen
    for file in ("room/a.py", "one.py", "room/new.py"):
        (tmp_path / file).write_text("c = 2\n")
        seen.add(digest_of_sources(("room", "one.py")))
    assert len(seen) == 4
