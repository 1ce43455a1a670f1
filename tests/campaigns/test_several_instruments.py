"""Several instruments in one region: one campaign, no place twice, and one that ends leaves the rest to the others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import probescout_client as ps
import pytest

from probescout.campaigns import results
from probescout.campaigns.conduct import Place, conduct, exit_code
from probescout.campaigns.leaving import Terminated
from probescout.campaigns.outputs import folder_of
from probescout.campaigns.progress import Progress
from probescout.campaigns.reading import read_text
from probescout.campaigns.rounds import campaign_id
from probescout.campaigns.spec import CampaignFile, Instrument
from probescout.core.errors import InvalidInput
from probescout.core.ports import Measurement, Overview
from probescout.replay.twin import make_twin
from probescout.store.journal import Journal

N_PROBES = 12
TEXT = """
[campaign]
name = "pair"
seed = SEED
[[instruments]]
kind = "twin"
name = "a"
params = { scene = "plasmonic", size = 16, latency_s = LATENCY }
[[instruments]]
kind = "twin"
name = "b"
params = { scene = "plasmonic", size = 16, seed = 1, latency_s = LATENCY }
[scalarizer]
name = "band_sum"
params = { low = 0.6, high = 0.8, axis_unit = "eV" }
[initial]
count = 6
[budget]
probes = 12
[limits]
lease_s = 2.0
[model]
deep = false
[server]
patience_s = 5.0
[outputs]
directory = "result"
formats = ["csv"]
[[regions]]
name = "only"
"""


@pytest.fixture
def text(request: pytest.FixtureRequest) -> str:
    """A file whose campaigns no other test has."""
    return TEXT.replace("SEED", str(sum(map(ord, request.node.name)))).replace("LATENCY", "0.0")


@pytest.fixture
def file(text: str, tmp_path: Path) -> CampaignFile:
    return read_text(text, tmp_path)


@pytest.fixture
def planner(place: Place, tmp_path: Path) -> Any:
    with ps.connect(place.server, token_file=place.token_file, outbox=str(tmp_path / "looker")) as link:
        yield link


class Meeting:
    """A microscope whose every measurement may wait for somebody else's, so that points are pending together."""

    def __init__(self, name: str, before: Callable[[int], None]) -> None:
        self.name = name
        self._twin = make_twin("plasmonic", 0, 16)
        self._before = before
        self.calls: list[str] = []

    def overview(self) -> Overview:
        self.calls.append("overview")
        return self._twin.overview()

    def measure(self, y: float, x: float) -> Measurement:
        self._before(self.calls.count("measure"))
        self.calls.append("measure")
        return self._twin.measure(y, x)

    def park(self) -> None:
        self.calls.append("park")


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Meeting]]:
    """Put two microscopes in the place of those that the file names."""

    def put(**before: Callable[[int], None]) -> dict[str, Meeting]:
        kept = {name: Meeting(name, before.get(name, lambda n: None)) for name in ("a", "b")}
        monkeypatch.setattr("probescout.campaigns.seat.open_instrument", lambda file, one, region: kept[one.label])
        return kept

    return put


def once(region: results.Region, n: int = N_PROBES) -> dict[str, int]:
    """Check that every point was measured once; return how many by whom."""
    assert region.n_measured == n == len({(row["y"], row["x"]) for row in region.rows})
    assert len({row["suggestion"] for row in region.rows}) == n
    clients = [row["client"] for row in region.rows]
    return {name: clients.count(name) for name in sorted(set(clients))}


def test_two_measure_at_once_and_nothing_twice(file: CampaignFile, place: Place, stage: Any) -> None:
    # Both hold a point whenever one is measured, up to the sixth: the planner must keep pending points apart.
    together = threading.Barrier(2)

    def meet(n: int) -> None:
        if n < 6:
            together.wait(30)

    both = stage(a=meet, b=meet)
    seen: list[Progress] = []
    report = conduct(file, place, on_progress=seen.append)
    [region] = report.regions
    assert once(region) == {"a": 6, "b": 6} and report.state == results.COMPLETE and exit_code(report) == 0
    assert [(part.name, part.state, part.n_new) for part in region.parts] == [
        ("a", "complete", 6),
        ("b", "complete", 6),
    ]
    calls = both["a"].calls + both["b"].calls
    assert calls.count("overview") == 1, "the sample is seen once before"
    assert all(one.calls[-1] == "park" for one in both.values())
    assert [now.n_done for now in seen if now.n_new] == [*range(1, 13), 12] and seen[5].n_instruments == 2
    told = json.loads((folder_of(report) / "report.json").read_text())
    assert [one["name"] for one in told["regions"][0]["instruments"]] == ["a", "b"] and told["instrument"] == "a, b"
    again = conduct(file, place)
    assert [(r.state, r.n_new) for r in again.regions] == [("complete", 0)]


def test_one_that_fails_leaves_the_rest_to_the_other(file: CampaignFile, place: Place, stage: Any) -> None:
    has_failed = threading.Event()

    def fail(n: int) -> None:
        if n == 2:
            has_failed.set()
            raise OSError("the gun is off")

    def wait(n: int) -> None:
        if n == 3:
            assert has_failed.wait(30)

    both = stage(a=fail, b=wait)
    [region] = conduct(file, place).regions
    assert once(region) == {"a": 2, "b": 10} and region.state == results.COMPLETE
    assert [part.state for part in region.parts] == ["failed", "complete"]
    assert "a: " in region.message and "the gun is off" in region.message and both["a"].calls[-1] == "park"


def test_when_all_fail_the_next_run_goes_on(file: CampaignFile, place: Place, stage: Any, planner: Any) -> None:
    def fail(n: int) -> None:
        if n == 1:
            raise OSError("no vacuum")

    stage(a=fail, b=fail)
    report = conduct(file, place)
    assert report.state == results.FAILED and exit_code(report) == 1 and report.regions[0].n_measured == 2
    assert not list(planner.resume(report.regions[0].campaign).suggestions("pending"))
    stage()
    [region] = conduct(file, place).regions
    assert region.state == results.COMPLETE and region.n_new == 10
    once(region)


def test_an_instrument_spends_no_more_than_its_share(text: str, place: Place, stage: Any, tmp_path: Path) -> None:
    file = read_text(text.replace('name = "b"', 'name = "b"\nbudget = { probes = 3 }'), tmp_path)

    def leave(now: Progress) -> None:
        if now.n_new == 5:
            raise Terminated

    stage()
    with pytest.raises(Terminated):
        conduct(file, place, on_progress=leave)
    [region] = conduct(file, place).regions
    assert region.state == results.COMPLETE and once(region).get("b", 0) <= 3
    assert region.rows[-1]["client"] == "a"


def test_shares_may_be_less_than_the_region(text: str, place: Place, stage: Any, tmp_path: Path) -> None:
    shares = text.replace('name = "b"', 'name = "b"\nbudget = { probes = 3 }')
    file = read_text(shares.replace('name = "a"', 'name = "a"\nbudget = { probes = 2 }'), tmp_path)
    stage()
    [alone] = conduct(file, place, instruments=["a"]).regions
    assert (alone.state, once(alone, 2)) == (results.SHARED, {"a": 2})
    [region] = conduct(file, place).regions
    assert region.state == results.COMPLETE and once(region, 5) == {"a": 2, "b": 3} and "of its" in region.message
    assert (folder_of(conduct(file, place, instruments=["a"])) / "report-a.json").exists()
    assert conduct(file, place, instruments=["b", "a"]).part == "", "both are the whole file, in whatever order"


def test_leaving_parks_both_after_the_point_under_the_beam(
    file: CampaignFile, place: Place, stage: Any, planner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_measuring, may_go_on = threading.Event(), threading.Event()

    def last(n: int) -> None:
        if n == 1:
            is_measuring.set()
            assert may_go_on.wait(30)

    both = stage(a=last, b=lambda n: None)

    real = threading.Thread.join

    # The wait of the main thread is where a signal would end it.
    def join(thread: threading.Thread, timeout: float | None = None) -> None:
        if thread.name in ("a", "b") and not may_go_on.is_set():
            assert is_measuring.wait(30)
            may_go_on.set()
            raise KeyboardInterrupt
        real(thread, timeout)

    monkeypatch.setattr(threading.Thread, "join", join)
    with pytest.raises(KeyboardInterrupt):
        conduct(file, place)
    assert [one.calls[-1] for one in both.values()] == ["park", "park"]
    run = planner.resume(campaign_id(file, file.regions[0]))
    # The other may have been asking that very moment: what came too late returns when its lease ends.
    assert all(one.client_id == "b" for one in run.suggestions("pending"))
    assert len(list(run.observations())) == sum(one.calls.count("measure") for one in both.values())


def test_some_instruments_need_a_planner_that_all_share(file: CampaignFile, place: Place) -> None:
    with pytest.raises(InvalidInput) as refused:
        conduct(file, instruments=["a"])
    assert refused.value.field == "--server"
    with pytest.raises(InvalidInput, match="no instrument 'c'; it has a, b"):
        conduct(file, place, instruments=["c"])


def test_a_process_for_each_one_killed_and_the_other_finishes(text: str, tmp_path: Path, server: Any) -> None:
    spec = tmp_path / "pair.toml"
    slow = TEXT.replace("SEED", "77").replace("LATENCY", "0.15")
    spec.write_text(slow)
    file = read_text(slow, tmp_path)
    home = server.data / "campaigns" / campaign_id(file, file.regions[0])

    def start(name: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "probescout.cli", "campaign", "run", str(spec), "--instrument", name, "--json"]
        place = ["--server", server.ready["grpc"], "--token-file", server.ready["token_file"]]
        return subprocess.Popen([*command, *place], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def measured() -> list[dict[str, Any]]:
        if not (home / "events.db").exists():
            return []
        return [r.payload["observation"] for r in Journal.salvage(home) if r.kind == "Observed"]

    with start("a") as a, start("b") as b:
        look = threading.Event()
        for _ in range(600):
            if len({one["client_id"] for one in measured()}) == 2:
                break
            assert a.poll() is None and b.poll() is None, "one ended too early"
            look.wait(0.1)
        os.kill(a.pid, signal.SIGKILL)
        said, errors = b.communicate(timeout=90)
        a.communicate()
    assert b.returncode == 0, errors
    [region] = json.loads(said)["regions"]
    assert (region["state"], region["n_measured"]) == ("complete", N_PROBES)
    told = measured()
    assert len(told) == N_PROBES == len({(o["y"], o["x"]) for o in told}) == len({o["suggestion"] for o in told})
    assert {o["client_id"] for o in told} == {"a", "b"}
    assert (file.directory / "runs" / file.digest[:10] / "report-b.json").exists()


def test_two_files_run_at_once_on_one_server(file: CampaignFile, place: Place, stage: Any, tmp_path: Path) -> None:
    # Each has one of the instruments, and each measures only while the other holds a point.
    together = threading.Barrier(2)
    both = stage(a=lambda n: together.wait(30), b=lambda n: together.wait(30))
    reports: dict[str, results.Report] = {}

    def run(instrument: Instrument) -> None:
        about = replace(file.campaign, name=f"file-{instrument.name}")
        own = replace(file, campaign=about, instrument=instrument, instruments=None, folder=tmp_path / instrument.name)
        reports[instrument.name] = conduct(own, place)

    threads = [threading.Thread(target=run, args=(instrument,)) for instrument in file.all_instruments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: report.state for name, report in reports.items()} == {"a": "complete", "b": "complete"}
    for report in reports.values():
        once(report.regions[0])
    assert [one.calls.count("measure") for one in both.values()] == [N_PROBES] * 2
    assert reports["a"].regions[0].campaign != reports["b"].regions[0].campaign


def test_an_abort_ends_both(file: CampaignFile, place: Place, stage: Any, planner: Any) -> None:
    both = stage()

    def abort(now: Progress) -> None:
        if now.n_new == 3:
            planner.resume(campaign_id(file, file.regions[0])).abort("smoke")

    report = conduct(replace(file, server=replace(file.server, patience_s=6.0)), place, on_progress=abort)
    assert exit_code(report) == 6 and report.regions[0].message == "smoke" and report.regions[0].n_measured < N_PROBES
    assert all(one.calls[-1] == "park" for one in both.values() if one.calls)
