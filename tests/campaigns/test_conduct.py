"""Runs of a campaign file on a real planner server: begun, ended, failed, taken up again; nothing is measured twice."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import probescout_client as ps
import pytest
import xarray as xr

from probescout.campaigns import results
from probescout.campaigns.conduct import Place, conduct, exit_code
from probescout.campaigns.holding import holding
from probescout.campaigns.leaving import Terminated, leaving_on_signals
from probescout.campaigns.outputs import folder_of
from probescout.campaigns.progress import Progress
from probescout.campaigns.rounds import campaign_id
from probescout.campaigns.spec import FORMATS, CampaignFile, Initial, Stop
from probescout.core.errors import InvalidInput, Reason, Unauthenticated, Unavailable, WrongState
from probescout.core.specs import Budget

Read = Callable[..., CampaignFile]


@pytest.fixture
def file(read: Read, request: pytest.FixtureRequest) -> CampaignFile:
    """A file whose campaigns no other test has."""
    seed = sum(map(ord, request.node.name))
    return read(('name = "try"', f'name = "try"\nseed = {seed}'))


@pytest.fixture
def planner(place: Place, tmp_path: Any) -> Any:
    with ps.connect(place.server, token_file=place.token_file, outbox=str(tmp_path / "other")) as link:
        yield link


def places(planner: Any, file: CampaignFile, region: int, key: str = "") -> list[tuple[float, float]]:
    run = planner.resume(campaign_id(file, file.regions[region], key))
    return [(o.measured_at.y, o.measured_at.x) for o in run.observations()]


def test_two_regions_once_and_no_more(file: CampaignFile, place: Place, instruments: Any, planner: Any) -> None:
    seen: list[Progress] = []
    file = replace(file, outputs=replace(file.outputs, formats=FORMATS))
    report = conduct(file, place, on_progress=seen.append)
    assert report.state == results.COMPLETE and exit_code(report) == 0
    assert [(r.name, r.n_measured, r.n_new) for r in report.regions] == [("left", 5, 5), ("right", 5, 5)]
    for name, watched in instruments.items():
        assert watched.calls == ["overview", *["measure"] * 5, "park"], name
        assert watched.is_parked
    for i in (0, 1):
        assert len(set(places(planner, file, i))) == 5
    assert [p.n_done for p in seen if p.n_new] == sorted(p.n_done for p in seen if p.n_new)
    assert seen[-1].n_done == 10 and seen[-1].fraction == 1.0 and seen[-1].left_s == (0.0, 0.0)
    best = [r.best["target"] for r in report.regions if r.best]
    assert [r.best["target"] for r in report.ranking if r.best] == sorted(best, reverse=True)
    told = json.loads((folder_of(report) / "report.json").read_text())
    assert told["digest"] == file.digest and told["state"] == "complete" and told["regions"][0]["n_measured"] == 5
    assert len((folder_of(report) / "left.csv").read_text().splitlines()) == 6
    assert (folder_of(report) / "left.png").read_bytes().startswith(b"\x89PNG")
    kept = xr.load_dataset(folder_of(report) / "right.nc", engine="h5netcdf")
    assert kept["mean"].shape == (16, 16) and np.isfinite(kept["mean"]).all() and kept["target"].dims == ("step",)
    assert float(kept["target"].max()) == report.regions[1].best["target"] and kept["target"].attrs["units"] == "counts"

    again = conduct(file, place)
    assert [(r.state, r.n_measured, r.n_new) for r in again.regions] == [("complete", 5, 0)] * 2
    assert instruments["left"].calls.count("measure") == 5
    other = conduct(file, place, again=True)
    assert other.key == "run.2" and [r.n_new for r in other.regions] == [5, 5]
    assert folder_of(other) != folder_of(report)
    spec = planner.get(report.regions[0].campaign).spec
    assert json.loads(spec.metadata_json)["digest"] == file.digest and spec.instrument == "twin"


def test_an_instrument_that_fails_leaves_its_region_for_the_next_run(
    file: CampaignFile, place: Place, instruments: Any, planner: Any
) -> None:
    instruments["left"].n_good = 2
    report = conduct(file, place)
    left, right = report.regions
    assert (left.state, left.n_measured, right.state) == ("failed", 2, "complete") and exit_code(report) == 1
    assert "the stage does not answer" in left.message
    assert instruments["left"].calls[-1] == "park"
    assert not list(planner.resume(left.campaign).suggestions("pending")), "the open point was given back"

    instruments["left"].n_good = 10**6
    report = conduct(file, place)
    assert [(r.state, r.n_measured, r.n_new) for r in report.regions] == [("complete", 5, 3), ("complete", 5, 0)]
    assert instruments["left"].calls.count("overview") == 1, "the frame is on the server already"
    assert len(set(places(planner, file, 0))) == 5


def test_a_failed_measurement_is_told_and_the_region_goes_on(
    file: CampaignFile, place: Place, instruments: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = instruments["left"]
    good = left.measure

    def measure(y: float, x: float) -> Any:
        made = good(y, x)
        return replace(made, spectrum=None, error="no contact") if left.calls.count("measure") == 2 else made

    monkeypatch.setattr(left, "measure", measure)
    [region, _] = conduct(file, place).regions
    assert [row["status"] for row in region.rows] == ["complete", "failed", "complete", "complete", "complete"]
    assert region.state == results.COMPLETE


@pytest.mark.parametrize("error", [Terminated, KeyboardInterrupt])
def test_an_interrupt_parks_and_gives_the_point_back(
    file: CampaignFile, place: Place, instruments: Any, planner: Any, error: type[BaseException]
) -> None:
    file = replace(file, campaign=replace(file.campaign, operator=error.__name__))

    def interrupt(now: Progress) -> None:
        if now.n_new == 2:
            raise error

    with pytest.raises(error):
        conduct(file, place, on_progress=interrupt)
    assert instruments["left"].is_parked and "measure" not in instruments["right"].calls
    assert not list(planner.resume(campaign_id(file, file.regions[0])).suggestions("pending"))
    report = conduct(file, place)
    assert [(r.state, r.n_measured, r.n_new) for r in report.regions] == [("complete", 5, 3), ("complete", 5, 5)]


def test_an_abort_parks_and_ends_everything(file: CampaignFile, place: Place, instruments: Any, planner: Any) -> None:
    def abort(now: Progress) -> None:
        if now.n_new == 2:
            planner.resume(campaign_id(file, file.regions[0])).abort("smoke")

    report = conduct(file, place, on_progress=abort)
    [left] = report.regions
    assert (left.state, left.message) == ("aborted", "smoke") and exit_code(report) == 6
    assert left.n_measured <= 3 and instruments["left"].is_parked and instruments["right"].calls == []
    assert exit_code(conduct(file, place)) == 6, "what a person aborted stays aborted"


def test_a_person_stops_one_region(file: CampaignFile, place: Place, instruments: Any, planner: Any) -> None:
    def stop(now: Progress) -> None:
        if now.n_new == 2 and now.region == "left":
            planner.resume(campaign_id(file, file.regions[0])).stop("seen enough")

    report = conduct(file, place, on_progress=stop)
    assert [(r.state, r.message) for r in report.regions][0] == ("stopped", "seen enough")
    assert report.regions[1].state == "complete" and exit_code(report) == 0 and report.state == "stopped"


def test_stop_rules_end_a_region_only_where_they_may(file: CampaignFile, place: Place, instruments: Any) -> None:
    rules, file = {"expected_regret": 1e9}, replace(file, regions=file.regions[:1], budget=Budget(probes=24))
    file = replace(file, initial=Initial(20))  # the rules want to see so many
    [left] = conduct(replace(file, stop=Stop(rules, "any")), place).regions
    assert left.state == "complete" and "expected_regret" in left.message and left.n_measured < 24
    [left] = conduct(replace(file, stop=Stop(rules, "advise")), place).regions
    assert left.n_measured == 24 and left.message == "complete: budget_probes"


def test_one_process_runs_a_file(file: CampaignFile, place: Place, instruments: Any) -> None:
    refusals: list[str] = []

    def second(now: Progress) -> None:
        if now.n_new == 1 and not refusals:
            with pytest.raises(WrongState) as refused:
                conduct(file, place)
            refusals.append(refused.value.message)

    assert conduct(file, place, on_progress=second).state == "complete"
    assert "is being run already" in refusals[0]


def test_a_planner_that_is_not_there(file: CampaignFile, instruments: Any, tmp_path: Any, place: Place) -> None:
    (tmp_path / "token").write_text("t\n")
    file = replace(file, server=replace(file.server, patience_s=0.5))
    with pytest.raises(Unavailable):
        conduct(file, Place(f"unix:{tmp_path}/none", str(tmp_path / "token")))
    assert instruments["left"].is_parked, "also where it was never measured with"
    with pytest.raises(Unauthenticated):
        conduct(file, Place(place.server, str(tmp_path / "token")))


def test_results_that_cannot_be_written_lose_nothing(
    file: CampaignFile, place: Place, instruments: Any, planner: Any
) -> None:
    file.directory.mkdir()
    (file.directory / "runs").write_text("a file in the way")
    with pytest.raises(InvalidInput, match=r"are in the planner's journal") as refused:
        conduct(file, place)
    assert refused.value.field == "outputs.directory" and len(places(planner, file, 0)) == 5
    (file.directory / "runs").unlink()
    assert [r.n_new for r in conduct(file, place).regions] == [0, 5]


def test_a_reading_that_is_refused_is_told_as_failed_and_many_end_the_region(
    file: CampaignFile, place: Place, instruments: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = replace(file, campaign=replace(file.campaign, operator="refused"))
    left, good = instruments["left"], instruments["left"].measure

    def measure(y: float, x: float) -> Any:
        made = good(y, x)
        n = left.calls.count("measure")
        return replace(made, y=float("nan"), dose=float("nan")) if n == 2 or n > 3 else made

    monkeypatch.setattr(left, "measure", measure)
    monkeypatch.setattr("probescout.campaigns.measuring.MOST_REFUSED", 2)
    first, second = conduct(file, place).regions
    assert [row["status"] for row in first.rows] == ["complete", "failed", "complete", "failed", "failed"]
    assert first.state == results.FAILED and "refused" in first.message and left.is_parked
    assert second.state == results.COMPLETE


def test_an_instrument_that_does_not_park_ends_the_file_with_its_results(
    file: CampaignFile, place: Place, instruments: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = replace(file, campaign=replace(file.campaign, operator="unparked"))

    def jam() -> None:
        raise OSError("the valve is stuck")

    monkeypatch.setattr(instruments["left"], "park", jam)
    report = conduct(file, place)
    [left] = report.regions
    assert (left.state, left.n_measured) == (results.UNPARKED, 5) and "the valve is stuck" in left.message
    assert exit_code(report) == 1 and instruments["right"].calls == []
    assert not json.loads((folder_of(report) / "report.json").read_text())["regions"][0]["is_parked"]


def test_an_abort_stands_though_the_instrument_does_not_park(
    file: CampaignFile, place: Place, instruments: Any, planner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def jam() -> None:
        raise OSError("the valve is stuck")

    def abort(now: Progress) -> None:
        if now.n_new == 2:
            planner.resume(campaign_id(file, file.regions[0])).abort("smoke")

    monkeypatch.setattr(instruments["left"], "park", jam)
    report = conduct(file, place, on_progress=abort)
    [left] = report.regions
    assert (left.state, left.is_parked) == (results.ABORTED, False) and exit_code(report) == 6
    assert "smoke" in left.message and "NOT PARKED" in left.message and "the valve is stuck" in left.message


def test_an_instrument_that_another_run_drives_is_left_alone(
    file: CampaignFile, place: Place, instruments: Any
) -> None:
    with holding(["twin"], "campaign file other in /lab"), pytest.raises(WrongState) as refused:
        conduct(file, place)
    assert refused.value.reason is Reason.INSTRUMENT_HELD and instruments["left"].calls == []
    assert str(os.getpid()) in refused.value.message and "other in /lab" in refused.value.message
    assert conduct(file, place).state == results.COMPLETE


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_comes_while_parking_waits_until_it_is_parked(
    file: CampaignFile, place: Place, instruments: Any, planner: Any, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    file = replace(file, campaign=replace(file.campaign, operator=str(number)))
    told: list[str] = []

    def park() -> None:
        signal.raise_signal(number)
        told.append("parked")

    monkeypatch.setattr(instruments["left"], "park", park)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises((Terminated, KeyboardInterrupt)), leaving_on_signals():
        conduct(file, place)
    assert told == ["parked"] and instruments["right"].calls == []
    assert len(places(planner, file, 0)) == 5
    assert signal.getsignal(signal.SIGINT) is before
