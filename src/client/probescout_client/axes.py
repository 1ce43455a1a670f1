"""Physical coordinates of the axes of a signal, to messages."""

from __future__ import annotations

from typing import Any, List

from probescout_client.errors import InvalidInput
from probescout_client.tensors import from_tensor, n_axes, to_tensor
from probescout_client.wire.v1 import probescout_pb2 as pb

EVEN_TOLERANCE = 1e-9
"""Largest departure from an even spacing, as a fraction of the step, that is sent as start and step."""


def to_axis(dim: str, values: Any, unit: str = "", quantity: str = "") -> pb.Axis:
    """Pack the coordinates of one axis, as start and step only where these give the same numbers.

    Args:
        dim: Name of the dimension in the spectrum's dims.
        values: (n,) coordinates, in `unit`.
        unit: For example "eV".
        quantity: For example "energy".

    Raises:
        InvalidInput: AXIS_MISMATCH when `values` is not one-dimensional.
    """
    numbers = to_floats(values)
    n = len(numbers)
    if n >= 3:
        start, step = numbers[0], (numbers[-1] - numbers[0]) / (n - 1)
        worst = max(abs(value - (start + i * step)) for i, value in enumerate(numbers))
        if step != 0.0 and worst <= EVEN_TOLERANCE * abs(step):
            return pb.Axis(dim=dim, quantity=quantity, unit=unit, start=start, step=step)
    return pb.Axis(dim=dim, quantity=quantity, unit=unit, values=numbers)


def to_floats(values: Any) -> List[float]:
    """Return a one-dimensional array of any accepted kind as a list of floats.

    Raises:
        InvalidInput: AXIS_MISMATCH when it is not one-dimensional.
    """
    array_like = from_tensor(to_tensor(values, ("value",) * n_axes(values)))
    if len(array_like.shape) != 1:
        raise InvalidInput(
            "AXIS_MISMATCH", "coordinates have one dimension, these have shape {}".format(array_like.shape), "axes"
        )
    return [float(value) for value in array_like.tolist()]
