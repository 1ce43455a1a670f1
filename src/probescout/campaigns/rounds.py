"""Names of campaigns that follow from the file alone, so that running it again finds what an earlier run has begun."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from probescout.campaigns.spec import CampaignFile, Region
from probescout.core.errors import InvalidInput, Reason
from probescout.core.specs import checked_id

if TYPE_CHECKING:
    import probescout_client as ps

MAX_RUN_KEY = 24


def campaign_id(file: CampaignFile, region: Region, key: str = "") -> str:
    """Return the id of a region's campaign.

    Args:
        file: The campaign file.
        region: One of its regions.
        key: Which time it is that the file is measured; empty: the first.
    """
    text = f"{file.digest}\n{region.name}\n{key}"
    return f"{file.campaign.name}-{region.name}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def round_name(file: CampaignFile, key: str = "") -> str:
    """Return the name of the folder that holds the results of one time."""
    return f"{file.digest[:10]}-{key}" if key else file.digest[:10]


def checked_key(key: str) -> str:
    """Return a run key that a person gave.

    Raises:
        InvalidInput: ID_INVALID when it is no id, or too long.
    """
    if not key:
        return key
    if len(key) > MAX_RUN_KEY:
        raise InvalidInput(
            Reason.ID_INVALID,
            f"the run key '{key}' has {len(key)} characters; give at most {MAX_RUN_KEY}",
            field="run_key",
        )
    return checked_id(key, field="run_key")


def open_key(planner: ps.Planner, file: CampaignFile, run_key: str) -> str:
    """Return the key of the first time that is not over: what was begun is taken up before anything new begins.

    Times are numbered "run_key", "run_key.2", "run_key.3" ...; one is over when all its regions have ended, or one was
    aborted, after which no other is begun. They are measured in this order, so that a search by doubling and halving
    finds the first open one.

    Raises:
        ProbescoutError: Of the client, as the server answers.
    """
    from probescout_client.session import ENDED
    from probescout_client.wire.v1 import probescout_pb2 as pb

    def is_over(n: int) -> bool:
        found = [_status(planner, campaign_id(file, region, _nth(run_key, n))) for region in file.regions]
        return pb.CAMPAIGN_STATUS_ABORTED in found or all(status in ENDED for status in found)

    high = 1
    while is_over(high):
        high *= 2
    low = high // 2  # over, or 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_over(middle) else (low, middle)
    return _nth(run_key, high)


def _nth(run_key: str, n: int) -> str:
    return run_key if n == 1 else f"{run_key or 'run'}.{n}"


def _status(planner: ps.Planner, campaign: str) -> int | None:
    import probescout_client as ps

    try:
        return int(planner.get(campaign).status)
    except ps.NotFound:
        return None
