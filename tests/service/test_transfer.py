"""A campaign that starts from the model of an earlier one, on a real server."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from probescout_client.wire.v1 import probescout_pb2 as pb
from typer.testing import CliRunner

from probescout.cli.main import app
from probescout.store.models import Models
from probescout.store.verify import verify

OTHER = '{"low": 0.0, "high": 8.0}'


def cli(*arguments: object) -> Any:
    done = CliRunner().invoke(app, ["model", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def measure(server: Any, wire: Any, campaign: str, n: int) -> None:
    for i in range(n):
        [point] = server.suggest(campaign, compute_budget_s=30.0).suggestions
        told = wire.observation(campaign, f"o-{i}", point, seed=i)
        server.call("Tell", pb.TellRequest(request_id=wire.new_id(), campaign=campaign, observation=told))


def create(server: Any, wire: Any, name: str, **spec: Any) -> pb.Campaign:
    """Create a campaign without a frame."""
    fields = {
        "scalarizer": pb.ScalarizerSpec(name="band_sum", params_json='{"low": 0.0, "high": 9.0}'),
        "transfer": pb.TransferSpec(model="steel"),
        **spec,
    }
    request = pb.CreateCampaignRequest(request_id=wire.new_id(), campaign_id=name, spec=pb.CampaignSpec(**fields))
    made: pb.Campaign = server.call("CreateCampaign", request)
    return made


def wait_for_a_fit(server: Any, campaign: str) -> None:
    """Follow the journal until the model was fitted."""
    ask = pb.WatchEventsRequest(campaign=campaign)
    stream = server.planner.WatchEvents(ask, metadata=server.metadata, timeout=60)
    assert any(event.kind == "ModelSwapped" for event in stream)
    stream.cancel()


def refusal(call: Callable[[], Any]) -> tuple[str, str, str]:
    """Return (code, reason, field) of a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    trailer = dict(caught.value.trailing_metadata() or ())["grpc-status-details-bin"]
    found = {d.type_url.rpartition(".")[2]: d.value for d in pb.RichStatus.FromString(trailer).details}
    fields = pb.BadRequest.FromString(found.get("BadRequest", b"")).field_violations
    reason = pb.ErrorInfo.FromString(found["ErrorInfo"]).reason
    return caught.value.code().name, reason, fields[0].field if fields else ""


def members(server: Any, campaign: str) -> dict[str, float]:
    reply = server.call("Explain", pb.ExplainRequest(campaign=campaign, position=pb.Position(y=0.4, x=0.6)))
    return {m.member: m.weight for m in reply.members}


def test_from_one_campaign_to_the_next(make_server: Callable[..., Any], wire: Any) -> None:
    server = make_server()
    measure(server, wire, server.campaign("first", sample="steel 1"), 8)
    data = ["--data", server.data]
    told = json.loads(cli("register", "steel", "--campaign", "first", *data, "--promote", "--json"))
    about = told["versions"][0]["about"]
    assert about["lineage"]["campaign"] == "first" and about["metrics"]["n_observations"] == 8
    assert about["metrics"]["n_predicted"] >= 1 and about["metrics"]["rmse"] >= 0.0

    # The name is resolved once, and the journal holds the hash.
    campaign = server.campaign("second", transfer=pb.TransferSpec(model="steel"))
    transfer = server.call("GetCampaign", pb.GetCampaignRequest(name=campaign)).spec.transfer
    assert transfer.model == "steel@1" and transfer.blob == f"blobs/sha256-{told['versions'][0]['digest']}"
    measure(server, wire, campaign, 6)
    assert 0.0 < members(server, campaign)["earlier"] < 1.0
    assert "earlier" not in members(server, "campaigns/first")

    # A second generation knows its parent; promotion moves what the name means, not what has begun.
    told = json.loads(cli("register", "steel", "--campaign", "second", *data, "--promote", "--json"))
    parent = told["versions"][1]["about"]["lineage"]["parent"]
    assert parent == {"model": "steel@1", "sha256": told["versions"][0]["digest"]} and told["current"] == 2
    assert server.call("GetCampaign", pb.GetCampaignRequest(name=campaign)).spec.transfer == transfer
    assert create(server, wire, "third").spec.transfer.model == "steel@2"
    cli("rollback", "steel", *data)
    assert create(server, wire, "fourth").spec.transfer.model == "steel@1"

    # After a crash, and without the registry, the campaign goes on where it stood.
    wait_for_a_fit(server, campaign)
    [expected] = server.call("Preview", pb.PreviewRequest(campaign=campaign, count=1)).suggestions
    server.kill()
    shutil.rmtree(server.data / "models")
    again = make_server()
    [found] = again.suggest(campaign, compute_budget_s=60.0).suggestions
    assert found.source == pb.SUGGESTION_SOURCE_PLANNER
    for name in ("position", "mean", "std"):
        assert getattr(found, name) == getattr(expected, name), name
    home = again.data / "campaigns" / "second"
    assert verify(home).problems == ()
    digest = transfer.blob.removeprefix("blobs/sha256-")
    (home / "blobs" / digest[:2] / digest).unlink()
    assert any(transfer.blob in problem and "missing" in problem for problem in verify(home).problems)


@pytest.fixture(scope="module")
def steel(tmp_path_factory: pytest.TempPathFactory, wire: Any) -> Iterator[Any]:
    """A server whose campaign "first" is version 1, the current one, of model "steel"."""
    server = wire.LiveServer(tmp_path_factory.mktemp("steel") / "data")
    measure(server, wire, server.campaign("first"), 6)
    cli("register", "steel", "--campaign", "first", "--data", server.data, "--promote")
    yield server
    assert server.stop() == 0


def test_what_does_not_fit_is_refused_before_anything_is_made(steel: Any, wire: Any) -> None:
    server = steel
    wrong = {
        "scalarizer": pb.ScalarizerSpec(name="band_sum", params_json=OTHER),
        "candidates": pb.CandidateSpace(kind=pb.CANDIDATE_KIND_PATCHES),
    }
    field = "spec.transfer.model"
    for name, value in wrong.items():
        found = refusal(lambda n=name, v=value: create(server, wire, "second", **{n: v}))
        assert found == ("INVALID_ARGUMENT", "MODEL_INCOMPATIBLE", field)
    for model, expected in (
        ("iron", ("NOT_FOUND", "MODEL_NOT_FOUND")),
        ("steel@9", ("NOT_FOUND", "MODEL_NOT_FOUND")),
        ("../first", ("INVALID_ARGUMENT", "ID_INVALID")),
        ("", ("INVALID_ARGUMENT", "FIELD_MISSING")),
    ):
        asked = pb.TransferSpec(model=model)
        assert refusal(lambda a=asked: create(server, wire, "second", transfer=a))[:2] == expected
    other = pb.TransferSpec(model="steel", blob="blobs/sha256-" + "0" * 64)
    found = refusal(lambda: create(server, wire, "second", transfer=other))
    assert found == ("INVALID_ARGUMENT", "MODEL_INCOMPATIBLE", "spec.transfer.blob")
    assert not (server.data / "campaigns" / "second").exists()

    made = create(server, wire, "second")
    image = wire.tensor(np.zeros((2, 16, 16), np.float32) + wire.scene(16), ("channel", "y", "x"))
    frame = pb.AddFrameRequest(request_id=wire.new_id(), campaign=made.name, frame=pb.Frame(image=image))
    assert refusal(lambda: server.call("AddFrame", frame)) == ("INVALID_ARGUMENT", "MODEL_INCOMPATIBLE", "frame")
    change = pb.UpdateCampaignRequest(
        request_id=wire.new_id(), name=made.name, spec=made.spec, update_mask=["transfer"], etag=made.etag
    )
    assert refusal(lambda: server.call("UpdateCampaign", change))[0] == "INVALID_ARGUMENT"


def test_a_retry_finds_the_campaign_that_it_made(steel: Any, wire: Any) -> None:
    server = steel
    spec = pb.CampaignSpec(
        scalarizer=pb.ScalarizerSpec(name="band_sum", params_json='{"low": 0.0, "high": 9.0}'),
        transfer=pb.TransferSpec(model="steel"),
    )
    request = pb.CreateCampaignRequest(request_id=wire.new_id(), campaign_id="retried", spec=spec)
    made = server.call("CreateCampaign", request)
    told = wire.observation("campaigns/first", "one-more", (0.5, 0.5), seed=3)
    server.call("Tell", pb.TellRequest(request_id=wire.new_id(), campaign="campaigns/first", observation=told))
    cli("register", "steel", "--campaign", "first", "--data", server.data, "--promote")
    assert create(server, wire, "later").spec.transfer.model == "steel@2"
    assert server.call("CreateCampaign", request) == made and made.spec.transfer.model == "steel@1"


def test_a_damaged_model_starts_nothing(steel: Any, wire: Any) -> None:
    [entry] = Models(steel.data / "models").entries()
    digest = entry.version(entry.current).digest
    path = steel.data / "models" / "blobs" / digest[:2] / digest
    sound = path.read_bytes()
    path.write_bytes(sound[:-1] + b"x")
    assert refusal(lambda: create(steel, wire, "damaged"))[:2] == ("DATA_LOSS", "DIGEST_MISMATCH")
    assert not (steel.data / "campaigns" / "damaged").exists()
    path.write_bytes(sound)
    assert create(steel, wire, "damaged").spec.transfer.model == f"steel@{entry.current}"
