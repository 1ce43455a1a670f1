"""Further objectives, stop advice and motion over a real socket, and through a restart."""

from __future__ import annotations

import json
import shutil
from typing import Any

import grpc
import numpy as np
import probescout_client as ps
import pytest
from probescout_client.wire.v1 import probescout_pb2 as pb

SECOND = pb.Objective(scalarizer=pb.ScalarizerSpec(name="band_sum", params_json='{"high": 2.0, "low": 0.0}'))
THIRD = pb.Objective(
    scalarizer=pb.ScalarizerSpec(name="peak_position", params_json='{"high": 9.0, "low": 0.0}'), is_minimizing=True
)


def measure(server: Any, wire: Any, name: str, n: int) -> pb.StepReply:
    s = server.suggest(name).suggestions[0]
    for i in range(n):
        o = wire.observation(name, f"o{i}", s, seed=i)
        reply = server.call("Step", pb.StepRequest(request_id=wire.new_id(), campaign=name, observation=o))
        s = reply.suggestions[0]
    return reply


def listed(server: Any, name: str) -> list[pb.Observation]:
    return list(server.call("ListObservations", pb.ListObservationsRequest(campaign=name)).observations)


def front(server: Any, name: str) -> pb.GetParetoFrontReply:
    return server.call("GetParetoFront", pb.GetParetoFrontRequest(campaign=name))


def next_points(server: Any, name: str) -> list[tuple[int, str]]:
    """Return what would come next once no fit is under way, which would move the model between two looks."""
    server.call("GetMaps", pb.GetMapsRequest(campaign=name))  # waits until the model is loaded
    version, shown = -1, None
    while shown is None or version != shown.version.model_version:
        version = server.call("GetCampaign", pb.GetCampaignRequest(name=name)).version.model_version
        shown = server.call("Preview", pb.PreviewRequest(campaign=name, count=3))
    assert not shown.degraded_reasons
    return [(p.candidate, p.policy) for p in shown.suggestions]


def refusal(call: Any) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    trailer = dict(caught.value.trailing_metadata() or ())["grpc-status-details-bin"]
    found = {d.type_url.rpartition(".")[2]: d.value for d in pb.RichStatus.FromString(trailer).details}
    field = pb.BadRequest.FromString(found["BadRequest"]).field_violations[0].field
    return pb.ErrorInfo.FromString(found["ErrorInfo"]).reason, field


def test_every_target_is_scored_planned_for_and_kept(make_server: Any, wire: Any) -> None:
    server = make_server()
    rules = [pb.StopRule(name="expected_regret", bound=1e9), pb.StopRule(name="gain_per_second", bound=0.0)]
    name = server.campaign(
        "several",
        size=24,
        policy=pb.PolicySpec(name="pareto"),
        objectives=[SECOND, THIRD],
        stop_rules=rules,
        motion=pb.MotionCost(settle_s=0.5, dwell_s=0.1, diagonals_per_s=0.2),
    )
    reply = measure(server, wire, name, 22)
    assert [(a.rule, a.unit) for a in reply.advice] == [
        ("expected_regret", "counts"),
        ("gain_per_second", "counts/s"),
    ]
    assert reply.advice[0].is_met and not reply.advice[1].is_met and all(a.message for a in reply.advice)
    assert reply.suggestions[0].policy == "pareto"
    for o in listed(server, name):
        assert [f.scalarizer for f in o.further] == ["band_sum", "peak_position"]
        assert all(f.has_value for f in o.further) and o.further[0].value <= o.target
        assert (o.further[0].unit, o.further[1].unit) == ("counts", "eV")
    found = front(server, name)
    assert found.n_compared == 22
    values = {o.name: (o.target, o.further[0].value, -o.further[1].value) for o in listed(server, name)}
    best = {
        a for a, v in values.items()
        if not any(all(w[i] >= v[i] for i in range(3)) and w != v for w in values.values())
    }  # fmt: skip
    assert {o.name for o in found.observations} == best
    assert [o.target for o in found.observations] == sorted((o.target for o in found.observations), reverse=True)
    fitted = set()
    for event in server.planner.WatchEvents(
        pb.WatchEventsRequest(campaign=name), metadata=server.metadata, timeout=60
    ):  # fmt: skip
        if event.kind == "ModelSwapped":
            fitted.add(json.loads(event.payload_json)["objective"])
        elif event.kind == "Leased":
            advice = json.loads(event.payload_json)["advice"]
        if fitted == {0, 1, 2}:
            break
    assert [a["rule"] for a in advice] == ["expected_regret", "gain_per_second"], "the journal keeps the evidence"
    asked = pb.ProposePointsRequest(request_id=wire.new_id(), campaign=name, positions=[pb.Position(y=0.01, x=0.99)])
    server.call("ProposePoints", asked)
    shown = next_points(server, name)
    assert shown[0] == (23, "") and [policy for _, policy in shown[1:]] == ["pareto"] * 2
    server.kill()
    server = make_server()
    assert next_points(server, name) == shown, "the next points are the same after a kill"
    server.kill()
    [saved] = server.data.glob("campaigns/*/snapshots")
    shutil.rmtree(saved)
    server = make_server()
    assert next_points(server, name) == shown, "from the journal alone, too"
    assert front(server, name).observations == found.observations
    spec = server.call("GetCampaign", pb.GetCampaignRequest(name=name)).spec
    assert list(spec.objectives) == [SECOND, THIRD] and list(spec.stop_rules) == rules and spec.motion.settle_s == 0.5


def test_a_target_that_fails_leaves_the_others_alone(server: Any, wire: Any) -> None:
    outside = pb.Objective(scalarizer=pb.ScalarizerSpec(name="band_sum", params_json='{"low": 90.0, "high": 99.0}'))
    name = server.campaign("failing", objectives=[outside, SECOND])
    measure(server, wire, name, 4)
    for o in listed(server, name):
        assert o.score_state == pb.SCORE_STATE_SCORED and o.target > 0
        assert [f.has_value for f in o.further] == [False, True] and "90" in o.further[0].message
    assert front(server, name).n_compared == 0, "none has all targets"
    alone = server.campaign("alone")
    measure(server, wire, alone, 4)
    [best] = {o.target for o in front(server, alone).observations}
    assert best == max(o.target for o in listed(server, alone)), "the front of one target is its best"


@pytest.mark.parametrize(
    ("spec", "reason", "field"),
    [
        ({"objectives": [pb.Objective()]}, "FIELD_MISSING", "spec.objectives[0].scalarizer.name"),
        (
            {"objectives": [SECOND, pb.Objective(scalarizer=pb.ScalarizerSpec(name="given"))]},
            "FIELD_INVALID",
            "spec.objectives[1].scalarizer.name",
        ),
        (
            {"objectives": [pb.Objective(scalarizer=pb.ScalarizerSpec(name="band_som"))]},
            "PLUGIN_UNKNOWN",
            "spec.objectives[0].scalarizer.name",
        ),
        (
            {"objectives": [SECOND, pb.Objective(scalarizer=pb.ScalarizerSpec(name="center_of_mass"))]},
            "FIELD_INVALID",
            "spec.objectives[1].scalarizer",
        ),
        ({"objectives": [SECOND] * 6}, "FIELD_INVALID", "spec.objectives"),
        (
            {"objectives": [SECOND], "policy": pb.PolicySpec(name="pareto", params_json='{"reference": [0.0]}')},
            "PARAM_INVALID",
            "spec.policy.params.reference",
        ),
        ({"motion": pb.MotionCost(settle_s=1e308)}, "FIELD_INVALID", "spec.motion.settle_s"),
        ({"stop_rules": [pb.StopRule(name="when_bored", bound=1.0)]}, "FIELD_INVALID", "spec.stop_rules[0].name"),
        ({"stop_rules": [pb.StopRule(name="map_error", bound=-1.0)]}, "FIELD_INVALID", "spec.stop_rules[0].bound"),
        ({"motion": pb.MotionCost(dwell_s=float("nan"))}, "FIELD_INVALID", "spec.motion.dwell_s"),
    ],
)
def test_what_can_never_work_is_refused(server: Any, spec: dict[str, Any], reason: str, field: str) -> None:
    assert refusal(lambda: server.campaign("never", **spec)) == (reason, field)


def test_objectives_are_fixed_and_stop_rules_are_not(server: Any, wire: Any) -> None:
    name = server.campaign("fixed", stop_rules=[pb.StopRule(name="map_error", bound=0.1)])
    now = server.call("GetCampaign", pb.GetCampaignRequest(name=name))
    request = pb.UpdateCampaignRequest(
        request_id=wire.new_id(), name=name, spec=pb.CampaignSpec(objectives=[SECOND]), update_mask=["objectives"],
        etag=now.etag,
    )  # fmt: skip
    assert refusal(lambda: server.call("UpdateCampaign", request)) == ("FIELD_INVALID", "update_mask[0]")
    request = pb.UpdateCampaignRequest(
        request_id=wire.new_id(), name=name, spec=pb.CampaignSpec(stop_rules=[pb.StopRule(name="?", bound=1.0)]),
        update_mask=["stop_rules"], etag=now.etag,
    )  # fmt: skip
    assert refusal(lambda: server.call("UpdateCampaign", request)) == ("FIELD_INVALID", "spec.stop_rules[0].name")
    del request.spec.stop_rules[:]
    request.request_id = wire.new_id()
    server.call("UpdateCampaign", request)
    assert not measure(server, wire, name, 6).advice


def test_the_thin_client_declares_and_reads_all_of_it(server: Any, wire: Any) -> None:
    energy = np.arange(10.0)
    with ps.connect(server.ready["grpc"], token=server.token, outbox=str(server.data / "outbox")) as planner:
        run = planner.start(
            wire.scene(16),
            scalarizer="band_sum",
            params={"low": 0, "high": 9},
            n_initial=3,
            budget=7,
            deep=False,
            objectives=[ps.Objective("peak_position", {"low": 0, "high": 9}, minimize=True)],
            stop_rules={"expected_regret": 2.0},
            motion=ps.Motion(settle_s=0.1, diagonals_per_s=1.0),
        )
        for i, point in enumerate(run):
            counts = np.random.default_rng(i).poisson(20, 10).astype("uint32")
            run.tell(point, counts, axis=(energy, "eV", "energy"), unit="counts", counts=True)
        told = run.pareto_front()
        assert told and all(o.further[0].has_value for o in told)
        [advice] = run.advice
        assert (advice.rule, advice.bound, advice.unit) == ("expected_regret", 2.0, "counts") and not advice.is_met
