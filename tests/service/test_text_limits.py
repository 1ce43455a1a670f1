"""Long texts and deep JSON are refused with their field before anything is kept."""

from __future__ import annotations

from typing import Any

import pytest
from probescout_client.wire.v1 import probescout_pb2 as pb

from probescout.core import events
from probescout.core.errors import InvalidInput, Overloaded, Reason
from probescout.core.proposals import MAX_WAITING
from probescout.service.spec_codec import MAX_DEPTH, read_json, read_spec
from probescout.service.status import details
from probescout.service.text_limits import MAX_NOTE, check_texts, cut
from probescout.store.chain import encode

SPEC = pb.CampaignSpec


def observed(**fields: Any) -> pb.StepRequest:
    return pb.StepRequest(observation=pb.Observation(**fields))


@pytest.mark.parametrize(
    ("make", "allowed", "field"),
    [
        (lambda s: pb.SuggestRequest(client_id=s), 128, "client_id"),
        (lambda s: observed(client_id=s), 128, "observation.client_id"),
        (lambda s: observed(settings=[pb.Setting(), pb.Setting(name=s)]), 128, "observation.settings[1].name"),
        (lambda s: observed(spectrum=pb.Tensor(dims=["y", s])), 128, "observation.spectrum.dims[1]"),
        (lambda s: observed(name=s), 256, "observation.name"),
        (lambda s: observed(message=s), 4096, "observation.message"),
        (lambda s: observed(axes=[pb.Axis(unit=s)]), 4096, "observation.axes[0].unit"),
        (lambda s: pb.CreateCampaignRequest(spec=SPEC(title=s)), 4096, "spec.title"),
        (lambda s: pb.CreateCampaignRequest(spec=SPEC(sample=s)), 4096, "spec.sample"),
        (lambda s: pb.CreateCampaignRequest(spec=SPEC(metadata_json=s)), 65536, "spec.metadata_json"),
        (
            lambda s: pb.CreateCampaignRequest(spec=SPEC(policy=pb.PolicySpec(params_json=s))),
            65536,
            "spec.policy.params_json",
        ),
        (lambda s: pb.ControlCampaignRequest(reason=s), 4096, "reason"),
        (lambda s: pb.ProposePointsRequest(note=s), 256, "note"),
        (lambda s: pb.SubmitTheoryJobRequest(job=pb.TheoryJob(structure_json=s)), 65536, "job.structure_json"),
        (lambda s: pb.FinishTheoryJobRequest(structure_json=s), 2 << 20, "structure_json"),
        (lambda s: pb.FinishTheoryJobRequest(failure=s), 4096, "failure"),
    ],
)
def test_lengths(make: Any, allowed: int, field: str) -> None:
    check_texts(make("a" * allowed))
    with pytest.raises(InvalidInput) as caught:
        check_texts(make("a" * (allowed + 1)))
    assert (caught.value.reason, caught.value.field) == (Reason.FIELD_INVALID, field)
    assert str(allowed) in caught.value.message


def test_texts_are_counted_in_bytes_and_names_in_characters() -> None:
    check_texts(pb.SuggestRequest(client_id="é" * 128))
    with pytest.raises(InvalidInput):
        check_texts(pb.ControlCampaignRequest(reason="é" * 2049))


def test_a_text_is_cut_between_characters() -> None:
    assert cut("é" * 2048) == "é" * 2048
    assert cut("a" + "é" * 2048) == "a" + "é" * 2046 + "…"
    assert len(cut("\U0001f52c" * 2000).encode()) <= 4096


def test_the_depth_of_json_is_bounded() -> None:
    def nested(depth: int) -> str:
        return '{"a":' * depth + "1" + "}" * depth

    assert read_json(nested(MAX_DEPTH), field="f")
    assert read_json('{"a": ' + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1) + "}", field="f")
    for text in (nested(MAX_DEPTH + 1), nested(900), nested(20000), '{"a": ' + "[" * 900 + "]" * 900 + "}"):
        with pytest.raises(InvalidInput) as caught:
            read_json(text, field="spec.metadata_json")
        assert (caught.value.reason, caught.value.field) == (Reason.FIELD_INVALID, "spec.metadata_json")


def test_numbers_that_json_cannot_give_back_are_refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        read_json('{"a": 1e999}', field="f")
    assert caught.value.reason is Reason.FIELD_INVALID


def test_a_long_message_fits_into_the_trailers() -> None:
    trailer = details(Overloaded(Reason.QUEUE_FULL, "é" * 10000, field="f"))
    status = pb.RichStatus.FromString(trailer)
    assert len(trailer) < 3000 and status.message.startswith("éé") and status.message.endswith(" ...")


def test_a_campaign_with_all_points_that_may_wait_fits_a_reply() -> None:
    points = [
        pb.OperatorPoint(
            name="campaigns/" + "c" * 63 + f"/points/p{i}",
            position=pb.Position(frame="campaigns/" + "c" * 63 + "/frames/" + "f" * 63, y=0.123456789, x=0.123456789),
            note="\U0001f52c" * MAX_NOTE,
            is_urgent=True,
            candidate=1 << 20,
            suggestion="campaigns/" + "c" * 63 + "/suggestions/s123456",
        )
        for i in range(MAX_WAITING)
    ]
    assert pb.Campaign(points=points).ByteSize() < 2 << 20


@pytest.mark.parametrize("field", ["policy", "scalarizer", "objectives", "metadata"])
def test_the_journal_takes_the_deepest_parts_of_a_spec(field: str) -> None:
    deepest = '{"a":' * MAX_DEPTH + "1" + "}" * MAX_DEPTH
    plugin = {"name": "some", "params_json": deepest}
    m = SPEC(scalarizer=pb.ScalarizerSpec(name="given"))
    if field == "policy":
        m.policy.CopyFrom(pb.PolicySpec(**plugin))
    elif field == "metadata":
        m.metadata_json = deepest
    else:
        m.scalarizer.CopyFrom(pb.ScalarizerSpec(**plugin))
    if field == "objectives":
        m.objectives.append(pb.Objective(scalarizer=m.scalarizer))
    encode(events.encode(events.Created("c", read_spec(m), 0.0)).payload)
