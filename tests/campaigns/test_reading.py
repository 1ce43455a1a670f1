"""Campaign files: every key known, every value of its type, every mistake named where it is."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from probescout.campaigns.describe import described, lines
from probescout.campaigns.measuring import _declaration
from probescout.campaigns.reading import read_file, read_text
from probescout.campaigns.spec import CampaignFile, Outputs
from probescout.core.errors import InvalidInput, Reason
from probescout.core.specs import Budget

Read = Callable[..., CampaignFile]
EXAMPLES = Path(__file__).parents[2] / "examples"


def test_a_small_file_takes_the_defaults(read: Read, tmp_path: Path) -> None:
    file = read(('formats = ["csv"]\n', ""))
    assert [region.name for region in file.regions] == ["left", "right"]
    assert file.policy_spec == ("expected_improvement", {}) and file.theory is None
    assert file.outputs == Outputs("result", ("csv", "png")) and file.stop.when == "advise"
    assert file.directory == tmp_path / "result" and file.data == tmp_path / "result" / "data"
    assert file.instrument.label == "twin" and file.regions[1].params == {"scene_seed": 1}


def test_every_section_is_read(read: Read, tmp_path: Path) -> None:
    file = read(
        ("params = { scene_seed = 1 }", "forbidden = [[[0,0], [0,0.5], [0.5,0]]]\nbudget = { seconds = 9, dose = 2 }"),
        more="""
        [[policy]]
        name = "integrated_variance"
        until = { n_observed = 9 }
        [[policy]]
        name = "ucb"
        [[objectives]]
        name = "band_maximum"
        params = { low = 0.6, high = 0.8, axis_unit = "eV" }
        minimize = true
        [stop]
        rules = { expected_regret = 2 }
        when = "any"
        [limits]
        border = 0.1
        [theory]
        engine = "xtb"
        quantity = "gap"
        window_m = 1e-9
        [confirm]
        required = true
        [schedule]
        cron = "0 22 * * *"
        timezone = "Europe/Vienna"
        """,
    )  # fmt: skip
    assert file.policy_spec == (
        "staged",
        {"stages": [{"policy": {"name": "integrated_variance", "params": {}}, "until": {"n_observed": 9}},
                    {"policy": {"name": "ucb", "params": {}}}]},
    )  # fmt: skip
    assert file.budget_of(file.regions[0]) == Budget(probes=5)
    assert file.budget_of(file.regions[1]) == Budget(seconds=9.0, dose=2.0)
    assert file.regions[1].forbidden == (((0.0, 0.0), (0.0, 0.5), (0.5, 0.0)),)
    assert file.stop_rules[0].bound == 2.0 and file.theory is not None and file.theory.window_m == 1e-9
    told = "\n".join(lines(file))
    for word in (
        "until n_observed 9",
        "smallest band_maximum",
        "9 seconds, 2 dose",
        "gap by xtb",
        "asked first",
        "Vienna",
    ):
        assert word in told
    assert described(file)["file"]["limits"]["border"] == 0.1


@pytest.mark.parametrize(
    ("old", "new", "field", "words"),
    [
        ("probes = 5", "probs = 5", "budget.probs", "did you mean 'probes'"),
        ("probes = 5", "probes = 5.5", "budget.probes", "5.5 is a number; give a whole number"),
        ("probes = 5", "probes = true", "budget.probes", "true or false; give a whole number"),
        ("probes = 5", "seconds = inf", "budget.seconds", "not finite"),
        ("probes = 5", "core_hours = 5", "budget", "nothing ends this region"),
        ("probes = 5", "probes = -5", "budget.probes", "negative"),
        ("[budget]\nprobes = 5", "", "budget", "is missing"),
        ('name = "left"', 'nam = "left"', "regions[0].nam", "did you mean 'name'"),
        ('name = "left"', 'name = "right"', "regions[1].name", "two regions"),
        ('name = "left"', 'name = "a/b"', "regions[0].name", "not an id"),
        ('name = "left"', f'name = "{"a" * 25}"', "regions[0].name", "at most 24"),
        ('name = "left"', 'name = "left"\nallowed = [[[0, 0], [1, 1]]]', "regions[0].allowed[0]", "at least 3"),
        ('name = "left"', 'name = "left"\nallowed = [[[0, 0, 1]]]', "regions[0].allowed[0][0]", "give 2"),
        ('kind = "twin"', 'kind = "twinn"', "instrument.kind", "did you mean 'twin'"),
        ('scene = "plasmonic"', 'scene = "plasma"', "instrument.params.scene", "plasma"),
        ("scene_seed = 1", "seen_seed = 1", "regions[1].params", "seen_seed"),
        ('kind = "twin"\nparams = { scene = "plasmonic", size = 16 }', 'kind = "recorded"\nparams = { file = "no.nc" }',
         "instrument.params.file", "does not exist"),
        ("band_sum", "band_some", "scalarizer.name", "did you mean 'band_sum'"),
        ("low = 0.6", "low = 'x'", "scalarizer.params.low", "band_sum"),
        ("[initial]\ncount = 3", "[initial]\ndesign = 'spiral'", "initial.design", "none of random, grid"),
        ("[initial]\ncount = 3", "[initial]\ncount = -3", "initial.count", "0 to 10000"),
        ("[initial]", "[stop]\nrules = { regret = 1 }\n[initial]", "stop.rules[0].name", "expected_regret"),
        ("[initial]", "[stop]\nwhen = 'all'\n[initial]", "stop.rules", "no rule"),
        ("[initial]", "[theory]\nengine = 'xtb'\nquantity = 'age'\n[initial]", "theory.quantity", "gap"),
        ("[initial]", "[[policy]]\nname = 'ucb'\nuntil = { n_observed = 1 }\n[initial]", "policy[0]", "no 'until'"),
        ("[initial]", "[schedule]\nretries = -1\n[initial]", "schedule.retries", "negative"),
        ("[initial]", "[[initial]]", "initial", "a list; give a table"),
        ('["csv"]', '["cvs"]', "outputs.formats[0]", "did you mean 'csv'"),
        ('["csv"]', '"csv"', "outputs.formats", "give a list"),
        ("[campaign]", "[campaign]\nfolder = '/'", "campaign.folder", "no 'folder' here"),
        ("[campaign]", "folder = '/'\n[campaign]", "folder", "no 'folder' here"),
        ("[campaign]", "[campaign", "", "not TOML"),
        ("[campaign]", "x = " + "[" * 20000 + "\n[campaign]", "", "not TOML"),
        ("[campaign]", "x = " + "[" * 40 + "]" * 40 + "\n[campaign]", "x" + "[0]" * 16, "nested deeper"),
        ("probes = 5", f"probes = {'9' * 5000}", "", "not TOML"),
        ("probes = 5", f"probes = 0x{'f' * 5000}", "budget.probes", "too large"),
        ("probes = 5", f"seconds = 1{'0' * 400}", "budget.seconds", "too large"),
        ("probes = 5", "probes = 2000000000", "budget.probes", "at most 1e+09"),
        ("params = { scene_seed = 1 }", "budget = { probes = -1 }", "regions[1].budget.probes", "negative"),
        ('name = "try"', f'name = "try"\nseed = {2**63}', "campaign.seed", "too large"),
        ('name = "try"', 'name = "try"\ntitle = "a\\u0000b"', "campaign.title", "U+0000"),
        ('name = "try"', 'name = "try"\ntitle = "\\u001b[2J"', "campaign.title", "U+001B"),
        ('name = "try"', f'name = "try"\nsample = "{"x" * 5000}"', "campaign.sample", "at most 4096"),
        ('directory = "result"', 'directory = "r\\u0000"', "outputs.directory", "U+0000"),
        ("size = 16", "size = 16, dose = nan", "instrument.params.dose", "not finite"),
        ("size = 16", "size = 16, latency_s = inf", "instrument.params.latency_s", "not finite"),
        ("size = 16", "size = 16, seed = 2020-01-01", "instrument.params.seed", "a date"),
        ("deep = false", "compute_budget_s = 4000", "model.compute_budget_s", "at most 3600"),
        ("deep = false", "compute_budget_s = -1", "model.compute_budget_s", "negative"),
        *(("[initial]", f"[theory]\nengine = 'xtb'\nquantity = 'gap'\n{name} = -1\n[initial]", f"theory.{name}",
           "negative") for name in ("window_m", "deadline_s", "lease_s", "max_attempts", "max_running")),
        ("[initial]", "[theory]\nengine = 'xtb'\nquantity = 'gap'\nwindow_m = 1\n[initial]", "theory.window_m",
         "at most 0.001"),
        ("[initial]", "[theory]\nengine = 'xtb'\nquantity = 'gap'\nlease_s = 0.1\n[initial]", "theory.lease_s",
         "1 to 86400"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_where_it_is(read: Read, old: str, new: str, field: str, words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read((old, new))
    assert refused.value.field == field and words in refused.value.message


SEVERAL = """[[instruments]]
kind = "twin"
name = "a"
params = { scene = "plasmonic", size = 16 }
[[instruments]]
kind = "twin"
name = "b"
params = { scene = "plasmonic", size = 16, seed = 1 }
budget = { probes = 2 }
"""
ONE = '[instrument]\nkind = "twin"\nparams = { scene = "plasmonic", size = 16 }\n'


def test_several_instruments_and_who_measures_what(read: Read) -> None:
    file = read((ONE, SEVERAL), ('name = "left"', 'name = "left"\ninstruments = ["b"]'))
    assert file.label == "a, b" and [i.label for i in file.instruments_of(file.regions[0])] == ["b"]
    assert [i.label for i in file.instruments_of(file.regions[1])] == ["a", "b"]
    told = "\n".join(lines(file))
    assert "a (twin), b (twin)" in told and "instrument b: at most 2 probes of each region" in told and ", by b" in told
    assert file.digest != read((ONE, SEVERAL)).digest != read().digest


@pytest.mark.parametrize(
    ("old", "new", "field", "words"),
    [
        ('name = "b"\n', "", "instruments[1].name", "not an id"),
        ('name = "b"', 'name = "a"', "instruments[1].name", "two instruments"),
        ("probes = 2 }", "probes = -2 }", "instruments[1].budget.probes", "negative"),
        ("probes = 2 }", "core_hours = 2.0 }", "instruments[1].budget.core_hours", "core-hours"),
        ("seed = 1", "sed = 1", "instruments[1].params", "sed"),
        ('kind = "twin"\nname = "b"', 'kind = "twinn"\nname = "b"', "instruments[1].kind", "did you mean 'twin'"),
        ('name = "left"', 'name = "left"\ninstruments = ["c"]', "regions[0].instruments[0]", "'c' is none of a, b"),
        ('name = "left"', 'name = "left"\ninstruments = []', "regions[0].instruments", "no instrument"),
        ("[[instruments]]", f"{ONE}[[instruments]]", "instrument", "give one of these"),
        (SEVERAL, "", "instrument", "give one of these"),
        (SEVERAL, f"{ONE}budget = {{ probes = 2 }}\n", "instrument.budget", "shares with nobody"),
    ],
)  # fmt: skip
def test_a_mistake_among_several_instruments(
    text: str, tmp_path: Path, old: str, new: str, field: str, words: str
) -> None:
    several = text.replace(ONE, SEVERAL)
    assert old in several
    with pytest.raises(InvalidInput) as refused:
        read_text(several.replace(old, new, 1), tmp_path)
    assert refused.value.field == field and words in refused.value.message


def test_the_digest_of_a_file_with_one_instrument_is_what_it_always_was() -> None:
    # Another one would lose the campaigns that are under way.
    digest = read_file(EXAMPLES / "campaign.toml").digest
    assert digest == "929d4ff84a3c2b5abc7a057385d6465afea3f09b8729366ebb4e4a3b69e5e389"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read") as refused:
        read_file(tmp_path / "none.toml")
    assert refused.value.reason is Reason.FILE_UNREADABLE


def test_the_digest_covers_what_is_measured_and_nothing_else(read: Read, text: str, tmp_path: Path) -> None:
    digest = read().digest
    assert len(digest) == 64 and digest == read_text(text + "\n# a remark\n", tmp_path / "elsewhere").digest
    for old, new in (('"result"', '"other"'), ('["csv"]', "[]"), ("patience_s = 5.0", "patience_s = 9.0")):
        assert read((old, new)).digest == digest
    assert read(more="[confirm]\nrequired = true\n[schedule]\ncron = '* * * * *'").digest == digest
    for old, new in (("probes = 5", "probes = 6"), ("scene_seed = 1", "scene_seed = 2"), ('"left"', '"lift"')):
        assert read((old, new)).digest != digest


def test_an_earlier_model_is_named_and_a_file_without_one_is_what_it_was(read: Read) -> None:
    plain, more = read(), read(("[model]\n", '[model]\ntransfer = "steel@2"\n'))
    assert "transfer" not in plain.to_json()["model"] and plain.model.transfer is None
    assert more.model.transfer == "steel@2" and more.digest != plain.digest
    assert _declaration(plain, plain.regions[0])["transfer"] == ""
    assert _declaration(more, more.regions[0])["transfer"] == "steel@2"
    with pytest.raises(InvalidInput) as caught:
        read(("[model]\n", '[model]\ntransfer = ""\n'))
    assert caught.value.reason is Reason.FIELD_MISSING and caught.value.field == "model.transfer"


def test_the_example_can_be_run() -> None:
    file = read_file(EXAMPLES / "campaign.toml")
    assert len(file.regions) == 2 and file.instrument.kind == "twin"


def test_the_file_in_the_documentation_can_be_run(tmp_path: Path) -> None:
    page = (EXAMPLES.parent / "docs" / "campaigns.md").read_text()
    [block] = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    file = read_text(block, tmp_path)
    assert file.budget_of(file.regions[1]) == Budget(probes=100) and file.schedule.cron and file.theory is not None
    names = {f.name for f in fields(CampaignFile)} - {"folder", "instruments"}
    assert set(tomllib.loads(block)) == names, "every section is shown"
