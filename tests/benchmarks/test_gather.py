"""How finished runs become the one JSON object."""

import json

import pytest

from benchmarks.cases import CaseRef
from benchmarks.gather import summary
from benchmarks.peers.results import result_path
from benchmarks.quality_page import quality_page
from benchmarks.runs import Results, Task


def result(hits, rmse, coverage=0.95):
    return {
        "top1_found": hits,
        "top1_total": 20,
        "rmse": rmse,
        "coverage95": coverage,
        "seconds": 1.0,
        "budget": 110,
        "points_to_95": None,
        "top_curve": [0, hits],
    }


@pytest.fixture
def finished(tmp_path):
    """Two cases and a control by three arms on seeds 20 and 21; seed 22 is there for one case only."""
    results = Results(tmp_path / "runs", sources="test")
    hits = {"random": 1, "xy": 6, "probescout_ei": 9}
    rmse = {"random": 0.8, "xy": 0.5, "probescout_ei": 0.6}
    tasks = []
    for name in ("bfo_current", "p45_fe", "p45_fe_shuffled"):
        for arm in hits:
            for seed in (20, 21):
                task = Task(CaseRef(name), arm, seed, 110)
                results.keep(task, result(hits[arm] + seed - 20, rmse[arm] + 0.1 * (seed - 20)))
                tasks.append(task)
    return tasks, results


def told(finished, folder, **more):
    tasks, results = finished
    return summary(tasks, results, [], [20, 21], with_peers=True, peers_folder=folder, **more)


def test_means_ranks_and_verdicts(finished, tmp_path):
    found = told(finished, tmp_path)
    assert set(found["cases"]) == {"bfo_current", "p45_fe"}
    row = found["cases"]["p45_fe"]["probescout_ei"]
    assert row["top1_found"] == [9, 10]
    assert row["rmse"] == pytest.approx(0.65)
    assert row["seeds"] == [20, 21]
    assert found["mean_rank"] == {"probescout_ei": 1.0, "xy": 2.0, "random": 3.0}
    assert found["mean_rank_rmse"] == {"xy": 1.0, "probescout_ei": 2.0, "random": 3.0}
    verdict = found["verdicts"]["p45_fe"]["probescout_ei"]
    assert (verdict["best_member"], verdict["hits_difference"], verdict["is_no_loss"]) == ("xy", 3.0, True)
    assert verdict["is_rmse_good"] is False
    assert found["overall"]["probescout_ei"]["is_top1_above"] is True
    assert found["overall"]["probescout_ei"]["is_rmse_at_most"] is False
    control = found["controls"]["p45_fe_shuffled"]["probescout_ei"]["gain_over_random"]
    assert control == {"mean": 8.0, "interval95": [8.0, 8.0]}
    assert found["peers"] is None
    json.dumps(found, allow_nan=False)


def test_a_seed_that_an_arm_has_not_finished_is_left_out_for_all(finished, tmp_path):
    tasks, results = finished
    more = Task(CaseRef("p45_fe"), "xy", 22, 110)
    results.keep(more, result(100, 0.1))
    found = summary([*tasks, more], results, [], [20, 21, 22], with_peers=False)
    assert found["cases"]["p45_fe"]["xy"]["top1_found"] == [6, 7]


def test_an_arm_without_runs_on_a_case_keeps_that_case_out_of_means(finished, tmp_path):
    tasks, results = finished
    kept = [t for t in tasks if (t.case.name, t.arm) != ("p45_fe", "xy")]
    found = summary(
        kept, results, [{"case": "p45_fe", "arm": "xy", "seed": 20, "error": "no"}], [20, 21], with_peers=False
    )
    assert set(found["verdicts"]) == {"bfo_current"}
    assert "p45_fe" in found["cases"]
    assert found["failures"][0]["error"] == "no"


@pytest.mark.parametrize("spoilt", [{"rmse": float("nan")}, {"top1_total": 400, "n_candidates": 2500}])
def test_a_map_without_a_largest_percent_is_shown_and_not_averaged(finished, spoilt):
    tasks, results = finished
    for arm in ("random", "xy", "probescout_ei"):
        for seed in (20, 21):
            task = Task(CaseRef("sio2_o"), arm, seed, 110)
            results.keep(task, {**result(5, 0.5), **spoilt})
            tasks = [*tasks, task]
    found = summary(tasks, results, [], [20, 21], with_peers=False)
    assert "sio2_o" in found["cases"] and set(found["verdicts"]) == {"bfo_current", "p45_fe"}
    assert set(found["not_averaged"]) == {"sio2_o"}
    page = quality_page({**found, "machine": {"cpus": 2, "python": "3.11", "system": "Linux"}})
    assert "take no part in means and ranks" in page


def test_peers_stand_beside_us_on_shared_seeds(finished, tmp_path):
    for peer, case, seed, hits, rmse in (
        ("atomai", "bfo_current", 20, 4, 0.55),
        ("atomai", "bfo_current", 21, 20, 0.55),
        ("atomai", "p45_fe", 20, 3, 0.9),
        ("gpax", "bfo_current", 20, 0, 0.7),
    ):
        path = result_path(peer, case, seed, 110, tmp_path)
        path.write_text(json.dumps({"peer": peer, "case": case, "seed": seed, **result(hits, rmse)}))
    found = told(finished, tmp_path)["peers"]
    assert found["cases"]["bfo_current"]["atomai"]["top1_found"] == [4]
    assert found["cases"]["bfo_current"]["probescout_ei"]["top1_found"] == [9]
    assert "xy" not in found["cases"]["bfo_current"]
    done = {"atomai on bfo_current, seed 20", "atomai on bfo_current, seed 21", "atomai on p45_fe, seed 20",
            "gpax on bfo_current, seed 20"}  # fmt: skip
    every = {f"{who} on {c}, seed {s}" for who in ("atomai", "gpax", "gpcam") for c in ("bfo_current", "p45_fe")
             for s in (20, 21)}  # fmt: skip
    assert set(found["missing"]) == every - done
    assert found["mean_rank"] == {"probescout_ei": 1.0, "atomai": 2.0, "random": 3.0, "gpax": 4.0}
    assert found["among_peers"]["probescout_ei"]["mean_rank_rmse"] == {"atomai": 1.0, "probescout_ei": 2.0, "gpax": 3.0}


def test_the_page_names_what_falls_short(finished, tmp_path):
    found = {**told(finished, tmp_path), "machine": {"cpus": 2, "python": "3.11", "system": "Linux"}}
    page = quality_page(found)
    assert "- `probescout_ei` has a larger error than the best fixed member on average." in page
    assert "- `p45_fe`, `probescout_ei`: the error is 1.18 times that of the best member." in page
    assert "finds no more" not in page
    assert "| p45_fe | SEM-EDS Fe counts |" in page
    assert "Left out, or without results" in page
