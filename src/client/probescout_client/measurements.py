"""Makes the message of a measurement from what a script has in hand."""

from __future__ import annotations

import time
import uuid
from typing import Any, List, Mapping, Optional, Sequence, Tuple, Union

from probescout_client.axes import to_axis
from probescout_client.errors import InvalidInput
from probescout_client.points import Axis, Point
from probescout_client.tensors import n_axes, to_mask, to_tensor
from probescout_client.wire.v1 import probescout_pb2 as pb

AxisLike = Union[Axis, Sequence[Any]]


def to_observation(
    campaign: str,
    point: Point,
    client_id: str,
    measured_at: Optional[Tuple[float, float]] = None,
    frame_revision: int = 0,
    dwell_s: float = 0.0,
    dose: float = 0.0,
    cost_s: float = 0.0,
    settings: Optional[Mapping[str, Any]] = None,
    observation_id: Optional[str] = None,
    measured_time: Optional[float] = None,
) -> pb.Observation:
    """Return an observation without its signal.

    Args:
        campaign: Name of the campaign.
        point: What it answers; without a name it is unsolicited.
        client_id: Name of this instrument.
        measured_at: (y, x) where the probe really was, fractions; None: at the point.
        frame_revision: Revision of the frame that was used; 0: the newest.
        dwell_s: Dwell time.
        dose: In the dose unit of the campaign.
        cost_s: Beam time, all included.
        settings: Settings used, name -> value or (value, unit).
        observation_id: Own id; None: a new one.
        measured_time: Seconds since 1970 UTC; None: now.
    """
    y, x = (point.y, point.x) if measured_at is None else measured_at
    observation = pb.Observation(
        name="{}/observations/{}".format(campaign, observation_id or uuid.uuid4()),
        suggestion=point.name,
        lease_token=point.lease_token,
        measured_at=pb.Position(frame=point.frame, y=float(y), x=float(x)),
        frame_revision=frame_revision,
        status=pb.OBSERVATION_STATUS_COMPLETE,
        dwell_s=dwell_s,
        dose=dose,
        cost_s=cost_s,
        measured_time=time.time() if measured_time is None else measured_time,
        client_id=client_id,
    )
    for name, given in (settings or {}).items():
        value, unit = given if isinstance(given, (list, tuple)) else (given, "")
        observation.settings.add(name=name, value=float(value), unit=unit)
    return observation


def add_spectrum(
    observation: pb.Observation,
    spectrum: Any,
    dims: Optional[Sequence[str]] = None,
    axis: Optional[AxisLike] = None,
    axes: Optional[Sequence[AxisLike]] = None,
    unit: str = "",
    counts: Optional[bool] = None,
    mask: Any = None,
) -> None:
    """Add a raw signal to an observation.

    Args:
        observation: Changed in place.
        spectrum: Array of any accepted kind, one axis per name in `dims`.
        dims: Names of its axes; may be left out for one axis ("channel") or when `axes` names each in order.
        axis: (values, unit) or (values, unit, quantity) of the only axis.
        axes: One `Axis` or (dim, values, unit[, quantity]) each.
        unit: Unit of the elements.
        counts: Whether these are detector counts (Poisson noise); None: unknown.
        mask: As `spectrum`, true where an element is valid; makes the observation PARTIAL unless all are.

    Raises:
        InvalidInput: FIELD_INVALID when both `axis` and `axes` are given, FIELD_MISSING when the axes of a signal are
            not named, SHAPE_MISMATCH or DTYPE_MISMATCH for an array that cannot be sent.
    """
    if axis is not None and axes is not None:
        raise InvalidInput("FIELD_INVALID", "give axis for a one-dimensional signal or axes for any, not both", "axes")
    n = n_axes(spectrum)
    named = [_to_named_axis(given) for given in axes or ()]
    if dims is None:
        dims = ("channel",) if n == 1 and not named else tuple(a.dim for a in named)
    if len(dims) != n:
        raise InvalidInput(
            "FIELD_MISSING",
            "the signal has {} axes and {} names {}; give dims=(...) one name an axis".format(
                n, len(dims), tuple(dims)
            ),
            "observation.spectrum.dims",
        )
    if axis is not None:
        if n != 1:
            raise InvalidInput(
                "AXIS_MISMATCH", "axis= describes one axis, the signal has {}; use axes=".format(n), "axes"
            )
        named = [_to_named_axis(axis if isinstance(axis, Axis) else (dims[0],) + tuple(axis))]
    observation.spectrum.CopyFrom(to_tensor(spectrum, dims, unit, counts))
    observation.axes.extend(to_axis(a.dim, a.values, a.unit, a.quantity) for a in named)
    if mask is not None:
        observation.mask.CopyFrom(to_mask(mask, dims))
        if 0 in observation.mask.data:
            observation.status = pb.OBSERVATION_STATUS_PARTIAL


def add_value(observation: pb.Observation, value: float, variance: Optional[float], scalarizer: str) -> None:
    """Add a value that the client has already scalarized.

    Args:
        observation: Changed in place.
        value: In target units.
        variance: Variance of its measurement noise; None: unknown, sent as NaN.
        scalarizer: What made it.
    """
    observation.has_value = True
    observation.value = float(value)
    observation.value_variance = float("nan") if variance is None else float(variance)
    observation.value_scalarizer = scalarizer


def _to_named_axis(given: AxisLike) -> Axis:
    if isinstance(given, Axis):
        return given
    parts: List[Any] = list(given)
    if not 2 <= len(parts) <= 4 or not isinstance(parts[0], str):
        raise InvalidInput(
            "AXIS_MISMATCH",
            "an axis is (dim, values, unit) or (dim, values, unit, quantity); axis= goes without dim",
            "axes",
        )
    return Axis(*parts)
