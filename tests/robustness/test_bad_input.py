"""What cannot be understood is refused with a reason and a field, and nothing is appended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
from probescout_client.wire.v1 import probescout_pb2 as pb

Change = Callable[[pb.Observation], Any]


def failure(call: Callable[[], Any]) -> tuple[str, str, str]:
    """Return (status, reason, field) of a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    trailer = dict(caught.value.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    status = pb.RichStatus.FromString(trailer)
    reason = field = ""
    for detail in status.details:
        if detail.type_url.endswith("ErrorInfo"):
            info = pb.ErrorInfo.FromString(detail.value)
            reason = info.reason
            assert info.domain == "probescout"
        if detail.type_url.endswith("BadRequest"):
            field = pb.BadRequest.FromString(detail.value).field_violations[0].field
    return caught.value.code().name, reason, field


@pytest.fixture(scope="module")
def campaign(server: Any, wire: Any) -> str:
    name = server.campaign("refuses")
    o = wire.observation(name, "first", (0.5, 0.5))
    server.call("Tell", pb.TellRequest(request_id=wire.new_id(), campaign=name, observation=o))
    for event in server.planner.WatchEvents(pb.WatchEventsRequest(campaign=name), metadata=server.metadata, timeout=30):
        if event.kind == "Scored":
            break
    return name


def with_values(values: Any, wire: Any) -> Change:
    array = np.asarray(values)
    return lambda o: o.spectrum.CopyFrom(wire.tensor(array, ("channel",), "counts"))


NAN = np.array([1, 2, np.nan, 4, 5, 6, 7, 8, 9, 10], dtype=np.float32)
CASES: dict[str, tuple[Callable[[Any], Change], str, str, str]] = {
    "NaN spectrum": (lambda w: with_values(NAN, w), "INVALID_ARGUMENT", "NON_FINITE", "observation.spectrum.data"),
    "wrong length": (
        lambda w: with_values(np.ones(7, dtype=np.float32), w),
        "INVALID_ARGUMENT",
        "SHAPE_MISMATCH",
        "observation.spectrum.shape",
    ),
    "wrong dimensions": (
        lambda w: lambda o: o.spectrum.CopyFrom(w.tensor(np.ones((2, 5), np.float32), ("ky", "kx"))),
        "INVALID_ARGUMENT",
        "AXIS_MISMATCH",
        "observation.axes[0].dim",
    ),
    "fewer bytes than declared": (
        lambda w: lambda o: o.spectrum.shape.__setitem__(0, 11),
        "INVALID_ARGUMENT",
        "SHAPE_MISMATCH",
        "observation.spectrum.shape",
    ),
    "huge shape": (
        lambda w: lambda o: o.spectrum.shape.__setitem__(0, 1 << 50),
        "INVALID_ARGUMENT",
        "BLOB_TOO_LARGE",
        "observation.spectrum.shape",
    ),
    "unknown dtype": (
        lambda w: lambda o: setattr(o.spectrum, "dtype", 77),
        "INVALID_ARGUMENT",
        "DTYPE_MISMATCH",
        "observation.spectrum.dtype",
    ),
    "unknown status": (
        lambda w: lambda o: setattr(o, "status", 44),
        "INVALID_ARGUMENT",
        "FIELD_INVALID",
        "observation.status",
    ),
    "wrong axis unit": (
        lambda w: lambda o: setattr(o.axes[0], "unit", "keV"),
        "INVALID_ARGUMENT",
        "AXIS_UNIT_MISMATCH",
        "observation.axes[0].unit",
    ),
    "oversized inline array": (
        lambda w: with_values(np.ones(70000, dtype=np.uint8), w),
        "INVALID_ARGUMENT",
        "BLOB_TOO_LARGE",
        "observation.spectrum.data",
    ),
    "blob that was never sent": (
        lambda w: (
            lambda o: (
                o.spectrum.ClearField("data"),
                setattr(o.spectrum, "blob", "blobs/sha256-" + "0" * 64),
            )
        ),
        "NOT_FOUND",
        "BLOB_NOT_FOUND",
        "",
    ),
    "no position": (
        lambda w: lambda o: o.ClearField("measured_at"),
        "INVALID_ARGUMENT",
        "FIELD_MISSING",
        "observation.measured_at",
    ),
    "infinite position": (
        lambda w: lambda o: setattr(o.measured_at, "y", float("inf")),
        "INVALID_ARGUMENT",
        "NON_FINITE",
        "observation.measured_at.y",
    ),
    "negative dose": (
        lambda w: lambda o: setattr(o, "dose", -1.0),
        "INVALID_ARGUMENT",
        "FIELD_INVALID",
        "observation.dose",
    ),
    "no data": (
        lambda w: lambda o: o.ClearField("spectrum"),
        "INVALID_ARGUMENT",
        "FIELD_MISSING",
        "observation.spectrum",
    ),
    "id taken": (
        lambda w: lambda o: setattr(o, "name", o.name.replace("/new", "/first")),
        "ALREADY_EXISTS",
        "OBSERVATION_EXISTS",
        "observation.name",
    ),
    "bad id": (
        lambda w: lambda o: setattr(o, "name", "campaigns/refuses/observations/../../etc"),
        "INVALID_ARGUMENT",
        "ID_INVALID",
        "observation.name",
    ),
    "another campaign's id": (
        lambda w: lambda o: setattr(o, "name", "campaigns/other/observations/o"),
        "INVALID_ARGUMENT",
        "ID_INVALID",
        "observation.name",
    ),
    "unknown suggestion": (
        lambda w: lambda o: setattr(o, "suggestion", "campaigns/refuses/suggestions/s999"),
        "NOT_FOUND",
        "SUGGESTION_NOT_FOUND",
        "observation.suggestion",
    ),
    "NaN value": (
        lambda w: lambda o: (setattr(o, "has_value", True), setattr(o, "value", float("nan"))),
        "INVALID_ARGUMENT",
        "NON_FINITE",
        "observation.value",
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("method", ["Tell", "Step"])
def test_bad_observations(server: Any, wire: Any, campaign: str, case: str, method: str) -> None:
    make, status, reason, field = CASES[case]
    o = wire.observation(campaign, "new", (0.25, 0.25))
    make(wire)(o)
    before = seq(server, campaign)
    kind = pb.TellRequest if method == "Tell" else pb.StepRequest
    request = kind(request_id=wire.new_id(), campaign=campaign, observation=o)
    got = failure(lambda: server.call(method, request))
    assert got[:2] == (status, reason)
    assert got[2] == field or not field
    assert seq(server, campaign) == before


def seq(server: Any, campaign: str) -> int:
    return int(server.call("GetCampaign", pb.GetCampaignRequest(name=campaign)).version.event_seq)


@pytest.mark.parametrize(
    ("method", "request_", "want"),
    [
        ("GetCampaign", pb.GetCampaignRequest(name="campaigns/none"), ("NOT_FOUND", "CAMPAIGN_NOT_FOUND", "name")),
        ("GetCampaign", pb.GetCampaignRequest(name="x/y"), ("INVALID_ARGUMENT", "ID_INVALID", "name")),
        (
            "Suggest",
            pb.SuggestRequest(campaign="campaigns/refuses"),
            ("INVALID_ARGUMENT", "FIELD_MISSING", "request_id"),
        ),
        (
            "Suggest",
            pb.SuggestRequest(campaign="campaigns/refuses", request_id="one"),
            ("INVALID_ARGUMENT", "ID_INVALID", "request_id"),
        ),
        (
            "Suggest",
            pb.SuggestRequest(campaign="campaigns/refuses", request_id="5" * 32, count=1000),
            ("INVALID_ARGUMENT", "FIELD_INVALID", "count"),
        ),
        (
            "Suggest",
            pb.SuggestRequest(
                campaign="campaigns/refuses",
                request_id="6" * 32,
                last_seen=pb.StateVersion(event_seq=2, event_hash="f" * 64),
            ),
            ("DATA_LOSS", "HISTORY_MISMATCH", "last_seen"),
        ),
        (
            "Suggest",
            pb.SuggestRequest(
                campaign="campaigns/refuses",
                request_id="7" * 32,
                last_seen=pb.StateVersion(event_seq=10**9, event_hash="f" * 64),
            ),
            ("DATA_LOSS", "HISTORY_MISMATCH", "last_seen"),
        ),
        (
            "ControlCampaign",
            pb.ControlCampaignRequest(name="campaigns/refuses", request_id="8" * 32),
            ("INVALID_ARGUMENT", "FIELD_INVALID", "action"),
        ),
        (
            "UpdateCampaign",
            pb.UpdateCampaignRequest(
                name="campaigns/refuses", request_id="9" * 32, etag="old", update_mask=["policy"], reason=""
            ),
            ("FAILED_PRECONDITION", "ETAG_MISMATCH", "etag"),
        ),
        (
            "RetractObservation",
            pb.RetractObservationRequest(name="campaigns/refuses/observations/first", request_id="a" * 32),
            ("INVALID_ARGUMENT", "FIELD_MISSING", "reason"),
        ),
        (
            "ListObservations",
            pb.ListObservationsRequest(campaign="campaigns/refuses", page_token="-3"),
            ("INVALID_ARGUMENT", "FIELD_INVALID", "page_token"),
        ),
        (
            "Explain",
            pb.ExplainRequest(campaign="campaigns/refuses"),
            ("INVALID_ARGUMENT", "FIELD_MISSING", "position"),
        ),
        (
            "VerifyCampaign",
            pb.VerifyCampaignRequest(campaign="campaigns/refuses"),
            ("UNIMPLEMENTED", "CALL_NOT_BUILT", ""),
        ),
    ],
)
def test_bad_calls(server: Any, campaign: str, method: str, request_: Any, want: tuple[str, str, str]) -> None:
    before = seq(server, campaign)
    assert failure(lambda: server.call(method, request_)) == want
    assert seq(server, campaign) == before


@pytest.mark.parametrize(
    ("spec", "reason", "field"),
    [
        (pb.CampaignSpec(), "FIELD_MISSING", "spec.scalarizer.name"),
        (
            pb.CampaignSpec(scalarizer=pb.ScalarizerSpec(name="band_sun")),
            "PLUGIN_UNKNOWN",
            "spec.scalarizer.name",
        ),
        (
            pb.CampaignSpec(scalarizer=pb.ScalarizerSpec(name="band_sum", params_json='{"lo": 1}')),
            "PARAM_INVALID",
            "spec.scalarizer.params",
        ),
        (
            pb.CampaignSpec(scalarizer=pb.ScalarizerSpec(name="band_sum", params_json="{")),
            "FIELD_INVALID",
            "spec.scalarizer.params_json",
        ),
        (
            pb.CampaignSpec(
                scalarizer=pb.ScalarizerSpec(name="value_at"), metadata_json='{"a":' * 900 + "1" + "}" * 900
            ),
            "FIELD_INVALID",
            "spec.metadata_json",
        ),
        (
            pb.CampaignSpec(scalarizer=pb.ScalarizerSpec(name="value_at", params_json='{"a":' * 900 + "1" + "}" * 900)),
            "FIELD_INVALID",
            "spec.scalarizer.params_json",
        ),
        (
            pb.CampaignSpec(scalarizer=pb.ScalarizerSpec(name="value_at"), metadata_json='{"a": 1e999}'),
            "FIELD_INVALID",
            "spec.metadata_json",
        ),
        (
            pb.CampaignSpec(scalarizer=pb.ScalarizerSpec(name="value_at"), title="long" * 1025),
            "FIELD_INVALID",
            "spec.title",
        ),
        (
            pb.CampaignSpec(scalarizer=pb.ScalarizerSpec(name="é" * 129)),
            "FIELD_INVALID",
            "spec.scalarizer.name",
        ),
        (
            pb.CampaignSpec(scalarizer=pb.ScalarizerSpec(name="value_at"), limits=pb.Limits(border=float("nan"))),
            "FIELD_INVALID",
            "spec.limits.border",
        ),
        (
            pb.CampaignSpec(
                scalarizer=pb.ScalarizerSpec(name="value_at"),
                limits=pb.Limits(forbidden=[pb.Polygon(y=[0, 1], x=[0, 1])]),
            ),
            "FIELD_INVALID",
            "spec.limits.forbidden[0]",
        ),
        (
            pb.CampaignSpec(scalarizer=pb.ScalarizerSpec(name="value_at"), policy=pb.PolicySpec(name="luck")),
            "PLUGIN_UNKNOWN",
            "spec.policy.name",
        ),
    ],
)
def test_bad_specs(server: Any, wire: Any, spec: pb.CampaignSpec, reason: str, field: str) -> None:
    request = pb.CreateCampaignRequest(request_id=wire.new_id(), campaign_id="never", spec=spec)
    assert failure(lambda: server.call("CreateCampaign", request)) == ("INVALID_ARGUMENT", reason, field)
    assert failure(lambda: server.call("GetCampaign", pb.GetCampaignRequest(name="campaigns/never")))[0] == "NOT_FOUND"


def test_a_stale_lease_cannot_be_renewed(server: Any, wire: Any, campaign: str) -> None:
    s = server.suggest(campaign).suggestions[0]
    release = pb.ReleaseSuggestionsRequest(
        request_id=wire.new_id(), campaign=campaign, names=[s.name], lease_tokens=[s.lease_token]
    )
    server.call("ReleaseSuggestions", release)
    before = seq(server, campaign)
    renew = pb.RenewLeasesRequest(
        request_id=wire.new_id(), campaign=campaign, names=[s.name], lease_tokens=[s.lease_token]
    )
    want = ("FAILED_PRECONDITION", "LEASE_STALE", "lease_tokens[0]")
    assert failure(lambda: server.call("RenewLeases", renew)) == want
    assert seq(server, campaign) == before


def test_an_oversized_blob_is_refused_before_it_is_sent(server: Any, wire: Any, campaign: str) -> None:
    begin = pb.BeginBlobRequest(request_id=wire.new_id(), campaign=campaign, size=1 << 40, sha256="a" * 64)
    got = failure(lambda: server.blobs.BeginBlob(begin, metadata=server.metadata, timeout=10))
    assert got[:2] == ("INVALID_ARGUMENT", "BLOB_TOO_LARGE")


def test_tokens(server: Any, campaign: str) -> None:
    ask = pb.GetCampaignRequest(name=campaign)
    for metadata, reason in (((), "TOKEN_MISSING"), ((("authorization", "Bearer no"),), "TOKEN_UNKNOWN")):
        got = failure(lambda m=metadata: server.planner.GetCampaign(ask, metadata=m, timeout=10))
        assert got[:2] == ("UNAUTHENTICATED", reason)


def test_garbage_bytes_do_not_kill_the_server(server: Any, wire: Any, campaign: str) -> None:
    rng = np.random.default_rng(3)
    good = pb.StepRequest(
        request_id=wire.new_id(), campaign=campaign, observation=wire.observation(campaign, "g", (0.1, 0.1))
    ).SerializeToString()
    call = server.channel.unary_unary("/probescout.v1.PlannerService/Step")
    allowed = {"INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "DATA_LOSS"}
    for _ in range(150):
        raw = bytearray(good)
        for at in rng.integers(len(raw), size=rng.integers(1, 6)):
            raw[at] = rng.integers(256)
        try:
            call(bytes(raw), metadata=server.metadata, timeout=20)
        except grpc.RpcError as error:
            assert error.code().name in allowed, error
    assert server.call("GetCampaign", pb.GetCampaignRequest(name=campaign)).name == campaign
