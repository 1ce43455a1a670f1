"""Simulations from a script, against the honest server; the real one is asked in tests/service."""

import grpc
import numpy as np
import probescout_client as ps
import pytest
from honest_theory import end
from probescout_client.wire.v1 import probescout_pb2 as pb

PLAN = ps.TheoryPlan("xtb", "energy", {"charge": 0}, window_m=1e-9, automatic=False)


@pytest.fixture
def run(fake, image, campaign):
    with fake.connect() as planner:
        yield planner.start(image, campaign=campaign, scalarizer="given", deep=False, theory=PLAN)


def test_the_plan_is_declared(run, honest, campaign):
    told = honest.state.campaigns["campaigns/" + campaign].spec.theory
    assert (told.engine, told.quantity, told.settings_json, told.window_m) == ("xtb", "energy", '{"charge": 0}', 1e-9)
    assert told.is_automatic_disabled and told.max_attempts == 0


def test_submitted_ended_taken_back_and_applied(run, honest):
    job = run.theory.submit((0.25, 0.75), reason="a bright spot", job="spot")
    assert (job.name, job.state, job.engine) == (run.name + "/theoryJobs/spot", "queued", "xtb")
    assert job.position == (0.25, 0.75) and job.reason == "a bright spot"
    assert job.is_applied is None and not job.is_ended
    end(honest.state, job.name, energy=-3.5)
    [done] = run.theory.jobs("succeeded")
    assert done.is_ended and done.is_applied and done.settings == {"charge": 0}
    assert done.results["energy"].value == -3.5 and done.results["energy"].unit == "eV"
    assert run.theory.retract(done.name, "wrong charge").is_applied is False
    assert run.theory.apply(done.name).is_applied is True
    with pytest.raises(ps.WrongState):
        run.theory.cancel(done.name)


def test_structures_and_patches_of_ones_own(run, honest):
    run.theory.submit(
        structure={"symbols": ["C"], "positions": np.zeros((1, 3))}, engine="lammps", settings={"steps": 5}
    )
    run.theory.submit((0.5, 0.5), patch=np.ones((200, 200), np.float32), pixel_size=(20, "pm"))
    first, second = honest.state.jobs.values()
    assert first.structure_json == '{"positions": [[0.0, 0.0, 0.0]], "symbols": ["C"]}'
    assert (first.engine, first.settings_json) == ("lammps", '{"steps": 5}') and not first.HasField("position")
    assert second.patch.blob and not second.patch.data and list(second.patch.shape) == [200, 200]
    assert (second.pixel_size.value, second.pixel_size.unit) == (20.0, "pm")


def test_listed_page_by_page_and_vetoed(run):
    names = [run.theory.submit((0.1, 0.1)).name for _ in range(5)]
    assert [job.name for job in run.theory.jobs(page_size=2)] == names
    gone = run.theory.cancel(names[1], "not that one")
    assert (gone.state, gone.message) == ("cancelled", "not that one")
    assert [job.name for job in run.theory.jobs("cancelled")] == names[1:2]


def test_a_lost_reply_submits_once(run, honest):
    honest.state.faults.append(("SubmitTheoryJob", "after", grpc.StatusCode.UNAVAILABLE))
    run.theory.submit((0.1, 0.1))
    assert len(list(run.theory.jobs())) == 1 and honest.count("SubmitTheoryJob") == 2


def test_what_is_wrong_is_said_at_once(run):
    with pytest.raises(ps.InvalidInput) as caught:
        run.theory.submit((0.1, 0.1), settings={"charge": 1})
    assert caught.value.field == "engine"
    with pytest.raises(ps.InvalidInput, match="queued, running, succeeded"):
        list(run.theory.jobs("done"))
    with pytest.raises(ps.NotFound) as missing:
        run.theory.retract(run.name + "/theoryJobs/none", "why")
    assert missing.value.reason == "JOB_NOT_FOUND"


def test_a_campaign_without_theory_declares_none(fake, honest, image, campaign):
    with fake.connect() as planner:
        run = planner.start(image, campaign=campaign, scalarizer="given", deep=False)
        assert not honest.state.campaigns["campaigns/" + campaign].spec.HasField("theory")
        with pytest.raises(ps.InvalidInput):
            run.theory.submit((0.1, 0.1))


def test_what_simulations_do_comes_with_the_points(run, honest):
    assert run.theory.influence is None
    slope = pb.TheorySlope(engine="xtb:energy", slope=-2.0, slope_std=0.5, noise_std=0.1)
    honest.state.influence = pb.TheoryInfluence(weight=0.5, skill=0.2, n_results=7, slopes=[slope])
    next(iter(run))
    told = run.theory.influence
    assert (told.weight, told.skill, told.n_results) == (0.5, 0.2, 7) and told.slopes == {"xtb:energy": (-2.0, 0.5)}
