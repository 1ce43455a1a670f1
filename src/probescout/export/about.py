"""What an export says of itself, so that the data can be found, understood and used again (FAIR)."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from probescout.core.errors import InvalidInput, Reason
from probescout.core.jsonable import to_json
from probescout.core.specs import CampaignSpec
from probescout.core.state import Campaign
from probescout.export.layout import software

MENDED_BY = {
    "instrument": "UpdateCampaign with spec.instrument",
    "sample": "UpdateCampaign with spec.sample",
    "operator": "UpdateCampaign with spec.operator (an ORCID is best)",
    "licence": "--licence, or metadata 'licence' when a campaign starts",
}
"""What a person may have left out, and how it is set."""


def root_attributes(state: Campaign, problems: tuple[str, ...], *, licence: str, strict: bool) -> dict[str, Any]:
    """Return the attributes of the root: strings and numbers, as NetCDF takes no others.

    Args:
        state: Of the campaign.
        problems: What is damaged.
        licence: Of the data; empty: that of the campaign's metadata.
        strict: Refuse what is incomplete or damaged.

    Raises:
        InvalidInput: FIELD_MISSING naming what is missing and how to set it, or FILE_UNREADABLE for damage; only when
            strict.
    """
    spec = state.spec
    told = {
        "instrument": spec.instrument,
        "sample": spec.sample,
        "operator": spec.operator,
        "licence": licence or str(spec.metadata.get("licence") or spec.metadata.get("license") or ""),
    }
    missing = [name for name, value in told.items() if not value]
    if strict and missing:
        raise InvalidInput(
            Reason.FIELD_MISSING,
            f"campaign {state.id} does not say: {', '.join(missing)}. Set "
            + "; ".join(f"{name} by {MENDED_BY[name]}" for name in missing),
            field=missing[0],
        )
    if strict and problems:
        raise InvalidInput(
            Reason.FILE_UNREADABLE,
            f"campaign {state.id} is damaged: {'; '.join(problems)}. Restore it from a backup, or export what can be "
            "read without --strict",
            field="path",
        )
    return {
        "title": spec.title or f"campaign {state.id}",
        "experiment_id": state.id,
        **told,
        "software": software(),
        "config_sha256": sha256(config_json(spec)),
        "seed": spec.seed,
        "created_time": state.created_time,
        "status": state.status.value,
        "data_version": state.data_version,
        "missing_metadata": ", ".join(missing),
        "problems": "; ".join(problems),
        "config_json": config_json(spec),
    }


def config_json(spec: CampaignSpec) -> str:
    """Return everything that the campaign declared, as strict JSON that is the same for the same spec."""
    return json.dumps(to_json(spec), sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256(text: str) -> str:
    """Return the hex SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()
