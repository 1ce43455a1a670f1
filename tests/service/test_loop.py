"""The measuring loop over a real socket: create, frame, suggest, tell, step, look."""

from __future__ import annotations

import json
from typing import Any

import grpc
import numpy as np
import pytest
from probescout_client.wire.v1 import probescout_pb2 as pb


def step(server: Any, wire: Any, campaign: str, s: pb.Suggestion, i: int, **more: Any) -> pb.StepReply:
    o = wire.observation(campaign, f"o{i}", s, seed=i)
    return server.call("Step", pb.StepRequest(request_id=wire.new_id(), campaign=campaign, observation=o, **more))


def test_a_whole_campaign(server: Any, wire: Any) -> None:
    name = server.campaign("whole", budget=pb.Budget(probes=12))
    s = server.suggest(name).suggestions[0]
    assert s.source == pb.SUGGESTION_SOURCE_SEED_DESIGN and np.isnan(s.mean)
    sources = []
    for i in range(12):
        reply = step(server, wire, name, s, i)
        assert reply.observation.ordinal == i + 1
        assert reply.version.event_seq > 0 and len(reply.version.event_hash) == 64
        if not reply.suggestions:
            break
        s = reply.suggestions[0]
        sources.append(s.source)
    assert i == 11 and reply.stop.cause == pb.STOP_CAUSE_BUDGET_PROBES and reply.stop.is_final
    assert sources[-1] == pb.SUGGESTION_SOURCE_PLANNER
    got = server.call("GetCampaign", pb.GetCampaignRequest(name=name))
    assert (got.n_observations, got.n_pending, got.use.probes_spent) == (12, 0, 12)
    assert got.best.target == max(o.target for o in observations(server, name))
    positions = {(o.measured_at.y, o.measured_at.x) for o in observations(server, name)}
    assert len(positions) == 12


def settle(server: Any, name: str, kind: str, count: int = 1, after: int = 0) -> None:
    """Wait until the journal holds `count` events of a kind after a sequence number."""
    events = server.planner.WatchEvents(
        pb.WatchEventsRequest(campaign=name, after_seq=after), metadata=server.metadata, timeout=60
    )
    for event in events:
        count -= event.kind == kind
        if count == 0:
            events.cancel()
            return


def observations(server: Any, name: str, **more: Any) -> list[pb.Observation]:
    found, token = [], ""
    while True:
        page = server.call("ListObservations", pb.ListObservationsRequest(campaign=name, page_token=token, **more))
        found += page.observations
        token = page.next_page_token
        if not token:
            return found


def test_raw_spectra_come_back_as_they_were(server: Any, wire: Any) -> None:
    name = server.campaign("raw")
    s = server.suggest(name).suggestions[0]
    sent = wire.observation(name, "o1", s, seed=5)
    server.call("Tell", pb.TellRequest(request_id=wire.new_id(), campaign=name, observation=sent))
    settle(server, name, "Scored")
    [back] = observations(server, name, is_with_spectra=True)
    assert back.spectrum.data == sent.spectrum.data and back.spectrum.value_kind == pb.VALUE_KIND_COUNTS
    assert list(back.axes[0].values) == [float(i) for i in range(10)] and back.axes[0].unit == "eV"
    assert back.target == np.frombuffer(sent.spectrum.data, "<u2").sum()
    assert back.target_unit == "counts"


def test_replies_and_the_journal_tell_how_honest_the_model_is(make_server: Any, wire: Any) -> None:
    server = make_server()
    name = server.campaign("honest")
    s = server.suggest(name).suggestions[0]
    for i in range(14):
        reply = step(server, wire, name, s, i)
        s = reply.suggestions[0]
    told = reply.calibration
    assert told.n >= 5 and 0.0 <= told.coverage95 <= 1.0 and told.mean_z2 > 0
    assert s.policy == "expected_improvement" and 0.0 <= s.novelty <= 1.0
    settle(server, name, "ModelSwapped")
    journalled = [e for e in events(server, name) if e.kind in ("Leased", "ModelSwapped")]
    last = [json.loads(e.payload_json)["calibration"] for e in journalled if e.kind == "Leased"][-1]
    assert (last["n"], last["coverage95"], last["mean_z2"]) == (told.n, told.coverage95, told.mean_z2)
    assert any(json.loads(e.payload_json)["calibration"] for e in journalled if e.kind == "ModelSwapped")
    server.kill()
    again = make_server()
    assert again.call("RenewLeases", renewal(wire, name, s)).suggestions[0].policy == s.policy
    o = wire.observation(name, "late", (0.5, 0.5))
    calibration = again.call("Tell", pb.TellRequest(request_id=wire.new_id(), campaign=name, observation=o)).calibration
    assert calibration.n >= told.n, "what the journal holds stands in until the model is loaded"


def events(server: Any, name: str) -> list[pb.Event]:
    last = server.call("GetCampaign", pb.GetCampaignRequest(name=name)).version.event_seq
    stream = server.planner.WatchEvents(pb.WatchEventsRequest(campaign=name), metadata=server.metadata, timeout=30)
    found = [next(stream) for _ in range(last)]
    stream.cancel()
    return found


def renewal(wire: Any, name: str, s: pb.Suggestion) -> pb.RenewLeasesRequest:
    return pb.RenewLeasesRequest(
        request_id=wire.new_id(), campaign=name, names=[s.name], lease_tokens=[s.lease_token]
    )  # fmt: skip


def test_a_batch_spreads_out(server: Any, wire: Any) -> None:
    name = server.campaign("batch")
    s = server.suggest(name).suggestions[0]
    for i in range(8):
        s = step(server, wire, name, s, i).suggestions[0]
    batch = server.suggest(name, count=6, client_id="other").suggestions
    assert len({(p.position.y, p.position.x) for p in batch}) == 6
    assert {p.source for p in batch} == {pb.SUGGESTION_SOURCE_PLANNER}


def test_preview_leases_nothing_and_agrees_with_suggest(server: Any, wire: Any) -> None:
    name = server.campaign("preview")
    s = server.suggest(name).suggestions[0]
    for i in range(6):
        s = step(server, wire, name, s, i).suggestions[0]
    server.call(
        "Tell", pb.TellRequest(request_id=wire.new_id(), campaign=name, observation=wire.observation(name, "last", s))
    )
    settle(server, name, "ModelSwapped")
    before = server.call("GetCampaign", pb.GetCampaignRequest(name=name)).n_pending
    shown = server.call("Preview", pb.PreviewRequest(campaign=name, count=2)).suggestions
    assert server.call("GetCampaign", pb.GetCampaignRequest(name=name)).n_pending == before == 0
    given = server.suggest(name, count=2).suggestions
    assert [p.candidate for p in shown] == [p.candidate for p in given]
    assert not shown[0].lease_token


def test_maps_and_explanations_agree(server: Any, wire: Any) -> None:
    name = server.campaign("maps")
    s = server.suggest(name).suggestions[0]
    for i in range(8):
        s = step(server, wire, name, s, i).suggestions[0]
    settle(server, name, "ModelSwapped")
    kinds = [
        pb.MAP_KIND_MEAN, pb.MAP_KIND_STD, pb.MAP_KIND_ACQUISITION, pb.MAP_KIND_PREDICTIVE_STD, pb.MAP_KIND_NOVELTY,
    ]  # fmt: skip
    reply = server.call("GetMaps", pb.GetMapsRequest(campaign=name, kinds=kinds))
    maps = {m.kind: np.frombuffer(m.tensor.data, "<f4").reshape(tuple(m.tensor.shape)) for m in reply.maps}
    assert all(m.shape == (16, 16) for m in maps.values())
    assert (maps[pb.MAP_KIND_PREDICTIVE_STD] >= maps[pb.MAP_KIND_STD]).all()
    assert sum(w.weight for w in reply.weights) == pytest.approx(1.0)
    told = server.call("Explain", pb.ExplainRequest(campaign=name, suggestion=s.name))
    assert told.mean == pytest.approx(maps[pb.MAP_KIND_MEAN].ravel()[s.candidate], rel=1e-4)
    novelty = maps[pb.MAP_KIND_NOVELTY]
    assert 0 <= novelty.min() and novelty.max() <= 1
    assert told.novelty == pytest.approx(novelty.ravel()[s.candidate], rel=1e-4)
    assert told.nearest and 0 <= told.nearest[0].similarity <= 1 and "expects" in told.text


def test_acquisition_map_has_its_maximum_at_the_suggestion(server: Any, wire: Any) -> None:
    name = server.campaign("argmax")
    s = server.suggest(name).suggestions[0]
    for i in range(8):
        s = step(server, wire, name, s, i).suggestions[0]
    server.call(
        "ReleaseSuggestions",
        pb.ReleaseSuggestionsRequest(
            request_id=wire.new_id(), campaign=name, names=[s.name], lease_tokens=[s.lease_token]
        ),
    )
    settle(server, name, "ModelSwapped")
    reply = server.call("GetMaps", pb.GetMapsRequest(campaign=name, kinds=[pb.MAP_KIND_ACQUISITION]))
    values = np.frombuffer(reply.maps[0].tensor.data, "<f4")
    assert server.suggest(name).suggestions[0].candidate == int(np.nanargmax(values))


def test_unsolicited_late_and_failed_data_are_kept(server: Any, wire: Any) -> None:
    name = server.campaign("precious")
    s = server.suggest(name).suggestions[0]
    server.call(
        "ReleaseSuggestions",
        pb.ReleaseSuggestionsRequest(
            request_id=wire.new_id(), campaign=name, names=[s.name], lease_tokens=[s.lease_token]
        ),
    )

    def tell(o: pb.Observation) -> pb.Observation:
        return server.call("Tell", pb.TellRequest(request_id=wire.new_id(), campaign=name, observation=o)).observation

    assert tell(wire.observation(name, "late", s)).is_late
    assert tell(wire.observation(name, "extra", (0.5, 0.5))).is_unsolicited
    assert tell(wire.observation(name, "far", (1.2, 0.5))).is_outside
    failed = pb.Observation(
        name=f"{name}/observations/bad",
        measured_at=pb.Position(y=0.1, x=0.1),
        status=pb.OBSERVATION_STATUS_FAILED,
        message="shutter stuck",
    )
    assert tell(failed).score_state == pb.SCORE_STATE_NONE
    assert server.call("GetCampaign", pb.GetCampaignRequest(name=name)).n_observations == 4


def test_pause_resume_stop(server: Any, wire: Any) -> None:
    name = server.campaign("control")

    def control(action: int) -> pb.Campaign:
        return server.call(
            "ControlCampaign",
            pb.ControlCampaignRequest(request_id=wire.new_id(), name=name, action=action, reason="coffee"),
        )

    kept = server.suggest(name).suggestions[0]
    control(pb.CONTROL_ACTION_PAUSE)
    stop = server.suggest(name).stop
    assert stop.cause == pb.STOP_CAUSE_PAUSED and not stop.is_final and "coffee" in stop.message
    control(pb.CONTROL_ACTION_RESUME)
    assert server.suggest(name).suggestions
    assert control(pb.CONTROL_ACTION_ABORT).n_pending == 0
    assert server.suggest(name).stop.is_final
    late = server.call(
        "Tell", pb.TellRequest(request_id=wire.new_id(), campaign=name, observation=wire.observation(name, "o", kept))
    ).observation
    assert late.is_late


def test_switching_the_scalarizer_rescores_everything(server: Any, wire: Any) -> None:
    name = server.campaign("switch")
    s = server.suggest(name).suggestions[0]
    for i in range(5):
        s = step(server, wire, name, s, i).suggestions[0]
    before = server.call("GetCampaign", pb.GetCampaignRequest(name=name))
    spec = pb.CampaignSpec(scalarizer=pb.ScalarizerSpec(name="value_at", params_json='{"channel": 3}'))
    server.call(
        "UpdateCampaign",
        pb.UpdateCampaignRequest(
            request_id=wire.new_id(), name=name, spec=spec, update_mask=["scalarizer"], etag=before.etag, reason="finer"
        ),
    )
    settle(server, name, "Scored", 5, after=before.version.event_seq)
    for o in observations(server, name, is_with_spectra=True):
        assert o.target == np.frombuffer(o.spectrum.data, "<u2")[3]


def test_amend_and_retract(server: Any, wire: Any) -> None:
    name = server.campaign("amend")
    s = server.suggest(name).suggestions[0]
    for i in range(5):
        s = step(server, wire, name, s, i).suggestions[0]
    amended = server.call(
        "AmendObservation",
        pb.AmendObservationRequest(
            request_id=wire.new_id(), name=f"{name}/observations/o1", has_value=True, value=1e4, reason="misread"
        ),
    )
    assert amended.observation.target == 1e4
    best = server.call("GetCampaign", pb.GetCampaignRequest(name=name)).best
    assert best.name.endswith("/o1")
    server.call(
        "RetractObservation", pb.RetractObservationRequest(request_id=wire.new_id(), name=best.name, reason="charged")
    )
    assert not server.call("GetCampaign", pb.GetCampaignRequest(name=name)).best.name.endswith("/o1")


def test_drift_moves_open_leases_and_maps_data_back(server: Any, wire: Any) -> None:
    name = server.campaign("drift")
    s = server.suggest(name).suggestions[0]
    reply = server.call(
        "UpdateFrame",
        pb.UpdateFrameRequest(
            request_id=wire.new_id(), name=f"{name}/frames/f1", affine=[1, 0, 0.01, 0, 1, 0], reason="registered"
        ),
    )
    assert reply.frame.revision == 2
    [moved] = server.call("ListSuggestions", pb.ListSuggestionsRequest(campaign=name)).suggestions
    assert moved.position.y == pytest.approx(s.position.y + 0.01) and moved.position.x == s.position.x
    told = server.call(
        "Tell", pb.TellRequest(request_id=wire.new_id(), campaign=name, observation=wire.observation(name, "o", moved))
    ).observation
    assert not told.is_late and not told.is_outside
    settle(server, name, "Scored")
    image_row = int(s.position.y * 16)
    shown = server.call("Explain", pb.ExplainRequest(campaign=name, position=moved.position))
    assert int((shown.position.y - 0.01) * 16) == image_row


def test_plugins_are_listed_with_their_schemas(server: Any) -> None:
    rows = server.call("ListPlugins", pb.ListPluginsRequest()).plugins
    names = {r.name for r in rows}
    assert {"band_sum", "peak_ratio", "expected_improvement", "random", "grid"} <= names
    assert all(r.summary and r.params_schema_json and not r.load_error for r in rows)


def test_paging_is_honoured(server: Any, wire: Any) -> None:
    name = server.campaign("pages")
    for i in range(5):
        server.call(
            "Tell",
            pb.TellRequest(
                request_id=wire.new_id(),
                campaign=name,
                observation=wire.observation(name, f"o{i}", (0.1 + i / 10, 0.5)),
            ),
        )
    first = server.call("ListObservations", pb.ListObservationsRequest(campaign=name, page_size=2))
    assert [o.ordinal for o in first.observations] == [1, 2]
    rest = server.call(
        "ListObservations", pb.ListObservationsRequest(campaign=name, page_size=10, page_token=first.next_page_token)
    )
    assert [o.ordinal for o in rest.observations] == [3, 4, 5] and not rest.next_page_token


def test_the_same_request_gives_the_same_reply_once(server: Any, wire: Any) -> None:
    name = server.campaign("retry")
    ask = pb.SuggestRequest(request_id=wire.new_id(), campaign=name, count=2)
    first, again = server.call("Suggest", ask), server.call("Suggest", ask)
    assert [s.name for s in first.suggestions] == [s.name for s in again.suggestions]
    assert [s.lease_token for s in first.suggestions] == [s.lease_token for s in again.suggestions]
    assert first.version == again.version
    o = wire.observation(name, "o1", first.suggestions[0])
    request = pb.StepRequest(request_id=wire.new_id(), campaign=name, observation=o)
    one, two = server.call("Step", request), server.call("Step", request)
    assert one.suggestions[0].name == two.suggestions[0].name and one.version == two.version
    assert server.call("GetCampaign", pb.GetCampaignRequest(name=name)).n_observations == 1
    ask.count = 3
    with pytest.raises(grpc.RpcError) as caught:
        server.call("Suggest", ask)
    assert "REQUEST_ID_REUSED" in str(caught.value.trailing_metadata())
