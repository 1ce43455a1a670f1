"""Makes the declaration of a campaign from the arguments of a script."""

from __future__ import annotations

import json
from typing import Any, Dict, Iterable, Optional, Sequence, Tuple, Union

from probescout_client.errors import InvalidInput
from probescout_client.points import Budget, Motion, Objective
from probescout_client.tensors import n_axes, to_mask, to_tensor
from probescout_client.wire.v1 import probescout_pb2 as pb

IMAGE_DIMS: Dict[int, Tuple[str, ...]] = {2: ("y", "x"), 3: ("channel", "y", "x")}
PATCH_DIMS: Dict[int, Tuple[str, ...]] = {3: ("candidate", "y", "x"), 4: ("candidate", "channel", "y", "x")}
ParameterLike = Sequence[Any]


def to_json(values: Optional[Dict[str, Any]], field: str) -> str:
    """Return a JSON object; tuples and numpy numbers become lists and numbers.

    Raises:
        InvalidInput: PARAM_INVALID when something in it has no JSON form.
    """
    try:
        return json.dumps(values or {}, default=_plain, allow_nan=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            "PARAM_INVALID",
            "{} must hold finite numbers, words, lists and objects only: {}".format(field, error),
            field,
        ) from error


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError("{} has no JSON form".format(type(value).__name__))


def to_scalarizer(name: str, params: Optional[Dict[str, Any]]) -> pb.ScalarizerSpec:
    """Return the message that names a scalarizer."""
    return pb.ScalarizerSpec(name=name, params_json=to_json(params, "params"))


def to_policy(name: str, params: Optional[Dict[str, Any]]) -> pb.PolicySpec:
    """Return the message that names a policy."""
    return pb.PolicySpec(name=name, params_json=to_json(params, "policy_params"))


def to_objective(objective: Objective) -> pb.Objective:
    """Return the message of a further target."""
    return pb.Objective(
        scalarizer=to_scalarizer(objective.scalarizer, objective.params), is_minimizing=objective.minimize
    )


def to_motion(motion: Optional[Motion]) -> Optional[pb.MotionCost]:
    """Return the message of what moving and measuring cost; None when nothing is declared."""
    if motion is None:
        return None
    return pb.MotionCost(settle_s=motion.settle_s, dwell_s=motion.dwell_s, diagonals_per_s=motion.diagonals_per_s)


def to_budget(budget: Union[None, int, Budget]) -> pb.Budget:
    """Return the message of a budget: None is unlimited, a number counts probes."""
    if budget is None:
        return pb.Budget()
    if not isinstance(budget, Budget):
        budget = Budget(probes=int(budget))
    if min(budget.probes, budget.seconds, budget.dose, budget.core_hours) < 0:
        raise InvalidInput("FIELD_INVALID", "a budget is not negative, 0 is unlimited: {}".format(budget), "budget")
    return pb.Budget(probes=budget.probes, seconds=budget.seconds, dose=budget.dose, core_hours=budget.core_hours)


def to_seed_design(n_initial: int, initial: Optional[Iterable[Tuple[float, float]]], name: str) -> pb.SeedDesign:
    """Return the message of the first points: given positions (y, x), or `n_initial` of a named design."""
    if initial is None:
        return pb.SeedDesign(name=name, count=n_initial)
    positions = [pb.Position(y=float(y), x=float(x)) for y, x in initial]
    return pb.SeedDesign(name="given", count=len(positions), positions=positions)


def to_candidates(
    parameters: Optional[Iterable[ParameterLike]], stride: int, has_image: bool, has_patches: bool
) -> pb.CandidateSpace:
    """Return the message of the set that suggestions come from.

    Args:
        parameters: (name, low, high[, unit[, levels]]) each: the box of a tuning campaign, or extra settings.
        stride: Use every stride-th pixel.
        has_image: Whether there is an image.
        has_patches: Whether the client brings its own patches.
    """
    kind = pb.CANDIDATE_KIND_PIXELS
    if has_patches:
        kind = pb.CANDIDATE_KIND_PATCHES
    elif not has_image and parameters:
        kind = pb.CANDIDATE_KIND_BOX
    space = pb.CandidateSpace(kind=kind, stride=stride)
    for given in parameters or ():
        name, low, high = given[0], float(given[1]), float(given[2])
        unit = given[3] if len(given) > 3 else ""
        levels = int(given[4]) if len(given) > 4 else 0
        space.parameters.add(name=name, low=low, high=high, unit=unit, levels=levels)
    return space


def to_frame(
    image: Any,
    pixel_size: Optional[Tuple[float, str]] = None,
    mask: Any = None,
    patches: Any = None,
    positions: Optional[Iterable[Tuple[float, float]]] = None,
    rotation_deg: float = 0.0,
) -> Optional[pb.Frame]:
    """Return the message of an overview image, or of the client's own patches; None when there is neither.

    Args:
        image: (y, x) or (channel, y, x).
        pixel_size: (value, unit) of the edge of a pixel.
        mask: (y, x) truth values: where probing is allowed.
        patches: (candidate, y, x) or (candidate, channel, y, x).
        positions: (y, x) of each patch, fractions.
        rotation_deg: Of the frame against the stage, counter-clockwise.

    Raises:
        InvalidInput: SHAPE_MISMATCH for an array of another number of axes.
    """
    if image is None and patches is None:
        return None
    frame = pb.Frame(rotation_deg=rotation_deg)
    if image is not None:
        frame.image.CopyFrom(to_tensor(image, _dims(image, IMAGE_DIMS, "image")))
    if patches is not None:
        frame.patches.CopyFrom(to_tensor(patches, _dims(patches, PATCH_DIMS, "patches")))
        frame.positions.extend(pb.Position(y=float(y), x=float(x)) for y, x in positions or ())
    if pixel_size is not None:
        frame.pixel_size.CopyFrom(pb.Length(value=float(pixel_size[0]), unit=pixel_size[1]))
    if mask is not None:
        frame.mask.CopyFrom(to_mask(mask, ("y", "x")))
    return frame


def to_name(campaign: str) -> str:
    """Return campaigns/{c} for an id or a name."""
    return campaign if campaign.startswith("campaigns/") else "campaigns/" + campaign


def _dims(values: Any, known: Dict[int, Tuple[str, ...]], field: str) -> Tuple[str, ...]:
    n = n_axes(values)
    if n not in known:
        raise InvalidInput(
            "SHAPE_MISMATCH",
            "{} has {} axes; give one of {}".format(field, n, ", ".join(str(dims) for dims in known.values())),
            field,
        )
    return known[n]
