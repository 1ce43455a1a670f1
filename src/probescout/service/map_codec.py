"""Maps of the model as messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from probescout_client.wire.v1 import probescout_pb2 as pb

from probescout.core.errors import InvalidInput, Reason
from probescout.core.model_view import map_unit
from probescout.service.tensors import write_tensor

MAP_KINDS: dict[int, str] = {
    pb.MAP_KIND_MEAN: "mean",
    pb.MAP_KIND_STD: "std",
    pb.MAP_KIND_ACQUISITION: "acquisition",
    pb.MAP_KIND_PREDICTIVE_STD: "predictive_std",
    pb.MAP_KIND_NOVELTY: "novelty",
    pb.MAP_KIND_PRIOR: "prior",
    pb.MAP_KIND_THEORY: "theory",
    pb.MAP_KIND_THEORY_STD: "theory_std",
}


def write_maps(reply: Mapping[str, Any], kinds: list[int], unit: str, theory_unit: str, is_image: bool) -> list[pb.Map]:
    """Return the wanted maps; those that the model does not have yet are left out.

    Args:
        reply: Of the model.
        kinds: Wanted; none: mean, std and acquisition.
        unit: Of the target.
        theory_unit: Of the quantity that simulations give.
        is_image: Whether candidates are the pixels of an image.
    """
    wanted = list(dict.fromkeys(kinds)) or [pb.MAP_KIND_MEAN, pb.MAP_KIND_STD, pb.MAP_KIND_ACQUISITION]
    maps = []
    for kind in wanted:
        name = MAP_KINDS.get(kind, "")
        values = reply["maps"].get(name)
        if values is not None:
            dims = ("y", "x") if is_image else ("candidate",)
            tensor = write_tensor(values, dims, map_unit(name, unit, theory_unit))
            maps.append(pb.Map(kind=kind, tensor=tensor))  # type: ignore[arg-type]
    return maps


def check_map_kinds(kinds: Sequence[int]) -> None:
    """Refuse a kind that the contract does not have.

    Raises:
        InvalidInput: FIELD_INVALID.
    """
    known = set(pb.MapKind.values()) - {pb.MAP_KIND_UNSPECIFIED}
    for i, kind in enumerate(kinds):
        if kind not in known:
            names = ", ".join(pb.MapKind.Name(k) for k in sorted(known))
            raise InvalidInput(Reason.FIELD_INVALID, f"{kind} is no MapKind; choose of {names}", field=f"kinds[{i}]")
