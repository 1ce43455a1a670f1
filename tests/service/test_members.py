"""Which members of the committee take part, over a real socket."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from probescout_client.wire.v1 import probescout_pb2 as pb


def violation(call: Any) -> tuple[str, str]:
    """Return (field, description) of a call that must be refused as FIELD_INVALID."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    trailer = dict(caught.value.trailing_metadata() or ())["grpc-status-details-bin"]
    found = {d.type_url.rpartition(".")[2]: d.value for d in pb.RichStatus.FromString(trailer).details}
    assert pb.ErrorInfo.FromString(found["ErrorInfo"]).reason == "FIELD_INVALID"
    [field] = pb.BadRequest.FromString(found["BadRequest"]).field_violations
    return field.field, field.description


def measure(server: Any, wire: Any, name: str, n: int) -> None:
    s = server.suggest(name).suggestions[0]
    for i in range(n):
        o = wire.observation(name, f"o{i}", s, seed=i)
        step = pb.StepRequest(request_id=wire.new_id(), campaign=name, observation=o)
        s = server.call("Step", step).suggestions[0]


def weights(server: Any, name: str) -> set[str]:
    reply = server.call("GetMaps", pb.GetMapsRequest(campaign=name, kinds=[pb.MAP_KIND_MEAN]))
    return {w.member for w in reply.weights}


def test_only_the_chosen_members_answer_and_the_choice_can_be_changed(server: Any, wire: Any) -> None:
    name = server.campaign("some", members=["bank", "xy"])
    measure(server, wire, name, 5)
    assert weights(server, name) == {"bank", "xy"}
    now = server.call("GetCampaign", pb.GetCampaignRequest(name=name))
    assert list(now.spec.members) == ["bank", "xy"]
    request = pb.UpdateCampaignRequest(
        request_id=wire.new_id(), name=name, spec=pb.CampaignSpec(members=["pca8"]), update_mask=["members"],
        etag=now.etag,
    )  # fmt: skip
    assert list(server.call("UpdateCampaign", request).spec.members) == ["pca8"]
    assert weights(server, name) == {"pca8"}


def test_an_unknown_member_is_named_with_those_that_there_are(server: Any, wire: Any) -> None:
    field, words = violation(lambda: server.campaign("wrong", members=["xy", "bnak"]))
    assert field == "spec.members[1]" and "'bnak'" in words
    assert all(known in words for known in ("xy", "pca8", "bank", "bank_xy", "deep"))
    with pytest.raises(grpc.RpcError) as caught:
        server.call("GetCampaign", pb.GetCampaignRequest(name="campaigns/wrong"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND, "a refused campaign must not exist"


def test_an_update_to_an_unknown_member_changes_nothing(server: Any, wire: Any) -> None:
    name = server.campaign("kept", members=["xy"])
    now = server.call("GetCampaign", pb.GetCampaignRequest(name=name))
    request = pb.UpdateCampaignRequest(
        request_id=wire.new_id(), name=name, spec=pb.CampaignSpec(members=["nobody"]), update_mask=["members"],
        etag=now.etag,
    )  # fmt: skip
    assert violation(lambda: server.call("UpdateCampaign", request))[0] == "spec.members[0]"
    assert server.call("GetCampaign", pb.GetCampaignRequest(name=name)).etag == now.etag
