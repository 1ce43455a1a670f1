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
from probescout.surrogates.doubts import Doubts
from probescout.surrogates.features import Features
from probescout.surrogates.measurements import Measurements
from probescout.surrogates.members.catalogue import (
    CONV,
    CONV_PROGRESS,
    DEEP,
    DEEP_INPUTS,
    N_SLICES,
    deep_member,
    shallow_members,
)
from probescout.surrogates.members.definition import Hyperparameters, read_hyperparameters
from probescout.surrogates.model import Model
from probescout.surrogates.noise import Scale, scale_of
from probescout.surrogates.sampling import fitted_on
from probescout.surrogates.warp import Warp

MOST_EMBEDDING_DIMS = 64
MOST_WEIGHTS = 1 << 20
"""Entries of one array of a network."""


def fit_request(
    features: Features,
    model: Model,
    data: Measurements,
    *,
    seed: int,
    is_warm: bool,
    use_deep: bool,
    network_seed: int = 0,
) -> dict[str, Any]:
    """Return what `fitting.fit` needs.

    Args:
        features: Of all candidates.
        model: Whose hyperparameters a warm fit starts from.
        data: All measurements.
        seed: Of the network's start, and of which of many measurements are looked at.
        is_warm: Whether there was a fit before.
        use_deep: Whether to fit the deep member.
        network_seed: Of a network's pretraining, the same at every fit.
    """
    which = fitted_on(data, seed)
    request: dict[str, Any] = {
        "seed": seed,
        "n_observed": len(data),
        "warp": model.scale.warp.to_json(),
        "doubts": model.doubts.to_json(),
        "members": [m.name for m in shallow_members(features.arrays, model.chosen)],
        "warm": {name: hyper.to_json() for name, hyper in model.hyper.items()} if is_warm else {},
        "observed": {name: array[data.index[which]] for name, array in features.arrays.items()},
        "index": data.index[which],
        "values": data.values[which],
        "variances": data.variances[which],
    }
    deep = deep_member(features.arrays, model.chosen, has_image=features.image is not None) if use_deep else None
    if deep is DEEP:
        request["candidates"] = {name: features.arrays[name] for name in DEEP_INPUTS}
    elif deep is CONV and is_warm:
        # The first fit is not kept waiting for a network.
        checkpoint = {name: array for name, array in model.learnt.items() if name.startswith(f"{CONV.name}.")}
        request["picture"] = {
            "image": features.image,
            "pixels": features.pixels(),
            "seed": network_seed,
            "checkpoint": checkpoint,
        }
    return request


def is_pretraining(features: Features, model: Model) -> bool:
    """Return whether a network is to be pretrained and that is not done yet."""
    if deep_member(features.arrays, model.chosen, has_image=features.image is not None) is not CONV:
        return False
    done = model.learnt.get(CONV_PROGRESS)
    return done is None or float(done[0]) < N_SLICES


def kept(model: Model, n_at_fit: int) -> dict[str, Any]:
    """Return what asks a fit to leave the model as it is and only to pretrain the network.

    Args:
        model: As it is.
        n_at_fit: Measurements that its fit saw.
    """
    return {"kept": {**found(model), "n_observed": n_at_fit}}


def found(model: Model) -> dict[str, Any]:
    """Return scale, doubts and hyperparameters of a model, JSON values only."""
    return {
        "scale": model.scale.to_json(),
        "doubts": model.doubts.to_json(),
        "members": {name: hyper.to_json() for name, hyper in model.hyper.items()},
    }


def read_fit(
    features: Features, data: Mapping[str, Any], arrays: Mapping[str, Any], chosen: tuple[str, ...] = ()
) -> tuple[Scale, dict[str, Hyperparameters], dict[str, NDArray[np.float32]], Doubts]:
    """Check the result of a fit, or hyperparameters from a journal.

    Args:
        features: Of all candidates.
        data: "members" (hyperparameters by name), "scale" and "doubts".
        arrays: Learnt representations by name.
        chosen: Names of the members that may take part; none: all.

    Raises:
        InvalidInput: SHAPE_MISMATCH, NON_FINITE or FIELD_INVALID.
    """
    members = data.get("members")
    if not isinstance(members, Mapping):
        raise InvalidInput(Reason.FIELD_INVALID, f"members is {members!r}; a fit returns a dict", field="members")
    scale = _read_scale(data.get("scale"))
    dims = {name: array.shape[1] for name, array in features.arrays.items()}
    learnt: dict[str, NDArray[np.float32]] = {}
    wanted = list(shallow_members(features.arrays, chosen))
    deep = deep_member(features.arrays, chosen, has_image=features.image is not None)
    if deep is not None:
        prefix = f"{deep.name}."
        learnt |= {name: _read_weights(name, array) for name, array in arrays.items() if name.startswith(prefix)}
        if deep.name in members and deep.name in arrays:
            learnt[deep.name] = _read_embedding(arrays[deep.name], features.n_candidates)
            dims[deep.name] = learnt[deep.name].shape[1]
            wanted.append(deep)
    hyper = {}
    for member in wanted:
        if member.name not in members:
            raise InvalidInput(
                Reason.FIELD_INVALID,
                f"member '{member.name}' is missing; the fit has {', '.join(members)}",
                field=f"members.{member.name}",
            )
        hyper[member.name] = read_hyperparameters(member, dims, members[member.name])
    return scale, hyper, learnt, _read_doubts(data.get("doubts", ()))


def scale_without(data: Measurements, doubts: Doubts, warp: Warp) -> Scale:
    """Return the scale of measurements, doubted ones left out.

    Args:
        data: All measurements.
        doubts: Which are doubted.
        warp: How to bend the axis first.
    """
    is_trusted = doubts.of(data.index, data.values) == 0.0
    if not is_trusted.any():
        is_trusted[:] = True
    return scale_of(data.values[is_trusted], data.variances[is_trusted], warp)


def _read_doubts(data: Any) -> Doubts:
    try:
        return Doubts.from_json(data)
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            Reason.FIELD_INVALID, f"the doubts {data!r} are unreadable: {error!r}; fit again", field="doubts"
        ) from error


def _read_scale(data: Any) -> Scale:
    try:
        scale = Scale.from_json(data)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(
            Reason.FIELD_INVALID, f"the scale {data!r} is unreadable: {error!r}", field="scale"
        ) from error
    numbers = (
        *(scale.mean, scale.sd, scale.typical_variance, scale.variance_slope, *scale.variance_limits),
        *(scale.count_variance, scale.typical_value, scale.noise_share, scale.warp.centre, scale.warp.width),
    )
    if not all(math.isfinite(v) for v in numbers) or scale.sd <= 0 or scale.warp.width < 0:
        raise InvalidInput(
            Reason.NON_FINITE,
            f"the scale is {scale}; all numbers must be finite, sd > 0 and the width >= 0",
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


def _read_weights(name: str, data: Any) -> NDArray[np.float32]:
    array = np.ascontiguousarray(data, dtype=np.float32)
    if array.size > MOST_WEIGHTS or not np.isfinite(array).all():
        raise InvalidInput(
            Reason.NON_FINITE,
            f"array '{name}' of {array.size} entries must be finite, and have at most {MOST_WEIGHTS}; fit again",
            field=f"arrays.{name}",
        )
    return array
