"""Lists, maps and explanations: what they bound, hide and refuse; frames and settings come back."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from probescout_client.wire.v1 import probescout_pb2 as pb


def refusal(call: Any) -> tuple[str, str, str]:
    """Return (status, reason, field) of a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    trailer = dict(caught.value.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    found = {d.type_url.rpartition(".")[2]: d.value for d in pb.RichStatus.FromString(trailer).details}
    reason = pb.ErrorInfo.FromString(found.get("ErrorInfo", b"")).reason
    fields = pb.BadRequest.FromString(found.get("BadRequest", b"")).field_violations
    return caught.value.code().name, reason, fields[0].field if fields else ""


def tell(server: Any, wire: Any, name: str, o: pb.Observation) -> pb.Observation:
    return server.call("Tell", pb.TellRequest(request_id=wire.new_id(), campaign=name, observation=o)).observation


def upload(server: Any, wire: Any, name: str, data: bytes) -> str:
    digest = hashlib.sha256(data).hexdigest()
    call = {"metadata": server.metadata, "timeout": 20}
    begin = pb.BeginBlobRequest(request_id=wire.new_id(), campaign=name, size=len(data), sha256=digest)
    begun = server.blobs.BeginBlob(begin, **call)
    for at in range(0, len(data), begun.chunk_size):
        chunk = data[at : at + begun.chunk_size]
        server.blobs.WriteBlob(pb.WriteBlobRequest(upload_id=begun.upload_id, offset=at, data=chunk), **call)
    done = pb.FinishBlobRequest(request_id=wire.new_id(), upload_id=begun.upload_id)
    return server.blobs.FinishBlob(done, **call).name


def patch_frame(wire: Any, **more: Any) -> pb.Frame:
    patches = np.random.default_rng(4).normal(size=(5, 1, 4, 4)).astype(np.float32)
    positions = [pb.Position(y=0.1 + 0.2 * i, x=0.9 - 0.2 * i) for i in range(5)]
    fields = {"patches": wire.tensor(patches, ("candidate", "channel", "y", "x"), "V"), "positions": positions}
    return pb.Frame(**{**fields, **more})


def campaign(server: Any, wire: Any, name: str, kind: int) -> str:
    spec = pb.CampaignSpec(
        scalarizer=pb.ScalarizerSpec(name="given"),
        candidates=pb.CandidateSpace(kind=kind),
        is_deep_member_disabled=True,
    )
    request = pb.CreateCampaignRequest(request_id=wire.new_id(), campaign_id=name, spec=spec)
    return server.call("CreateCampaign", request).name


def add_frame(server: Any, wire: Any, name: str, frame: pb.Frame) -> pb.FrameReply:
    return server.call("AddFrame", pb.AddFrameRequest(request_id=wire.new_id(), campaign=name, frame=frame))


def test_what_a_frame_cannot_use_is_refused(server: Any, wire: Any) -> None:
    name = campaign(server, wire, "patches-refused", pb.CANDIDATE_KIND_PATCHES)
    mask, image = wire.tensor(np.ones((4, 4), bool), ("y", "x")), wire.tensor(np.ones((4, 4), np.float32), ("y", "x"))
    dead = np.ones((5, 1, 4, 4), np.float32)
    dead[3] = np.nan
    dead[2, 0, 0, 0] = np.nan
    bad = wire.tensor(dead, ("candidate", "channel", "y", "x"))
    for more, reason, field in (
        ({"mask": mask}, "FIELD_INVALID", "frame.mask"),
        ({"image": image}, "FIELD_INVALID", "frame.image"),
        ({"patches": bad}, "NON_FINITE", "frame.patches.data"),
    ):
        got = refusal(lambda more=more: add_frame(server, wire, name, patch_frame(wire, **more)))
        assert got == ("INVALID_ARGUMENT", reason, field)
    pixels = campaign(server, wire, "pixels-refused", pb.CANDIDATE_KIND_PIXELS)
    got = refusal(lambda: add_frame(server, wire, pixels, patch_frame(wire, image=image)))
    assert got == ("INVALID_ARGUMENT", "FIELD_INVALID", "frame.patches")
    assert server.call("GetCampaign", pb.GetCampaignRequest(name=name)).version.event_seq == 1


def test_patches_and_positions_come_back(server: Any, wire: Any) -> None:
    name = campaign(server, wire, "patches-back", pb.CANDIDATE_KIND_PATCHES)
    sent = patch_frame(wire)
    for back in (
        add_frame(server, wire, name, sent).frame,
        server.call("GetCampaign", pb.GetCampaignRequest(name=name)).frames[0],
    ):
        assert list(back.positions) == list(sent.positions)
        assert (list(back.patches.shape), list(back.patches.dims)) == ([5, 1, 4, 4], list(sent.patches.dims))
        assert back.patches.blob == "blobs/sha256-" + hashlib.sha256(sent.patches.data).hexdigest()


def test_settings_come_back(server: Any, wire: Any) -> None:
    name = server.campaign("settings")
    o = wire.observation(name, "o1", (0.5, 0.5))
    o.settings.extend([pb.Setting(name="bias", value=-1.5, unit="V"), pb.Setting(name="gain", value=3)])
    assert list(tell(server, wire, name, o).settings) == list(o.settings)
    [back] = server.call("ListObservations", pb.ListObservationsRequest(campaign=name)).observations
    assert list(back.settings) == list(o.settings)
    o.name, o.settings[1].value = o.name + "b", float("nan")
    got = refusal(lambda: tell(server, wire, name, o))
    assert got == ("INVALID_ARGUMENT", "NON_FINITE", "observation.settings[1].value")


def test_a_page_ends_before_it_grows_too_large(server: Any, wire: Any) -> None:
    name = server.campaign("large-pages", scalarizer=pb.ScalarizerSpec(name="value_at", params_json='{"channel": 0}'))
    data = np.random.default_rng(1).integers(0, 99, 60_000, dtype=np.uint8)
    for i in range(60):
        o = wire.observation(name, f"o{i}", (0.1 + i / 100, 0.5))
        o.spectrum.CopyFrom(wire.tensor(data, ("channel",), "counts", 1))
        tell(server, wire, name, o)
    found, token, sizes = [], "", []
    while token or not sizes:
        ask = pb.ListObservationsRequest(campaign=name, page_size=1000, page_token=token, is_with_spectra=True)
        reply = server.call("ListObservations", ask)
        sizes.append(reply.ByteSize())
        found += [o.name.rpartition("/")[2] for o in reply.observations]
        token = reply.next_page_token
    assert found == [f"o{i}" for i in range(60)]
    assert len(sizes) == 2 and max(sizes) < 3.1 * 2**20
    assert reply.observations[0].spectrum.data == data.tobytes()


@pytest.mark.parametrize("is_masked", [False, True])
def test_a_large_signal_is_named_not_sent(server: Any, wire: Any, is_masked: bool) -> None:
    name = server.campaign(
        f"large-{is_masked}".lower(), scalarizer=pb.ScalarizerSpec(name="value_at", params_json='{"channel": 0}')
    )
    values = np.random.default_rng(2).normal(size=70_000).astype(np.float32)
    mask = np.arange(70_000) % 7 > 0
    o = wire.observation(name, "o1", (0.5, 0.5))
    o.spectrum.CopyFrom(wire.tensor(values, ("channel",), "counts", 2))
    o.spectrum.ClearField("data")
    o.spectrum.blob = upload(server, wire, name, values.tobytes())
    if is_masked:
        o.status = pb.OBSERVATION_STATUS_PARTIAL
        o.mask.CopyFrom(wire.tensor(mask, ("channel",)))
        o.mask.ClearField("data")
        o.mask.blob = upload(server, wire, name, mask.tobytes())
    tell(server, wire, name, o)
    ask = pb.ListObservationsRequest(campaign=name, is_with_spectra=True)
    [back] = server.call("ListObservations", ask).observations
    assert back.spectrum == o.spectrum and back.mask == o.mask
    assert (back.axes[0].start, back.axes[0].step, back.axes[0].unit) == (0.0, 1.0, "eV")


def test_lease_tokens_are_shown_to_nobody_who_only_looks(make_server: Any, wire: Any, tmp_path: Path) -> None:
    path = tmp_path / "token"
    rows = [{"token": s[0], "name": s[0], "scopes": s} for s in (["view"], ["measure", "view"])]
    path.write_text("boss\n" + "\n".join(json.dumps(r) for r in rows))
    path.chmod(0o600)
    server = make_server("data", "--token-file", str(path))
    name = server.campaign("tokens")
    given = server.suggest(name, count=2).suggestions
    assert all(s.lease_token for s in given)

    def listed(token: str) -> list[str]:
        metadata = (("authorization", f"Bearer {token}"),)
        reply = server.planner.ListSuggestions(pb.ListSuggestionsRequest(campaign=name), metadata=metadata, timeout=20)
        return [s.lease_token for s in reply.suggestions]

    assert listed("view") == ["", ""]
    assert listed("measure") == listed("boss") == [s.lease_token for s in given]
    events = server.planner.WatchEvents(pb.WatchEventsRequest(campaign=name), metadata=server.metadata, timeout=20)
    [leased] = [e for e in (next(events) for _ in range(3)) if e.kind == "Leased"]
    shown = json.loads(leased.payload_json)["suggestions"]
    assert [s["id"] for s in shown] == [s.name.rpartition("/")[2] for s in given]
    assert not any(s.lease_token in leased.payload_json for s in given)
    events.cancel()


def test_looking_before_there_is_a_frame(server: Any, wire: Any) -> None:
    name = campaign(server, wire, "frameless", pb.CANDIDATE_KIND_PIXELS)
    for asked in ({}, {"position": pb.Position(y=0.5, x=0.5)}, {"suggestion": "s1"}):
        request = pb.ExplainRequest(campaign=name, **asked)
        got = refusal(lambda request=request: server.call("Explain", request))
        assert got == ("FAILED_PRECONDITION", "NO_FRAME", "")


def test_unknown_maps_are_refused(server: Any) -> None:
    name = server.campaign("unknown-maps")
    for kinds, field in (([99], "kinds[0]"), ([pb.MAP_KIND_MEAN, 0], "kinds[1]")):
        got = refusal(lambda kinds=kinds: server.call("GetMaps", pb.GetMapsRequest(campaign=name, kinds=kinds)))
        assert got == ("INVALID_ARGUMENT", "FIELD_INVALID", field)
