"""Theory jobs between the wire and core."""

from __future__ import annotations

import json

import numpy as np
from probescout_client.wire.v1 import probescout_pb2 as pb

from probescout.core.errors import InvalidInput, Reason
from probescout.core.geometry import Position
from probescout.core.plugin_spec import PluginSpec
from probescout.core.state import Campaign
from probescout.core.theory import Failure, JobOrder, JobResult, JobState, Quantity, TheoryPatch
from probescout.core.theory_events import Job
from probescout.core.units import metres_per
from probescout.runtime.theorizing import Wanted
from probescout.runtime.theory_results import canonical
from probescout.service.data_codec import check_frame
from probescout.service.spec_codec import read_json
from probescout.service.tensors import DTYPES, ReadBlob, read_tensor, write_tensor
from probescout.service.text_limits import MAX_STRUCTURE, cut
from probescout.store.blob_names import blob_name

MAX_QUANTITIES = 64
MAX_PATCH = 64 << 20
"""Largest patch that a worker takes, bytes."""
STATES = {
    JobState.QUEUED: pb.THEORY_JOB_STATE_QUEUED,
    JobState.RUNNING: pb.THEORY_JOB_STATE_RUNNING,
    JobState.SUCCEEDED: pb.THEORY_JOB_STATE_SUCCEEDED,
    JobState.FAILED: pb.THEORY_JOB_STATE_FAILED,
    JobState.CANCELLED: pb.THEORY_JOB_STATE_CANCELLED,
}


def read_wanted(m: pb.TheoryJob, job_id: str, state: Campaign, read_blob: ReadBlob, max_bytes: int) -> Wanted:
    """Return what a client wants simulated.

    Raises:
        InvalidInput: With the field.
        NotFound: FRAME_NOT_FOUND or BLOB_NOT_FOUND.
    """
    if not m.engine and m.settings_json:
        raise InvalidInput(
            Reason.FIELD_MISSING,
            "settings belong to an engine; name it, or leave both out for those of the campaign",
            field="job.engine",
        )
    if m.HasField("patch") and m.structure_json:
        raise InvalidInput(Reason.FIELD_INVALID, "give a patch or a structure, not both", field="job.structure_json")
    check_frame(m.position, state, field="job.position.frame")
    structure = read_json(m.structure_json, field="job.structure_json") if m.structure_json else None
    if structure is not None and not structure:
        raise InvalidInput(Reason.FIELD_MISSING, "the structure is empty", field="job.structure_json")
    return Wanted(
        id=job_id,
        position=Position(m.position.y, m.position.x) if m.HasField("position") else None,
        engine=PluginSpec(m.engine, read_json(m.settings_json, field="job.settings_json")) if m.engine else None,
        patch=read_tensor(m.patch, read_blob, field="job.patch", max_bytes=max_bytes) if m.HasField("patch") else None,
        patch_pixel_m=_metres(m.pixel_size) if m.HasField("pixel_size") else 0.0,
        structure=structure,
        deadline_s=m.deadline_s,
        key=m.key,
        reason=m.reason,
    )


def _metres(length: pb.Length) -> float:
    metres = metres_per(length.unit)
    if metres is None:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"'{length.unit[:40]}' is no unit of length; give m, nm or angstrom",
            field="job.pixel_size",
        )
    return length.value * metres


def write_job(job: Job, state: Campaign, expires_in_s: float = 0.0) -> pb.TheoryJob:
    """Return the message of a job; patch and structure are named, and the token is nobody's business."""
    asked, lease, ended = job.queued, job.lease, job.ended
    base = f"campaigns/{state.id}"
    is_running = job.state is JobState.RUNNING and lease is not None
    message = pb.TheoryJob(
        name=f"{base}/theoryJobs/{job.id}",
        engine=asked.engine.name,
        settings_json=json.dumps(dict(asked.engine.params), sort_keys=True),
        state=STATES[job.state],
        attempt=job.attempt,
        deadline_s=asked.deadline_s,
        core_hours=lease.core_hours if is_running and lease is not None else job.core_hours,
        expires_in_s=expires_in_s,
        key=asked.key,
        pixel_size=pb.Length(value=asked.pixel_size_m, unit="m") if asked.patch is not None else None,
        has_candidate=asked.candidate >= 0,
        candidate=max(0, asked.candidate),
        reason=asked.reason,
        is_automatic=asked.is_automatic,
        worker_id=lease.worker if lease is not None else "",
        queued_time=asked.time,
        place_y=asked.place[0],
        place_x=asked.place[1],
        structure=asked.structure,
    )
    if asked.candidate >= 0 and state.frame is not None and state.candidates is not None:
        y, x = state.frame.to_instrument(*state.candidates.position(asked.candidate))
        message.position.CopyFrom(pb.Position(frame=f"{base}/frames/{state.frame.added.frame}", y=y, x=x))
    if asked.patch is not None:
        code = next(k for k, v in DTYPES.items() if v == np.dtype(asked.patch.dtype))
        patch = pb.Tensor(dtype=code, shape=asked.patch.shape, dims=["y", "x"], blob=blob_name(asked.patch.blob))  # type: ignore[arg-type]
        message.patch.CopyFrom(patch)
    if ended is not None:
        message.results.extend(_quantity(q) for q in ended.quantities)
        message.message, message.failure = ended.message, str(ended.failure or "")
        message.wall_s, message.ended_time, message.cached_from = ended.wall_s, ended.time, ended.cached_from
        message.key, message.structure = ended.key or message.key, ended.structure or message.structure
    if job.id in state.applied:
        applied = state.applied[job.id]
        message.evidence_state = pb.EVIDENCE_STATE_APPLIED if applied else pb.EVIDENCE_STATE_RETRACTED
    return message


def _quantity(q: Quantity) -> pb.Quantity:
    return pb.Quantity(name=q.name, value=q.value, std=q.std, unit=q.unit, is_converged=q.is_converged)


def write_order(order: JobOrder) -> pb.TheoryJob:
    """Return the message of a job for the worker that takes it, with all that it needs to run it."""
    message = pb.TheoryJob(
        name=order.name,
        engine=order.engine,
        settings_json=json.dumps(dict(order.settings), sort_keys=True),
        state=pb.THEORY_JOB_STATE_RUNNING,
        attempt=order.attempt,
        deadline_s=order.deadline_s,
        lease_token=order.token,
        expires_in_s=order.lease_s,
        structure_json=json.dumps(order.structure, sort_keys=True) if order.structure is not None else "",
    )
    if order.patch is not None:
        message.patch.CopyFrom(write_tensor(order.patch.image, ("y", "x")))
        message.pixel_size.CopyFrom(pb.Length(value=order.patch.pixel_size_m, unit="m"))
        message.place_y, message.place_x = order.patch.place
    return message


def read_order(m: pb.TheoryJob) -> JobOrder:
    """Return the order that `write_order` made this message of.

    Raises:
        InvalidInput: With the field.
    """
    patch = None
    if m.HasField("patch"):
        image = read_tensor(m.patch, _no_blob, field="patch", max_bytes=MAX_PATCH, inline_limit=MAX_PATCH)
        patch = TheoryPatch(image, _metres(m.pixel_size), (m.place_y, m.place_x))
    return JobOrder(
        name=m.name,
        engine=m.engine,
        settings=read_json(m.settings_json, field="settings_json"),
        token=m.lease_token,
        attempt=m.attempt,
        deadline_s=m.deadline_s,
        lease_s=m.expires_in_s,
        patch=patch,
        structure=read_json(m.structure_json, field="structure_json") if m.structure_json else None,
    )


def _no_blob(name: str) -> bytes:
    raise InvalidInput(Reason.FIELD_INVALID, f"the patch of an order is inline, not '{name[:80]}'", field="patch")


def write_result(name: str, token: str, result: JobResult) -> pb.FinishTheoryJobRequest:
    """Return the message that hands a result in, without its structure where that is too large."""
    structure = canonical(dict(result.structure)) if result.structure else ""
    return pb.FinishTheoryJobRequest(
        name=name,
        lease_token=token,
        state=STATES[result.state],
        results=[_quantity(q) for q in result.quantities],
        message=cut(result.message),
        core_hours=result.core_hours,
        failure=str(result.failure or ""),
        wall_s=result.wall_s,
        key=result.key,
        structure_json=structure if len(structure.encode()) <= MAX_STRUCTURE else "",
    )


def read_result(m: pb.FinishTheoryJobRequest) -> JobResult:
    """Return the result that a worker hands in; what its numbers are worth is judged at the desk.

    Raises:
        InvalidInput: With the field.
    """
    state = next((k for k, v in STATES.items() if v == m.state), None)
    if state is None:
        raise InvalidInput(
            Reason.FIELD_INVALID, f"{m.state} is no final TheoryJobState; give SUCCEEDED or FAILED", field="state"
        )
    if len(m.results) > MAX_QUANTITIES:
        raise InvalidInput(
            Reason.FIELD_INVALID, f"{len(m.results)} results; at most {MAX_QUANTITIES} are taken", field="results"
        )
    try:
        failure = Failure(m.failure) if m.failure else None
    except ValueError as error:
        raise InvalidInput(
            Reason.FIELD_INVALID, f"'{m.failure[:80]}' is none of {', '.join(Failure)}", field="failure"
        ) from error
    return JobResult(
        state,
        tuple(Quantity(q.name, q.value, q.unit, q.std, q.is_converged) for q in m.results),
        failure,
        cut(m.message),
        m.core_hours,
        m.wall_s,
        m.key,
        read_json(m.structure_json, field="structure_json"),
    )
