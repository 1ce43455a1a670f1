"""Ids that follow from the file, and which time of a repeated file is open."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import probescout_client as ps
import pytest
from probescout_client.wire.v1 import probescout_pb2 as pb

from probescout.campaigns.rounds import campaign_id, checked_key, open_key, round_name
from probescout.campaigns.spec import CampaignFile
from probescout.core.errors import InvalidInput
from probescout.core.specs import checked_id

Read = Callable[..., CampaignFile]


def test_ids_are_the_same_every_time_and_apart_from_all_others(read: Read) -> None:
    file, longest = read(), read(('"try"', f'"{"n" * 24}"'), ('"left"', f'"{"r" * 24}"'))
    ids = [campaign_id(f, r, key) for f in (file, longest) for r in f.regions for key in ("", "2026-11-28", "run.2")]
    assert len(set(ids)) == 12 and ids[0].startswith("try-left-")
    assert [checked_id(one, field="") for one in ids] == ids
    assert campaign_id(read(), file.regions[0]) == ids[0]
    assert round_name(file.digest, "a") == f"{round_name(file.digest)}-a" == f"{file.digest[:10]}-a"


@pytest.mark.parametrize("key", ["a/b", "x" * 25, ".."])
def test_a_key_that_is_no_id_is_refused(key: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        checked_key(key)
    assert refused.value.field == "run_key"


class Shelf:
    """A planner on which the first `n_over` times of a file have ended and the next has begun."""

    def __init__(self, file: CampaignFile, n_over: int, run_key: str) -> None:
        keys = [run_key, *(f"{run_key or 'run'}.{n}" for n in range(2, n_over + 2))]
        self._status: dict[str, int] = {}
        for key in keys[:n_over]:
            for region in file.regions:
                self._status[campaign_id(file, region, key)] = pb.CAMPAIGN_STATUS_STOPPED
        first, second = file.regions
        self._status[campaign_id(file, first, keys[n_over])] = pb.CAMPAIGN_STATUS_PAUSED
        if n_over:
            # After an abort no other region is begun, and that time is over all the same.
            self._status[campaign_id(file, first, keys[n_over - 1])] = pb.CAMPAIGN_STATUS_ABORTED
            del self._status[campaign_id(file, second, keys[n_over - 1])]
        self.n_calls = 0

    def get(self, campaign: str) -> Any:
        self.n_calls += 1
        if campaign not in self._status:
            raise ps.NotFound("CAMPAIGN_NOT_FOUND", campaign)
        return SimpleNamespace(status=self._status[campaign])


@pytest.mark.parametrize(
    ("n_over", "run_key", "key"),
    [(0, "", ""), (1, "", "run.2"), (2, "", "run.3"), (0, "a", "a"), (3, "a", "a.4"), (1000, "", "run.1001")],
)
def test_what_was_begun_is_taken_up_before_anything_new(read: Read, n_over: int, run_key: str, key: str) -> None:
    file = read()
    shelf = Shelf(file, n_over, run_key)
    assert open_key(shelf, file, run_key) == key  # type: ignore[arg-type]
    assert shelf.n_calls <= 44
