"""What makes a measurement acceptable: checked before anything is journalled."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from probescout.core.errors import AlreadyExists, InvalidInput, NotFound, Reason, WrongState
from probescout.core.observations import AxisRecord, Observation, ObservationStatus, ScoreState
from probescout.core.specs import GIVEN, checked_id
from probescout.core.spectra import Spectrum
from probescout.core.state import Campaign, Status
from probescout.core.suggestions import SuggestionState

LARGEST_COST = 1e12
"""Largest dwell time, beam time (seconds) and dose of one observation: their sums must stay finite."""


@dataclass(frozen=True)
class Expectation:
    """What the campaign's scalarizer takes, told once by the process that loaded it."""

    n_dims: int = 0
    """Number of signal dimensions; 0: any."""
    axis_unit: str = ""
    """Unit in which its windows are given; empty: that of the first signal."""


def admit(
    state: Campaign, draft: Observation, spectrum: Spectrum | None, expect: Expectation, token: str
) -> Observation:
    """Return the observation with its flags set, or refuse it.

    Late, unsolicited and out-of-frame data are flagged, never refused: data are precious. Refused is only what cannot
    be understood, so that the client can mend it and send it again.

    Raises:
        InvalidInput: With the field.
        AlreadyExists: OBSERVATION_EXISTS when the id is taken.
        NotFound: SUGGESTION_NOT_FOUND or FRAME_NOT_FOUND.
        WrongState: NO_FRAME.
    """
    checked_id(draft.id, field="observation.name")
    if draft.id in state.observations:
        raise AlreadyExists(
            Reason.OBSERVATION_EXISTS,
            f"observation '{draft.id}' is recorded already; correct it with AmendObservation, or choose another id",
            field="observation.name",
        )
    if state.frame is None or state.candidates is None:
        raise WrongState(Reason.NO_FRAME, f"campaign '{state.id}' has no frame yet; call AddFrame first")
    if draft.frame not in ("", state.frame.added.frame):
        raise NotFound(
            Reason.FRAME_NOT_FOUND,
            f"campaign '{state.id}' has no frame '{draft.frame}'; its frame is '{state.frame.added.frame}'",
            field="observation.measured_at.frame",
        )
    _check_numbers(draft)
    if not 0 <= draft.frame_revision <= state.frame.revision:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"frame revision {draft.frame_revision}; the newest is {state.frame.revision}",
            field="observation.frame_revision",
        )
    _check_signal(state, draft, spectrum, expect)
    return _flagged(state, draft, spectrum, token)


def _check_numbers(o: Observation) -> None:
    for name, value in (("y", o.y), ("x", o.x)):
        if not math.isfinite(value):
            raise InvalidInput(
                Reason.NON_FINITE, f"{name} is {value}; give a fraction", field=f"observation.measured_at.{name}"
            )
    for name in ("dwell_s", "dose", "cost_s"):
        value = getattr(o, name)
        if not 0 <= value <= LARGEST_COST:
            raise InvalidInput(
                Reason.FIELD_INVALID,
                f"{name} is {value}; give a number from 0 to {LARGEST_COST:g}",
                field=f"observation.{name}",
            )


def _check_signal(state: Campaign, o: Observation, spectrum: Spectrum | None, expect: Expectation) -> None:
    if o.status in (ObservationStatus.FAILED, ObservationStatus.INFEASIBLE):
        return
    if state.spec.scalarizer.name == GIVEN and not o.has_value:
        raise InvalidInput(
            Reason.FIELD_MISSING,
            "this campaign's scalarizer is 'given': send has_value, value and value_variance",
            field="observation.value",
        )
    if o.has_value and not math.isfinite(o.value):
        raise InvalidInput(Reason.NON_FINITE, f"value is {o.value}; give a finite number", field="observation.value")
    if (
        o.has_value
        and not math.isnan(o.value_variance)
        and not (math.isfinite(o.value_variance) and o.value_variance >= 0)
    ):
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"value_variance is {o.value_variance}; give a number >= 0, or NaN when it is unknown",
            field="observation.value_variance",
        )
    if spectrum is None:
        if not o.has_value:
            raise InvalidInput(
                Reason.FIELD_MISSING,
                "a COMPLETE or PARTIAL observation needs a spectrum or a value; use FAILED when there is neither",
                field="observation.spectrum",
            )
        return
    _check_shape(state, o, spectrum, expect)
    _check_finite(o, spectrum)
    _check_units(state, spectrum, expect)


def _check_finite(o: Observation, spectrum: Spectrum) -> None:
    if spectrum.values.dtype.kind != "f":
        return
    bad = ~np.isfinite(spectrum.values)
    if spectrum.mask is not None:
        bad &= spectrum.mask
    if not bad.any():
        return
    first = int(np.flatnonzero(bad)[0])
    raise InvalidInput(
        Reason.NON_FINITE,
        f"{int(bad.sum())} of {bad.size} elements are NaN or infinite, the first at {first}; send the observation as "
        "PARTIAL with a mask that is false there, or as FAILED",
        field="observation.spectrum.data",
    )


def _check_shape(state: Campaign, o: Observation, spectrum: Spectrum, expect: Expectation) -> None:
    where = "observation.spectrum.shape"
    if spectrum.values.size == 0:
        raise InvalidInput(Reason.SHAPE_MISMATCH, f"shape {spectrum.values.shape} holds no element", field=where)
    if len(spectrum.dims) != spectrum.values.ndim:
        raise InvalidInput(
            Reason.SHAPE_MISMATCH,
            f"{spectrum.values.ndim} dimensions and the names {spectrum.dims}; give one name a dimension",
            field="observation.spectrum.dims",
        )
    if spectrum.mask is not None and spectrum.mask.shape != spectrum.values.shape:
        raise InvalidInput(
            Reason.SHAPE_MISMATCH,
            f"the mask has shape {spectrum.mask.shape}, the spectrum {spectrum.values.shape}",
            field="observation.mask.shape",
        )
    if expect.n_dims and spectrum.values.ndim != expect.n_dims:
        raise InvalidInput(
            Reason.SHAPE_MISMATCH,
            f"scalarizer '{state.spec.scalarizer.name}' takes signals with {expect.n_dims} dimension(s); this one has "
            f"{spectrum.values.ndim} {spectrum.dims}",
            field=where,
        )
    first = state.signature
    if first is not None and spectrum.dims != first.dims:
        raise InvalidInput(
            Reason.SHAPE_MISMATCH,
            f"dimensions {spectrum.dims}; earlier signals of this campaign have {first.dims}",
            field="observation.spectrum.dims",
        )
    if first is not None and spectrum.values.shape != first.shape and o.status is ObservationStatus.COMPLETE:
        raise InvalidInput(
            Reason.SHAPE_MISMATCH,
            f"shape {spectrum.values.shape}; earlier signals of this campaign have {first.shape}. Send it as PARTIAL "
            "with a mask, or start another campaign for the other detector setting",
            field=where,
        )


def _check_units(state: Campaign, spectrum: Spectrum, expect: Expectation) -> None:
    for i, axis in enumerate(spectrum.axes):
        if axis.dim not in spectrum.dims:
            raise InvalidInput(
                Reason.AXIS_MISMATCH,
                f"axis '{axis.dim}' is not a dimension of the spectrum {spectrum.dims}",
                field=f"observation.axes[{i}].dim",
            )
        n = spectrum.values.shape[spectrum.dims.index(axis.dim)]
        if axis.values.size != n:
            raise InvalidInput(
                Reason.SHAPE_MISMATCH,
                f"axis '{axis.dim}' has {axis.values.size} values for {n} elements",
                field=f"observation.axes[{i}].values",
            )
        if not np.isfinite(axis.values).all():
            raise InvalidInput(
                Reason.NON_FINITE, f"axis '{axis.dim}' holds NaN or infinity", field=f"observation.axes[{i}].values"
            )
        wanted = expect.axis_unit or _unit_of(state, axis.dim)
        if wanted and axis.unit != wanted:
            raise InvalidInput(
                Reason.AXIS_UNIT_MISMATCH,
                f"axis '{axis.dim}' is in '{axis.unit}'; this campaign works in '{wanted}'. Send the axis in "
                f"'{wanted}', or change the scalarizer with UpdateCampaign",
                field=f"observation.axes[{i}].unit",
            )
    if expect.axis_unit and not spectrum.axes:
        raise InvalidInput(
            Reason.AXIS_MISMATCH,
            f"scalarizer '{state.spec.scalarizer.name}' has its windows in '{expect.axis_unit}'; send the axis",
            field="observation.axes",
        )


def _unit_of(state: Campaign, dim: str) -> str:
    axes: tuple[AxisRecord, ...] = state.signature.axes if state.signature else ()
    return next((a.unit for a in axes if a.dim == dim), "")


def _flagged(state: Campaign, o: Observation, spectrum: Spectrum | None, token: str) -> Observation:
    assert state.frame is not None and state.candidates is not None
    late = foreign = False
    if o.suggestion:
        s = state.suggestions.get(o.suggestion)
        if s is None:
            raise NotFound(
                Reason.SUGGESTION_NOT_FOUND,
                f"campaign '{state.id}' has no suggestion '{o.suggestion}'; leave the field empty for a measurement "
                "that nobody asked for",
                field="observation.suggestion",
            )
        foreign = token != s.token
        late = foreign or s.state is not SuggestionState.PENDING
    y, x = state.frame.to_image(o.y, o.x, o.frame_revision)
    outside = not (0.0 <= y <= 1.0 and 0.0 <= x <= 1.0)
    usable = o.status in (ObservationStatus.COMPLETE, ObservationStatus.PARTIAL)
    return replace(
        o,
        is_late=late or state.status in (Status.STOPPED, Status.ABORTED),
        is_foreign=foreign,
        is_unsolicited=not o.suggestion,
        is_outside=outside,
        candidate=-1 if outside else state.candidates.nearest(y, x),
        frame=state.frame.added.frame,
        frame_revision=o.frame_revision or state.frame.revision,
        ordinal=len(state.observations) + 1,
        score_state=ScoreState.PENDING if usable else ScoreState.NONE,
    )
