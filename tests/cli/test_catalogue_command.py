"""`probescout catalogue`: finds campaigns in data directories and filters them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from probescout.cli.main import app
from probescout.core.errors import InvalidInput, NotFound
from probescout.core.events import Control, Controlled, Created, Event, encode
from probescout.core.specs import CampaignSpec, PluginSpec
from probescout.store.journal import Journal

DAY = 86400.0
"""Campaigns begin on the first days of 1970."""


def write(home: Path, *events: Event) -> None:
    with Journal.open(home) as journal:
        journal.append([encode(e) for e in events], time=1.0, principal="me")


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """Two data directories with three campaigns."""
    gold = CampaignSpec(PluginSpec("band_sum"), sample="Gold 17", instrument="STEM")
    write(tmp_path / "stem/campaigns/a", Created("a", gold, 0.0))
    write(tmp_path / "stem/campaigns/b", Created("b", gold, 2 * DAY), Controlled(Control.STOP))
    oxide = CampaignSpec(PluginSpec("loop_area"), sample="oxide", instrument="AFM")
    write(tmp_path / "afm/campaigns/c", Created("c", oxide, DAY), Controlled(Control.STOP, "complete: budget_probes"))
    return tmp_path


Listed = Callable[..., list[str]]


@pytest.fixture
def listed() -> Listed:
    def call(*arguments: object) -> list[str]:
        done = CliRunner().invoke(app, ["catalogue", *map(str, arguments), "--json"], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return [row["id"] for row in json.loads(done.stdout)["campaigns"]]

    return call


def test_all_of_all_directories_newest_first(lab: Path, listed: Listed) -> None:
    assert listed(lab) == listed(lab / "stem", lab / "afm") == ["b", "c", "a"]


@pytest.mark.parametrize(
    "options, ids",
    [
        (("--sample", "gold*"), ["b", "a"]),
        (("--instrument", "afm"), ["c"]),
        (("--scalarizer", "band_sum", "--status", "running"), ["a"]),
        (("--status", "stopped"), ["b", "c"]),
        (("--outcome", "finished"), ["c"]),
        (("--outcome", "stopped"), ["b"]),
        (("--outcome", "running"), ["a"]),
        (("--outcome", "aborted"), []),
        (("--since", "1970-01-02"), ["b", "c"]),
        (("--since", "1970-01-02T01:30+01:00", "--instrument", "STEM"), ["b"]),
        (("--sample", "silver"), []),
    ],
)
def test_filters(lab: Path, listed: Listed, options: tuple[str, ...], ids: list[str]) -> None:
    assert listed(lab, *options) == ids


def test_what_cannot_be_read_is_listed_whatever_is_asked_for(lab: Path) -> None:
    (lab / "afm/campaigns/c/events.db").unlink()
    before = sorted(lab.rglob("*"))
    done = CliRunner().invoke(app, ["catalogue", str(lab), "--sample", "gold*"])
    assert done.exit_code == 1
    assert "2 of 3 campaigns" in done.stdout and "afm/campaigns/c cannot be read" in done.stdout
    assert {p for p in lab.rglob("*") if not p.name.endswith(("-shm", "-wal"))} <= set(before)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        (("none",), NotFound, "no data directory"),
        (("stem", "--since", "May"), InvalidInput, "2026-05-31"),
        (("stem", "--outcome", "done"), InvalidInput, "one of finished, stopped, aborted"),
    ],
)
def test_what_cannot_be_done_is_told(lab: Path, arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        CliRunner().invoke(app, ["catalogue", str(lab / arguments[0]), *arguments[1:]], catch_exceptions=False)
