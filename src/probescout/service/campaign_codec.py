"""Campaigns, frames, maps and events as messages."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from probescout_client.wire.v1 import probescout_pb2 as pb

from probescout.core.candidates import CandidateSet
from probescout.core.errors import InvalidInput, Reason
from probescout.core.events import FrameAdded, Leased
from probescout.core.leasing import seed_candidates
from probescout.core.observations import SignalRecord
from probescout.core.ports import BlobStore, Head, Record
from probescout.core.specs import CampaignSpec, CandidateKind, checked_id
from probescout.core.spectra import Spectrum
from probescout.core.state import Campaign, Frame, Status
from probescout.core.suggestions import OperatorPoint
from probescout.service.data_codec import write_observation
from probescout.service.spec_codec import write_spec
from probescout.service.tensors import read_tensor
from probescout.store.blob_names import blob_name

MAX_PIXELS = 1 << 24
"""Most pixels of a frame."""
_STATUS = {
    Status.RUNNING: pb.CAMPAIGN_STATUS_RUNNING,
    Status.PAUSED: pb.CAMPAIGN_STATUS_PAUSED,
    Status.STOPPED: pb.CAMPAIGN_STATUS_STOPPED,
    Status.ABORTED: pb.CAMPAIGN_STATUS_ABORTED,
}


def write_status(state: Campaign) -> pb.CampaignStatus:
    """Return the status as the wire has it."""
    return _STATUS[state.status]


def write_version(head: Head, state: Campaign) -> pb.StateVersion:
    """Return where the journal stands now."""
    return pb.StateVersion(
        event_seq=head.seq, event_hash=head.hash, data_version=state.data_version, model_version=state.model_version
    )


def write_campaign(state: Campaign, head: Head) -> pb.Campaign:
    """Return the message of a campaign."""
    given = state.candidates.given if state.candidates is not None else None
    use = state.use
    message = pb.Campaign(
        name=f"campaigns/{state.id}",
        spec=write_spec(state.spec),
        status=_STATUS[state.status],
        etag=state.spec.etag,
        use=pb.BudgetUse(
            probes_spent=use.probes_spent,
            probes_reserved=use.probes_reserved,
            seconds_spent=use.seconds_spent,
            seconds_reserved=use.seconds_reserved,
            dose_spent=use.dose_spent,
            dose_reserved=use.dose_reserved,
            core_hours_spent=use.core_hours_spent,
            core_hours_reserved=use.core_hours_reserved,
        ),
        n_observations=len(state.observations),
        n_pending=len(state.pending),
        n_candidates=state.candidates.n if state.candidates is not None else 0,
        frames=[write_frame(state.frame, state.id, given)] if state.frame is not None else [],
        version=write_version(head, state),
        created_time=state.created_time,
        status_reason=state.status_reason,
        points=[write_point(p, state) for p in state.points],
    )
    best = state.best()
    if best is not None:
        message.best.CopyFrom(write_observation(best, state.id))
    return message


def write_point(point: OperatorPoint, state: Campaign) -> pb.OperatorPoint:
    """Return the message of a point that a person asked for."""
    assert state.frame is not None and state.candidates is not None
    y, x = state.frame.to_instrument(*state.candidates.position(point.candidate))
    base = f"campaigns/{state.id}"
    return pb.OperatorPoint(
        name=f"{base}/points/{point.id}",
        position=pb.Position(frame=f"{base}/frames/{state.frame.added.frame}", y=y, x=x),
        note=point.note,
        is_urgent=point.is_urgent,
        candidate=point.candidate,
        suggestion=f"{base}/suggestions/{point.suggestion}" if point.suggestion else "",
        proposed_time=point.proposed_time,
    )


def write_frame(frame: Frame, campaign: str, given: NDArray[np.float64] | None = None) -> pb.Frame:
    """Return the message of a frame; its arrays are named as blobs.

    Args:
        frame: Image or patches with their revisions.
        campaign: Id.
        given: (candidate, 2) fractional (y, x) of patches; None for pixels.
    """
    added, m = frame.added, frame.maps[-1]
    return pb.Frame(
        name=f"campaigns/{campaign}/frames/{added.frame}",
        image=_reference(added.image),
        pixel_size=pb.Length(value=added.pixel_size, unit=added.pixel_unit),
        rotation_deg=added.rotation_deg,
        mask=_reference(added.mask),
        patches=_reference(added.patches),
        positions=[] if given is None else [pb.Position(y=y, x=x) for y, x in given.tolist()],
        revision=frame.revision,
        affine=[m.yy, m.yx, m.y0, m.xy, m.xx, m.x0],
        position_std=frame.position_std,
        height=added.height,
        width=added.width,
        added_time=added.time,
    )


def _reference(record: SignalRecord | None) -> pb.Tensor | None:
    if record is None:
        return None
    return pb.Tensor(
        dtype=f"D_TYPE_{record.dtype.upper()}",
        shape=record.shape,
        dims=record.dims,
        unit=record.unit,
        blob=blob_name(record.blob),
    )


def read_frame(
    m: pb.Frame, frame_id: str, spec: CampaignSpec, blobs: BlobStore, now: float, max_bytes: int
) -> FrameAdded:
    """Return the event of a new frame; its arrays are checked, and stored as blobs where they came inline.

    Raises:
        InvalidInput: With the field.
        NotFound: BLOB_NOT_FOUND.
    """
    checked_id(frame_id, field="frame_id")
    event = FrameAdded(
        frame_id, now, pixel_size=m.pixel_size.value, pixel_unit=m.pixel_size.unit, rotation_deg=m.rotation_deg
    )
    for name, value in (("pixel_size.value", event.pixel_size), ("rotation_deg", event.rotation_deg)):
        if not math.isfinite(value):
            raise InvalidInput(Reason.NON_FINITE, f"{value} is not finite", field=f"frame.{name}")
    _refuse_unused(m, spec.candidates.kind)
    if spec.candidates.kind is CandidateKind.PATCHES:
        return _read_patches(m, event, spec, blobs, max_bytes)
    if not m.HasField("image"):
        raise InvalidInput(Reason.FIELD_MISSING, "a campaign on pixels needs an image", field="frame.image")
    image = read_tensor(m.image, blobs.get, field="frame.image", max_bytes=max_bytes)
    if tuple(m.image.dims) not in (("y", "x"), ("channel", "y", "x")) or image.size == 0:
        raise InvalidInput(
            Reason.SHAPE_MISMATCH,
            f"the image has dims {list(m.image.dims)} and shape {image.shape}; give (y, x) or (channel, y, x)",
            field="frame.image.dims",
        )
    height, width = image.shape[-2:]
    if height * width > MAX_PIXELS:
        raise InvalidInput(
            Reason.BLOB_TOO_LARGE,
            f"{height} x {width} pixels; at most {MAX_PIXELS} are taken: bin the image or cut it into regions",
            field="frame.image.shape",
        )
    if not np.isfinite(image).any():
        raise InvalidInput(Reason.NON_FINITE, "the image holds no finite pixel", field="frame.image.data")
    mask = _read_mask(m, (height, width), blobs, max_bytes)
    candidates = CandidateSet.pixels(height, width, spec.candidates.stride)
    if candidates.n == 0:
        raise InvalidInput(
            Reason.FIELD_INVALID, f"stride {spec.candidates.stride} leaves no pixel", field="spec.candidates.stride"
        )
    return replace(
        event,
        image=_store(image, tuple(m.image.dims), m.image.unit, blobs),
        mask=_store(mask, ("y", "x"), "", blobs) if mask is not None else None,
        height=height,
        width=width,
        n_candidates=candidates.n,
        seeds=seed_candidates(spec, candidates.positions(), mask),
    )


def _refuse_unused(m: pb.Frame, kind: CandidateKind) -> None:
    """Refuse what would be left out in silence: a mask is a hard limit, and its owner relies on it."""
    if kind is CandidateKind.PATCHES:
        advice = "a campaign on patches takes patches and positions only; leave out the patches that must not be probed"
        given = {"mask": m.HasField("mask"), "image": m.HasField("image")}
    else:
        advice = "a campaign on pixels takes an image; for patches choose CANDIDATE_KIND_PATCHES when creating it"
        given = {"patches": m.HasField("patches"), "positions": len(m.positions) > 0}
    for name, is_given in given.items():
        if is_given:
            raise InvalidInput(Reason.FIELD_INVALID, f"{name}: {advice}", field=f"frame.{name}")


def _read_mask(
    m: pb.Frame, shape: tuple[int, int], blobs: BlobStore, max_bytes: int
) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
    if not m.HasField("mask"):
        return None
    mask = read_tensor(m.mask, blobs.get, field="frame.mask", max_bytes=max_bytes)
    if mask.dtype != bool or mask.shape != shape:
        raise InvalidInput(
            Reason.SHAPE_MISMATCH,
            f"the mask is {mask.dtype} of shape {mask.shape}; give bool of the image's shape {shape}",
            field="frame.mask.shape",
        )
    return mask


def _read_patches(m: pb.Frame, event: FrameAdded, spec: CampaignSpec, blobs: BlobStore, max_bytes: int) -> FrameAdded:
    patches = read_tensor(m.patches, blobs.get, field="frame.patches", max_bytes=max_bytes)
    if (
        tuple(m.patches.dims) != ("candidate", "channel", "y", "x")
        or len(patches) != len(m.positions)
        or not len(patches)
    ):
        raise InvalidInput(
            Reason.SHAPE_MISMATCH,
            f"patches have dims {list(m.patches.dims)} and shape {patches.shape} for {len(m.positions)} positions; "
            "give (candidate, channel, y, x) and one position a candidate",
            field="frame.patches",
        )
    empty = ~np.isfinite(patches).reshape(len(patches), -1).any(axis=1)
    if empty.any():
        raise InvalidInput(
            Reason.NON_FINITE,
            f"{int(empty.sum())} of {len(patches)} patches hold no finite element, the first is "
            f"{int(np.flatnonzero(empty)[0])}; leave them out",
            field="frame.patches.data",
        )
    positions = np.array([[p.y, p.x] for p in m.positions], dtype=np.float64)
    if not (np.isfinite(positions).all() and (positions >= 0).all() and (positions <= 1).all()):
        raise InvalidInput(Reason.FIELD_INVALID, "positions must lie in [0, 1]", field="frame.positions")
    return replace(
        event,
        patches=_store(patches, tuple(m.patches.dims), m.patches.unit, blobs),
        positions=_store(positions, ("candidate", "axis"), "", blobs),
        n_candidates=len(positions),
        seeds=seed_candidates(spec, positions, None),
    )


def _store(values: np.ndarray[Any, Any], dims: tuple[str, ...], unit: str, blobs: BlobStore) -> SignalRecord:
    record, data = SignalRecord.of(Spectrum(values, dims, unit=unit))
    return replace(record, blob=blobs.put(data).digest)


def write_event(record: Record) -> pb.Event:
    """Return the message of a journal record, without its raw bytes and without what proves who holds a lease."""
    payload = dict(record.payload)
    if record.kind == Leased.__name__:
        payload["suggestions"] = [{**s, "token": ""} for s in payload["suggestions"]]
    return pb.Event(
        seq=record.seq,
        kind=record.kind,
        time=record.time,
        principal=record.principal,
        payload_json=json.dumps(payload, sort_keys=True),
        hash=record.hash,
    )
