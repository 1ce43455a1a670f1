"""Resource names of the contract."""

from __future__ import annotations

import re

from probescout.core.errors import InvalidInput, Reason

_ID = r"([A-Za-z0-9][A-Za-z0-9._-]{0,62})"
_PATTERNS = {
    "campaign": re.compile(rf"campaigns/{_ID}"),
    "frame": re.compile(rf"campaigns/{_ID}/frames/{_ID}"),
    "point": re.compile(rf"campaigns/{_ID}/points/{_ID}"),
    "suggestion": re.compile(rf"campaigns/{_ID}/suggestions/{_ID}"),
    "theoryJob": re.compile(rf"campaigns/{_ID}/theoryJobs/{_ID}"),
    "observation": re.compile(rf"campaigns/{_ID}/observations/{_ID}"),
}


def campaign_id(name: str, *, field: str = "campaign") -> str:
    """Return the id in campaigns/{c}.

    Raises:
        InvalidInput: FIELD_MISSING or ID_INVALID.
    """
    return _match("campaign", name, field)[0]


def member_ids(kind: str, name: str, *, field: str = "name") -> tuple[str, str]:
    """Return (campaign id, own id) of a frame, suggestion, observation or another member of a campaign.

    Raises:
        InvalidInput: FIELD_MISSING or ID_INVALID.
    """
    campaign, own = _match(kind, name, field)
    return campaign, own


def own_id(kind: str, name: str, campaign: str, *, field: str) -> str:
    """Return the own id of a full name that must belong to a campaign, or of a bare id.

    Raises:
        InvalidInput: ID_INVALID.
    """
    if "/" not in name:
        return name
    other, own = member_ids(kind, name, field=field)
    if other != campaign:
        raise InvalidInput(Reason.ID_INVALID, f"'{name}' belongs to campaign '{other}', not '{campaign}'", field=field)
    return own


def _match(kind: str, name: str, field: str) -> tuple[str, ...]:
    if not name:
        raise InvalidInput(Reason.FIELD_MISSING, f"name the {kind}", field=field)
    found = _PATTERNS[kind].fullmatch(name)
    if found is None:
        form = "campaigns/{c}" if kind == "campaign" else f"campaigns/{{c}}/{kind}s/{{id}}"
        raise InvalidInput(Reason.ID_INVALID, f"'{name[:80]}' is not of the form {form}", field=field)
    return found.groups()
