"""Names of campaigns that follow from the file alone, so that running it again finds what an earlier run has begun."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


def round_name(digest: str, key: str = "") -> str:
    """Return the name of the folder that holds the results of one time of a file with this digest."""
    return f"{digest[:10]}-{key}" if key else digest[:10]


def origin(file: CampaignFile, region: Region, key: str) -> dict[str, Any]:
    """Return what a campaign keeps of where it comes from, for `Origin`."""
    return {
        "campaign_file": file.to_json(),
        "digest": file.digest,
        "region": region.name,
        "run_key": key,
        "folder": str(file.folder),
    }


@dataclass(frozen=True)
class Origin:
    """Which file a campaign was begun from, as its metadata tell."""

    file: Mapping[str, Any]
    """All sections, defaults included."""
    digest: str
    region: str
    run_key: str
    folder: Path | None
    """Where the file lay on the computer of the instrument; None for one that was begun before this was kept."""

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> Origin | None:
        """Return where a campaign comes from; None when it was not begun from a campaign file."""
        file, digest, region = (metadata.get(name) for name in ("campaign_file", "digest", "region"))
        if not (isinstance(file, Mapping) and isinstance(digest, str) and isinstance(region, str)):
            return None
        folder = metadata.get("folder")
        return cls(
            file,
            digest,
            region,
            str(metadata.get("run_key", "")),
            Path(folder) if folder and isinstance(folder, str) else None,
        )

    def results(self) -> list[Path]:
        """Return the files of results that there are on this computer: those of the region, and the reports."""
        outputs = self.file.get("outputs")
        if self.folder is None or not isinstance(outputs, Mapping):
            return []
        place = self.folder / str(outputs.get("directory", "")) / "runs" / round_name(self.digest, self.run_key)
        return sorted(path for pattern in (f"{_plain(self.region)}.*", "report*.json") for path in place.glob(pattern))


def _plain(region: str) -> str:
    """Return a pattern for the name of a region, which a stranger's campaign may have chosen."""
    return glob.escape(region.replace("/", "_"))


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
