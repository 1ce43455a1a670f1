"""A campaign as an optimizer of bluesky-adaptive: its plans on a real RunEngine, against a real server."""

import asyncio
import threading

import numpy as np
import probescout_client as ps
import pytest
from probescout_client.bluesky import CampaignOptimizer
from probescout_client.motors import Motor, OutcomeKeys
from probescout_client.wire.v1 import probescout_pb2 as pb

pytestmark = pytest.mark.parametrize("server", ["served"], indirect=True)
Y, X = Motor("stage_y", 5.0, -5.0), Motor("stage_x", 0.0, 20.0)


@pytest.fixture
def optimizer(server, image, campaign):
    """An optimizer of a campaign of twelve probes."""
    with server.connect() as planner:
        run = planner.start(image, campaign=campaign, scalarizer="given", deep=False, n_initial=4, budget=12)
        yield CampaignOptimizer(run, Y, X)


def truth(suggestion):
    return Y.fraction(suggestion["stage_y"]) + 10 * X.fraction(suggestion["stage_x"])


def outcomes(suggestions):
    return [{"_id": s["_id"], "value": truth(s), "variance": 0.01} for s in suggestions]


def test_two_batches_are_different_and_each_outcome_counts_once(optimizer):
    first, second = optimizer.suggest(2), optimizer.suggest(2)
    assert len({s["_id"] for s in first + second}) == len({(s["stage_y"], s["stage_x"]) for s in first + second}) == 4
    assert optimizer.report()["n_pending"] == 4
    optimizer.ingest(outcomes(second))
    optimizer.ingest(outcomes(first + second))
    kept = list(optimizer.run.observations())
    assert sorted(o.suggestion for o in kept) == sorted(s["_id"] for s in first + second)
    for o in kept:
        assert o.value == pytest.approx(o.measured_at.y + 10 * o.measured_at.x)
    [(name, where, what)] = optimizer.get_best_points()
    assert what["value"] == max(o.value for o in kept) == pytest.approx(truth(where))
    assert optimizer.report()["best"][0]["_id"] == name


def test_a_failed_plan_frees_its_points_and_late_data_are_not_lost(optimizer):
    taken = optimizer.suggest(2)
    optimizer.register_failures(taken)
    optimizer.register_failures(taken)
    kept = list(optimizer.run.observations())
    assert [o.status for o in kept] == [pb.OBSERVATION_STATUS_FAILED] * 2
    assert optimizer.report()["n_pending"] == 1, "the next point, leased with the answer"
    optimizer.ingest(outcomes(taken[:1]))
    optimizer.ingest(outcomes(taken[:1]))
    [late] = [o for o in optimizer.run.observations() if o.status == pb.OBSERVATION_STATUS_COMPLETE]
    assert late.suggestion == "" and late.value == pytest.approx(truth(taken[0]))


def test_an_outcome_says_where_it_was_and_may_have_failed(optimizer):
    good, bad = optimizer.suggest(2)
    moved = {"_id": good["_id"], "value": 1.0, "stage_y": 0.0, "stage_x": 5.0, "dwell_s": 0.5, "temperature": 300.0}
    optimizer.ingest([moved, {"_id": bad["_id"], "value": float("nan"), "variance": 0.1}])
    kept = {o.suggestion: o for o in optimizer.run.observations()}
    at = kept[good["_id"]].measured_at
    assert (at.y, at.x, kept[good["_id"]].dwell_s) == (0.5, 0.25, 0.5)
    assert kept[bad["_id"]].status == pb.OBSERVATION_STATUS_FAILED


def test_an_incomplete_batch_hands_in_nothing(optimizer):
    good, bad = optimizer.suggest(2)
    with pytest.raises(ps.InvalidInput, match="neither 'spectrum' nor 'value'"):
        optimizer.ingest(outcomes([good]) + [{"_id": bad["_id"]}])
    with pytest.raises(ps.InvalidInput, match="give stage_y and stage_x"):
        optimizer.ingest(outcomes([good]) + [{"_id": "baseline", "value": 1.0}])
    assert optimizer.report()["n_observations"] == 0
    assert (Y.position(0.0), Y.position(0.25), Y.fraction(-5.0)) == (5.0, 2.5, 1.0)
    with pytest.raises(ps.InvalidInput, match="span no frame"):
        CampaignOptimizer(optimizer.run, Y, Motor("stage_x", 1.0, 1.0))


def test_points_of_a_person_obey_the_limits(server, image, campaign):
    with server.connect() as planner:
        run = planner.start(image, campaign=campaign, scalarizer="given", deep=False, border=0.1)
        optimizer = CampaignOptimizer(run, Y, X)
        with pytest.raises(ps.SafetyError):
            optimizer.register_suggestions([{"stage_y": 4.9, "stage_x": 10.0}])
        [mine] = optimizer.register_suggestions([{"stage_y": 0.0, "stage_x": 10.0}])
        optimizer.ingest([{"_id": mine["_id"], "value": 3.0}])
        [kept] = run.observations()
        assert (kept.suggestion, kept.measured_at.y, kept.measured_at.x) == ("", 0.5, 0.5)


def test_raw_spectra_are_handed_in(server, image, campaign):
    energy = np.linspace(0.0, 10.0, 16)
    with server.connect() as planner:
        run = planner.start(image, campaign=campaign, scalarizer="band_sum", params={"low": 0.0, "high": 5.0})
        keys = OutcomeKeys(spectrum="detector")
        optimizer = CampaignOptimizer(run, Y, X, keys, axis=(energy, "eV"), unit="counts", counts=True)
        [taken] = optimizer.suggest()
        optimizer.ingest([{"_id": taken["_id"], "detector": np.arange(16, dtype="uint16")}])
        [kept] = run.observations(with_spectra=True)
        assert np.array_equal(np.asarray(run.spectrum(kept)), np.arange(16)) and kept.axes[0].unit == "eV"


def test_a_process_that_died_before_it_could_ingest_loses_nothing(server, image, campaign):
    with server.connect(client_id="beamline") as planner:
        run = planner.start(image, campaign=campaign, scalarizer="given", deep=False)
        dead = CampaignOptimizer(run, Y, X)
        taken = dead.suggest(2)
        dead.ingest(outcomes(taken[:1]))
        again = CampaignOptimizer(planner.resume(campaign), Y, X)
        again.ingest(outcomes(taken))
        assert sorted(o.suggestion for o in run.observations()) == sorted(s["_id"] for s in taken)
        with pytest.raises(ps.InvalidInput, match="no suggestion"):
            again.ingest([{"_id": run.name + "/suggestions/s999", "value": 1.0}])


@pytest.mark.parametrize("is_restarted", [False, True])
def test_an_ingest_that_was_interrupted_is_repeated_without_harm(server, image, campaign, monkeypatch, is_restarted):
    with server.connect(client_id="beamline") as planner:
        run = planner.start(image, campaign=campaign, scalarizer="given", deep=False)
        optimizer = CampaignOptimizer(run, Y, X)
        [late, taken] = optimizer.suggest(2)
        [manual] = optimizer.register_suggestions([{"stage_y": 1.0, "stage_x": 2.0}])
        optimizer.register_failures([late])
        handed = outcomes([late, taken]) + [dict(manual, value=4.0)]
        tell = run.tell

        def tell_and_be_interrupted(*args, **kwargs):
            tell(*args, **kwargs)
            raise KeyboardInterrupt

        monkeypatch.setattr(run, "tell", tell_and_be_interrupted)
        for outcome in handed:
            with pytest.raises(KeyboardInterrupt):
                optimizer.ingest([outcome])
        monkeypatch.undo()
        if is_restarted:
            optimizer = CampaignOptimizer(planner.resume(campaign), Y, X)
        optimizer.ingest(handed)
        optimizer.ingest(handed)
        kept = [o for o in run.observations() if o.status == pb.OBSERVATION_STATUS_COMPLETE]
        assert sorted(o.suggestion for o in kept) == ["", "", taken["_id"]]
        assert len(list(run.observations())) == 4, "with the attempt that failed"


@pytest.mark.parametrize("name", ["manual-1", "manual-", "baseline"])
def test_ids_that_others_gave_may_come_again_with_other_measurements(server, image, campaign, name):
    with server.connect(client_id="beamline") as planner:
        run = planner.start(image, campaign=campaign, scalarizer="given", deep=False)
        for value, optimizer in enumerate([CampaignOptimizer(run, Y, X)] * 2 + [CampaignOptimizer(run, Y, X)]):
            optimizer.ingest([{"_id": name, "stage_y": 1.0, "stage_x": float(value), "value": float(value)}])
        assert sorted(o.value for o in run.observations()) == [0.0, 1.0, 2.0]


def test_a_stopped_campaign_gives_no_more_points(optimizer):
    taken = optimizer.suggest(2)
    assert optimizer.should_stop() == (False, None)
    optimizer.run.stop("enough")
    assert optimizer.should_stop() == (True, "enough")
    with pytest.raises(ps.WrongState, match="gives no more points: enough"):
        optimizer.suggest()
    optimizer.ingest(outcomes(taken))
    assert optimizer.report()["n_observations"] == 2 and optimizer.report()["n_pending"] == 0


def test_closing_ends_the_wait_of_a_paused_campaign(optimizer):
    optimizer.run.pause("lunch", immediate=True)
    ended = []
    waiting = threading.Thread(target=lambda: ended.append(optimizer.should_stop()))
    waiting.start()
    assert waiting.is_alive() and not ended
    optimizer.close()
    waiting.join(20.0)
    assert ended and ended[0][0] is True


# ---------------------------------------------------------------- the plans of bluesky-adaptive


class Stage:
    """A motor in memory, as bluesky takes it."""

    parent = None

    def __init__(self, name):
        self.name, self.at = name, 0.0

    def set(self, value):
        from bluesky.protocols import Status

        self.at = float(value)
        done = Done()
        assert isinstance(done, Status)
        return done

    def read(self):
        return {self.name: {"value": self.at, "timestamp": 0.0}}

    def describe(self):
        return {self.name: {"source": "memory", "dtype": "number", "shape": []}}

    def read_configuration(self):
        return {}

    def describe_configuration(self):
        return {}


class Done:
    """A move that has ended."""

    done, success = True, True

    def add_callback(self, callback):
        callback(self)

    def exception(self, timeout=0.0):
        return None


class Detector(Stage):
    """Reads the truth where the stages are; may call somebody in the middle of a measurement."""

    def __init__(self, y, x):
        super().__init__("detector")
        self.stages, self.n_read, self.on_read = (y, x), 0, lambda n: None

    def read(self):
        self.n_read += 1
        self.on_read(self.n_read)
        y, x = self.stages
        return {self.name: {"value": truth({"stage_y": y.at, "stage_x": x.at}), "timestamp": 0.0}}


class Evaluation:
    """Keeps the documents of a run, and finds the outcomes in them."""

    def __init__(self):
        self.orders, self.events, self.runs = {}, {}, {}

    def receive(self, name, doc):
        if name == "start" and "blop_acquisition_order" in doc:
            self.orders[doc["uid"]], self.events[doc["uid"]] = doc["blop_acquisition_order"], []
        elif name == "descriptor":
            self.runs[doc["uid"]] = doc["run_start"]
        elif name == "event" and self.runs[doc["descriptor"]] in self.events:
            self.events[self.runs[doc["descriptor"]]].append(doc["data"])

    def __call__(self, uid, suggestions):
        rows = zip(self.orders[uid], self.events[uid], strict=True)
        return [{"_id": name, "value": row["detector"], "variance": 0.01} for name, row in rows]


@pytest.fixture
def beamline(optimizer):
    """A RunEngine with two stages and a detector, and the problem to solve with them."""
    pytest.importorskip("bluesky_adaptive.protocols")
    from bluesky.run_engine import RunEngine
    from bluesky_adaptive.protocols import OptimizationProblem

    loop, others = asyncio.new_event_loop(), set(threading.enumerate())
    engine = RunEngine({}, loop=loop, context_managers=[])
    [thread] = [t for t in threading.enumerate() if t not in others and t.name == "bluesky-run-engine"]
    evaluation = Evaluation()
    engine.subscribe(evaluation.receive)
    stages = [Stage("stage_y"), Stage("stage_x")]
    detector = Detector(*stages)
    yield engine, OptimizationProblem(optimizer, stages, [detector], evaluation), detector
    loop.call_soon_threadsafe(loop.stop)
    thread.join(20.0)
    loop.close()


def test_it_is_what_bluesky_adaptive_asks_for(optimizer):
    protocols = pytest.importorskip("bluesky_adaptive.protocols")
    for name in (
        "Optimizer",
        "CanRegisterSuggestions",
        "TrialFaultAware",
        "SupportsStoppingCriteria",
        "Checkpointable",
    ):
        assert isinstance(optimizer, getattr(protocols, name)), name


def test_a_plan_runs_until_the_budget_is_spent(beamline):
    from bluesky_adaptive.plans import optimize

    engine, problem, detector = beamline
    engine(optimize(problem, iterations=None, n_points=2, checkpoint_interval=2))
    optimizer = problem.optimizer
    kept = list(optimizer.run.observations())
    assert detector.n_read == len(kept) == len({o.suggestion for o in kept}) == 12
    for o in kept:
        assert o.value == pytest.approx(o.measured_at.y + 10 * o.measured_at.x)
    assert optimizer.run.stop_report.cause == "budget_probes" and optimizer.report()["n_pending"] == 0


def test_points_of_a_person_are_sampled(beamline):
    from bluesky_adaptive.plans import sample_suggestions

    engine, problem, _ = beamline
    engine(sample_suggestions(problem, [{"stage_y": 0.0, "stage_x": 5.0}]))
    [kept] = problem.optimizer.run.observations()
    assert (kept.suggestion, kept.measured_at.y, kept.measured_at.x, kept.value) == ("", 0.5, 0.25, 3.0)


def test_a_run_engine_that_aborts_in_the_middle_loses_and_doubles_nothing(beamline):
    from bluesky.utils import RequestAbort
    from bluesky_adaptive.plans import optimize

    engine, problem, detector = beamline
    optimizer = problem.optimizer

    def abort(n):
        if n == 4:
            raise RequestAbort

    detector.on_read = abort
    engine(optimize(problem, iterations=6, n_points=2))
    assert engine.state == "idle" and detector.n_read == 4
    status = [o.status for o in optimizer.run.observations()]
    assert status.count(pb.OBSERVATION_STATUS_COMPLETE) == 2 and status.count(pb.OBSERVATION_STATUS_FAILED) == 2
    assert optimizer.report()["n_pending"] <= 1, "the next point, leased with the last answer"
    engine(optimize(problem, iterations=None, n_points=1))
    kept = [o.suggestion for o in optimizer.run.observations()]
    assert len(kept) == len(set(kept)) == 12 and optimizer.report()["n_pending"] == 0


def test_an_aborted_campaign_ends_the_plan(server, image, campaign, beamline):
    from bluesky_adaptive.plans import optimize

    engine, problem, detector = beamline
    optimizer = problem.optimizer
    detector.on_read = lambda n: optimizer.run.abort("the sample drifts away") if n == 3 else None
    engine(optimize(problem, iterations=6))
    assert detector.n_read == 3
    assert optimizer.should_stop() == (True, "the sample drifts away")
