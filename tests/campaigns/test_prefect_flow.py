"""What the flow and its deployment decide without a Prefect server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from probescout.campaigns.conduct import Place
from probescout.campaigns.deployment import environment, parameters
from probescout.campaigns.spec import CampaignFile

Read = Callable[..., CampaignFile]


def test_prefect_is_told_to_keep_quiet_and_to_retry(read: Read) -> None:
    told = environment(read(more="[schedule]\nretries = 3\nretry_delay_s = 7\n"))
    assert told["DO_NOT_TRACK"] == "1" and told["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert (told["PREFECT_FLOWS_DEFAULT_RETRIES"], told["PREFECT_FLOWS_DEFAULT_RETRY_DELAY_SECONDS"]) == ("3", "7")


def test_parameters_of_the_deployment_are_those_of_the_flow(read: Read) -> None:
    flow = pytest.importorskip("probescout.campaigns.flow", reason="needs the extra prefect: make install-prefect")
    given = parameters(read(more="[schedule]\nagain = false\n"), Path("/lab/night.toml"), Place("host:1", "token"), "k")
    assert given == {
        "spec": "/lab/night.toml",
        "server": "host:1",
        "token_file": "token",
        "run_key": "k",
        "again": False,
    }
    assert set(given) == set(flow.campaign.parameters.properties)
    assert flow.campaign.persist_result is False and flow.campaign.result_serializer == "json"
    assert flow.limit_names(read(('kind = "twin"', 'kind = "twin"\nname = "titan"'))) == ["probescout-instrument-titan"]


@pytest.mark.parametrize(
    ("age_s", "run_count", "skip_after_s", "is_skipped"),
    [(10, 1, 60, False), (100, 1, 60, True), (100, 2, 60, False), (1e6, 1, 0, False), (-5, 1, 60, False)],
)
def test_a_night_that_is_over_is_not_made_up_for(
    read: Read, monkeypatch: pytest.MonkeyPatch, age_s: float, run_count: int, skip_after_s: float, is_skipped: bool
) -> None:
    flow = pytest.importorskip("probescout.campaigns.flow", reason="needs the extra prefect: make install-prefect")
    planned = datetime.now(UTC) - timedelta(seconds=age_s)
    monkeypatch.setattr(flow, "flow_run", SimpleNamespace(scheduled_start_time=planned, run_count=run_count))
    late_s = flow._late_s(read(more=f"[schedule]\nskip_after_s = {skip_after_s}\n"))
    assert (late_s is not None) is is_skipped
    assert late_s is None or late_s >= age_s
