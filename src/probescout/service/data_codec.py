"""Observations and suggestions between the wire and core."""

from __future__ import annotations

import math

import numpy as np
from probescout_client.wire.v1 import probescout_pb2 as pb

from probescout.core.errors import InvalidInput, NotFound, Reason
from probescout.core.leasing import StopReport
from probescout.core.observations import Observation, ObservationStatus, ScoreState, Setting
from probescout.core.spectra import Axis, Spectrum
from probescout.core.state import Campaign
from probescout.core.suggestions import Source, Suggestion, SuggestionState
from probescout.service.names import member_ids, own_id
from probescout.service.tensors import KINDS, ReadBlob, read_tensor

MAX_AXIS = 1 << 24
"""Most elements of an axis."""
MAX_SETTINGS = 256
"""Most instrument settings of one observation."""
STATUS = {
    pb.OBSERVATION_STATUS_UNSPECIFIED: ObservationStatus.COMPLETE,
    pb.OBSERVATION_STATUS_COMPLETE: ObservationStatus.COMPLETE,
    pb.OBSERVATION_STATUS_PARTIAL: ObservationStatus.PARTIAL,
    pb.OBSERVATION_STATUS_FAILED: ObservationStatus.FAILED,
    pb.OBSERVATION_STATUS_INFEASIBLE: ObservationStatus.INFEASIBLE,
}
_STATUS_OUT = {v: k for k, v in STATUS.items()}
_SCORE_OUT = {
    ScoreState.PENDING: pb.SCORE_STATE_PENDING,
    ScoreState.SCORED: pb.SCORE_STATE_SCORED,
    ScoreState.FAILED: pb.SCORE_STATE_FAILED,
    ScoreState.NONE: pb.SCORE_STATE_NONE,
    ScoreState.RETRACTED: pb.SCORE_STATE_RETRACTED,
}
_SOURCE_OUT = {
    Source.PLANNER: pb.SUGGESTION_SOURCE_PLANNER,
    Source.PREFETCH: pb.SUGGESTION_SOURCE_PREFETCH,
    Source.FALLBACK: pb.SUGGESTION_SOURCE_FALLBACK,
    Source.SEED_DESIGN: pb.SUGGESTION_SOURCE_SEED_DESIGN,
    Source.OPERATOR: pb.SUGGESTION_SOURCE_OPERATOR,
}
STATE_OUT = {
    SuggestionState.PENDING: pb.SUGGESTION_STATE_PENDING,
    SuggestionState.MEASURED: pb.SUGGESTION_STATE_MEASURED,
    SuggestionState.RELEASED: pb.SUGGESTION_STATE_RELEASED,
    SuggestionState.EXPIRED: pb.SUGGESTION_STATE_EXPIRED,
}


def read_observation(
    m: pb.Observation, campaign: str, now: float, read_blob: ReadBlob, max_bytes: int
) -> tuple[Observation, Spectrum | None]:
    """Return the draft of an observation and its raw signal.

    Raises:
        InvalidInput: With the field.
        NotFound: BLOB_NOT_FOUND.
    """
    if m.status not in STATUS:
        raise InvalidInput(
            Reason.FIELD_INVALID, f"{m.status} is no ObservationStatus of the contract", field="observation.status"
        )
    if not m.HasField("measured_at"):
        raise InvalidInput(Reason.FIELD_MISSING, "say where the probe really was", field="observation.measured_at")
    if not m.name:
        raise InvalidInput(
            Reason.FIELD_MISSING,
            "the client names its observations, so that a retry cannot count twice: campaigns/{c}/observations/{id}",
            field="observation.name",
        )
    spectrum = _read_spectrum(m, read_blob, max_bytes) if m.HasField("spectrum") else None
    suggestion = own_id("suggestion", m.suggestion, campaign, field="observation.suggestion")
    frame = own_id("frame", m.measured_at.frame, campaign, field="observation.measured_at.frame")
    draft = Observation(
        id=own_id("observation", m.name, campaign, field="observation.name"),
        frame=frame,
        y=m.measured_at.y,
        x=m.measured_at.x,
        frame_revision=m.frame_revision,
        suggestion=suggestion,
        status=STATUS[m.status],
        value=_checked_value(m) if m.has_value else math.nan,
        value_variance=m.value_variance if m.has_value else math.nan,
        value_scalarizer=m.value_scalarizer,
        dwell_s=m.dwell_s,
        dose=m.dose,
        cost_s=m.cost_s,
        measured_time=m.measured_time if math.isfinite(m.measured_time) else 0.0,
        settings=_read_settings(m),
        client_id=m.client_id,
        message=m.message,
        received_time=now,
    )
    return draft, spectrum


def _checked_value(m: pb.Observation) -> float:
    if not math.isfinite(m.value):
        raise InvalidInput(Reason.NON_FINITE, f"value is {m.value}; give a finite number", field="observation.value")
    return m.value


def _read_settings(m: pb.Observation) -> tuple[Setting, ...]:
    where = "observation.settings"
    if len(m.settings) > MAX_SETTINGS:
        raise InvalidInput(
            Reason.FIELD_INVALID, f"{len(m.settings)} settings; at most {MAX_SETTINGS} are kept", field=where
        )
    for i, s in enumerate(m.settings):
        if not s.name:
            raise InvalidInput(Reason.FIELD_MISSING, "name the setting", field=f"{where}[{i}].name")
        if not math.isfinite(s.value):
            raise InvalidInput(
                Reason.NON_FINITE,
                f"setting '{s.name}' is {s.value}; give a finite number, or leave it out",
                field=f"{where}[{i}].value",
            )
    return tuple(Setting(s.name, s.value, s.unit) for s in m.settings)


def _read_spectrum(m: pb.Observation, read_blob: ReadBlob, max_bytes: int) -> Spectrum:
    where = "observation.spectrum"
    values = read_tensor(m.spectrum, read_blob, field=where, max_bytes=max_bytes)
    if m.spectrum.value_kind not in KINDS:
        raise InvalidInput(
            Reason.FIELD_INVALID, f"{m.spectrum.value_kind} is no ValueKind", field=f"{where}.value_kind"
        )
    mask = None
    if m.HasField("mask"):
        mask = read_tensor(m.mask, read_blob, field="observation.mask", max_bytes=max_bytes).astype(bool)
        if mask.shape != values.shape:
            raise InvalidInput(
                Reason.SHAPE_MISMATCH,
                f"the mask has shape {mask.shape}, the spectrum {values.shape}",
                field="observation.mask.shape",
            )
    dims = tuple(m.spectrum.dims)
    axes = tuple(_read_axis(a, i, dims, values.shape) for i, a in enumerate(m.axes))
    return Spectrum(values, dims, axes, m.spectrum.unit, KINDS[m.spectrum.value_kind], mask)


def _read_axis(m: pb.Axis, i: int, dims: tuple[str, ...], shape: tuple[int, ...]) -> Axis:
    if m.dim not in dims:
        raise InvalidInput(
            Reason.AXIS_MISMATCH,
            f"axis '{m.dim[:80]}' is not a dimension of the spectrum {dims}",
            field=f"observation.axes[{i}].dim",
        )
    if m.values:
        return Axis(m.dim, np.asarray(m.values, dtype=np.float64), m.quantity, m.unit)
    if m.step == 0 or not (math.isfinite(m.step) and math.isfinite(m.start)):
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"axis '{m.dim}' needs values, or a finite start and a step that is not 0",
            field=f"observation.axes[{i}].step",
        )
    n = shape[dims.index(m.dim)]
    return Axis(m.dim, m.start + m.step * np.arange(n, dtype=np.float64), m.quantity, m.unit)


def write_observation(o: Observation, campaign: str) -> pb.Observation:
    """Return the message of an observation, without its spectrum."""
    base = f"campaigns/{campaign}"
    scored = o.score_state in (ScoreState.SCORED, ScoreState.RETRACTED)
    return pb.Observation(
        name=f"{base}/observations/{o.id}",
        suggestion=f"{base}/suggestions/{o.suggestion}" if o.suggestion else "",
        measured_at=pb.Position(frame=f"{base}/frames/{o.frame}" if o.frame else "", y=o.y, x=o.x),
        frame_revision=o.frame_revision,
        status=_STATUS_OUT[o.status],
        has_value=o.has_value,
        value=o.value if o.has_value else 0.0,
        value_variance=o.value_variance if o.has_value else 0.0,
        value_scalarizer=o.value_scalarizer,
        dwell_s=o.dwell_s,
        dose=o.dose,
        cost_s=o.cost_s,
        measured_time=o.measured_time,
        settings=[pb.Setting(name=s.name, value=s.value, unit=s.unit) for s in o.settings],
        client_id=o.client_id,
        message=o.message,
        score_state=_SCORE_OUT[o.score_state],
        target=o.target if scored else 0.0,
        target_variance=o.target_variance if scored else 0.0,
        target_unit=o.target_unit,
        score_message=o.score_message,
        is_late=o.is_late,
        is_unsolicited=o.is_unsolicited,
        is_outside=o.is_outside,
        ordinal=o.ordinal,
        received_time=o.received_time,
        further=[
            pb.FurtherScore(
                scalarizer=score.scalarizer,
                has_value=not score.error,
                value=0.0 if score.error else score.value,
                variance=0.0 if score.error else score.variance,
                unit=score.unit,
                message=score.error,
            )
            for score in o.further
        ],
    )


def write_suggestion(s: Suggestion, campaign: str, expires_in_s: float) -> pb.Suggestion:
    """Return the message of a suggestion; numbers that the model could not give are NaN."""
    base = f"campaigns/{campaign}"
    noise = math.sqrt(max(0.0, s.predictive_std**2 - s.std**2)) if math.isfinite(s.predictive_std) else math.nan
    return pb.Suggestion(
        name=f"{base}/suggestions/{s.id}",
        position=pb.Position(frame=f"{base}/frames/{s.frame}", y=s.y, x=s.x),
        lease_token=s.token,
        expires_in_s=expires_in_s,
        source=_SOURCE_OUT[s.source],
        mean=s.mean,
        std=s.std,
        noise_std=noise,
        acquisition=s.acquisition,
        exploit=s.exploit,
        explore=s.explore,
        novelty=s.novelty,
        policy=s.policy,
        model_version=s.model_version,
        data_version=s.data_version,
        state=STATE_OUT[s.state],
        candidate=s.candidate,
        client_id=s.client_id,
        ordinal=s.ordinal,
        degraded_reasons=s.degraded,
    )


def write_stop(stop: StopReport | None) -> pb.StopReport | None:
    """Return the message of a stop report."""
    if stop is None:
        return None
    cause = f"STOP_CAUSE_{stop.cause.name}"
    return pb.StopReport(cause=cause, message=stop.message, retry_after_s=stop.retry_after_s, is_final=stop.is_final)


def check_frame(at: pb.Position, state: Campaign, *, field: str) -> None:
    """Refuse a position in a frame that the campaign does not have; an empty name is its newest frame.

    Raises:
        InvalidInput: ID_INVALID.
        NotFound: FRAME_NOT_FOUND.
    """
    own = own_id("frame", at.frame, state.id, field=field)
    if own and state.frame is not None and own != state.frame.added.frame:
        raise NotFound(
            Reason.FRAME_NOT_FOUND,
            f"campaign '{state.id}' has no frame '{own}'; its frame is '{state.frame.added.frame}'",
            field=field,
        )


def read_names(kind: str, names: list[str], state: Campaign, *, field: str) -> tuple[str, ...]:
    """Return the own ids of full names, which must all belong to the campaign.

    Raises:
        InvalidInput: ID_INVALID or FIELD_MISSING.
    """
    found = []
    for i, name in enumerate(names):
        campaign, own = member_ids(kind, name, field=f"{field}[{i}]")
        if campaign != state.id:
            raise InvalidInput(Reason.ID_INVALID, f"'{name}' is not of campaign '{state.id}'", field=f"{field}[{i}]")
        found.append(own)
    return tuple(found)
