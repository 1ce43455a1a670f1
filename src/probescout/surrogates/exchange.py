"""What crosses the border of the answering path: requests and results of fits, and saved states.

All of it is JSON values and arrays in nested dicts, so that any framing can carry it; everything that comes in is
checked before it touches the model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, Reason
from probescout.surrogates.features import Features
from probescout.surrogates.members.catalogue import DEEP, DEEP_INPUTS, EMBEDDING, can_be_deep, shallow_members
from probescout.surrogates.members.definition import Hyperparameters, read_hyperparameters
from probescout.surrogates.model import Model
from probescout.surrogates.noise import Scale, scale_of

FloatArray = NDArray[np.float64]

STATE_VERSION = 1
MOST_EMBEDDING_DIMS = 64


def fit_request(
    features: Features,
    model: Model,
    index: NDArray[np.intp],
    values: FloatArray,
    variances: FloatArray,
    *,
    seed: int,
    is_warm: bool,
    use_deep: bool,
) -> dict[str, Any]:
    """Return what `fitting.fit` needs.

    Args:
        features: Of all candidates.
        model: Whose hyperparameters a warm fit starts from.
        index: (n,) candidates measured.
        values: (n,) target units.
        variances: (n,) squared target units; NaN where unknown.
        seed: Of the network's start.
        is_warm: Whether there was a fit before.
        use_deep: Whether to fit the deep member.
    """
    scale = scale_of(values, variances)
    request: dict[str, Any] = {
        "seed": seed,
        "n_observed": len(index),
        "scale": scale.to_json(),
        "members": [m.name for m in model.members if not m.is_deep],
        "warm": {name: hyper.to_json() for name, hyper in model.hyper.items()} if is_warm else {},
        "observed": {name: array[index] for name, array in features.arrays.items()},
        "y": scale.standardise(values),
        "stated_noise": scale.noise(variances),
    }
    if use_deep and can_be_deep(features.arrays):
        request["candidates"] = {name: features.arrays[name] for name in DEEP_INPUTS}
    return request


def read_fit(
    features: Features, data: Mapping[str, Any], arrays: Mapping[str, Any]
) -> tuple[Scale, dict[str, Hyperparameters], dict[str, NDArray[np.float32]]]:
    """Check the result of a fit, or hyperparameters from a journal.

    Raises:
        InvalidInput: SHAPE_MISMATCH, NON_FINITE or FIELD_INVALID.
    """
    members = data.get("members")
    if not isinstance(members, Mapping):
        raise InvalidInput(Reason.FIELD_INVALID, f"members is {members!r}; a fit returns a dict", field="members")
    scale = _read_scale(data.get("scale"))
    dims = {name: array.shape[1] for name, array in features.arrays.items()}
    learnt: dict[str, NDArray[np.float32]] = {}
    if DEEP.name in members and EMBEDDING in arrays:
        learnt[EMBEDDING] = _read_embedding(arrays[EMBEDDING], features.n_candidates)
        dims[EMBEDDING] = learnt[EMBEDDING].shape[1]
    wanted = [*shallow_members(features.arrays), *([DEEP] if learnt else [])]
    hyper = {}
    for member in wanted:
        if member.name not in members:
            raise InvalidInput(
                Reason.FIELD_INVALID,
                f"member '{member.name}' is missing; the fit has {', '.join(members)}",
                field=f"members.{member.name}",
            )
        hyper[member.name] = read_hyperparameters(member, dims, members[member.name])
    return scale, hyper, learnt


def _read_scale(data: Any) -> Scale:
    try:
        scale = Scale.from_json(data)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(
            Reason.FIELD_INVALID, f"the scale {data!r} is unreadable: {error!r}", field="scale"
        ) from error
    numbers = (scale.mean, scale.sd, scale.typical_variance, scale.variance_slope, *scale.variance_limits)
    if not all(math.isfinite(v) for v in numbers) or scale.sd <= 0 or scale.typical_variance < 0:
        raise InvalidInput(
            Reason.NON_FINITE,
            f"the scale is {scale}; all numbers must be finite, sd > 0 and the variance >= 0",
            field="scale",
        )
    return scale


def _read_embedding(data: Any, n_candidates: int) -> NDArray[np.float32]:
    array = np.ascontiguousarray(data, dtype=np.float32)
    if array.ndim != 2 or len(array) != n_candidates or not 1 <= array.shape[1] <= MOST_EMBEDDING_DIMS:
        raise InvalidInput(
            Reason.SHAPE_MISMATCH,
            f"the embedding has shape {array.shape}; it must be ({n_candidates}, 1..{MOST_EMBEDDING_DIMS})",
            field="arrays.deep",
        )
    if not np.isfinite(array).all():
        raise InvalidInput(Reason.NON_FINITE, "the embedding holds NaN or infinity; fit again", field="arrays.deep")
    return array


def check_state(state: Mapping[str, Any]) -> None:
    """Check that a saved state is one of ours.

    Raises:
        InvalidInput: FIELD_INVALID when its version differs; rebuild from the journal then.
    """
    if state.get("version") != STATE_VERSION:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"the saved state has version {state.get('version')!r}, this program reads {STATE_VERSION}; rebuild the "
            "committee from the journal",
            field="version",
        )
