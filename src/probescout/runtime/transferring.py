"""Finds, when a campaign is created, the earlier campaign's model that it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from probescout.core.errors import InvalidInput, NotFound, Reason
from probescout.core.specs import CampaignSpec
from probescout.core.transfer_spec import FIELD, TransferSpec, check_schema
from probescout.store.model_files import unpack
from probescout.store.models import Models
from probescout.surrogates.components import FEATURE_SET, raw_lengths
from probescout.surrogates.earlier import EarlierModel


def resolved(spec: CampaignSpec, models: Models | None) -> tuple[CampaignSpec, bytes]:
    """Return the spec with its model named by version and hash, and the model's file.

    Args:
        spec: That names a model.
        models: The registry; None: there is none, as the planner keeps everything in memory.

    Raises:
        NotFound: MODEL_NOT_FOUND.
        WrongState: MODEL_NOT_FOUND when no version is current.
        InvalidInput: ID_INVALID for what names no model; MODEL_INCOMPATIBLE when it says nothing about what this
            campaign measures, or is another than the hash that was given.
        HistoryMismatch: DIGEST_MISMATCH for a damaged file, JOURNAL_CORRUPT for a damaged registry.
    """
    transfer = spec.transfer
    assert transfer is not None
    if models is None:
        raise NotFound(
            Reason.MODEL_NOT_FOUND,
            "a planner in memory has no registry of models; give it a data directory",
            field=FIELD,
        )
    entry, version = models.find(transfer.model, field=FIELD)
    name = f"{entry.name}@{version.number}"
    if transfer.blob and transfer.blob != version.digest:
        raise InvalidInput(
            Reason.MODEL_INCOMPATIBLE,
            f"model {name} has SHA-256 {version.digest}, not {transfer.blob}; give the hash of the model that is "
            "meant, or none",
            field="spec.transfer.blob",
        )
    _, file = models.load(name, field=FIELD)
    schema = checked_file(file)["schema"]
    named = replace(spec, transfer=TransferSpec(name, version.digest, tuple(int(n) for n in schema["look"])))
    check_schema(schema, named, FEATURE_SET)
    return named, file


def checked_file(file: bytes) -> dict[str, Any]:
    """Return what a model's file, which a stranger may have made, says of itself: schema, lineage and metrics.

    Raises:
        InvalidInput: MODEL_INCOMPATIBLE when it is no model or its parts do not fit together; BLOB_TOO_LARGE.
    """
    header, arrays = unpack(file)
    schema = _schema_in(header)
    made = EarlierModel.of_parts(header, arrays)
    if made.n_raw.items() - raw_lengths(schema["look"]).items():
        raise InvalidInput(
            Reason.MODEL_INCOMPATIBLE,
            f"its arrays are not those of a model that looks at {schema['look']}",
            field=FIELD,
        )
    return dict(header["about"])


def _schema_in(header: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of a model's header, with "look" as whole numbers.

    Raises:
        InvalidInput: MODEL_INCOMPATIBLE when there is none.
    """
    try:
        schema = dict(header["about"]["schema"])
        schema["look"] = [int(n) for n in schema["look"]]
        if len(schema["look"]) not in (1, 3) or min(schema["look"]) < 1:
            raise ValueError(f"it looked at {schema['look']}")
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(
            Reason.MODEL_INCOMPATIBLE,
            f"the model does not say what it was made with ({error!r}); register its campaign again",
            field=FIELD,
        ) from error
    return schema
