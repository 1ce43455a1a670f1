"""ProposePoints and WithdrawPoints over a real socket, through a restart, and from the thin client."""

from __future__ import annotations

import json
from typing import Any

import grpc
import probescout_client as ps
import pytest
from probescout_client.wire.v1 import probescout_pb2 as pb


def at(y: float, x: float) -> pb.Position:
    return pb.Position(y=y, x=x)


def propose(server: Any, wire: Any, name: str, *positions: tuple[float, float], **more: Any) -> pb.ProposePointsReply:
    request = pb.ProposePointsRequest(
        request_id=wire.new_id(), campaign=name, positions=[at(*p) for p in positions], **more
    )  # fmt: skip
    return server.call("ProposePoints", request)


def refusal(call: Any) -> tuple[str, str, str]:
    """Return (reason, field, description) of a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    trailer = dict(caught.value.trailing_metadata() or ())["grpc-status-details-bin"]
    found = {d.type_url.rpartition(".")[2]: d.value for d in pb.RichStatus.FromString(trailer).details}
    fields = pb.BadRequest.FromString(found.get("BadRequest", b"")).field_violations
    return pb.ErrorInfo.FromString(found["ErrorInfo"]).reason, fields[0].field, fields[0].description


def get(server: Any, name: str) -> pb.Campaign:
    return server.call("GetCampaign", pb.GetCampaignRequest(name=name))


def test_asked_for_listed_handed_out_measured_and_gone(server: Any, wire: Any) -> None:
    name = server.campaign("asked")
    reply = propose(server, wire, name, (0.51, 0.26), (0.9, 0.9), note="bright")
    assert [p.name for p in reply.points] == [f"{name}/points/p1", f"{name}/points/p2"]
    assert (reply.points[0].position.y, reply.points[0].position.x) == (8.5 / 16, 4.5 / 16), "the centre of the pixel"
    assert get(server, name).points == reply.points and reply.points[0].note == "bright"
    s = server.suggest(name).suggestions[0]
    assert s.source == pb.SUGGESTION_SOURCE_OPERATOR and s.position == reply.points[0].position and s.policy == ""
    assert get(server, name).points[0].suggestion == s.name
    o = wire.observation(name, "o1", s)
    step = server.call("Step", pb.StepRequest(request_id=wire.new_id(), campaign=name, observation=o))
    assert step.suggestions[0].source == pb.SUGGESTION_SOURCE_OPERATOR
    assert [p.name for p in get(server, name).points] == [f"{name}/points/p2"]


def test_a_retry_asks_once_and_gets_the_first_reply(server: Any, wire: Any) -> None:
    name = server.campaign("retry")
    request = pb.ProposePointsRequest(request_id=wire.new_id(), campaign=name, positions=[at(0.5, 0.5)])
    first = server.call("ProposePoints", request)
    server.suggest(name)
    again = server.call("ProposePoints", request)
    assert again.points == first.points and again.version == first.version
    assert len(get(server, name).points) == 1
    back = pb.WithdrawPointsRequest(request_id=wire.new_id(), campaign=name, names=[first.points[0].name], reason="no")
    done = server.call("WithdrawPoints", back).version
    propose(server, wire, name, (0.1, 0.1))
    assert server.call("WithdrawPoints", back).version == done, "of the first time, whatever came since"
    assert get(server, name).version.event_seq > done.event_seq and len(get(server, name).points) == 1
    request.request_id = wire.new_id()
    assert refusal(lambda: server.call("ProposePoints", request))[:2] == ("FIELD_INVALID", "positions[0]"), "it is out"


def test_refusals_name_the_position(server: Any, wire: Any) -> None:
    name = server.campaign("refused", limits=pb.Limits(border=0.1))
    reason, field, words = refusal(lambda: propose(server, wire, name, (0.5, 0.5), (0.01, 0.5)))
    assert (reason, field) == ("FIELD_INVALID", "positions[1]") and "0.01, 0.5" in words
    assert not get(server, name).points, "none of them is taken"
    elsewhere = pb.Position(frame=f"{name}/frames/f9", y=0.5, x=0.5)
    request = pb.ProposePointsRequest(request_id=wire.new_id(), campaign=name, positions=[elsewhere])
    assert refusal(lambda: server.call("ProposePoints", request))[:2] == ("FRAME_NOT_FOUND", "positions[0].frame")
    gone = pb.WithdrawPointsRequest(request_id=wire.new_id(), campaign=name, names=[f"{name}/points/p7"])
    assert refusal(lambda: server.call("WithdrawPoints", gone))[:2] == ("POINT_NOT_FOUND", "names[0]")


def test_a_killed_server_still_has_them(make_server: Any, wire: Any) -> None:
    server = make_server()
    name = server.campaign("kept")
    propose(server, wire, name, (0.2, 0.2), (0.4, 0.4), (0.6, 0.6))
    propose(server, wire, name, (0.8, 0.8), is_urgent=True)
    held = server.suggest(name).suggestions[0]
    before = get(server, name).points
    server.kill()
    server = make_server()
    assert get(server, name).points == before and before[0].suggestion == held.name
    order = [server.suggest(name).suggestions[0] for _ in range(3)]
    assert [round(s.position.y, 1) for s in order] == [0.2, 0.4, 0.6]
    assert {s.source for s in order} == {pb.SUGGESTION_SOURCE_OPERATOR}


def test_the_thin_client_asks_and_takes_back(server: Any, wire: Any) -> None:
    name = server.campaign("thin")
    with ps.connect(server.ready["grpc"], token=server.token, outbox=str(server.data / "outbox")) as planner:
        run = planner.resume(name)
        one, two = run.propose([(0.3, 0.3), (0.7, 0.7)], note="from a script", urgent=True)
        run.withdraw([one.name], "mistaken")
        point = run.ask()
        assert point is not None and (point.y, point.x) == (two.position.y, two.position.x)
        assert (point.source, point.policy) == ("operator", "")
        with pytest.raises(ps.NotFound):
            run.withdraw([one.name])
        kinds = []
        for event in run.watch():
            kinds.append((event.kind, event.payload))
            if event.kind == "PointsWithdrawn":
                break
        assert json.dumps(kinds[-1][1]).count("mistaken") == 1
        assert [p["note"] for p in kinds[-2][1]["points"]] == ["from a script"] * 2
