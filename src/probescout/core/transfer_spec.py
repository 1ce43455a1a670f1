"""What a campaign declares about an earlier campaign's model, and what such a model must have in common with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from probescout.core.errors import InvalidInput, Reason

if TYPE_CHECKING:
    from probescout.core.events import FrameAdded
    from probescout.core.specs import CampaignSpec

FIELD = "spec.transfer.model"
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class TransferSpec:
    """An earlier campaign's model that joins the committee."""

    model: str
    """NAME@VERSION of the registry; NAME, for the current version, only until the campaign is created."""
    blob: str = ""
    """Hex SHA-256 of the model's file, a blob of the campaign; empty only until the campaign is created."""
    look: tuple[int, ...] = ()
    """Shape of what the model looked at: (channel,) of an image, (channel, y, x) of patches; decided at creation."""


def check_transfer(transfer: TransferSpec) -> None:
    """Refuse what names no model.

    Raises:
        InvalidInput: FIELD_MISSING or FIELD_INVALID.
    """
    if not transfer.model:
        raise InvalidInput(
            Reason.FIELD_MISSING,
            "name the model of the earlier campaign, as in steel@2; `probescout model list` names them",
            field=FIELD,
        )
    if transfer.blob and not _HEX.fullmatch(transfer.blob):
        raise InvalidInput(
            Reason.FIELD_INVALID, f"'{transfer.blob[:80]}' is no SHA-256; leave it out", field="spec.transfer.blob"
        )


def look_of(frame: FrameAdded) -> tuple[int, ...]:
    """Return the shape of what a model sees of a frame; see `TransferSpec.look`."""
    if frame.patches is not None:
        return tuple(frame.patches.shape[1:])
    assert frame.image is not None
    return (1,) if len(frame.image.shape) == 2 else (frame.image.shape[0],)


def check_look(transfer: TransferSpec | None, frame: FrameAdded) -> None:
    """Refuse a frame that a campaign's earlier model cannot look at.

    Raises:
        InvalidInput: MODEL_INCOMPATIBLE.
    """
    if transfer is None or look_of(frame) == transfer.look:
        return
    raise InvalidInput(
        Reason.MODEL_INCOMPATIBLE,
        f"model {transfer.model} looked at {_words(transfer.look)}, this frame has {_words(look_of(frame))}; give a "
        "frame like that, or create the campaign without transfer",
        field="frame",
    )


def schema_of(spec: CampaignSpec, look: tuple[int, ...], unit: str, feature_set: int) -> dict[str, Any]:
    """Return what a model says of itself, as JSON values: what must be the same for it to be handed on.

    Args:
        spec: Of its campaign.
        look: As `look_of` its frame.
        unit: Of its target; what follows from the scalarizer is not compared.
        feature_set: Of the way in which patches are looked at.
    """
    return {
        "feature_set": feature_set,
        "kind": spec.candidates.kind.value,
        "look": list(look),
        "scalarizer": {"name": spec.scalarizer.name, "params": dict(spec.scalarizer.params)},
        "unit": unit,
    }


def check_schema(schema: Mapping[str, Any], spec: CampaignSpec, feature_set: int) -> None:
    """Refuse a model that says nothing about what a campaign measures.

    Args:
        schema: As `schema_of` the earlier campaign.
        spec: Of the new one.
        feature_set: Of this program.

    Raises:
        InvalidInput: MODEL_INCOMPATIBLE naming the difference and what to do.
    """
    assert spec.transfer is not None
    own = schema_of(spec, (), "", feature_set)
    advice = {
        "feature_set": "register its campaign again with this program",
        "kind": "choose the same kind of candidates",
        "scalarizer": "use the scalarizer and parameters of the earlier campaign",
    }
    for name, what in advice.items():
        if schema.get(name) != own[name]:
            raise InvalidInput(
                Reason.MODEL_INCOMPATIBLE,
                f"model {spec.transfer.model} was made with {name} {schema.get(name)!r}, this campaign has "
                f"{own[name]!r}; {what}, or create the campaign without transfer",
                field=FIELD,
            )


def _words(look: tuple[int, ...]) -> str:
    channels = f"{look[0]} channel{'s' if look[0] != 1 else ''}"
    return channels if len(look) == 1 else f"patches of {look[1]} x {look[2]} pixels and {channels}"
